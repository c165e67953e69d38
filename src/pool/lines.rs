//! Which caches does a pool have, and which is the calling thread's?

use core::sync::atomic::Ordering;

use super::body::Pool;
use crate::caches::cache::Cache;
use crate::caches::thread_index::{self, CACHE_DISTANCE};
use crate::os::{ONE_THREAD, fence};

impl Pool {
    /// The calling thread's cache, wherever it lies. Gives the thread an index if it has none.
    pub(super) fn own_cache(&self) -> Option<&Cache> {
        if !self.has_caches() {
            return None;
        }
        let claimed = thread_index::claim();
        if self.traits.single_thread {
            if claimed {
                // The fast paths find it in a thread with an index, the one that came last.
                self.set_first(thread_index::distance());
            }
            return Some(self.cache(0));
        }
        let distance = self.own_distance();
        (distance < self.caches.line_bytes()).then(|| self.cache_at(distance))
    }

    /// Those that had entries since the pool began anew. With the lock they are all that can have some.
    pub(super) fn all_caches(&self) -> impl Iterator<Item = &Cache> {
        // Relaxed: it is written with the lock.
        let seen = if ONE_THREAD { 0 } else { self.seen.load(Ordering::Relaxed) };
        (0..seen).map(|number| self.cache(number.into()))
    }

    /// A cache's number.
    pub(super) fn number_of(&self, cache: &Cache) -> u32 {
        let distance = &raw const *cache as usize - self.address() - size_of::<Self>();
        (distance / CACHE_DISTANCE) as u32
    }

    pub(super) fn cache(&self, number: usize) -> &Cache {
        self.cache_at(number * CACHE_DISTANCE)
    }

    /// The owner's side of the protocol on a detour.
    pub(super) fn fence(&self) -> fn() {
        if self.caches.light || self.traits.single_thread { fence::light } else { fence::full }
    }
}
