//! What lies where in a region, and how much of it is needed?
//!
//! ```text
//! | Collection, tables | Pool, caches, lists | Pool, caches, lists .. | slots | slots ..
//! ```
//!
//! What the library keeps lies below all slots: an entry written past its end can reach its
//! neighbour, never the pool. [`Layout::bytes`] is a formula that the header's buffer macros state
//! too: so much per region, so much per class, so much per slot, whatever the buffer's address.

use crate::os::error::Error;

/// Bytes before a payload that say which pool owns it.
pub const WORD: usize = 8;
/// Pools lie at multiples of this, in bytes.
pub const OWNER_ALIGN: usize = 128;
/// Entries are aligned to this many bytes at least: no system's `max_align_t` asks for more.
pub const MIN_ALIGN: usize = 16;
/// Addresses of a pool, and of all in it, are below this: a word has no room for more.
pub const ADDRESS_END: u64 = 1 << 48;

static_assertions::const_assert!(OWNER_ALIGN.is_power_of_two());

/// Bytes set aside per region: to align its start, and for the `Collection`.
pub const REGION_RESERVE: usize = 448;
/// More bytes set aside per region of a ranged pool: for its table of sizes.
pub const RANGED_RESERVE: usize = 576;
/// Bytes set aside per class: for the `Pool`, the line of an only cache, its place in a table, what
/// its lists take to be whole words, and to align all that and the slots.
pub const CLASS_RESERVE: usize = 576;
/// Bytes set aside for each slot, beside it: for the depot, and for thread caches in what it leaves.
pub const SLOT_RESERVE: usize = 8;

/// The largest alignment that a pool can have.
pub const MAX_ALIGN: usize = 4096;
/// The smallest class of a ranged pool of powers of two.
pub const SMALLEST_CLASS: usize = 16;
/// The most classes a ranged pool can have.
pub const MAX_CLASSES: usize = 256;

/// What a caller asks of one pool. Laid out as C sees it: a caller's list is read in place.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class {
    /// Usable bytes of an entry.
    pub elem_size: usize,
    /// How many entries.
    pub elem_count: usize,
}

/// The classes of a region.
#[derive(Clone, Copy)]
pub enum Classes<'a> {
    /// An ordinary pool.
    One(Class),
    /// Each class has entries of twice the size of the one below, and half as many.
    PowersOfTwo { smallest: Class, count: usize },
    /// The caller's own choice, ascending.
    List(&'a [Class]),
}

impl Classes<'_> {
    /// A ranged pool's classes from its extremes, which are rounded up to powers of two.
    pub fn powers_of_two(
        smallest_size: usize,
        largest_size: usize,
        smallest_count: usize,
    ) -> Result<Classes<'static>, Error> {
        if smallest_size == 0 || largest_size <= smallest_size || smallest_count == 0 {
            return Err(Error::Invalid);
        }
        let round = |n: usize| n.checked_next_power_of_two().ok_or(Error::NoMemory);
        let elem_size = round(smallest_size)?.max(SMALLEST_CLASS);
        let largest = round(largest_size)?;
        if largest <= elem_size {
            return Err(Error::Invalid);
        }
        let elem_count = round(smallest_count)?;
        let count = (largest.ilog2() - elem_size.ilog2()) as usize + 1;
        if elem_count >> (count - 1) == 0 {
            return Err(Error::Invalid);
        }
        Ok(Classes::PowersOfTwo { smallest: Class { elem_size, elem_count }, count })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Classes::One(_) => 1,
            Classes::PowersOfTwo { count, .. } => *count,
            Classes::List(list) => list.len(),
        }
    }

    /// Class number `i`, counted from the smallest.
    pub fn get(&self, i: usize) -> Class {
        match self {
            Classes::One(class) => *class,
            Classes::PowersOfTwo { smallest, .. } => {
                Class { elem_size: smallest.elem_size << i, elem_count: smallest.elem_count >> i }
            }
            Classes::List(list) => list[i],
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.count() == 0 || self.count() > MAX_CLASSES {
            return Err(Error::Invalid);
        }
        let mut below = 0;
        for i in 0..self.count() {
            let class = self.get(i);
            if class.elem_count == 0 || class.elem_size <= below {
                return Err(Error::Invalid);
            }
            below = class.elem_size;
        }
        Ok(())
    }
}

