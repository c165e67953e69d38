//! What is a pool made of?

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use super::common::Common;
use super::dynamic::{DynamicEntries, Fault};
use super::plan::CachePlan;
use super::shared::Shared;
use super::traits::Traits;
use crate::caches::cache::Cache;
use crate::caches::thread_index::{self, CACHE_DISTANCE};
use crate::memory::backing::Backing;
use crate::memory::fields::{Field, fields};
use crate::os::cpu;
use crate::os::lock::Locked;
use crate::os::probe::{self, Traced};
use crate::os::sync::AtomicU64;
use crate::report::misuse::{self, Call, FREE, Subject};
#[cfg(all(target_pointer_width = "64", not(cmempool_other_layout)))]
use crate::slots::inlined;
use crate::slots::secret::keyed;
use crate::slots::word::Entry;

/// Equal slots, and which of them are free.
///
/// Invariant: slot `i < capacity` has its payload at `slots + i * stride`, aligned to `align`;
/// `capacity == free in the depot + in caches + out`; a slot's word says `Out` exactly while a
/// caller holds its entry, and `Free` while it is in a cache.
///
/// It lies at a multiple of [`OWNER_ALIGN`]; after it lie its caches, each [`CACHE_DISTANCE`] bytes.
#[repr(C, align(64))]
pub struct Pool {
    // Read by calls, written by create alone. The first line is all that the fast paths need.
    #[cfg(cmempool_other_layout)]
    pub(super) fast_end: usize,
    pub(super) first: AtomicUsize, // distance of the first cache's thread: 0, or that of the thread with the only cache
    #[cfg(not(cmempool_other_layout))]
    pub(super) fast_end: usize, // how far after it the caches end that are for the fast path
    pub(super) elem_size: usize,   // usable bytes of an entry
    pub(super) slots: NonNull<u8>, // payload of slot 0
    pub(super) stride: usize,      // bytes from an entry to the next
    pub(super) stride_inverse: u32, // (stride >> stride_shift) * this == 1, modulo 2^32
    pub(super) capacity: u32,      // slots
    pub(super) larger: Option<NonNull<Pool>>, // the collection's pool of the next larger entries
    pub(super) stride_shift: u8,   // stride's trailing zero bits
    pub(super) traits: Traits,
    pub(super) align_shift: u8, // log2 of every entry's alignment
    pub(super) caches: CachePlan,
    pub(super) seen: AtomicU16, // caches from this one on have no magazine, and zeros; written with the lock
    pub(super) common: NonNull<Common>, // what it shares with other classes
    pub(super) seal: usize,     // says that this is a live pool
    // Written by calls.
    #[cfg(target_pointer_width = "32")]
    pub(super) apart: [Line; 0],
    pub(super) shared: Locked<Shared>,
    pub(super) dynamic: Locked<DynamicEntries>,
    pub(super) exhausted: AtomicU64, // calls for which it had no slot
    pub(super) failed: AtomicU64,    // of these, those that got no entry elsewhere
}

static_assertions::const_assert_eq!(align_of::<Pool>(), CACHE_DISTANCE);
static_assertions::const_assert!(core::mem::offset_of!(Pool, slots) <= 64);
// What inlined code reads: see `slots/inlined.rs`.
#[cfg(all(target_pointer_width = "64", not(cmempool_other_layout)))]
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Pool, first) == 0 && offset_of!(Pool, fast_end) == 8);
    assert!(offset_of!(Pool, elem_size) == 16 && size_of::<Pool>() == inlined::CACHES_AT);
};
/// A line of the processor's caches.
#[cfg(target_pointer_width = "32")]
#[repr(align(64))]
pub(super) struct Line;

// What calls write lies after what all calls read.
static_assertions::const_assert!(core::mem::offset_of!(Pool, shared) >= 64);

// SAFETY: what calls write is behind `Locked` or in caches; the rest is constant. Only its holder uses a
// slot. (With `single_thread` the creator promised that calls don't overlap.)
unsafe impl Sync for Pool {}

impl Pool {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(
        Pool: first, elem_size, slots, stride, capacity, traits, caches, seen, shared, dynamic,
        exhausted, failed,
    );

    /// The distance of the thread that has the first cache.
    pub(super) fn first(&self) -> usize {
        // Relaxed: a thread that it is for wrote it itself, or had the index from one that did.
        self.first.load(Ordering::Relaxed)
    }

    /// How far the thread's cache lies after the first; more than the last does if it has none.
    #[inline(always)]
    pub(super) fn own_distance(&self) -> usize {
        // Relaxed: as in `first`.
        cpu::subtract(thread_index::distance(), &self.first)
    }

