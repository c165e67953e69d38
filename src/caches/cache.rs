//! What does a thread keep for itself, and how do others get it back?
//!
//! A cache is two magazines of entries. One is loaded: a stack that one thread, its owner, pushes and
//! pops without a lock and without an atomic read-modify-write. The other is a spare, so that a thread that
//! goes back and forth across the end of the first one does not come to the depot each time; it is only
//! touched under the depot's lock. Any thread that holds that lock can close the cache and take what is in
//! it, without waiting for the owner.
//!
//! # The protocol
//!
//! The valid elements of the loaded magazine are `[bottom, sp)`. The owner alone writes `sp`. The holder of
//! the lock writes `floor` and `ceiling` (the limits) and `bottom`. The owner, with the lock, exchanges the
//! magazine. While a cache is open, `bottom <= floor`; while it is closed, `floor` is above and `ceiling`
//! below every `sp`.
//!
//! ```text
//! owner, pop                   owner, push                    thief, with the lock
//!                              Q0  sp <= 0: no magazine
//! P1  store sp - 1             Q1  store the element at sp    T1  close the limits
//!     light fence              Q2  store sp + 1               T2  heavy fence
//! P2  sp - 1 < floor: settle       light fence                T3  load sp
//! P3  load the element         Q3  sp >= ceiling: settle      T4  take [bottom, sp)
//!                                                             T5  bottom = sp
//! ```
//!
//! The owner first acts and then checks whether it may: one comparison finds the cache empty (or full) or
//! closed. If it may not, it settles the operation with the lock, before its next call.
//!
//! The two fences make P1 before P2, Q2 before Q3 and T1 before T3 a Dekker pattern (`os/fence.rs`):
//! either the owner's look (P2, Q3) sees the limits closed, or the thief's T3 sees the owner's new
//! `sp`. Both may happen; never neither. Hence:
//!
//! * A pop that P2 lets through has lowered the `sp` that the thief reads: the thief does not take
//!   that element.
//! * A pop that P2 stops does not know. With the lock, [`Cache::settle_pop`] compares with `bottom`:
//!   if the thief saw P1, or the floor is above the bottom, the element is not below `bottom` and the
//!   owner's; else it was taken, or the cache was empty.
//! * A push that Q3 lets through is seen by the thief. One that Q3 stops takes its entry back, with the
//!   lock, if the thief did not ([`Cache::settle_push`]).
//!
//! The elements that the thief reads at T4 are not written meanwhile: the owner writes at `sp` or
//! above, and gets below the `sp` of T3 only with a pop that P2 lets through. T3 (Acquire) pairs
//! with P1 and Q2 (Release): the elements below are seen. A full magazine has one element more than
//! room, for Q1. The loaded magazine itself stays with its owner, who may be about to write to it.
//!
//! The thief need not take all at once: the holder of the lock may take what is in a closed cache a part at a
//! time, from the bottom. The bottom then stays above the start until the owner empties the cache to open it
//! again. The owner, too, takes from a closed cache only with the lock.
//!
//! A thief may also *claim* what is in a cache: see `claim.rs`.
//!
//! # A line of zeros
//!
//! A line of zeros is a valid cache without a magazine: lines of threads that never come are never written. A
//! pop there goes below 0 and is stopped, since addresses are compared as signed numbers; a push sees first
//! that there is no address (Q0), and does nothing. An owner that vanishes in a fork, in the middle of its
//! first pop, leaves it below 0, which is as valid.
//!
//! A floor above the bottom tells the pool its high-water mark at no cost: the elements below it can't go out
//! without the lock (see `pool/shared.rs`).
//!
//! The owner never waits, and the thief waits for nobody: an owner that the scheduler stopped
//! between P1 and P2 holds one entry, the one that its call will return.

use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::caches::magazine::Element;
use crate::os::sync::{AtomicIsize, AtomicPtr, AtomicU16};
use crate::slots::word::Entry;

