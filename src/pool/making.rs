//! How does a pool begin, and how does it end?

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicUsize};

use super::body::{Pool, seal_of};
use super::common::Common;
use super::draw::Generator;
use super::guarding::{Beside, Guarding};
use super::opening::NO_CANDIDATE;
use super::plan::CachePlan;
use super::quarantine::Quarantine;
use super::shared::{Damage, NONE, Shared};
use super::traits::Traits;
use crate::caches::cache::Cache;
use crate::caches::magazine::Rack;
use crate::caches::thread_index::CACHE_DISTANCE;
use crate::memory::layout::{Class, Cursor, stride};
use crate::memory::layout::{OWNER_ALIGN, WORD};
use crate::os::SMALL;
use crate::os::lock::Locked;
use crate::os::sync::AtomicU64;
use crate::pool::dynamic::{self, DynamicEntries};
use crate::report::misuse::DESTROY;
use crate::slots::depot::Depot;

/// The caches of so many threads are provided at once, if the pool's memory is.
const THREADS_AT_FIRST: usize = 64;

impl Pool {
    /// Makes a pool, with its caches after it and the depot's lists after those, where the cursor stands.
    /// None if they don't fit.
    ///
    /// # Safety
    /// What the cursor deals out is unused, inside the collection's region; with `zeroed`, all of it is 0. `records`
    /// has room for one of each entry, and is all 0.
    #[cold]
    #[inline(never)]
    pub unsafe fn create(
        cursor: &mut Cursor,
        class: Class,
        (align, gap): (usize, usize),
        traits: Traits,
        (common, zeroed, records): (NonNull<Common>, bool, Option<NonNull<u8>>),
    ) -> Option<NonNull<Self>> {
        let stride = stride(class.elem_size, gap, align)?;
        let capacity = u32::try_from(class.elem_count).ok()?;
        let caches = CachePlan::new(capacity as usize, traits);
        let guarding = if traits.guarded() { size_of::<Beside>() } else { 0 };
        let beside = caches.bytes(capacity as usize) + guarding;
        let place = cursor.deal(size_of::<Self>() + beside, OWNER_ALIGN, 0)?.cast::<Self>();
        let bits = cursor.deal(Depot::bits_bytes(capacity), align_of::<u64>(), 0)?.cast();
        let recent = cursor.deal(Depot::ring_bytes(capacity), align_of::<u32>(), 0)?.cast();
        let kept_back = Quarantine::room(capacity, traits);
        let ring = kept_back as usize * size_of::<u32>();
        let ring = cursor.deal(ring, align_of::<u32>(), 0)?.cast();
        let tails = if traits.guards_slots() { class.elem_count * size_of::<u32>() } else { 0 };
        let tails = cursor.deal(tails, align_of::<u32>(), 0)?.cast::<u32>();
        tails.as_ptr().expose_provenance();
        // SAFETY: both are dealt to this pool alone.
        let depot = unsafe { Depot::new(recent, bits, capacity) };
        // SAFETY: the ring is dealt to this pool alone.
        let quarantine = unsafe { Quarantine::new(ring, kept_back) };
        let draws = traits.hardened && traits.guards_slots();
        let generator = if draws { Generator::seeded() } else { Generator::idle() };
        // SAFETY: a guarded pool has no caches, and the cursor dealt room for this in their place.
        let guarding = traits.guarded().then(|| unsafe {
            let beside = place.add(1).cast::<Beside>();
            beside.write(Beside { tails, guarding: Guarding { quarantine, generator }, records });
            NonNull::from(&mut (*beside.as_ptr()).guarding)
        });
        // SAFETY: the cursor dealt room for the pool's caches and magazines, to this pool alone.
        let rack = unsafe {
            let first = place.add(1).cast::<Cache>().add(caches.count()).cast();
            let units = caches.units(capacity as usize) as u32; // no more than entries
            Rack::new(first.as_ptr(), units, caches.count() as u32)
        };
        let open = caches.count() > 0;
        let shared = Shared {
            depot,
            rack,
            guarding,
            open,
            active: 0,
            given_up: false,
            claimed: false,
            visits: 0,
            promised: 0,
            held_back: 0,
            run: 0,
            falling: NONE,
            drained: 0,
            peak: 0,
            damage: Damage::None,
        };
        let pool = Self {
            first: AtomicUsize::new(if caches.count() == 1 { NO_CANDIDATE } else { 0 }),
            fast_end: caches.fast_end(traits),
            larger: None,
            slots: NonNull::dangling(),
            stride,
            stride_inverse: inverse_of_odd(stride >> stride.trailing_zeros()) as u32,
            stride_shift: stride.trailing_zeros() as u8,
            capacity,
            caches,
            seen: AtomicU16::new(0),
            elem_size: class.elem_size,
            align_shift: align.trailing_zeros() as u8, // a power of two
            traits,
            common,
            seal: seal_of(place),
            #[cfg(target_pointer_width = "32")]
            apart: [],
            shared: Locked::new(shared, !traits.single_thread),
            dynamic: Locked::new(DynamicEntries::new(), !traits.single_thread),
            exhausted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        place.as_ptr().expose_provenance();
        // SAFETY: the cursor dealt room for the pool and its caches, to this pool alone.
        unsafe {
            place.write(pool);
            if !zeroed {
                place.add(1).cast::<u8>().write_bytes(0, caches.line_bytes());
            }
        }
        Some(place)
    }

    /// Deals this pool its slots and tells it which pool is next. None if they don't fit.
    #[cold]
    #[inline(never)]
    pub fn finish(&mut self, cursor: &mut Cursor, larger: Option<NonNull<Pool>>) -> Option<()> {
        self.larger = larger;
        // A guarded pool's last slot has a word after it, too.
        let more = if self.traits.guards_slots() { WORD } else { 0 };
        let slots = self.stride * self.capacity as usize;
        let first = cursor.deal(slots + more, self.align(), WORD)?;
        // SAFETY: the first slot begins there, with its word.
        self.slots = unsafe { first.add(WORD) };
        self.slots.as_ptr().expose_provenance();
        if self.traits.guarded() {
            self.prepare_guarded();
        }
        Some(())
    }

    /// The addresses of caches that none but a great many threads use.
    pub fn idle_lines(&self) -> Range<usize> {
        let start = self.address() + size_of::<Self>();
        let bytes = self.caches.line_bytes();
        start + bytes.min(THREADS_AT_FIRST * CACHE_DISTANCE)..start + bytes
    }

    /// Releases the dynamic entries. What is found damaged is reported while a handler may still look at
    /// the pool.
    pub fn wind_up(&self) {
        if SMALL {
            return;
        }
        dynamic::release_all(&self.dynamic, self.backing(), None, self.care())
            .unwrap_or_else(|fault| self.stop_in(DESTROY, fault));
    }

    /// Breaks the seal and closes the fast paths: while the memory can be read, an alloc finds out that
    /// the pool is gone. `wipe_words`: the slots' memory will be used for something else, and no word of
    /// ours may stay in it. The pool's handle stays in place of the seal.
    pub fn retire(&mut self, wipe_words: bool, handle: usize) {
        self.seal = handle;
        self.fast_end = 0;
        if self.traits.guarded() {
            self.retire_guarded();
        }
        if wipe_words && self.traits.hardened && !SMALL {
            self.wipe_all();
        } else if wipe_words {
            let fresh = self.shared.lock().depot.fresh();
            for slot in 0..fresh {
                // SAFETY: nobody uses the pool any more; the slot is this call's.
                unsafe { self.entry(slot).wipe() };
            }
        }
    }
}

/// The number that gives 1 when multiplied with the odd `n`, modulo 2^64: Newton's iteration, which
/// doubles the right bits each time, from three.
fn inverse_of_odd(n: usize) -> usize {
    (0..5).fold(n, |x, _| x.wrapping_mul(2usize.wrapping_sub(n.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn inverses() {
        for n in [1usize, 3, 5, 7, 9, 4097, (1 << 40) + 1, usize::MAX] {
            assert_eq!(n.wrapping_mul(super::inverse_of_odd(n)), 1, "{n}");
        }
    }
}
