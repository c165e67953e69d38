//! What does a thread keep for itself, and how do others get it back?
//!
//! A cache is a stack of entries that one thread, its owner, pushes and pops without a lock and
//! without an atomic read-modify-write. Any thread that holds the depot's lock can close it and
//! take what is in it, without waiting for the owner.
//!
//! # The protocol
//!
//! The valid elements are `[bottom, sp)`. The owner alone writes `sp`; who holds the lock writes
//! `floor` and `ceiling` (the limits) and `bottom`. While a cache is open, `bottom <= floor`; while
//! it is closed, `floor` is above and `ceiling` below every `sp`.
//!
//! ```text
//! owner, pop                   owner, push                    thief, with the lock
//! P1  store sp - 1             Q1  store the element at sp    T1  close the limits
//!     light fence              Q2  store sp + 1               T2  heavy fence
//! P2  sp - 1 < floor: settle       light fence                T3  load sp
//! P3  load the element         Q3  sp >= ceiling: settle      T4  take [bottom, sp)
//!                                                             T5  bottom = sp
//! ```
//!
//! The owner first does it and then looks whether it may: one comparison finds the cache empty (or
//! full) and closed. What it may not have done it settles with the lock, before its next call.
//!
//! The two fences make P1 before P2, Q2 before Q3 and T1 before T3 a Dekker pattern (`fence.rs`):
//! either the owner's look (P2, Q3) sees the limits closed, or the thief's T3 sees the owner's new
//! `sp`. Both may happen; never neither. Hence:
//!
//! * A pop that P2 lets through has lowered the `sp` that the thief reads: the thief does not take
//!   that element.
//! * A pop that P2 stops does not know. With the lock, [`Cache::settle_pop`] compares with `bottom`:
//!   if the thief saw P1, or the floor is above the bottom, the element is not below `bottom` and the
//!   owner's; else it was taken, or the cache was empty.
//! * A push that Q3 lets through is seen by the thief. One that Q3 stops gives back, with the lock,
//!   what is in the cache and the thief did not take ([`Cache::clear`]; if it is only full, a part). So
//!   nothing is ever left in a closed cache by a call that has returned.
//!
//! The elements that the thief reads at T4 are not written meanwhile: the owner writes at `sp` or
//! above, and gets below the `sp` of T3 only with a pop that P2 lets through. T3 (Acquire) pairs
//! with P1 and Q2 (Release): the elements below are seen. A full cache has one element more than
//! room, for Q1.
//!
//! A thief may also *claim* what is in a cache: it goes through T5 first, and takes the elements (T4) or
//! opens the cache again once it has seen the other caches. Who wants many entries at once takes all of
//! them or leaves all where they are.
//!
//! A floor above the bottom is how the pool learns of its high-water mark for nothing: the elements
//! below it, the *reserve*, can't go out without the lock. See `Shared` in `pool/trade.rs`.
//!
//! The owner never waits, and the thief waits for nobody: an owner that the scheduler stopped
//! between P1 and P2 holds one entry, the one that its call will return.

use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::slot::Entry;
use crate::sync::AtomicPtr;

/// A place for an entry.
pub type Element = AtomicPtr<u8>;

/// One thread's free entries of one pool. The owner writes this line and nobody reads it, in the
/// usual case.
///
/// Invariant, while the owner is inside no call: `base <= bottom <= sp <= base + room`; the elements
/// in `[bottom, sp)` are free slots of the pool, in no other place;
/// `open => base == bottom <= floor <= sp && ceiling <= base + room`; `!open => bottom == sp`, unless
/// its owner did not come by since it was closed and could not be drained.
/// Inside a call `sp` may be one lower or higher.
#[cfg_attr(not(loom), repr(C, align(64)))]
pub struct Cache {
    sp: AtomicPtr<Element>,      // one past the top element; the owner's
    floor: AtomicPtr<Element>,   // pop stops here; the lock's
    ceiling: AtomicPtr<Element>, // push stops here; the lock's
    bottom: AtomicPtr<Element>,  // lowest valid element; the lock's
    base: *mut Element,          // constant, as is `room`
    room: usize,
}

