//! How does the holder of the pool's lock take what is in a thread's cache?
//!
//! The thief's side of the protocol in `cache.rs`.

use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

#[cfg(test)]
use super::cache::number_of;
use super::cache::{ABOVE_ALL, BELOW_ALL, Cache, count_of, element, entry_at, span};

use crate::memory::fields::{Field, fields};
use crate::slots::word::Entry;

impl Cache {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Cache: sp, bottom, spare, spare_len);

    /// T1. What the owner begins after the heavy fence that must follow, it begins on a closed
    /// cache.
    pub fn close(&self) {
        // Relaxed: the fence that follows orders them before T3.
        self.floor.store(ABOVE_ALL, Relaxed);
        self.ceiling.store(BELOW_ALL, Relaxed);
    }

    /// Has the owner's next push take the lock, or the one after it.
    ///
    /// # Safety
    /// The caller holds the lock; the cache is open.
    pub unsafe fn stop_pushes(&self) {
        // Relaxed: it brings the owner to the lock, which orders the rest.
        self.ceiling.store(self.base.load(Relaxed), Relaxed);
    }

    /// The owner's `sp`. For a moment after a pop that found the cache empty, it is lower.
    pub(super) fn sp_within(&self) -> isize {
        self.sp.load(Acquire).max(self.base.load(Relaxed)) // pairs with P1 and Q2
    }

    pub(super) fn count_below(&self, end: isize) -> usize {
        count_of(end - self.base.load(Relaxed))
    }

    /// T3 to T5: hands up to `most` entries of the loaded magazine to `give`.
    ///
    /// # Safety
    /// The caller holds the lock, and the cache was closed, with a heavy fence in between or by its owner;
    /// or the caller is the owner too.
    pub unsafe fn drain(&self, most: usize, give: impl FnMut(Entry)) {
        let sp = self.sp.load(Acquire); // T3, pairs with P1 and Q2
        let bottom = self.bottom.load(Relaxed);
        let end = (bottom + span(most)).min(sp);
        // SAFETY: these are valid.
        unsafe { hand(bottom, end, give) }; // T4
        self.bottom.store(end.max(bottom), Relaxed); // T5
    }

    /// Closes it, and forgets what is in the loaded magazine, wherever in a call its owner was.
    ///
    /// That counts as out: the owner may have been in the middle of a push, and a child of
    /// fork can't tell. The system copies page after page while other threads go on, so that the
    /// child may see Q2 without Q1.
    ///
    /// # Safety
    /// The caller holds the lock, and the owner is no more.
    pub unsafe fn abandon(&self) {
        self.close();
        // With a Release, as every store to `sp`; whoever owns it next gets its index from this thread or
        // later.
        self.rewind();
    }

    /// Closed and empty, without a magazine.
    ///
    /// # Safety
    /// The caller holds the lock, and the owner is inside no call.
    pub unsafe fn start_anew(&self) {
        self.base.store(0, Relaxed);
        self.room.store(0, Relaxed);
        self.spare.store(ptr::null_mut(), Relaxed);
        self.spare_len.store(0, Relaxed);
        self.held_back.store(0, Relaxed);
        // SAFETY: by this function's contract.
        unsafe { self.abandon() };
    }

    /// Proves the invariant, and calls `visit` with every entry in it.
    ///
    /// # Safety
    /// The caller holds the lock, and the owner is inside no call.
    #[cfg(test)]
    pub unsafe fn check(&self, mut visit: impl FnMut(Entry)) {
        let (sp, bottom) = (self.sp.load(Acquire), self.bottom.load(Relaxed));
        let base = self.base.load(Relaxed);
        assert!(base <= bottom && bottom <= sp && sp <= base + span(self.room()));
        assert_eq!(base == 0, self.room() == 0);
        if self.is_open() {
            assert!(bottom == base && (bottom..=sp).contains(&self.floor.load(Relaxed)));
        }
        let (spare, len) = self.spare();
        assert!(len <= self.room() && (len == 0 || !spare.is_null()));
        let spare = number_of(spare);
        // SAFETY: these are the valid ones.
        unsafe {
            hand(bottom, sp, &mut visit);
            hand(spare, spare + span(len), visit);
        }
    }
}

/// Hands the entries at `[at, end)` to `give`.
///
/// # Safety
/// These elements are valid.
pub(super) unsafe fn hand(mut at: isize, end: isize, mut give: impl FnMut(Entry)) {
    while at < end {
        // SAFETY: by this function's contract.
        give(unsafe { entry_at(element(at)) });
        at += span(1);
    }
}
