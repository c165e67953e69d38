//! What does a fork do to one pool?
//!
//! Before it: the forking thread takes the pool's locks and brings what is in the caches to the
//! depot. After it: the locks go back, and in the child the caches of threads that are gone start
//! anew. `forking.rs` has the whole story.

use core::mem::{ManuallyDrop, forget};

use super::body::Pool;
use super::shared::NONE;
use crate::caches::cache::Cache;

impl Pool {
    /// Whether a fork has anything to do here. A pool for a single thread has no locks: it is in
    /// order if no other thread is inside a call on it.
    pub fn is_shared(&self) -> bool {
        !self.traits.single_thread
    }

    /// Whether threads may have entries of it in caches.
    pub fn has_caches(&self) -> bool {
        self.caches.count() > 0
    }

    /// Takes its locks: the depot's, then the dynamic entries'.
    pub fn hold(&self) {
        forget(self.shared.lock());
        forget(self.dynamic.lock());
    }

    /// Closes all caches. A heavy fence and [`collect`](Self::collect) must follow.
    ///
    /// # Safety
    /// The pool is held.
    pub unsafe fn close_caches(&self) {
        self.all_caches().for_each(Cache::close);
    }

    /// Takes what is in the caches. Their owners open them again as soon as they come to the depot:
    /// unlike after a shortage, there is plenty. With `known` false the fence was refused, and the pool
    /// goes on without them.
    ///
    /// # Safety
    /// The pool is held, and its caches were closed, with a heavy fence in between.
    #[cold]
    #[inline(never)]
    pub unsafe fn collect(&self, known: bool) {
        // SAFETY: the calling thread holds the lock, and goes on to.
        let mut shared = ManuallyDrop::new(unsafe { self.shared.held() });
        if !known {
            return self.give_up_caches(&mut shared);
        }
        self.note_closed(&mut shared);
        self.drain_caches(&mut shared);
    }

    /// Has the caches of all threads but the calling one start anew.
    ///
    /// # Safety
    /// The pool is held, and no other thread exists.
    #[cold]
    #[inline(never)]
    pub unsafe fn abandon_caches(&self) {
        // SAFETY: the calling thread's original held the lock when it forked.
        let mut shared = ManuallyDrop::new(unsafe { self.shared.held() });
        shared.active = 0;
        for cache in self.all_caches() {
            if self.is_own(cache) {
                // In order: its owner is here.
                shared.active += u32::from(cache.is_open());
            } else {
                // SAFETY: its owner does not exist.
                unsafe {
                    cache.abandon();
                    self.return_spare(cache, &mut shared);
                }
                shared.hold_back(cache, 0);
                if shared.falling == self.number_of(cache) {
                    shared.falling = NONE;
                }
            }
        }
        // What was in their caches counts as out.
        shared.note_peak();
    }

    /// Gives its locks back.
    ///
    /// # Safety
    /// The pool is held.
    pub unsafe fn let_go(&self) {
        // SAFETY: the calling thread took both, or its original did.
        unsafe {
            drop(self.dynamic.held());
            drop(self.shared.held());
        }
    }

    /// Room of the loaded magazine of each cache that was ever in use.
    #[cfg(test)]
    pub fn rooms(&self) -> Vec<usize> {
        self.all_caches().map(Cache::room).collect()
    }

    /// How many caches are open and how much they hold back: in truth, and as the pool thinks.
    #[cfg(test)]
    pub fn open_caches(&self) -> [(usize, usize); 2] {
        let shared = self.shared.lock();
        let open = self.all_caches().filter(|cache| cache.is_open()).count();
        let held_back = self.all_caches().map(Cache::held_back).sum();
        [(open, held_back), (shared.active as usize, shared.held_back as usize)]
    }
}