#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Cache>(), crate::thread_index::CACHE_DISTANCE);

/// A pop or a push was stopped by the limits. The owner settles it before its next call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsettled;

// SAFETY: `base` points to elements, which are atomic; who may do what is said above.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

fn above_all() -> *mut Element {
    ptr::without_provenance_mut(usize::MAX)
}

fn below_all() -> *mut Element {
    ptr::null_mut()
}

/// Below all, too: of a cache that is closed to be claimed.
fn claimed() -> *mut Element {
    ptr::without_provenance_mut(1)
}

impl Cache {
    /// A closed, empty cache of `room` elements at `base`, where there is one more.
    ///
    /// # Safety
    /// The elements are this cache's alone, as long as it exists.
    pub unsafe fn new(base: *mut Element, room: usize) -> Self {
        Self {
            sp: AtomicPtr::new(base),
            floor: AtomicPtr::new(above_all()),
            ceiling: AtomicPtr::new(below_all()),
            bottom: AtomicPtr::new(base),
            base,
            room,
        }
    }

    // ---- The owner, without the lock -----------------------------------------------------------

    /// Takes the top entry. Three loads, one store, one predictable branch.
    ///
    /// # Safety
    /// The caller is the owner, and all is settled.
    #[inline(always)]
    pub unsafe fn pop(&self, fence: impl Fn()) -> Result<Entry, Unsettled> {
        let sp = self.sp.load(Relaxed).wrapping_sub(1);
        self.sp.store(sp, Release); // P1
        fence();
        if sp < self.floor.load(Relaxed) {
            return Err(Unsettled); // P2
        }
        // SAFETY: `bottom <= sp`, so the element was valid, and it is the owner's now.
        Ok(unsafe { entry_at(sp) }) // P3
    }

    /// Puts an entry on top. Two loads, two stores, one predictable branch.
    ///
    /// # Safety
    /// The caller is the owner, and all is settled; the entry is a free slot's that the caller
    /// holds.
    #[inline(always)]
    pub unsafe fn push(&self, entry: Entry, fence: impl Fn()) -> Result<(), Unsettled> {
        let sp = self.sp.load(Relaxed);
        debug_assert!(sp <= self.base.wrapping_add(self.room));
        // SAFETY: `sp <= base + room`, and there is one element more.
        unsafe { (*sp).store(entry.payload(), Relaxed) }; // Q1
        self.sp.store(sp.wrapping_add(1), Release); // Q2
        fence();
        if sp >= self.ceiling.load(Relaxed) { Err(Unsettled) } else { Ok(()) } // Q3
    }

    // ---- The owner, with the lock --------------------------------------------------------------

    /// Settles a pop: the entry, if the thief left it and there was one.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and its last call was a pop that was stopped.
    pub unsafe fn settle_pop(&self) -> Option<Entry> {
        let (sp, bottom) = (self.sp.load(Relaxed), self.bottom.load(Relaxed));
        if sp < bottom {
            // Empty, or taken: the thief read the `sp` from before P1.
            self.sp.store(bottom, Release);
            return None;
        }
        // SAFETY: `bottom <= sp`, and P1 took the element out.
        Some(unsafe { entry_at(sp) })
    }

    /// How many elements there is room for between here and the ceiling.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock.
    pub unsafe fn set_ceiling(&self, target: usize) {
        let ceiling = self.base.wrapping_add(target.min(self.room));
        self.ceiling.store(ceiling, Relaxed);
    }

    /// Has the owner come by with the lock before it takes one of the lowest `reserve` elements.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock; the cache is open, and has that many.
    pub unsafe fn set_reserve(&self, reserve: usize) {
        debug_assert!(self.is_open() && reserve <= self.len());
        self.floor.store(self.base.wrapping_add(reserve), Relaxed);
    }

