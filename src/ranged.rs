//! Which class serves a size, and what when it is empty?

use core::cmp::Ordering;

use crate::collection::{Collection, Policy};
use crate::error::Error;
use crate::misuse::Kind;
use crate::pool::{Pool, refuse};
use crate::slot::{Entry, State};

impl Collection {
    /// The number of the smallest class whose entries have `size` bytes. None for 0 and for more
    /// than the largest class has. O(1), or O(log classes) for an explicit list.
    #[inline]
    pub fn class_for(&self, size: usize) -> Option<usize> {
        let class = match self.smallest_bits() {
            Some(smallest_bits) => {
                // Of size 0 this makes the largest number there is.
                let bits = usize::BITS - size.wrapping_sub(1).leading_zeros();
                bits.saturating_sub(smallest_bits) as usize
            }
            None => self.pools().partition_point(|pool| pool.elem_size() < size),
        };
        (size != 0 && class < self.pools().len()).then_some(class)
    }

    /// An entry of at least `size` bytes: from the class that fits, else as the policy says.
    #[inline]
    pub fn alloc_sized(&self, size: usize) -> Result<Entry, Error> {
        let class = self.class_for(size).ok_or(Error::Invalid)?;
        match self.pools()[class].alloc() {
            Some(entry) => Ok(entry),
            None => self.alloc_elsewhere(class).ok_or(Error::NoMemory),
        }
    }

    /// The class that fits is empty. O(classes).
    #[cold]
    fn alloc_elsewhere(&self, class: usize) -> Option<Entry> {
        let cascade = || self.pools()[class + 1..].iter().find_map(Pool::alloc);
        let heap = || self.pools()[class].alloc_dynamic();
        match self.policy() {
            Policy::Ordinary => None,
            Policy::Disabled => cascade(),
            Policy::AtFirstExhaustion => heap(),
            Policy::AtLastExhaustion => cascade().or_else(heap),
        }
    }

    /// How many dynamic entries count as those of a class: where the larger classes are tried
    /// first, no class can be blamed, and all count as each one's.
    pub fn dynamic_count(&self, class: &Pool) -> usize {
        match self.policy() {
            Policy::AtLastExhaustion => self.pools().iter().map(Pool::dynamic_count).sum(),
            _ => class.dynamic_count(),
        }
    }

    /// An entry of `size` bytes with what `entry` holds, which is freed if it is another one.
    ///
    /// Aborts when `entry` is no live entry of this collection's.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    pub unsafe fn realloc(&self, entry: Entry, size: usize) -> Result<Entry, Error> {
        // SAFETY: by this function's contract.
        let (pool, dynamic) = match unsafe { entry.decode() }.owner_and_state() {
            // SAFETY: a word of ours names a live pool.
            Some((owner, State::Out)) => (unsafe { Pool::at(owner) }, false),
            // SAFETY: as above.
            Some((owner, State::Dynamic)) => (unsafe { Pool::at(owner) }, true),
            // SAFETY: by this function's contract.
            _ => unsafe { refuse(entry) },
        };
        if pool.collection().as_ptr().cast_const() != &raw const *self {
            pool.stop((Kind::WrongPool, entry));
        }
        // SAFETY: the word says that the entry is dynamic, out, and of this pool.
        let has = if dynamic { unsafe { pool.dynamic_size(entry) } } else { pool.elem_size() };
        let wanted = self.class_for(size).ok_or(Error::Invalid)?;
        let wanted_size = self.pools()[wanted].elem_size();
        let new = match wanted_size.cmp(&has) {
            Ordering::Equal => return Ok(entry),
            Ordering::Greater => self.alloc_sized(size)?,
            Ordering::Less => {
                // With no slot free in a smaller class, the entry stays where it fits.
                let mut smaller =
                    self.pools()[wanted..].iter().take_while(|pool| pool.elem_size() < has);
                match smaller.find_map(Pool::alloc) {
                    Some(new) => new,
                    None => return Ok(entry),
                }
            }
        };
        // SAFETY: both entries have that many bytes, and they are two. The old one is live, so its
        // word can be read.
        unsafe {
            core::ptr::copy_nonoverlapping(entry.payload(), new.payload(), has.min(size));
            Pool::free(entry);
        }
        Ok(new)
    }
}
