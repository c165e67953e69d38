//! What changes hands whole between caches and the depot?
//!
//! A magazine is an array of entries. A thread that has filled one, or emptied one, exchanges it under
//! the lock for another: two words move, however many entries that is. The magazines that are in no cache
//! lie in the rack, the filled ones in a list from which the last one comes first, the empty ones in
//! another.
//!
//! ```text
//! | entries: room | one entry more | next in the list | how many entries |
//! ```
//!
//! The one entry more is for a push that finds out afterwards that the magazine is full (`cache.rs`).

use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicPtr;
use crate::work;

/// A place for an entry.
pub type Element = AtomicPtr<u8>;

/// The most entries that a call for one moves, from one place to another.
#[cfg_attr(not(test), expect(dead_code, reason = "the tests and the documents hold it"))]
pub const MOST_MOVED: usize = 64;

/// So many go to the bits or come from them at once: with those that the call is about, and the one that the
/// depot's ring may have to put into the bits for it, no more than `MOST_MOVED`.
pub const AT_ONCE: usize = 60;

/// Elements of a magazine beside the entries that there is room for.
pub const BESIDE_ROOM: usize = 3;

/// The magazines of a pool that are in no cache, behind the pool's lock.
///
/// Invariant: each magazine is in one of the lists, in one cache, or not dealt yet, as those from number
/// `dealt` on; `entries` is the sum of the lengths in `filled`, of which none is 0.
pub struct Rack {
    first: *mut Element,
    magazines: u32,
    dealt: u32,
    filled: u32, // the first of the list, as is `empty`; NONE at its end
    empty: u32,
    entries: u32,
    room: u32,
}

const NONE: u32 = u32::MAX;

impl Rack {
    /// A rack of so many magazines that nobody has used, each with `room`, which begin at `first`.
    ///
    /// # Safety
    /// The elements are the rack's and its pool's caches' alone.
    pub unsafe fn new(first: *mut Element, magazines: usize, room: usize) -> Self {
        let (magazines, room) = (magazines as u32, room as u32);
        Self { first, magazines, dealt: 0, filled: NONE, empty: NONE, entries: 0, room }
    }

    /// As if nobody had used any of them.
    ///
    /// # Safety
    /// None is in a cache any more.
    pub unsafe fn start_anew(&mut self) {
        (self.dealt, self.filled, self.empty, self.entries) = (0, NONE, NONE, 0);
    }

    /// How many entries it has.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Takes a magazine in that is in no cache any more, with its first `len` elements valid.
    ///
    /// # Safety
    /// It is one of the pool's, the caller's alone until now; the entries are free slots in no other
    /// place.
    pub unsafe fn put(&mut self, magazine: *mut Element, len: usize) {
        let number = self.number(magazine);
        let list = if len > 0 { &mut self.filled } else { &mut self.empty };
        let next = core::mem::replace(list, number);
        self.entries += len as u32;
        // SAFETY: a magazine has these two elements.
        unsafe {
            self.set_next(magazine, next);
            self.set_len(magazine, len);
        }
    }

    /// The filled magazine that came last, and how many entries are in it.
    pub fn take_filled(&mut self) -> Option<(*mut Element, usize)> {
        let magazine = self.at(self.filled)?;
        // SAFETY: it is in the list.
        unsafe {
            self.filled = self.next(magazine);
            let len = self.len(magazine);
            self.entries -= len as u32;
            Some((magazine, len))
        }
    }

    /// An empty magazine.
    pub fn take_empty(&mut self) -> Option<*mut Element> {
        if let Some(magazine) = self.at(self.empty) {
            // SAFETY: it is in the list.
            self.empty = unsafe { self.next(magazine) };
            return Some(magazine);
        }
        if self.dealt == self.magazines {
            return None;
        }
        self.dealt += 1;
        self.at(self.dealt - 1)
    }

    /// The magazine with this number, unless that is no one's.
    fn at(&self, number: u32) -> Option<*mut Element> {
        let distance = number as usize * self.elements();
        (number != NONE).then(|| self.first.wrapping_add(distance))
    }