/// A request that was checked: every size below fits in half the address space.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    classes: Classes<'a>,
    align: usize,
    gap: usize,
    bytes: usize,
}

impl<'a> Layout<'a> {
    /// Checks the request. `align` 0 means that of `max_align_t`; less is raised to that.
    pub fn new(classes: Classes<'a>, align: usize) -> Result<Self, Error> {
        if align > MAX_ALIGN || (align != 0 && !align.is_power_of_two()) {
            return Err(Error::Invalid);
        }
        classes.check()?;
        let align = align.max(MIN_ALIGN);
        let bytes = total(&classes, align, 0).ok_or(Error::NoMemory)?;
        Ok(Self { classes, align, gap: 0, bytes })
    }

    /// The same with at least `gap` bytes past each entry that no holder may touch.
    pub fn with_gap(self, gap: usize) -> Result<Self, Error> {
        let bytes = total(&self.classes, self.align, gap).ok_or(Error::NoMemory)?;
        Ok(Self { gap, bytes, ..self })
    }

    /// The least number of bytes past each entry that no holder may touch.
    pub fn gap(&self) -> usize {
        self.gap
    }

    /// The classes.
    pub fn classes(&self) -> &Classes<'a> {
        &self.classes
    }

    /// Alignment of every entry in bytes.
    pub fn align(&self) -> usize {
        self.align
    }

    /// Enough bytes for everything, at any start that is a multiple of [`MIN_ALIGN`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes from one entry of a class to the next.
pub fn stride(elem_size: usize, gap: usize, align: usize) -> Option<usize> {
    elem_size.checked_add(gap)?.checked_add(WORD)?.checked_next_multiple_of(align)
}

/// Bytes that one more entry takes, with its bookkeeping.
fn per_entry(elem_size: usize, gap: usize, align: usize) -> Option<usize> {
    stride(elem_size, gap, align)?.checked_add(SLOT_RESERVE)
}

/// The most entries that an ordinary pool with default alignment can have in that many bytes.
pub fn largest_count(elem_size: usize, bytes: usize) -> usize {
    let left = bytes.saturating_sub(REGION_RESERVE + CLASS_RESERVE);
    per_entry(elem_size, 0, MIN_ALIGN).map_or(0, |each| left / each).min(u32::MAX as usize)
}

fn total(classes: &Classes<'_>, align: usize, gap: usize) -> Option<usize> {
    let mut bytes = match classes {
        Classes::One(_) => REGION_RESERVE,
        _ => REGION_RESERVE + RANGED_RESERVE,
    };
    for i in 0..classes.count() {
        let class = classes.get(i);
        if class.elem_count > u32::MAX as usize {
            return None;
        }
        let entries = per_entry(class.elem_size, gap, align)?.checked_mul(class.elem_count)?;
        bytes = bytes.checked_add(CLASS_RESERVE + (align - MIN_ALIGN))?.checked_add(entries)?;
    }
    (bytes <= isize::MAX as usize).then_some(bytes)
}

/// Deals out a region's memory from its start to its end.
pub struct Cursor {
    at: core::ptr::NonNull<u8>,
    left: usize,
}

impl Cursor {
    /// Starts at `base`.
    ///
    /// # Safety
    /// `base` is the start of `len` bytes.
    pub unsafe fn new(base: core::ptr::NonNull<u8>, len: usize) -> Self {
        Self { at: base, left: len }
    }

