//! What do caches and the depot exchange as a whole?
//!
//! A magazine is an array of entries. A thread that has filled one, or emptied one, exchanges it under
//! the lock for another: two words move, however many entries that is. The magazines that are in no cache lie
//! in the rack: the filled ones in one list, last in, first out, the empty ones in another.
//!
//! ```text
//! | entries: room | one entry more | next in the list | how many entries |
//! ```
//!
//! The extra entry is for a push that finds out only afterwards that the magazine is full (`cache.rs`).
//!
//! There are four sizes, each four times the one below, with lists of their own: large ones for few threads
//! with a large share each, small ones for many. An empty one can be cut into four, and is not put together
//! again before a reset.

use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::memory::fields::{Field, fields};
use crate::os::ONE_THREAD;
use crate::os::sync::AtomicPtr;
use crate::slots::work;

/// A place for an entry.
pub type Element = AtomicPtr<u8>;

/// The most entries that a call for one moves, from one place to another.
#[cfg_attr(not(test), expect(dead_code, reason = "the tests and the documents hold it"))]
pub const MOST_MOVED: usize = 64;

/// So many go to the bits or come from them at once. With the entry of the call, and the one that the depot's
/// ring may have to put into the bits for it, that is no more than `MOST_MOVED`.
pub const AT_ONCE: usize = 60;

/// A cache that does not exchange magazines gives its oldest entries back while it has no more than so many: half
/// of them to the depot's ring, as many from there to the bits, and the other half down, is what a call may move.
/// With more, it gives the top ones back.
pub const MOST_MOVED_BY_ONE: usize = 40;

/// Elements of a magazine beside the entries that there is room for.
pub const BESIDE_ROOM: usize = 3;

/// Elements of the smallest magazine: two lines of the processor's caches.
pub const UNIT: usize = 16;
/// How many sizes there are.
pub const SIZES: usize = 4;
/// How many entries a magazine of each size has room for.
pub const ROOMS: [usize; SIZES] = [room_of(0), room_of(1), room_of(2), LARGEST_ROOM];
/// The last of them.
pub const LARGEST_ROOM: usize = 1021;
static_assertions::const_assert_eq!(LARGEST_ROOM, room_of(SIZES - 1));
/// A cache has two of them.
pub const MOST_CACHED: usize = 2042;
static_assertions::const_assert_eq!(MOST_CACHED, 2 * LARGEST_ROOM);

const fn room_of(size: usize) -> usize {
    UNIT * units_of(size) as usize - BESIDE_ROOM
}

/// Units of a magazine.
const fn units_of(size: usize) -> u32 {
    1 << (2 * size)
}

/// The size of a magazine with that room. A pool of few entries has a single magazine, with less room than the
/// smallest.
pub fn size_of_room(room: usize) -> usize {
    ROOMS.iter().rposition(|&least| least <= room).unwrap_or(0)
}

/// The magazines of a pool that are in no cache, behind the pool's lock.
///
/// Invariant: each unit of memory is of a magazine that is in one of the lists or in one cache, or it is not
/// dealt yet, as those from number `dealt` on; `entries` is the sum of the lengths in `filled`, of which none
/// is 0. Caches may get `lendable` more units, beside the first one of each; of the units, `reserved` are for
/// those first ones.
pub struct Rack {
    first: *mut Element,
    units: u32,
    dealt: u32,
    filled: [u32; SIZES], // number of each list's first magazine's first unit, as is `empty`; NONE at its end
    empty: [u32; SIZES],
    entries: u32,
    lendable: u32,
}

const NONE: u32 = u32::MAX;

/// So many caches, the first, have a unit kept for each; of the others, one in `REST`.
const ALL_OF: u32 = 64;
const REST: u32 = 8;
/// Parts are kept together in magazines while the rack is filled to no more than one in so many.
const FULL_OF_PARTS: u32 = 4;
/// The size for parts.
const PART: usize = 1;
static_assertions::const_assert!(AT_ONCE <= ROOMS[PART]);

/// Units that are kept for the first magazines of so many caches. Of a large pool's, most never come.
pub fn reserved(caches: u32) -> u32 {
    caches.min(ALL_OF + caches.saturating_sub(ALL_OF) / REST)
}

/// Units that are left, by who gets a large magazine, for so many caches in use: each can then have more than a
/// smallest one.
fn left_for(in_use: u32, size: usize) -> u32 {
    if size > PART { in_use } else { 0 }
}