/// One thread's free entries of one pool. In the usual case, only the owner reads and writes this line.
///
/// Invariant, while the owner is inside no call: `base <= bottom <= sp <= base + room`; the elements in
/// `[bottom, sp)` and the first `spare_len` of the spare are free slots of the pool, in no other place;
/// `base == 0 <=> room == 0`, the cache has no magazine; `open => room > 0 && base == bottom <= floor <= sp &&
/// ceiling <= base + room`. Inside a call `sp` may be one lower or higher.
#[cfg_attr(not(loom), repr(C, align(64)))]
pub struct Cache {
    pub(super) sp: AtomicIsize, // address one past the top element; the owner's
    pub(super) floor: AtomicIsize, // pop stops here; the lock's
    pub(super) ceiling: AtomicIsize, // push stops here; the lock's
    pub(super) bottom: AtomicIsize, // lowest valid element; the lock's
    pub(super) base: AtomicIsize, // the loaded magazine; the owner's, with the lock
    pub(super) spare: AtomicPtr<Element>, // the other one, of as much room, or NULL; the lock's, as are the rest
    pub(super) room: AtomicU16,           // of the loaded one
    pub(super) spare_len: AtomicU16,
    pub(super) held_back: AtomicU16, // entries that can't go out without the lock
    pub(super) visits: AtomicU16,    // to the depot, since the magazines are of this room
}

#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Cache>() == crate::caches::thread_index::CACHE_DISTANCE);
    // What inlined code reads: see `slots/inlined.rs`.
    let word = size_of::<usize>();
    assert!(offset_of!(Cache, sp) == 0 && offset_of!(Cache, floor) == word);
    assert!(offset_of!(Cache, ceiling) == 2 * word);
};

/// The limits stopped a pop or a push. The owner settles it before its next call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsettled;

/// Where a push goes.
#[derive(Clone, Copy)]
pub struct Top(isize);

// SAFETY: its elements are atomic; the protocol above says who may do what.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

/// A floor of what is closed.
pub(super) const ABOVE_ALL: isize = isize::MAX;
/// A ceiling of what is closed.
pub(super) const BELOW_ALL: isize = isize::MIN;
/// The same of what is closed to be claimed.
pub(super) const CLAIMED: isize = isize::MIN + 1;

/// An element's number is its address, or, where that may be negative, the address without the bits that are 0.
pub const GRAIN: usize = if usize::BITS == 64 { 1 } else { size_of::<Element>() };

/// What lies between numbers of elements that are so far apart.
pub(super) fn span(count: usize) -> isize {
    (count * (size_of::<Element>() / GRAIN)) as isize
}

/// How many elements a span is of.
pub(super) fn count_of(span: isize) -> usize {
    span as usize / (size_of::<Element>() / GRAIN)
}

impl Cache {
    /// A cache without a magazine, for its owner to come. All bytes 0.
    #[cfg(loom)]
    pub fn new() -> Self {
        let zero = || AtomicIsize::new(0);
        Self {
            sp: zero(),
            floor: zero(),
            ceiling: zero(),
            bottom: zero(),
            base: zero(),
            spare: AtomicPtr::new(ptr::null_mut()),
            room: AtomicU16::new(0),
            spare_len: AtomicU16::new(0),
            held_back: AtomicU16::new(0),
            visits: AtomicU16::new(0),
        }
    }

    // ---- The owner, without the lock -----------------------------------------------------------

    /// Takes the top entry. Three loads, one store, one predictable branch.
    ///
    /// # Safety
    /// The caller is the owner, and all is settled.
    #[inline(always)]
    pub unsafe fn pop(&self, fence: impl Fn()) -> Result<Entry, Unsettled> {
        let sp = self.sp.load(Relaxed) - span(1);
        self.sp.store(sp, Release); // P1
        fence();
        if sp < self.floor.load(Relaxed) {
            return Err(Unsettled); // P2
        }
        // SAFETY: `bottom <= sp`, so the element was valid, and it is the owner's now.
        Ok(unsafe { entry_at(element(sp)) }) // P3
    }

    /// Where a push is to go. None without a magazine.
    #[inline(always)]
    pub fn top(&self) -> Option<Top> {
        let sp = self.sp.load(Relaxed);
        (sp > 0).then_some(Top(sp)) // Q0
    }