    /// Hands every entry that is still in it to `give`, and goes back to the start. Settles a push that
    /// was stopped because the cache is closed.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and the cache is closed.
    pub unsafe fn clear(&self, give: impl FnMut(Entry)) {
        // SAFETY: the caller is the owner.
        unsafe { self.drain(give) };
        // From where the elements ended, the next push would write behind the last.
        self.bottom.store(self.base, Relaxed);
        self.sp.store(self.base, Release);
    }

    /// Opens it, empty.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock; the cache is empty, and no call of the owner's
    /// is unsettled.
    pub unsafe fn open(&self, target: usize) {
        debug_assert!(self.len() == 0);
        self.sp.store(self.base, Release);
        self.bottom.store(self.base, Relaxed);
        self.floor.store(self.base, Relaxed);
        // SAFETY: by this function's contract.
        unsafe { self.set_ceiling(target) };
    }

    /// The memory of its elements as plain pointers, and how many of them, from the first, are
    /// valid. [`set_len`](Self::set_len) makes a change known.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and calls nothing else on the cache meanwhile;
    /// the cache is open.
    #[expect(clippy::mut_from_ref, reason = "the elements are the caller's alone, by contract")]
    pub unsafe fn elements(&self) -> (&mut [*mut u8], usize) {
        // SAFETY: nobody else looks at the elements of a cache of which the lock is held, its owner
        // apart. An atomic pointer is laid out like a plain one. One more than room: see Q1.
        let all = unsafe { core::slice::from_raw_parts_mut(self.base.cast(), self.room + 1) };
        (all, self.len())
    }

    /// Says that the first `len` elements are valid.
    ///
    /// # Safety
    /// The caller is the owner and holds the lock, and the first `len` elements are free slots in
    /// no other place; the cache is open.
    pub unsafe fn set_len(&self, len: usize) {
        self.sp.store(self.base.wrapping_add(len), Release);
    }

    // ---- Anyone with the lock ------------------------------------------------------------------

    /// T1. What the owner begins after the heavy fence that must follow, it begins on a closed
    /// cache.
    pub fn close(&self) {
        // Relaxed: the fence that follows orders them before T3.
        self.floor.store(above_all(), Relaxed);
        self.ceiling.store(below_all(), Relaxed);
    }

    /// T1, of a cache that is open, so that after the heavy fence [`claim`](Self::claim) says how much is in
    /// it.
    pub fn close_to_claim(&self) {
        if self.is_open() {
            // Relaxed: as in `close`.
            self.floor.store(above_all(), Relaxed);
            self.ceiling.store(claimed(), Relaxed);
        }
    }

    /// T3 and T5 of a cache that was closed to be claimed: says how much is in it. That stays in its place and
    /// is the caller's, until [`take_claim`](Self::take_claim) or [`drop_claim`](Self::drop_claim).
    ///
    /// # Safety
    /// The caller holds the lock since the cache was closed, with a heavy fence in between.
    pub unsafe fn claim(&self) -> usize {
        if !self.is_claimed() {
            return 0;
        }
        let sp = self.sp_within(); // T3
        self.bottom.store(sp, Relaxed); // T5
        self.count_below(sp)
    }

    /// T4: hands what was claimed to `give`, and leaves the cache closed.
    ///
    /// # Safety
    /// The caller holds the lock since it claimed.
    pub unsafe fn take_claim(&self, give: impl FnMut(Entry)) {
        if self.is_claimed() {
            // SAFETY: valid, since the cache was open: `base` was its bottom.
            unsafe { hand(self.base, self.bottom.load(Relaxed), give) };
            self.close();
        }
    }

    /// Opens the cache again as if nothing had been claimed, with all that is in it as its reserve: it
    /// hands out no new high-water mark before its owner came by with the lock. Says how much that is.
    ///
    /// # Safety
    /// The caller holds the lock since it claimed.
    pub unsafe fn drop_claim(&self) -> usize {
        if !self.is_claimed() {
            return 0;
        }
        self.bottom.store(self.base, Relaxed);
        // An owner that moved it since T3 was stopped, or will settle by what it finds here.
        let sp = self.sp_within();
        self.floor.store(sp, Relaxed);
        self.ceiling.store(self.base.wrapping_add(self.room), Relaxed);
        self.count_below(sp)
    }