impl Rack {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Rack: first, units, filled, entries);

    /// A rack of so many units that nobody has used, which begin at `first`, for as many caches at most.
    ///
    /// # Safety
    /// The elements are the rack's and its pool's caches' alone.
    pub unsafe fn new(first: *mut Element, units: u32, caches: u32) -> Self {
        let (filled, empty) = ([NONE; SIZES], [NONE; SIZES]);
        Self {
            first,
            units,
            dealt: 0,
            filled,
            empty,
            entries: 0,
            lendable: units - reserved(caches),
        }
    }

    /// As if none of them had been used.
    ///
    /// # Safety
    /// None is in a cache any more.
    pub unsafe fn start_anew(&mut self, caches: u32) {
        // SAFETY: by this function's contract.
        *self = unsafe { Self::new(self.first, self.units, caches) };
    }

    /// An empty smallest magazine for a cache that has none: one unit is kept for it.
    pub fn take_first(&mut self) -> Option<*mut Element> {
        self.take_empty(0)
    }

    /// The same for one of `in_use` caches, which gives so many of size `given` back for it.
    pub fn take_instead(
        &mut self,
        size: usize,
        (count, given): (u32, usize),
        in_use: u32,
    ) -> Option<*mut Element> {
        self.lend(size, count * units_of(given), in_use, |rack| rack.take_empty(size))
    }

    /// One more of this size for one of `in_use` caches, if it may have that.
    pub fn take_more<T>(
        &mut self,
        size: usize,
        in_use: u32,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.lend(size, 0, in_use, take)
    }

    fn lend<T>(
        &mut self,
        size: usize,
        back: u32,
        in_use: u32,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let left = (self.lendable + back).checked_sub(units_of(size))?;
        // What gives more back than it takes is never refused.
        if left < self.lendable.min(left_for(in_use, size)) {
            return None;
        }
        let taken = take(self)?;
        self.lendable = left;
        Some(taken)
    }

    /// Whether a cache may have one more of this size.
    pub fn has_more(&self, size: usize, in_use: u32) -> bool {
        units_of(size) + left_for(in_use, size) <= self.lendable
    }

    /// A cache has one less of this size.
    pub fn end_loan(&mut self, size: usize) {
        self.lendable += units_of(size);
    }

    /// How many entries it has.
    pub fn entries(&self) -> u32 {
        if ONE_THREAD { 0 } else { self.entries }
    }

    /// Takes in a magazine that is no longer in a cache, with its first `len` elements valid.
    ///
    /// # Safety
    /// It is one of the pool's, of this size and the caller's alone until now; the entries are free slots in no
    /// other place.
    #[inline(never)]
    pub unsafe fn put(&mut self, magazine: *mut Element, size: usize, len: usize) {
        let number = self.number(magazine);
        let list = if len > 0 { &mut self.filled } else { &mut self.empty };
        let next = core::mem::replace(&mut list[size], number);
        self.entries += len as u32;
        // SAFETY: a magazine has these two elements.
        unsafe {
            set_next(magazine, size, next);
            set_len(magazine, size, len);
        }
    }

    /// The filled magazine of this size that came last, and how many entries are in it.
    #[inline(never)]
    pub fn take_filled(&mut self, size: usize) -> Option<(*mut Element, usize)> {
        let magazine = self.at(self.filled[size])?;
        // SAFETY: it is in the list.
        unsafe {
            self.filled[size] = next(magazine, size);
            let len = len(magazine, size);
            self.entries -= len as u32;
            Some((magazine, len))
        }
    }

    /// An empty magazine of this size, cut out of a larger one if necessary.
    #[inline(never)]
    pub fn take_empty(&mut self, size: usize) -> Option<*mut Element> {
        if let Some(magazine) = self.at(self.empty[size]) {
            // SAFETY: it is in the list.
            self.empty[size] = unsafe { next(magazine, size) };
            return Some(magazine);
        }
        let units = units_of(size);
        if units <= self.units - self.dealt {
            self.dealt += units;
            return self.at(self.dealt - units);
        }
        if size + 1 == SIZES {
            return None;
        }
        let large = self.take_empty(size + 1)?;
        let part = |i| large.wrapping_add(i * units as usize * UNIT);
        for i in 1..4 {
            // SAFETY: the parts are of an empty magazine that is this call's.
            unsafe { self.put(part(i), size, 0) };
        }
        work::touched(3);
        Some(large)
    }

    /// The magazine that begins with this unit, unless that is none.
    fn at(&self, number: u32) -> Option<*mut Element> {
        (number != NONE).then(|| self.first.wrapping_add(number as usize * UNIT))
    }

    fn number(&self, magazine: *mut Element) -> u32 {
        ((magazine as usize - self.first as usize) / (UNIT * size_of::<Element>())) as u32
    }

    /// The size of the smallest magazine that is filled.
    fn smallest_filled(&self) -> Option<usize> {
        self.filled.iter().position(|&number| number != NONE)
    }

    /// Takes in a part of a magazine, as a magazine of its own. False, and nothing happens, if there is no room.
    ///
    /// # Safety
    /// They are free slots in no other place, and no more than `AT_ONCE`.
    pub unsafe fn put_part(&mut self, entries: &[*mut u8]) -> bool {
        if self.entries > self.units * UNIT as u32 / FULL_OF_PARTS {
            return false;
        }
        let Some(magazine) = self.take_empty(PART) else { return false };
        work::moved(entries.len());
        work::touched(entries.len().div_ceil(8));
        // SAFETY: an empty magazine in no cache is this call's; an atomic pointer is laid out like a plain one.
        unsafe {
            ptr::copy_nonoverlapping(entries.as_ptr(), magazine.cast(), entries.len());
            self.put(magazine, PART, entries.len());
        }
        true
    }

    /// Fills the first of `places` with entries of the magazine that came last, of the smallest size that there
    /// is, up to as many as it has, the one put there last in the last of them. Says how many.
    pub fn take_some(&mut self, places: &mut [*mut u8]) -> usize {
        let Some(size) = self.smallest_filled() else { return 0 };
        let number = self.filled[size];
        let Some(magazine) = self.at(number) else { return 0 };
        // SAFETY: it is in the list, and this call's as is the lock; an atomic pointer is laid out like a
        // plain one.
        unsafe {
            let len = len(magazine, size);
            let count = places.len().min(len);
            let last = magazine.add(len - count).cast::<*mut u8>();
            places[..count].copy_from_slice(core::slice::from_raw_parts(last, count));
            work::moved(count);
            work::touched(count.div_ceil(8));
            self.entries -= count as u32;
            set_len(magazine, size, len - count);
            if len == count {
                self.filled[size] = next(magazine, size);
                set_next(magazine, size, self.empty[size]);
                self.empty[size] = number;
            }
            count
        }
    }

    /// Takes in the first of `entries` as full magazines of this size, as many as there are empty ones for.
    /// Says how many entries.
    ///
    /// # Safety
    /// They are free slots in no other place.
    pub unsafe fn give_many(&mut self, entries: &[*mut u8], size: usize) -> usize {
        let room = ROOMS[size];
        let mut given = 0;
        while entries.len() - given >= room
            && let Some(magazine) = self.take_empty(size)
        {
            // SAFETY: an empty magazine in no cache is this call's; an atomic pointer is laid out like a
            // plain one.
            unsafe {
                ptr::copy_nonoverlapping(entries[given..].as_ptr(), magazine.cast(), room);
                self.put(magazine, size, room);
            }
            given += room;
        }
        given
    }

    /// Proves the invariant, and calls `visit` with every entry in it. `in_caches`: units of magazines there.
    #[cfg(test)]
    pub fn check(&self, in_caches: u32, mut visit: impl FnMut(*mut u8)) {
        let (mut units, mut entries) = (in_caches, 0);
        let lists =
            [&self.filled, &self.empty].into_iter().flat_map(|list| list.iter().enumerate());
        for (at, (size, &first)) in lists.enumerate() {
            let mut number = first;
            while let Some(magazine) = self.at(number) {
                // SAFETY: it is in a list.
                unsafe {
                    let len = len(magazine, size);
                    assert!(len <= ROOMS[size] && (len > 0) == (at < SIZES));
                    (0..len).for_each(|i| visit((*magazine.add(i)).load(Relaxed)));
                    entries += len;
                    units += units_of(size);
                    number = next(magazine, size);
                }
            }
        }
        assert_eq!(entries, self.entries as usize);
        assert_eq!(units, self.dealt);
    }

    /// What caches may still have, as a count of all that they have says.
    #[cfg(test)]
    pub fn lendable(&self) -> u32 {
        self.lendable
    }

    /// How many units there are.
    #[cfg(test)]
    pub fn units(&self) -> u32 {
        self.units
    }
}

/// # Safety
/// The magazine is one of the pool's and of this size, in no cache.
unsafe fn next(magazine: *mut Element, size: usize) -> u32 {
    // SAFETY: by this function's contract. Relaxed: the lock orders it, as all below.
    unsafe { (*magazine.add(ROOMS[size] + 1)).load(Relaxed) as usize as u32 }
}

/// # Safety
/// As [`next`].
unsafe fn set_next(magazine: *mut Element, size: usize, next: u32) {
    let next = ptr::without_provenance_mut(next as usize);
    // SAFETY: by this function's contract.
    unsafe { (*magazine.add(ROOMS[size] + 1)).store(next, Relaxed) }
}

/// # Safety
/// As [`next`].
unsafe fn len(magazine: *mut Element, size: usize) -> usize {
    // SAFETY: by this function's contract.
    unsafe { (*magazine.add(ROOMS[size] + 2)).load(Relaxed) as usize }
}

/// # Safety
/// As [`next`].
unsafe fn set_len(magazine: *mut Element, size: usize, len: usize) {
    let len = ptr::without_provenance_mut(len);
    // SAFETY: by this function's contract.
    unsafe { (*magazine.add(ROOMS[size] + 2)).store(len, Relaxed) }
}
