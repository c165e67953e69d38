//! What is a collection of pools made of?
//!
//! An ordinary pool is a collection of one; a ranged pool has a pool per class. All of it, this
//! struct included, lies in one region.

use core::ops::Range;
use core::ptr::NonNull;

use super::sizes::SizeTable;
use crate::caches::thread_index::CACHE_DISTANCE;
use crate::memory::fields::{Field, fields};
use crate::memory::layout::{
    CLASS_RESERVE, MIN_ALIGN, OWNER_ALIGN, REGION_RESERVE, SLOT_RESERVE, WORD,
};
use crate::memory::region::Region;
use crate::os::cpu::by_width;
use crate::pool::body::Pool;
use crate::pool::common::Common;
use crate::pool::stats::mempool_stats;
use crate::slots::depot::DEPOT_SLACK;
use crate::slots::inlined::SIZES_AT;
use crate::slots::secret::keyed;

/// Bytes from a collection's link to the collection. What lies in front of the handle can be read, should
/// somebody free the handle.
pub const LEAD: usize = OWNER_ALIGN;

/// What a collection does when the class that fits is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// It is an ordinary pool and has one class.
    Ordinary,
    /// Larger classes in turn, then none.
    Disabled,
    /// The heap.
    AtFirstExhaustion,
    /// Larger classes in turn, then the heap.
    AtLastExhaustion,
}

/// The pools of one region.
///
/// Invariant: `pools[..pool_count]` ascend in their entries' size and lie, with all they need, in
/// `region`; `seal` holds.
///
/// [`LEAD`] bytes before it, where a region of the heap's begins, lies its link: from the registry on,
/// leak checkers that go by pointers to where a block begins find every pool. Behind a ranged pool's
/// collection lies its [`SizeTable`].
#[repr(C, align(64))]
pub struct Collection {
    pub(super) common: Common,
    pub(super) seal: usize, // says that this is a live collection
    pub(super) pools: NonNull<NonNull<Pool>>, // a table of them
    pub(super) pool_count: usize,
    pub(super) policy: Policy,
    pub(super) report_leaks: bool,
    pub(super) region: Region,
}

static_assertions::const_assert_eq!(core::mem::offset_of!(Collection, common), 0);

// The formula of `Layout::bytes`, piece by piece. The region's start is a multiple of MIN_ALIGN.
static_assertions::const_assert!(
    OWNER_ALIGN - MIN_ALIGN + LEAD + size_of::<Collection>() <= REGION_RESERVE
);
// A pool's place in the table, a pool and up to 127 bytes to align it, the line of an only cache, what
// the depot takes beyond 2 bytes per slot, up to 4 bytes to align its words, and up to
// MIN_ALIGN to align the slots (what more an alignment takes is in the formula). Other caches' lines come
// out of what is set aside per slot.
static_assertions::const_assert!(
    size_of::<NonNull<Pool>>()
        + OWNER_ALIGN
        + size_of::<Pool>()
        + CACHE_DISTANCE
        + DEPOT_SLACK
        + 4
        + MIN_ALIGN
        <= CLASS_RESERVE
);

// Guarded pools have in place of caches: a tail for each slot and a number kept back for every fourth, and
// in place of an only cache's line the word after the last slot.
static_assertions::const_assert!(size_of::<u32>() + size_of::<u32>() / 4 + 2 <= SLOT_RESERVE);
static_assertions::const_assert!(WORD <= CACHE_DISTANCE);

// What inlined code reads: see `slots/inlined.rs`.
static_assertions::const_assert_eq!(size_of::<Collection>(), by_width(SIZES_AT, 128, 128));

// SAFETY: constant after create.
unsafe impl Sync for Collection {}

impl Collection {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Collection: common, pools, pool_count, policy, region);

    /// Its pools, in the order of their entries' size.
    #[inline(always)]
    pub fn pools(&self) -> &[&Pool] {
        // SAFETY: that many live pools are in the table (invariant).
        unsafe { core::slice::from_raw_parts(self.pools.as_ptr().cast(), self.pool_count) }
    }

    /// Which class serves which size. Of a ranged pool only.
    #[inline(always)]
    pub fn sizes(&self) -> &SizeTable {
        debug_assert!(self.policy != Policy::Ordinary);
        let address = &raw const *self as usize + size_of::<Self>();
        // SAFETY: the table of a ranged pool lies there, and create exposed its memory.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// What to do when the class that fits is empty.
    #[inline(always)]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// As given at create, cut to a few bytes; empty without one.
    pub fn name(&self) -> &[u8] {
        self.common.name()
    }

    /// Whether an address, of whatever sort, is that of an entry of its pools that is out. O(classes)
    /// without a lock in its memory, elsewhere O(dynamic entries).
    pub fn owns(&self, address: usize) -> bool {
        if self.region_contains(address) {
            self.pools().iter().any(|pool| pool.owns_slot(address))
        } else {
            self.pools().iter().any(|pool| pool.owns_dynamic(address))
        }
    }

    /// Whether an address lies in its memory.
    pub fn region_contains(&self, address: usize) -> bool {
        self.region.contains(address)
    }

    /// The addresses of its memory.
    pub fn region_range(&self) -> Range<usize> {
        self.region.range()
    }

    /// The same, if the memory will still be there when the collection is not.
    pub fn region_left_behind(&self) -> Option<Range<usize>> {
        self.region.outlives_pool().then(|| self.region.range())
    }

    /// Whether a child of fork has a copy of it.
    pub fn is_copied_by_fork(&self) -> bool {
        self.region.is_copied_by_fork()
    }

    /// What was had of what was wished for: `NOTE_` bits of `memory/region.rs`.
    pub fn notes(&self) -> u64 {
        self.region.notes()
    }

    /// The figures of one class. None if there is no such class.
    pub fn class_figures(&self, index: usize) -> Option<mempool_stats> {
        let mut figures = self.pools().get(index)?.figures();
        if self.policy == Policy::Ordinary {
            figures.bytes_reserved = self.region_range().len();
        }
        figures.notes = self.notes();
        Some(figures)
    }

    /// Whether it is a ranged pool.
    pub fn is_ranged(&self) -> bool {
        self.policy != Policy::Ordinary
    }

    /// What its user holds: an ordinary collection's pool, a ranged one itself.
    pub fn handle(&self) -> usize {
        self.common.handle
    }

    /// The collection that a pool is a class of.
    pub fn of_pool(pool: &Pool) -> &Self {
        // SAFETY: pools are made for a collection, which begins with this, and live as long.
        unsafe { &*(&raw const *pool.common()).cast() }
    }

    /// Proves the invariants while nobody is inside a call, in O(capacity).
    #[cfg(test)]
    pub fn check(&self) {
        assert!(self.pools().windows(2).all(|two| two[0].elem_size() < two[1].elem_size()));
        for pool in self.pools() {
            assert!(self.region_contains(&raw const **pool as usize));
            assert_eq!(&raw const *Self::of_pool(pool), &raw const *self);
            pool.check();
        }
    }
}

/// What says that a collection is live.
pub(super) fn seal_of(collection: NonNull<Collection>) -> usize {
    keyed(collection.as_ptr() as u64).rotate_left(1) as usize
}