    /// Puts an entry on top. A load, two stores, one predictable branch.
    ///
    /// # Safety
    /// The caller is the owner, and all is settled; `top` is of this moment; the entry is a free slot's that
    /// the caller holds.
    #[inline(always)]
    pub unsafe fn push(
        &self,
        Top(sp): Top,
        entry: Entry,
        fence: impl Fn(),
    ) -> Result<(), Unsettled> {
        // SAFETY: `sp <= base + room`, and there is one element more.
        unsafe { (*element(sp)).store(entry.payload(), Relaxed) }; // Q1
        self.sp.store(sp + span(1), Release); // Q2
        fence();
        if sp >= self.ceiling.load(Relaxed) { Err(Unsettled) } else { Ok(()) } // Q3
    }

    // ---- The owner, with the lock --------------------------------------------------------------

    /// Settles a pop: the entry, if the thief left it and there was one. With none, the loaded magazine is
    /// empty.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and its last call was a pop that was stopped.
    pub unsafe fn settle_pop(&self) -> Option<Entry> {
        let (sp, bottom) = (self.sp.load(Relaxed), self.bottom.load(Relaxed));
        if sp < bottom {
            // Empty, or taken: the thief read the `sp` from before P1.
            self.rewind();
            return None;
        }
        // SAFETY: `bottom <= sp`, and P1 took the element out.
        Some(unsafe { entry_at(element(sp)) })
    }

    /// Settles a push that was stopped because the cache is closed: takes the entry back, unless the thief
    /// has.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and its last call was such a push.
    pub unsafe fn settle_push(&self) -> Option<Entry> {
        let (sp, bottom) = (self.sp.load(Relaxed), self.bottom.load(Relaxed));
        if sp <= bottom {
            self.rewind();
            return None;
        }
        let top = sp - span(1);
        self.sp.store(top, Release);
        // SAFETY: `bottom <= top < sp`.
        Some(unsafe { entry_at(element(top)) })
    }

    /// Goes back to the start, so that an empty magazine has all its room.
    pub(super) fn rewind(&self) {
        let base = self.base.load(Relaxed);
        self.bottom.store(base, Relaxed);
        self.sp.store(base, Release);
    }

    /// Opens it, or sets the limits of an open one: the lowest `reserve` elements can't go out without the
    /// lock, and with more than `most` a push takes the lock.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock; no call of its own is unsettled; there is a loaded magazine,
    /// and what is in it begins at its start.
    pub unsafe fn set_limits(&self, reserve: usize, most: usize) {
        debug_assert!(self.room() > 0 && most <= self.room());
        debug_assert!(self.begins_at_start() && reserve <= self.loaded_len());
        let base = self.base.load(Relaxed);
        self.floor.store(base + span(reserve), Relaxed);
        self.ceiling.store(base + span(most), Relaxed);
    }

    /// With more than so many in the loaded magazine, a push takes the lock.
    ///
    /// # Safety
    /// The caller holds the lock; the cache is open.
    pub unsafe fn most(&self) -> usize {
        self.count_below(self.ceiling.load(Relaxed))
    }

    /// Loads another magazine, with that room and `len` valid elements, and returns the one that was loaded,
    /// if there was one. The limits are to be set anew.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and no call of its own is unsettled; the magazine is the
    /// caller's alone, in the memory that create exposed.
    pub unsafe fn load(&self, magazine: *mut Element, room: usize, len: usize) -> *mut Element {
        let before = self.loaded();
        let base = number_of(magazine);
        if room != self.room() {
            self.visits.store(0, Relaxed);
        }
        self.room.store(room as u16, Relaxed);
        self.base.store(base, Relaxed);
        self.bottom.store(base, Relaxed);
        self.sp.store(base + span(len), Release);
        before
    }

    /// The loaded magazine, or NULL.
    fn loaded(&self) -> *mut Element {
        if self.room() == 0 { ptr::null_mut() } else { element(self.base.load(Relaxed)) }
    }

