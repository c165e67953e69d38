//! How does a call take from several pools, or leave everything as it was?
//!
//! It locks each of them, and has each promise what it can give. Then it knows whether that is enough, and
//! has all keep their promises or break them, before it gives the locks back.

use core::sync::atomic::Ordering;

use super::body::Pool;
use super::shared::{Damage, NONE, Shared};
use crate::caches::cache::Cache;

impl Pool {
    /// Whether the thread's cache, if it is open, and the depot have that many slots.
    pub(super) fn has_at_hand(&self, shared: &Shared, own: Option<&Cache>, wanted: usize) -> bool {
        let cached = own.filter(|cache| cache.is_open()).map_or(0, Cache::len);
        shared.free() as usize + cached >= wanted && shared.damage == Damage::None
    }

    /// Takes as many of them as there are places. No slot came or went since somebody looked at a falling
    /// cache.
    #[inline(never)]
    pub(super) fn take_at_hand(
        &self,
        shared: &mut Shared,
        own: Option<&Cache>,
        places: &mut [*mut u8],
    ) {
        let own = own.filter(|cache| cache.is_open());
        let mut filled = 0;
        if let Some(cache) = own {
            // SAFETY: the cache is the thread's own and open, and this call holds the lock.
            unsafe {
                let (elements, len) = cache.elements();
                let left = take_top(&elements[..len], places, &mut filled);
                cache.set_len(left);
                let (spare, len) = cache.spare();
                if len > 0 {
                    let elements = core::slice::from_raw_parts(spare.cast::<*mut u8>(), len);
                    let left = take_top(elements, places, &mut filled);
                    cache.set_spare(spare, left);
                }
            }
        }
        loop {
            let taken = shared.rack.take_some(&mut places[filled..]);
            filled += taken;
            if taken == 0 || filled == places.len() {
                break;
            }
        }
        let from_depot = &mut places[filled..];
        let falling = self.take_from_depot(shared, from_depot);
        match own {
            // SAFETY: as above.
            Some(cache) => unsafe {
                let most = self.own_target(cache, shared).min(cache.room());
                self.set_limits(shared, cache, most, true);
            },
            None => shared.note_peak(),
        }
        // As a program goes through them: the next is the next in memory.
        from_depot[..falling].reverse();
    }

    /// Says how many of `wanted` slots the pool has: that many are the caller's, as long as it holds the
    /// lock, until [`keep_promise`](Self::keep_promise) or [`break_promise`](Self::break_promise).
    #[cold]
    #[inline(never)]
    pub(super) fn promise(&self, shared: &mut Shared, wanted: usize) -> usize {
        if shared.given_up {
            self.take_back_as_owner(shared, true);
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

    /// How many slots are free at all: those in caches are the caller's from now on.
    #[cold]
    #[inline(never)]
    fn claim_caches(&self, shared: &mut Shared) -> usize {
        if shared.open {
            self.all_caches().for_each(Cache::close_to_claim);
            if !self.thief_fence() {
                self.all_caches().for_each(Cache::close);
                self.give_up_caches(shared);
            }
        }
        let mut claimed = 0;
        if !shared.given_up && self.has_caches() {
            shared.claimed = true;
            for cache in self.all_caches() {
                // SAFETY: this call holds the lock, and the caches were closed before the fence.
                let within = unsafe { cache.claim() };
                shared.hold_back(cache, within);
                claimed += within;
            }
        }
        claimed + (shared.free() + shared.kept_back()) as usize
    }

    /// Takes as many slots as were promised. What is to be done without the lock follows.
    #[cold]
    #[inline(never)]
    pub(super) fn keep_promise(&self, shared: &mut Shared, places: &mut [*mut u8]) {
        debug_assert!(places.len() == shared.promised as usize);
        shared.promised = 0;
        if self.traits.guarded() {
            return self.draw_guarded(shared, places);
        }
        if !shared.claimed {
            self.look_at_falling(shared, false);
        } else {
            if shared.falling != NONE {
                let cache = self.cache(shared.falling as usize);
                let loaded = cache.held_back() - cache.spare().1;
                self.note_fallen(shared, cache, loaded, false);
                shared.falling = NONE;
                shared.hold_back(cache, loaded + cache.spare().1);
            }
            for cache in self.all_caches() {
                // SAFETY: this call holds the lock, and claimed since.
                unsafe {
                    cache.take_claim(cache.held_back(), |entry| self.give_drained(shared, entry));
                    self.return_spare(cache, shared);
                }
                shared.hold_back(cache, 0);
            }
            shared.claimed = false;
            if shared.open {
                // A shortage, as any other.
                (shared.open, shared.visits) = (false, 0);
            }
            (shared.active, shared.drained) = (0, self.seen.load(Ordering::Relaxed).into());
        }
        // With an entry there twice, the depot has less than was promised, and the process is about to end.
        if shared.damage == Damage::None {
            self.take_at_hand(shared, self.own_cache(), places);
        }
    }

    /// Leaves everything as it was before the promise.
    #[cold]
    #[inline(never)]
    pub(super) fn break_promise(&self, shared: &mut Shared) {
        shared.promised = 0;
        if shared.claimed {
            shared.claimed = false;
            for cache in self.all_caches().filter(|cache| cache.is_claimed()) {
                let falls = shared.falling == self.number_of(cache);
                // SAFETY: this call holds the lock, and claimed since.
                let within = unsafe { cache.drop_claim(falls) };
                shared.hold_back(cache, within);
            }
            // Of an owner that takes one at this moment.
            shared.note_peak();
        }
    }
}

/// Fills places, from number `filled` on, with the last of these, of which some are left.
fn take_top(elements: &[*mut u8], places: &mut [*mut u8], filled: &mut usize) -> usize {
    let count = elements.len().min(places.len() - *filled);
    let left = elements.len() - count;
    places[*filled..*filled + count].copy_from_slice(&elements[left..]);
    *filled += count;
    left
}
