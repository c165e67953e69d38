//! How do many entries go out or come back at once?
//!
//! With one look at the thread's cache and one at the depot, both under the lock, whose cost the entries
//! share.

use core::ptr::NonNull;

use super::trade::Damage;
use super::{Pool, slot_number};
use crate::cache::Cache;
use crate::dynamic;
use crate::likely_owner::expect;
use crate::slot::{Entry, State};
use crate::zero::zero;

impl Pool {
    /// Fills all places with entries of slots, or none. O(places), and O(caches) in a shortage.
    pub fn alloc_bulk(&self, places: &mut [*mut u8]) -> bool {
        if self.traits.guarded() {
            // A look before, so that what can't be had makes no high-water mark.
            let left = self.capacity() - self.used();
            return places.len() <= left && all_or_none(places, || self.alloc());
        }
        let own = self.own_cache();
        let mut shared = self.shared.lock();
        shared.visit(self.capacity);
        if shared.damage != Damage::None {
            self.leave(shared);
            return false;
        }
        let mut cache = own.filter(|cache| cache.is_open());
        let missing = places.len().saturating_sub(cache.map_or(0, Cache::len));
        if missing > shared.depot.free() as usize {
            self.take_back_from_caches(&mut shared);
            cache = None;
            if shared.damage != Damage::None || places.len() > shared.depot.free() as usize {
                self.leave(shared);
                return false;
            }
        }
        let cached = cache.map_or(0, |cache| cache.len().min(places.len()));
        let (from_cache, from_depot) = places.split_at_mut(cached);
        if let Some(cache) = cache {
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
        match cache {
            // SAFETY: as above.
            Some(cache) => unsafe { shared.set_reserve(cache) },
            None => shared.note_peak(),
        }
        drop(shared);
        expect(&from_depot[..falling], self.address());
        // As a program goes through them: the next is the next in memory.
        from_depot[..falling].reverse();
        for &mut payload in places {
            // SAFETY: the slot was free, so it is this call's.
            unsafe { entry_at(payload).mark(self.address(), State::Out) };
        }
        true
    }

    /// Takes back entries of any pools. NULL does nothing. O(entries), and a lock for each row of
    /// neighbours that have the same owner.
    ///
    /// Aborts when one is no entry of ours that is out.
    ///
    /// # Safety
    /// The 8 bytes before each entry can be read.
    pub unsafe fn free_bulk(entries: &[*mut u8]) {
        let mut rest = entries;
        while let Some((&first, others)) = rest.split_first() {
            // SAFETY: by this function's contract.
            let owner = unsafe { owner_of_slot(first) };
            let Some(owner) = owner else {
                if let Some(payload) = NonNull::new(first) {
                    // SAFETY: as above. What is no slot's entry is dynamic, or misuse.
                    unsafe { Self::free(Entry::new(payload)) };
                }
                rest = others;
                continue;
            };
            // SAFETY: a word of ours names a live pool.
            let pool = unsafe { Self::at(owner) };
            if pool.traits.guarded() {
                // SAFETY: as above.
                unsafe { Self::free(entry_at(first)) };
                rest = others;
                continue;
            }
            let mut count = 0;
            // SAFETY: as above. Each is marked before the next is looked at, so that one that is there
            // twice ends the row, and is refused as the first of the next.
            while count < rest.len() && unsafe { owner_of_slot(rest[count]) } == Some(owner) {
                let entry = entry_at(rest[count]);
                // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
                unsafe {
                    entry.mark(owner, State::Free);
                    if pool.traits.zero_on_free {
                        zero(entry.payload(), pool.elem_size);
                    }
                }
                count += 1;
            }
            pool.give_bulk(&rest[..count]);
            rest = &rest[count..];
        }
    }

    /// Gives free slots to the thread's cache as far as there is room, and the others to the depot.
    fn give_bulk(&self, payloads: &[*mut u8]) {
        let own = self.own_cache();
        let mut shared = self.shared.lock();
        shared.visit(self.capacity);
        let mut cached = 0;
        if let Some(cache) = own {
            // SAFETY: the cache is the thread's own and settled, and this call holds the lock.
            unsafe {
                if let Some(target) = self.adjust(cache, &mut shared) {
                    let (elements, len) = cache.elements();
                    cached = target.saturating_sub(len).min(payloads.len());
                    let places = &mut elements[len..len + cached];
                    places.copy_from_slice(&payloads[payloads.len() - cached..]);
                    cache.set_len(len + cached);
                    shared.set_reserve(cache);
                }
            }
        }
        let (slots, shift, inverse) = (self.slots, self.stride_shift, self.stride_inverse);
        let given = shared.depot.give_many(
            payloads[..payloads.len() - cached]
                .iter()
                .map(|payload| slot_number(*payload as usize, slots, shift, inverse)),
        );
        given.unwrap_or_else(|slot| shared.note_damage(slot));
        self.leave(shared);
    }

    /// Takes back all entries, dynamic ones included. O(slots that were ever used).
    ///
    /// # Safety
    /// No other thread is inside a call on the pool or uses its entries.
    pub unsafe fn reset(&self) {
        // SAFETY: by this function's contract.
        unsafe { self.look_at_all() };
        let fresh = self.shared.lock().depot.fresh();
        let out = (0..fresh).filter(|&slot| self.is_out(slot)).map(|slot| self.entry(slot));
        if self.traits.guarded() {
            out.for_each(|entry| self.free_slow(entry));
        } else {
            for entry in out {
                // SAFETY: by this function's contract the slot is this call's.
                unsafe {
                    entry.mark(self.address(), State::Free);
                    if self.traits.zero_on_free {
                        zero(entry.payload(), self.elem_size);
                    }
                }
            }
            let mut shared = self.shared.lock();
            for cache in self.all_caches() {
                // SAFETY: this call holds the lock, and stands in for the owner by its contract.
                unsafe { cache.abandon() };
            }
            shared.depot.refill();
            shared.start_anew(self.has_caches());
        }
        dynamic::release_all(&self.dynamic, self.backing(), self.care())
            .unwrap_or_else(|fault| self.stop(fault));
    }
}

/// Fills all places, or none.
pub fn all_or_none(places: &mut [*mut u8], alloc: impl Fn() -> Option<Entry>) -> bool {
    for i in 0..places.len() {
        let Some(entry) = alloc() else {
            // SAFETY: these are out, and this call's.
            places[..i].iter().for_each(|&payload| unsafe { Pool::free(entry_at(payload)) });
            return false;
        };
        places[i] = entry.payload();
    }
    true
}

/// The owner of an entry that is out in a slot.
///
/// # Safety
/// NULL, or the 8 bytes in front of it can be read.
#[inline(always)]
unsafe fn owner_of_slot(payload: *mut u8) -> Option<usize> {
    let entry = Entry::new(NonNull::new(payload)?);
    // SAFETY: by this function's contract.
    unsafe { entry.decode() }.if_out().map(|out| out.owner())
}

/// Of a payload, which is not NULL.
#[inline(always)]
fn entry_at(payload: *mut u8) -> Entry {
    debug_assert!(!payload.is_null());
    // SAFETY: no payload lies at address 0.
    Entry::new(unsafe { NonNull::new_unchecked(payload) })
}