    pub(super) fn set_first(&self, distance: usize) {
        // Relaxed: as above.
        self.first.store(distance, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn cache_at(&self, distance: usize) -> &Cache {
        let address = cpu::sum::<{ size_of::<Self>() }>(self.address(), distance);
        // SAFETY: the pool's caches lie after it, `distance` is that of one of them, and create
        // exposed their memory.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// Where its dynamic entries come from, if not from the heap.
    pub(super) fn backing(&self) -> Option<&Backing> {
        self.common().backing.as_ref()
    }

    /// Reports what was freed, or found damaged, of this pool, and aborts.
    pub fn stop(&self, fault: Fault) -> ! {
        self.stop_in(FREE, fault)
    }

    /// As [`stop`](Self::stop), for an argument of another call than a free.
    pub fn stop_in(&self, call: Call, (kind, entry): Fault) -> ! {
        misuse::stop(call, kind, entry.address(), Some(self.subject_of(entry)))
    }

    /// None if the pool is live; else the handle of the one that was destroyed here, as long as the memory
    /// still says so.
    #[inline]
    pub fn former_handle(&self) -> Option<usize> {
        (self.seal != seal_of(NonNull::from(self))).then(|| {
            // `retire` left the handle there, unless the memory was used for something else since.
            let known = self.seal == self.common.as_ptr() as usize;
            if known { self.seal } else { self.address() }
        })
    }

    /// Counts a call for which it had no slot.
    #[cold]
    #[inline(never)]
    pub fn note_exhausted(&self) {
        // Relaxed: a count, and nothing is published with it. As for the other.
        self.exhausted.fetch_add(1, Ordering::Relaxed);
        probe::exhausted(self.traced(), self.capacity());
    }

    /// Counts one of these that got no entry.
    #[cold]
    #[inline(never)]
    pub fn note_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        probe::failed(self.traced(), self.capacity());
    }

    /// Whether calls on it go through `pool/guard.rs`, which needs the size that was asked for: see
    /// [`fit`](Self::fit).
    pub fn is_guarded(&self) -> bool {
        self.traits.guarded()
    }

    /// How many entries it has slots for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Alignment of every entry in bytes.
    pub fn align(&self) -> usize {
        1 << self.align_shift
    }

    /// Usable bytes of its entries.
    pub fn elem_size(&self) -> usize {
        self.elem_size
    }

    /// The collection's pool of the next larger entries.
    #[inline(always)]
    pub fn larger(&self) -> Option<&Pool> {
        // SAFETY: a collection's pools live as long as each other.
        self.larger.map(|pool| unsafe { pool.as_ref() })
    }

    /// Whether it takes from the heap when it is empty.
    pub fn falls_back(&self) -> bool {
        self.traits.fall_back
    }

    /// What it shares with the other pools of its collection.
    pub fn common(&self) -> &Common {
        // SAFETY: the collection lives as long as its pools.
        unsafe { self.common.as_ref() }
    }

    /// What a report says about it.
    pub fn subject(&self) -> Subject<'_> {
        let common = self.common();
        let (name, address) = (common.name(), common.handle);
        Subject { name, address, elem_size: self.elem_size, last: None }
    }

    /// What a tracer is told of it.
    #[inline(always)]
    pub fn traced(&self) -> Traced {
        let common = self.common();
        Traced { pool: common.handle, name: common.c_name(), entry_size: self.elem_size }
    }

    /// The pool at an address that a word or a caller gave.
    ///
    /// # Safety
    /// A pool lives there, and goes on to.
    #[inline(always)]
    pub unsafe fn at<'a>(address: usize) -> &'a Self {
        // SAFETY: by this function's contract. Create exposed the address.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        &raw const *self as usize
    }

    #[inline(always)]
    pub(super) fn entry(&self, slot: u32) -> Entry {
        debug_assert!(slot < self.capacity);
        // SAFETY: `slot < capacity`, so the payload lies in the region (invariant).
        Entry::new(unsafe { self.slots.add(slot as usize * self.stride) })
    }

    /// The number of the slot of one of this pool's entries.
    #[inline(always)]
    pub(super) fn slot(&self, entry: Entry) -> u32 {
        // An exact division of the payload's offset by the stride, without a division. The number has 32 bits,
        // so 32 bits of the product are enough.
        let offset = entry.address().wrapping_sub(self.slots.as_ptr() as usize);
        ((offset >> self.stride_shift) as u32).wrapping_mul(self.stride_inverse)
    }
}

/// What says that a pool is live.
pub(super) fn seal_of(pool: NonNull<Pool>) -> usize {
    !keyed(pool.as_ptr() as u64) as usize
}
