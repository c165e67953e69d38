//! What happens when the depot is empty, and other threads' caches are not?
//!
//! A call that finds that closes all caches with one heavy fence. Their entries stay there for holders of the
//! lock, who take them as needed: spares as a whole, loaded magazines a part at a time. So the call that
//! begins a shortage looks at each cache once, and no call moves more than a part.
//!
//! If the system refuses the fence, the caches are given up: only their owners can take what is in them.

use core::sync::atomic::Ordering;

use super::body::Pool;
use super::shared::{NONE, Shared};
use crate::caches::cache::Cache;
use crate::caches::magazine::{AT_ONCE, LARGEST_ROOM};
use crate::os::{fence, probe};

impl Pool {
    /// The depot is empty: closes every cache, if they are open, and takes some of what is in them. O(caches),
    /// once per shortage: while they are closed, whoever frees brings the entry to the depot.
    #[cold]
    pub(super) fn take_back_from_caches(&self, shared: &mut Shared) {
        if !self.has_caches() {
            return;
        }
        self.take_back(shared);
        probe::take_back(self.traced(), shared.free() as usize);
    }

    fn take_back(&self, shared: &mut Shared) {
        if shared.given_up {
            return self.take_back_as_owner(shared, false);
        }
        if shared.open {
            self.close_all_caches(shared);
            shared.open = false;
            shared.visits = 0;
        }
        while !shared.given_up
            && shared.free() == 0
            && shared.drained < self.seen.load(Ordering::Relaxed).into()
        {
            let cache = self.cache(shared.drained as usize);
            if self.drain_some(cache, shared) {
                shared.drained += 1;
            }
        }
    }

    /// Closes every cache. What is in them is the lock's from then on; or, if the system refuses the fence,
    /// the caches are given up.
    #[cold]
    #[inline(never)]
    pub(super) fn close_all_caches(&self, shared: &mut Shared) {
        if !self.has_caches() {
            return;
        }
        if shared.given_up {
            return self.take_back_as_owner(shared, false);
        }
        self.all_caches().for_each(Cache::close);
        if !self.thief_fence() {
            return self.give_up_caches(shared);
        }
        self.note_closed(shared);
    }

    /// All caches are closed: nothing in them can go out without the lock.
    #[cold]
    #[inline(never)]
    pub(super) fn note_closed(&self, shared: &mut Shared) {
        self.look_at_falling(shared, false);
        for cache in self.all_caches() {
            shared.hold_back(cache, cache.len());
        }
        shared.active = 0;
        shared.drained = 0;
        shared.falling = NONE;
        shared.note_peak();
    }

    /// Brings some of what is in a closed cache to the depot. True if it has nothing left.
    #[cold]
    #[inline(never)]
    fn drain_some(&self, cache: &Cache, shared: &mut Shared) -> bool {
        // SAFETY: this call holds the lock, and the cache was closed before a heavy fence.
        unsafe {
            self.return_spare(cache, shared);
            cache.drain(AT_ONCE, |entry| self.give_drained(shared, entry));
        }
        let left = cache.len();
        shared.hold_back(cache, left);
        left == 0
    }

    /// Brings all that is in closed caches to the depot. O(entries in caches).
    pub(super) fn drain_caches(&self, shared: &mut Shared) {
        for cache in self.all_caches() {
            while !self.drain_some(cache, shared) {}
        }
    }

    /// The system refuses the heavy fence, so it is not known any more what other threads' caches hold. They
    /// are closed for good, and each owner brings what is in its cache to the depot at its next calls.
    #[cold]
    pub(super) fn give_up_caches(&self, shared: &mut Shared) {
        shared.given_up = true;
        shared.open = false;
        shared.active = 0;
        shared.falling = NONE;
        self.all_caches().for_each(|cache| shared.hold_back(cache, 0));
        // What they hold counts as out.
        shared.note_peak();
        self.take_back_as_owner(shared, false);
    }

    /// Takes what is in the calling thread's own cache, in those that no living thread owns, and in spares: a
    /// part, or all of it.
    #[cold]
    pub(super) fn take_back_as_owner(&self, shared: &mut Shared, all: bool) {
        let most = if all { LARGEST_ROOM + 1 } else { AT_ONCE };
        for cache in self.all_caches() {
            if !all && shared.free() > 0 {
                break;
            }
            // SAFETY: this call holds the lock.
            unsafe { self.return_spare(cache, shared) };
            // SAFETY: the cache is closed, and its owner is the calling thread, inside no other call on it, or
            // whoever stands in for it.
            self.stand_in(cache, &mut || unsafe {
                cache.drain(most, |entry| self.give_drained(shared, entry))
            });
        }
    }

    /// The thief's side of the protocol. False if the system refuses it.
    pub(super) fn thief_fence(&self) -> bool {
        if self.needs_heavy_fence() {
            return fence::heavy();
        }
        fence::full();
        true
    }

    /// Whether owners of its caches rely on a heavy fence of the thread that closes them.
    pub fn needs_heavy_fence(&self) -> bool {
        self.caches.light
    }
}