    fn number(&self, magazine: *mut Element) -> u32 {
        let distance = (magazine as usize - self.first as usize) / size_of::<Element>();
        (distance / self.elements()) as u32
    }

    fn elements(&self) -> usize {
        self.room as usize + BESIDE_ROOM
    }

    /// Fills the first of `places` with entries of the magazine that came last, up to as many as it has, the
    /// one put there last in the last of them. Says how many.
    pub fn take_some(&mut self, places: &mut [*mut u8]) -> usize {
        let Some(magazine) = self.at(self.filled) else { return 0 };
        // SAFETY: it is in the list, and this call's as is the lock; an atomic pointer is laid out like a
        // plain one.
        unsafe {
            let len = self.len(magazine);
            let count = places.len().min(len);
            let last = magazine.add(len - count).cast::<*mut u8>();
            places[..count].copy_from_slice(core::slice::from_raw_parts(last, count));
            work::moved(count);
            work::touched(count.div_ceil(8));
            self.entries -= count as u32;
            self.set_len(magazine, len - count);
            if len == count {
                let number = self.filled;
                self.filled = self.next(magazine);
                self.set_next(magazine, self.empty);
                self.empty = number;
            }
            count
        }
    }

    /// Takes in the first of `entries` as full magazines, as many as there are empty ones for. Says how many
    /// entries.
    ///
    /// # Safety
    /// They are free slots in no other place.
    pub unsafe fn give_many(&mut self, entries: &[*mut u8]) -> usize {
        let room = self.room as usize;
        let mut given = 0;
        while entries.len() - given >= room
            && let Some(magazine) = self.take_empty()
        {
            // SAFETY: an empty magazine in no cache is this call's; an atomic pointer is laid out like a
            // plain one.
            unsafe {
                ptr::copy_nonoverlapping(entries[given..].as_ptr(), magazine.cast(), room);
                self.put(magazine, room);
            }
            given += room;
        }
        given
    }

    /// # Safety
    /// The magazine is one of the pool's, and in no cache.
    unsafe fn next(&self, magazine: *mut Element) -> u32 {
        // SAFETY: by this function's contract. Relaxed: the lock orders it, as all below.
        unsafe { (*magazine.add(self.room as usize + 1)).load(Relaxed) as usize as u32 }
    }

    /// # Safety
    /// As [`next`](Self::next).
    unsafe fn set_next(&self, magazine: *mut Element, next: u32) {
        let next = ptr::without_provenance_mut(next as usize);
        // SAFETY: by this function's contract.
        unsafe { (*magazine.add(self.room as usize + 1)).store(next, Relaxed) }
    }

    /// # Safety
    /// As [`next`](Self::next).
    unsafe fn len(&self, magazine: *mut Element) -> usize {
        // SAFETY: by this function's contract.
        unsafe { (*magazine.add(self.room as usize + 2)).load(Relaxed) as usize }
    }

    /// # Safety
    /// As [`next`](Self::next).
    unsafe fn set_len(&self, magazine: *mut Element, len: usize) {
        let len = ptr::without_provenance_mut(len);
        // SAFETY: by this function's contract.
        unsafe { (*magazine.add(self.room as usize + 2)).store(len, Relaxed) }
    }

    /// Proves the invariant, and calls `visit` with every entry in it.
    #[cfg(test)]
    pub fn check(&self, mut visit: impl FnMut(*mut u8)) {
        let (mut number, mut entries) = (self.filled, 0);
        while let Some(magazine) = self.at(number) {
            // SAFETY: it is in a list.
            unsafe {
                let len = self.len(magazine);
                assert!(0 < len && len <= self.room as usize);
                (0..len).for_each(|i| visit((*magazine.add(i)).load(Relaxed)));
                entries += len;
                number = self.next(magazine);
            }
        }
        assert_eq!(entries, self.entries as usize);
    }
}
