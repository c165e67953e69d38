//! What does a pool say of itself and of its entries?

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::{Pool, refuse};
use crate::cache::{Cache, Element};
use crate::depot::Depot;
use crate::fence;
use crate::slot::{Entry, State};
use crate::stats::mempool_stats;
use crate::thread_index::CACHE_DISTANCE;

impl Pool {
    /// All counts, taken under the locks. O(caches).
    pub fn figures(&self) -> mempool_stats {
        let (mut count, mut peak) = {
            let dynamic = self.dynamic.lock();
            (dynamic.count(), dynamic.peak())
        };
        let shared = self.shared.lock();
        let capacity = self.capacity();
        let cached: usize = self.all_caches().map(Cache::len).sum();
        let (mut used, mut peak_used) =
            ((shared.handed() as usize).saturating_sub(cached), shared.peak as usize);
        if self.traits.bypass {
            // What stands in for slots are the first of the heap's.
            (used, peak_used) = (count.min(capacity), peak.min(capacity));
            (count, peak) = (count - used, peak - peak_used);
        }
        let cache_bytes =
            self.caches.count * (CACHE_DISTANCE + self.caches.elements() * size_of::<Element>());
        let lists = Depot::bits_bytes(self.capacity) + Depot::stack_bytes(self.capacity);
        mempool_stats {
            struct_size: size_of::<mempool_stats>(),
            elem_size: self.elem_size,
            capacity,
            used,
            // While other threads are inside calls, `used` may be ahead.
            peak_used: peak_used.max(used),
            cached,
            dynamic_used: count,
            dynamic_peak: peak,
            // Relaxed: see `note_exhausted`.
            exhausted: self.exhausted.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            bytes_reserved: size_of::<Self>() + cache_bytes + lists + self.stride * capacity,
            bytes_per_entry: self.stride,
            cache_bytes,
            notes: 0, // the collection's to say
        }
    }

    /// Starts the high-water marks anew from what is out, and the counts of what was missing from 0.
    ///
    /// O(caches): to know what is out, it takes what is in them.
    pub fn reset_peak(&self) {
        let mut shared = self.shared.lock();
        self.all_caches().for_each(Cache::close);
        if self.has_caches() && !self.traits.single_thread {
            fence::heavy();
        }
        for cache in self.all_caches() {
            // SAFETY: this call holds the lock, and the caches were closed before the fence.
            unsafe { cache.drain(|entry| self.give(&mut shared, entry)) };
        }
        // Owners open theirs when they next come by: unlike after a shortage, there is plenty.
        shared.active = 0;
        shared.reserved = 0;
        shared.peak = shared.handed();
        self.leave(shared);
        self.dynamic.lock().forget_peak();
        self.exhausted.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }

    /// Whether an address is that of an entry that is out in one of its slots. O(1).
    pub fn owns_slot(&self, address: usize) -> bool {
        let offset = address.wrapping_sub(self.slots.as_ptr() as usize);
        offset < self.stride * self.capacity()
            && offset.is_multiple_of(self.stride)
            && self.is_out((offset / self.stride) as u32)
    }

    /// Whether it is that of one of its dynamic entries. O(those).
    pub fn owns_dynamic(&self, address: usize) -> bool {
        self.dynamic.lock().entries().any(|entry| entry.address() == address)
    }

    /// Calls `visit` with each entry that is out, until it says that it has seen enough: false then.
    ///
    /// O(capacity). `visit` may free the entry that it gets.
    ///
    /// # Safety
    /// Nobody frees another dynamic entry of the pool meanwhile.
    pub unsafe fn for_each_out(&self, visit: &mut impl FnMut(Entry, usize) -> bool) -> bool {
        let fresh = self.shared.lock().depot.fresh();
        for slot in (0..fresh).filter(|&slot| self.is_out(slot)) {
            if !visit(self.entry(slot), self.elem_size) {
                return false;
            }
        }
        let mut next = self.dynamic.lock().entries().next();
        while let Some(entry) = next {
            // No lock is held inside `visit`, and the next is found before the entry may go.
            next = self.dynamic.lock().entries_from(entry).nth(1);
            if !visit(entry, self.elem_size) {
                return false;
            }
        }
        true
    }

    /// The pool that an entry is of, and how many bytes it has. Aborts when it is no live entry.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    pub unsafe fn of_entry<'a>(entry: Entry) -> (&'a Self, usize) {
        // SAFETY: by this function's contract; a word of ours names a live pool.
        unsafe {
            match entry.decode().owner_and_state() {
                Some((owner, State::Out)) => {
                    let pool = Self::at(owner);
                    (pool, pool.elem_size)
                }
                Some((owner, State::Dynamic)) => {
                    let pool = Self::at(owner);
                    (pool, pool.dynamic_size(entry))
                }
                _ => refuse(entry),
            }
        }
    }

    /// The pool as its user knows it: for a class, the ranged pool.
    pub fn handle(&self) -> NonNull<u8> {
        let address = core::ptr::with_exposed_provenance_mut(self.subject().address);
        // SAFETY: no pool lies at address 0.
        unsafe { NonNull::new_unchecked(address) }
    }
}
