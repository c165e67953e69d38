//! How does a call take from several pools, or leave everything as it was?
//!
//! It locks each of them, and has each promise what it can give. Then it knows whether that is enough, and
//! has all keep their promises or break them, before it gives the locks back.

use super::Pool;
use super::trade::{Damage, Shared};
use crate::cache::Cache;
use crate::likely_owner::expect;

impl Pool {
    /// Whether the thread's cache, if it is open, and the depot have that many slots.
    pub(super) fn has_at_hand(&self, shared: &Shared, own: Option<&Cache>, wanted: usize) -> bool {
        let cached = own.filter(|cache| cache.is_open()).map_or(0, Cache::len);
        shared.depot.free() as usize + cached >= wanted && shared.damage == Damage::None
    }

    /// Takes as many of them as there are places.
    pub(super) fn take_at_hand(
        &self,
        shared: &mut Shared,
        own: Option<&Cache>,
        places: &mut [*mut u8],
    ) {
        let own = own.filter(|cache| cache.is_open());
        let cached = own.map_or(0, |cache| cache.len().min(places.len()));
        let (from_cache, from_depot) = places.split_at_mut(cached);
        if let Some(cache) = own {
            // SAFETY: the cache is the thread's own and open, and this call holds the lock.
            unsafe {
                let (elements, len) = cache.elements();
                from_cache.copy_from_slice(&elements[len - cached..len]);
                cache.set_len(len - cached);
            }
        }
        let (slots, stride) = (self.slots, self.stride);
        let falling = shared.depot.take_many(from_depot, |slot| {
            // SAFETY: a slot of the depot's is below the capacity.
            unsafe { slots.add(slot as usize * stride) }.as_ptr()
        });
        match own {
            // SAFETY: as above.
            Some(cache) => unsafe { shared.set_reserve(cache) },
            None => shared.note_peak(),
        }
        expect(&from_depot[..falling], self.address());
        // As a program goes through them: the next is the next in memory.
        from_depot[..falling].reverse();
    }

    /// Says how many of `wanted` slots the pool has: that many are the caller's, as long as it holds the
    /// lock, until [`keep_promise`](Self::keep_promise) or [`break_promise`](Self::break_promise).
    pub(super) fn promise(&self, shared: &mut Shared, wanted: usize) -> usize {
        if shared.given_up {
            self.take_back_as_owner(shared);
        }
        let free = if shared.damage != Damage::None {
            0
        } else if self.has_at_hand(shared, self.own_cache(), wanted) {
            wanted
        } else {
            self.claim_caches(shared)
        };
        shared.promised = free.min(wanted) as u32; // a pool has no more than fits
        shared.promised as usize
    }

    /// How many slots are free at all: those in caches that are open are the caller's from now on.
    fn claim_caches(&self, shared: &mut Shared) -> usize {
        let mut claimed = 0;
        if shared.open {
            self.all_caches().for_each(Cache::close_to_claim);
            if self.thief_fence() {
                // SAFETY: this call holds the lock, and the caches were closed before the fence.
                claimed = self.all_caches().map(|cache| unsafe { cache.claim() }).sum();
                shared.claimed = true;
            } else {
                self.all_caches().for_each(Cache::close);
                self.give_up_caches(shared);
            }
        }
        claimed + (shared.depot.free() + shared.quarantine.len()) as usize
    }

    /// Takes as many slots as were promised. What is to be done without the lock follows.
    pub(super) fn keep_promise(&self, shared: &mut Shared, places: &mut [*mut u8]) {
        debug_assert!(places.len() == shared.promised as usize);
        shared.promised = 0;
        if self.traits.guarded() {
            return self.draw_guarded(shared, places);
        }
        if shared.claimed {
            for cache in self.all_caches() {
                // SAFETY: this call holds the lock, and claimed since.
                unsafe { cache.take_claim(|entry| self.give(shared, entry)) };
            }
            // A shortage, as any other.
            shared.claimed = false;
            (shared.open, shared.visits) = (false, 0);
            (shared.active, shared.reserved) = (0, 0);
        }
        // With an entry there twice, the depot has less than was promised, and the process is about to end.
        if shared.damage == Damage::None {
            self.take_at_hand(shared, self.own_cache(), places);
        }
    }

    /// Leaves everything as it was before the promise.
    pub(super) fn break_promise(&self, shared: &mut Shared) {
        shared.promised = 0;
        if shared.claimed {
            shared.claimed = false;
            // SAFETY: this call holds the lock, and claimed since.
            let reserves = self.all_caches().map(|cache| unsafe { cache.drop_claim() });
            shared.reserved = reserves.sum::<usize>() as u32;
            // Of an owner that takes one at this moment.
            shared.note_peak();
        }
    }
}
