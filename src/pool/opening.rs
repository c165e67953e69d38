//! When is a thread's cache open, and how many entries may it have?
//!
//! Its owner opens and closes it when it comes by with the lock, by what the depot has to share out. Others
//! close it in a shortage: see `shortage.rs`.

use core::ptr::{self, null, null_mut};

use super::Pool;
use super::shared::Shared;
use crate::cache::Cache;
use crate::cache_plan::LARGEST_ROOM;
use crate::magazine::AT_ONCE;

/// The caches open again after a shortage once the depot was visited this often and has
/// [`PLENTY`] of the pool's slots: closing them costs as much as some hundred visits.
const VISITS_AFTER_SHORTAGE: u32 = 4096;
/// One in this many.
const PLENTY: u32 = 16;
/// A cache of fewer entries is not worth the trouble.
const SMALLEST_TARGET: usize = 8;
impl Pool {
    /// The owner of a closed cache has the lock: the cache may open, or is to be emptied.
    ///
    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn come_by_closed(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            if shared.given_up {
                // Nobody else may take it.
                cache.drain(AT_ONCE, |entry| self.give_drained(shared, entry));
            } else {
                shared.hold_back(cache, cache.len());
                self.adjust(cache, shared);
            }
        }
    }

    /// Opens or closes the caller's own cache by what the depot has to share out. Returns how many entries
    /// an open one may have: with more than a magazine's, it exchanges magazines.
    ///
    /// # Safety
    /// The cache is the thread's own, settled, and `shared` is locked.
    #[inline(never)]
    pub(super) unsafe fn adjust(&self, cache: &Cache, shared: &mut Shared) -> Option<usize> {
        if !shared.open || self.caches.count() == 0 {
            return None;
        }
        let target = self.target(shared, shared.active + u32::from(!cache.is_open()));
        // SAFETY: by this function's contract.
        unsafe {
            match (cache.is_open(), target >= SMALLEST_TARGET) {
                (true, true) if target > self.caches.room() => {}
                (true, true) => self.return_spare(cache, shared),
                (true, false) => self.close_own(cache, shared),
                (false, true) => self.open_own(cache, shared, target),
                (false, false) => {}
            }
        }
        (target >= SMALLEST_TARGET && cache.is_open()).then_some(target)
    }

    /// How many entries each of so many caches may have.
    pub(super) fn target(&self, shared: &Shared, sharers: u32) -> usize {
        let room = self.caches.room();
        let few = room.min(LARGEST_ROOM);
        let most = if self.caches.exchanges() { 2 * room } else { few };
        let share = (shared.free() / (4 * sharers)) as usize;
        if self.traits.single_thread || share >= most { most } else { few.min(share) }
    }

    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn open_own(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        // SAFETY: by this function's contract. What is left in a closed cache is whoever's has the lock.
        unsafe {
            if !cache.begins_at_start() {
                // Thieves took a part.
                cache.drain(AT_ONCE, |entry| self.give_drained(shared, entry));
                shared.hold_back(cache, cache.len());
                if cache.loaded_len() > 0 {
                    return;
                }
                cache.abandon();
            }
            shared.active += 1;
            shared.set_limits(cache, target.min(self.caches.room()), false);
        }
    }

    /// Closes the thread's own cache and brings what is in it to the depot, if that is no more than a call
    /// may move; else a part, and the next push goes on.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn close_own(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            self.return_spare(cache, shared);
            self.move_top(cache, shared);
            if cache.loaded_len() > 0 {
                return shared.set_limits(cache, 0, false);
            }
        }
        cache.close();
        if ptr::eq(shared.falling, cache) {
            shared.falling = null();
        }
        shared.hold_back(cache, 0);
        shared.active -= 1;
    }

    /// Brings the spare of a cache to the depot.
    ///
    /// # Safety
    /// `shared` is locked.
    #[inline(never)]
    pub(super) unsafe fn return_spare(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract; the spare is the lock's.
        unsafe {
            let (spare, len) = cache.set_spare(null_mut(), 0);
            if !spare.is_null() {
                shared.rack.put(spare, len);
                shared.hold_back(cache, cache.held_back().saturating_sub(len));
            }
        }
    }

    /// Counts a call that came to the depot, which after a shortage may end it.
    pub(super) fn visit(&self, shared: &mut Shared) {
        shared.visits = shared.visits.saturating_add(1);
        // What is in closed caches is held back, and as good as free.
        if !shared.open
            && shared.visits > VISITS_AFTER_SHORTAGE
            && shared.free() + shared.held_back > self.capacity / PLENTY
        {
            shared.open = self.has_caches() && !shared.given_up;
        }
    }
}
