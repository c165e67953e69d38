//! What does a pool say about itself and its entries?

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::body::Pool;
use super::heap::NotOut;
use super::stats::mempool_stats;
use crate::caches::cache::Cache;
use crate::os::SMALL;
use crate::report::misuse::Call;
use crate::slots::depot::Depot;
use crate::slots::word::{Entry, State};

impl Pool {
    /// How many of its slots' entries are with callers, the most that were, and how many slots are in
    /// caches. For any thread, also where another one alone uses the pool. O(caches).
    fn slot_figures(&self) -> [usize; 3] {
        let ([handed, peak], cached) =
            self.shared.tally(|| self.all_caches().map(Cache::len).sum::<usize>());
        // A look at a single thread's pool may come in the middle of an exchange.
        let cached = cached.min(handed as usize);
        [handed as usize - cached, peak as usize, cached]
    }

    /// How many of its slots' entries are with callers: exact while nobody is inside a call, and
    /// never below 0 or above the capacity. O(caches).
    pub fn used(&self) -> usize {
        if self.traits.bypass {
            return self.dynamic_tally()[0].min(self.capacity());
        }
        self.slot_figures()[0]
    }

    /// How many of its dynamic entries are with callers.
    pub fn dynamic_count(&self) -> usize {
        let [count, _] = self.dynamic_tally();
        if self.traits.bypass { count.saturating_sub(self.capacity()) } else { count }
    }

    fn dynamic_tally(&self) -> [usize; 2] {
        self.dynamic.tally(|| ()).0.map(|figure| figure as usize)
    }

    /// All counts. O(caches).
    pub fn figures(&self) -> mempool_stats {
        let [mut count, mut peak] = self.dynamic_tally();
        let [mut used, mut peak_used, cached] = self.slot_figures();
        let capacity = self.capacity();
        if self.traits.bypass {
            // What stands in for slots are the first of the heap's.
            (used, peak_used) = (count.min(capacity), peak.min(capacity));
            (count, peak) = (count - used, peak - peak_used);
        }
        let cache_bytes = self.caches.bytes(self.capacity());
        let lists = Depot::bits_bytes(self.capacity) + Depot::ring_bytes(self.capacity);
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

    /// Restarts the high-water marks from what is out. O(caches): to learn that, it closes them.
    pub fn reset_peak(&self) {
        let mut shared = self.shared.lock();
        // Owners open theirs when they next come by: unlike after a shortage, there is plenty.
        self.close_all_caches(&mut shared);
        shared.peak = shared.handed().saturating_sub(shared.held_back);
        self.leave(shared);
        self.dynamic.lock().forget_peak();
    }

    /// Whether an address is that of an entry that is out in one of its slots. O(1).
    pub fn owns_slot(&self, address: usize) -> bool {
        let offset = address.wrapping_sub(self.slots.as_ptr() as usize);
        // A bypassed pool's slots have no words.
        !self.traits.bypass
            && offset < self.stride * self.capacity()
            && offset.is_multiple_of(self.stride)
            && self.is_out((offset / self.stride) as u32)
    }

    /// Whether it is that of one of its dynamic entries. O(those).
    pub fn owns_dynamic(&self, address: usize) -> bool {
        self.dynamic.lock().entries().any(|entry| entry.address() == address)
    }

    /// Calls `visit` with each entry that is out, until it returns false; false then.
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

    /// The pool that an entry is of, and how many bytes it has, for `call`. Fails if it is no live
    /// entry.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    pub unsafe fn of_entry<'a>(call: Call, entry: Entry) -> Result<(&'a Self, usize), NotOut> {
        // SAFETY: by this function's contract; a word of ours names a live pool.
        unsafe {
            match entry.decode().owner_and_state() {
                Some((owner, State::Out)) => {
                    let pool = Self::at(owner);
                    Ok((pool, pool.elem_size))
                }
                Some((owner, State::Dynamic)) if !SMALL => {
                    let pool = Self::at(owner);
                    Ok((pool, pool.dynamic_size(call, entry)))
                }
                _ => Err(NotOut),
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