    /// The next `bytes` bytes such that the address `lead` bytes into them is a multiple of
    /// `align`. None if they don't fit, which the formula of [`Layout::bytes`] rules out.
    pub fn deal(
        &mut self,
        bytes: usize,
        align: usize,
        lead: usize,
    ) -> Option<core::ptr::NonNull<u8>> {
        let skip = (self.at.as_ptr() as usize).wrapping_add(lead).wrapping_neg() & (align - 1);
        self.left = self.left.checked_sub(skip)?.checked_sub(bytes)?;
        // SAFETY: `skip + bytes` was left, so both addresses are in the region or at its end.
        unsafe {
            let start = self.at.add(skip);
            self.at = start.add(bytes);
            Some(start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn powers(s: usize, l: usize, n: usize) -> Result<Vec<(usize, usize)>, Error> {
        let classes = Classes::powers_of_two(s, l, n)?;
        Ok((0..classes.count())
            .map(|i| classes.get(i))
            .map(|c| (c.elem_size, c.elem_count))
            .collect())
    }

    #[test]
    fn the_documents_ranged_pool() {
        let classes = powers(16, 65536, 131072).unwrap();
        assert_eq!(classes.len(), 13);
        assert_eq!((classes[0], classes[12]), ((16, 131072), (65536, 32)));
    }

    #[test]
    fn extremes_round_up() {
        assert_eq!(powers(1, 20, 3).unwrap(), [(16, 4), (32, 2)]);
        assert_eq!(powers(17, 64, 2).unwrap(), [(32, 2), (64, 1)]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (s, l, n) in [(0, 64, 8), (16, 0, 8), (16, 64, 0), (64, 64, 8), (64, 16, 8), (1, 16, 8)]
        {
            assert_eq!(powers(s, l, n), Err(Error::Invalid), "{s} {l} {n}");
        }
        // 16, 32, 64, 128 from 4: the last would have none.
        assert_eq!(powers(16, 128, 4), Err(Error::Invalid));
        assert_eq!(powers(16, usize::MAX, 8), Err(Error::NoMemory));
    }

    fn one(elem_size: usize, elem_count: usize, align: usize) -> Result<usize, Error> {
        Layout::new(Classes::One(Class { elem_size, elem_count }), align).map(|l| l.bytes())
    }

    #[test]
    fn sizes_are_exact_or_refused() {
        assert_eq!(one(4, 1000, 0), Ok(1024 + 1000 * 24));
        assert_eq!(one(64, 10, 64), Ok(1024 + 48 + 10 * 136));
        assert_eq!(one(usize::MAX, 1, 0), Err(Error::NoMemory));
        assert_eq!(one(usize::MAX - 30, 1, 0), Err(Error::NoMemory));
        assert_eq!(one(1 << 40, 1 << 30, 0), Err(Error::NoMemory));
        assert_eq!(one(8, 1 << 32, 0), Err(Error::NoMemory));
        for align in [3, 24, 8192, usize::MAX] {
            assert_eq!(one(8, 8, align), Err(Error::Invalid), "alignment {align}");
        }
    }

    #[test]
    fn as_many_as_fit() {
        let most = u32::MAX as usize;
        for elem_size in [1, 8, 9, 24, 25, 64, 4096, 100_000] {
            for count in [1, 2, 7, 100, 65_536, most] {
                let bytes = one(elem_size, count, 0).unwrap();
                assert_eq!(largest_count(elem_size, bytes), count, "{elem_size} bytes");
                assert_eq!(largest_count(elem_size, bytes - 1), count - 1, "{elem_size} bytes");
            }
        }
        assert_eq!(largest_count(1, 0), 0);
        assert_eq!(largest_count(usize::MAX, usize::MAX), 0);
        assert_eq!(largest_count(1, usize::MAX), most);
    }

    #[test]
    fn lists_ascend() {
        let class = |elem_size, elem_count| Class { elem_size, elem_count };
        let check = |list: &[Class]| Classes::List(list).check().is_ok();
        assert!(check(&[class(1, 1), class(24, 10), class(1000, 3)]));
        assert!(!check(&[]));
        assert!(!check(&[class(0, 1)]));
        assert!(!check(&[class(8, 0)]));
        assert!(!check(&[class(8, 1), class(8, 1)]));
        assert!(!check(&[class(16, 1), class(8, 1)]));
    }
}