    /// The owner's `sp`, but for the moment after a pop that found the cache empty: then it is lower.
    fn sp_within(&self) -> *mut Element {
        self.sp.load(Acquire).max(self.base) // pairs with P1 and Q2
    }

    fn count_below(&self, end: *mut Element) -> usize {
        (end as usize - self.base as usize) / size_of::<Element>()
    }

    fn is_claimed(&self) -> bool {
        self.ceiling.load(Relaxed) == claimed()
    }

    /// T3 to T5: hands every entry that is in it to `give`.
    ///
    /// # Safety
    /// The caller holds the lock, and the cache was closed, with a heavy fence in between; or the
    /// caller is the owner too.
    pub unsafe fn drain(&self, give: impl FnMut(Entry)) {
        let sp = self.sp.load(Acquire); // T3, pairs with P1 and Q2
        let bottom = self.bottom.load(Relaxed);
        // SAFETY: these are the valid ones.
        unsafe { hand(bottom, sp, give) }; // T4
        self.bottom.store(sp.max(bottom), Relaxed); // T5
    }

    /// Empties and closes it, wherever in a call its owner was.
    ///
    /// What is in it counts as out: the owner may have been in the middle of a push, and a child of
    /// fork can't tell. The kernel copies page after page while other threads go on, so that the
    /// child may see Q2 without Q1.
    ///
    /// # Safety
    /// The caller holds the lock, and the owner is no more.
    pub unsafe fn abandon(&self) {
        self.close();
        self.bottom.store(self.base, Relaxed);
        // Release, as every store to `sp`; whoever owns it next gets its index from this thread or later.
        self.sp.store(self.base, Release);
    }

    /// Whether the limits are open.
    pub fn is_open(&self) -> bool {
        self.ceiling.load(Relaxed) > claimed()
    }

    /// How many elements there are; while the owner is inside a call, one more or less.
    pub fn len(&self) -> usize {
        // Acquire pairs with Q2. The two are pointers into one array, and `sp` may be one below.
        let sp = self.sp.load(Acquire) as usize;
        sp.saturating_sub(self.bottom.load(Relaxed) as usize) / size_of::<Element>()
    }

    /// How many of its elements can't go out without the lock.
    pub fn reserve(&self) -> usize {
        if !self.is_open() {
            return 0;
        }
        self.count_below(self.floor.load(Relaxed))
    }

    /// How many elements it can have.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Proves the invariant, and calls `visit` with every entry in it.
    ///
    /// # Safety
    /// The caller holds the lock, and the owner is inside no call.
    #[cfg(test)]
    pub unsafe fn check(&self, mut visit: impl FnMut(Entry)) {
        let (sp, bottom) = (self.sp.load(Acquire), self.bottom.load(Relaxed));
        assert!(self.base <= bottom && bottom <= sp && sp <= self.base.wrapping_add(self.room));
        assert!(if self.is_open() { bottom == self.base } else { bottom == sp });
        assert!(!self.is_open() || (bottom..=sp).contains(&self.floor.load(Relaxed)));
        let mut at = self.bottom.load(Relaxed);
        while at < self.sp.load(Acquire) {
            // SAFETY: valid, since `bottom <= at < sp`.
            visit(unsafe { entry_at(at) });
            at = at.wrapping_add(1);
        }
    }
}

/// Hands the entries of `[at, end)` to `give`.
///
/// # Safety
/// These elements are valid.
unsafe fn hand(mut at: *mut Element, end: *mut Element, mut give: impl FnMut(Entry)) {
    while at < end {
        // SAFETY: by this function's contract.
        give(unsafe { entry_at(at) });
        at = at.wrapping_add(1);
    }
}

/// # Safety
/// The element is valid.
#[inline(always)]
unsafe fn entry_at(element: *mut Element) -> Entry {
    // SAFETY: by this function's contract it is there, and holds an entry, which is not NULL.
    Entry::new(unsafe { ptr::NonNull::new_unchecked((*element).load(Relaxed)) })
}

#[cfg(all(test, loom))]
mod model;
