//! How does a thief count what is in all caches before it takes any?
//!
//! It goes through T5 of the protocol first (`../cache.rs`), and takes the elements (T4) or opens the cache again
//! once it has seen the other caches. A call for many entries takes all of them or leaves all where they are.

use core::sync::atomic::Ordering::Relaxed;

use super::cache::{ABOVE_ALL, CLAIMED, Cache, span};
use super::thief::hand;
use crate::slots::word::Entry;

impl Cache {
    /// T1, of a cache that is open, so that after the heavy fence [`claim`](Self::claim) says how much is in
    /// it.
    pub fn close_to_claim(&self) {
        if self.is_open() {
            // Relaxed: as in `close`.
            self.floor.store(ABOVE_ALL, Relaxed);
            self.ceiling.store(CLAIMED, Relaxed);
        }
    }

    /// T3 and T5 of a cache that was closed to be claimed: says how much is in it, spare included. That stays
    /// in its place and is the caller's, until [`take_claim`](Self::take_claim) or
    /// [`drop_claim`](Self::drop_claim). In a cache that was closed before it stays the lock's.
    ///
    /// # Safety
    /// The caller holds the lock since the cache was closed, with a heavy fence in between.
    pub unsafe fn claim(&self) -> usize {
        if !self.is_claimed() {
            return self.len();
        }
        let sp = self.sp_within(); // T3
        self.bottom.store(sp, Relaxed); // T5
        self.count_below(sp) + self.spare().1
    }

    /// T4: hands what was claimed in the loaded magazine to `give`, and leaves the cache closed. `claimed` is
    /// what the claim said.
    ///
    /// # Safety
    /// The caller holds the lock since it claimed, and the spare is as it was.
    pub unsafe fn take_claim(&self, claimed: usize, give: impl FnMut(Entry)) {
        let bottom = self.bottom.load(Relaxed);
        let (start, end) = if self.is_claimed() {
            // It was open: `base` was its bottom.
            (self.base.load(Relaxed), bottom)
        } else {
            // An owner that has begun a pop since was stopped, and finds that its element is gone.
            (bottom, bottom + span(claimed - self.spare().1))
        };
        // SAFETY: these were valid when they were claimed, and nobody took them since.
        unsafe { hand(start, end, give) };
        self.bottom.store(end, Relaxed);
        self.close();
    }

    /// Opens a claimed cache again as if nothing had been claimed, but that nothing in it goes out before its
    /// owner came by with the lock; or, if it was falling, as it was. Says how much is in it.
    ///
    /// # Safety
    /// The caller holds the lock since it claimed.
    pub unsafe fn drop_claim(&self, falls: bool) -> usize {
        let base = self.base.load(Relaxed);
        self.bottom.store(base, Relaxed);
        // If the owner moved it since T3, it was stopped, or will settle by what it finds here.
        let sp = self.sp_within();
        let (floor, most) = if falls { (base, 0) } else { (sp, self.room()) };
        self.floor.store(floor, Relaxed);
        self.ceiling.store(base + span(most), Relaxed);
        self.count_below(sp) + self.spare().1
    }

    /// Whether it was closed to be claimed, and the claim neither taken nor dropped.
    pub fn is_claimed(&self) -> bool {
        self.ceiling.load(Relaxed) == CLAIMED
    }
}