    /// The loaded magazine's elements as plain pointers, and how many of them, from the first, are
    /// valid. [`set_len`](Self::set_len) makes a change known.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and calls nothing else on the cache meanwhile; what is
    /// in the magazine begins at its start.
    #[expect(clippy::mut_from_ref, reason = "the elements are the caller's alone, by contract")]
    pub unsafe fn elements(&self) -> (&mut [*mut u8], usize) {
        debug_assert!(self.begins_at_start());
        let base = element(self.base.load(Relaxed)).cast();
        // SAFETY: nobody else looks at the elements of a cache of which the lock is held, its owner
        // apart. An atomic pointer is laid out like a plain one. One more than room: see Q1.
        let all = unsafe { core::slice::from_raw_parts_mut(base, self.room() + 1) };
        (all, self.loaded_len())
    }

    /// Says that the first `len` elements of the loaded magazine are valid.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and the first `len` elements are free slots in
    /// no other place; what is in it begins at its start.
    pub unsafe fn set_len(&self, len: usize) {
        self.sp.store(self.base.load(Relaxed) + span(len), Release);
    }

    // ---- Anyone with the lock ------------------------------------------------------------------

    /// Counts a visit to the depot, and says how many there were since the magazines are of this room, modulo 2^16.
    ///
    /// # Safety
    /// The caller holds the lock.
    pub unsafe fn count_visit(&self) -> u16 {
        let visits = self.visits.load(Relaxed).wrapping_add(1);
        self.visits.store(visits, Relaxed);
        visits
    }

    /// Room of the loaded magazine, 0 without one.
    pub fn room(&self) -> usize {
        self.room.load(Relaxed).into()
    }

    /// The spare magazine, or NULL, and how many elements of it are valid. Relaxed, as all that the lock
    /// orders.
    pub fn spare(&self) -> (*mut Element, usize) {
        (self.spare.load(Relaxed), self.spare_len.load(Relaxed).into())
    }

    /// Makes a magazine, or NULL, the spare, and returns the previous one.
    ///
    /// # Safety
    /// The caller holds the lock; the magazine is its alone, and has as many valid elements.
    pub unsafe fn set_spare(&self, magazine: *mut Element, len: usize) -> (*mut Element, usize) {
        let before = self.spare();
        self.spare.store(magazine, Relaxed);
        self.spare_len.store(len as u16, Relaxed);
        before
    }

    /// How many of its entries the pool relies on not to go out without the lock.
    pub fn held_back(&self) -> usize {
        self.held_back.load(Relaxed).into()
    }

    /// Notes that.
    ///
    /// # Safety
    /// The caller holds the lock.
    pub unsafe fn set_held_back(&self, held_back: usize) {
        self.held_back.store(held_back as u16, Relaxed);
    }

    /// Whether the limits are open.
    pub fn is_open(&self) -> bool {
        self.ceiling.load(Relaxed) > CLAIMED && self.room() > 0
    }

    /// How many entries there are, those in the spare included; while the owner is inside a call, one more
    /// or less.
    pub fn len(&self) -> usize {
        self.loaded_len() + self.spare().1
    }

    /// How many of them are in the loaded magazine.
    pub fn loaded_len(&self) -> usize {
        // Acquire pairs with Q2. `sp` may be one below.
        let bytes = self.sp.load(Acquire) - self.bottom.load(Relaxed);
        count_of(bytes.max(0))
    }

    /// Whether what is in the loaded magazine begins at its start: no thief has taken a part.
    pub fn begins_at_start(&self) -> bool {
        self.bottom.load(Relaxed) == self.base.load(Relaxed)
    }
}

/// The element with a number: of the memory of magazines, which create exposed.
#[inline(always)]
pub(super) fn element(number: isize) -> *mut Element {
    ptr::with_exposed_provenance_mut(number as usize * GRAIN)
}

/// # Safety
/// The element is valid.
#[inline(always)]
pub(super) unsafe fn entry_at(element: *mut Element) -> Entry {
    // SAFETY: by this function's contract it is there, and holds an entry, which is not NULL.
    Entry::new(unsafe { ptr::NonNull::new_unchecked((*element).load(Relaxed)) })
}

/// The number of an element; 0 for none.
pub(super) fn number_of(element: *mut Element) -> isize {
    (element.expose_provenance() / GRAIN) as isize
}
