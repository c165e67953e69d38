//! Where does an entry of a size come from, and what happens when the class that fits is empty?

use core::cmp::Ordering;

use super::body::{Collection, Policy};
use super::handle::expect_live;
use super::refuse::refuse_in;
use crate::os::{SMALL, error::Error};
use crate::pool::body::Pool;
use crate::pool::bulk::Sources;
use crate::pool::fast::Missed;
use crate::pool::heap::NotOut;
use crate::report::misuse::{ALLOC, Call, FREE, Kind, REALLOC};
use crate::slots::word::{Entry, State};

impl Collection {
    /// The pool of the smallest class whose entries have `size` bytes. None for 0 and for more than
    /// the largest class has. O(1); in an explicit list, one step for each class that lies between
    /// the same two powers of two.
    #[inline(always)]
    pub fn pool_for(&self, size: usize) -> Option<&Pool> {
        let mut pool = self.sizes().first_for(size)?;
        while size > pool.elem_size() {
            pool = pool.larger()?;
        }
        Some(pool)
    }

    /// An entry of at least `size` bytes: from the class that fits, else as the policy says.
    pub fn alloc_sized(&self, size: usize) -> Result<Entry, Error> {
        let pool = self.pool_for(size).ok_or(Error::Invalid)?;
        pool.alloc_fast().or_else(|missed| self.alloc_missed(pool, size, missed))
    }

    /// The thread's cache of the class that fits had none.
    #[inline(always)]
    pub fn alloc_missed(&self, class: &Pool, size: usize, missed: Missed) -> Result<Entry, Error> {
        expect_live(class, ALLOC);
        let entry = match class.alloc_slow(missed) {
            Some(entry) => entry,
            None => self.alloc_elsewhere(class).ok_or(Error::NoMemory)?,
        };
        if class.is_guarded() {
            fit(ALLOC, entry, size);
        }
        Ok(entry)
    }

    /// The class that fits is empty. O(classes).
    #[cold]
    #[inline(never)]
    fn alloc_elsewhere(&self, class: &Pool) -> Option<Entry> {
        class.note_exhausted();
        let cascade =
            || core::iter::successors(class.larger(), |pool| pool.larger()).find_map(Pool::alloc);
        let heap = || class.alloc_dynamic();
        let entry = match self.policy() {
            Policy::Ordinary => None,
            Policy::Disabled => cascade(),
            Policy::AtFirstExhaustion => heap(),
            Policy::AtLastExhaustion => cascade().or_else(heap),
        };
        if entry.is_none() {
            class.note_failed();
        }
        entry
    }

    /// Where entries of a class come from when many are wanted at once.
    pub fn sources<'a>(&self, class: &'a Pool) -> Sources<'a> {
        let (larger_too, heap_too) = match self.policy() {
            Policy::Ordinary => (false, false),
            Policy::Disabled => (true, false),
            Policy::AtFirstExhaustion => (false, true),
            Policy::AtLastExhaustion => (true, true),
        };
        Sources { class, larger_too, heap_too }
    }

    /// How many dynamic entries count for a class. If the larger classes are tried first, no class can be
    /// blamed, and all count for each.
    pub fn dynamic_count(&self, class: &Pool) -> usize {
        match self.policy() {
            Policy::AtLastExhaustion => self.pools().iter().map(|pool| pool.dynamic_count()).sum(),
            _ => class.dynamic_count(),
        }
    }

    /// Whether an entry of `size` bytes in place of `entry` is that one, and nothing is to be done. Some 40
    /// instructions and no lock. False sends the caller to [`realloc`](Self::realloc).
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    #[inline(always)]
    pub unsafe fn keeps_place(&self, entry: Entry, size: usize) -> bool {
        // SAFETY: by this function's contract.
        let Some(out) = unsafe { entry.decode() }.if_out() else { return false };
        let Some(fitting) = self.pool_for(size) else { return false };
        out.owner() == &raw const *fitting as usize && !fitting.is_guarded()
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
            Some((owner, State::Dynamic)) if !SMALL => (unsafe { Pool::at(owner) }, true),
            // SAFETY: by this function's contract.
            _ => unsafe { refuse_in(REALLOC, entry) },
        };
        if !core::ptr::eq(Self::of_pool(pool), self) {
            pool.stop_in(REALLOC, (Kind::WrongPool, entry));
        }
        let has = if dynamic {
            // SAFETY: the word says that the entry is dynamic, out, and of this pool.
            unsafe { pool.dynamic_size(REALLOC, entry) }
        } else {
            pool.elem_size()
        };
        let fitting = self.pool_for(size).ok_or(Error::Invalid)?;
        let new = match fitting.elem_size().cmp(&has) {
            Ordering::Equal => return Ok(fitted(pool, entry, size)),
            Ordering::Greater => self.alloc_sized(size)?,
            Ordering::Less => {
                // With no slot free in a smaller class, the entry stays where it fits.
                let smaller = || {
                    fitting.note_exhausted();
                    core::iter::successors(fitting.larger(), |pool| pool.larger())
                        .take_while(|pool| pool.elem_size() < has)
                        .find_map(Pool::alloc)
                };
                match fitting.alloc().or_else(smaller) {
                    Some(new) => fitted(pool, new, size),
                    None => return Ok(fitted(pool, entry, size)),
                }
            }
        };
        let has = if pool.is_guarded() {
            // SAFETY: the entry is out and of this pool.
            unsafe { pool.touchable(REALLOC, entry, dynamic) }
        } else {
            has
        };
        // SAFETY: both entries have that many bytes, and they are two. The old one is live, so its
        // word can be read.
        unsafe {
            core::ptr::copy_nonoverlapping(entry.payload(), new.payload(), has.min(size));
            Pool::free(entry).unwrap_or_else(|NotOut| refuse_in(FREE, entry));
        }
        Ok(new)
    }
}

/// The entry, of which its holder asked for `size` bytes, in the collection of this pool: all of its pools
/// are guarded, or none.
fn fitted(pool: &Pool, entry: Entry, size: usize) -> Entry {
    if pool.is_guarded() {
        fit(REALLOC, entry, size);
    }
    entry
}

/// As [`Pool::fit`], of an entry that is new, or the caller has from its holder.
#[cold]
fn fit(call: Call, entry: Entry, size: usize) {
    // SAFETY: the entry is live, and the caller its holder; what its holder overwrote can be read.
    unsafe { Pool::fit(call, entry, size).unwrap_or_else(|NotOut| refuse_in(call, entry)) };
}
