//! How many threads have a cache in a pool, and how much memory is there for what is in them?
//!
//! The memory is part of what a pool of that many entries takes anyhow: what its depot leaves of the 8 bytes per entry
//! that are set aside (`memory/layout.rs`). A line for each thread that may come is of it; the rest are magazines for
//! those that do. A pool of less than two lines has one, for one thread.

use super::traits::Traits;
use crate::caches::magazine::{BESIDE_ROOM, Element, MOST_MOVED_BY_ONE, UNIT};
use crate::caches::thread_index::{CACHE_DISTANCE, MAX_THREADS};
use crate::memory::fields::{Field, fields};
use crate::memory::layout::SLOT_RESERVE;
use crate::os::{ONE_THREAD, fence};
use crate::slots::depot::Depot;

/// Entries of the pool for each cache.
const ENTRIES_PER_CACHE: usize = 64;
/// A magazine for fewer entries is not worth one.
const SMALLEST_ROOM: usize = 6;
/// Elements of the only magazine of a pool: its owner gives the oldest entries back.
const LARGEST_ALONE: usize = MOST_MOVED_BY_ONE + BESIDE_ROOM;
/// The caches after a pool.
///
/// Invariant: `count <= units`, and `bytes() <= budget(capacity)`, but for the line of an only cache, which is
/// in the pool's own budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CachePlan {
    count: u16,
    unit: u8, // elements of the smallest magazine, or of the only one
    /// Whether owners run light fences, so that who closes the caches of others needs a heavy one.
    pub light: bool,
}

impl CachePlan {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(CachePlan: count, unit);

    /// For a pool of that many entries.
    #[inline(never)]
    pub fn new(capacity: usize, traits: Traits) -> Self {
        let plan = if ONE_THREAD || traits.guarded() {
            // What a cache holds goes out in an order that can be foreseen.
            Self::default()
        } else if traits.single_thread {
            Self::of(1, capacity)
        } else {
            Self::of((capacity / ENTRIES_PER_CACHE).clamp(1, MAX_THREADS), capacity)
        };
        // What needs no fence does not ask for one.
        let light = plan.count > 0 && !traits.single_thread && fence::available();
        Self { light, ..plan }
    }

    fn of(count: usize, capacity: usize) -> Self {
        let elements = elements(count, capacity);
        // Of a few small magazines, a single one makes more.
        let single = count == 1 && elements < 8 * UNIT;
        let unit = if single { elements.min(LARGEST_ALONE) } else { UNIT };
        if unit < SMALLEST_ROOM + BESIDE_ROOM {
            return Self::default();
        }
        Self { count: count as u16, unit: unit as u8, ..Self::default() }
    }

    /// How many threads have one: those with an index below, or whichever has the only one.
    pub fn count(&self) -> usize {
        if ONE_THREAD { 0 } else { self.count.into() }
    }

    /// Entries of a smallest magazine, at most.
    pub fn smallest_room(&self) -> usize {
        usize::from(self.unit).saturating_sub(BESIDE_ROOM)
    }

    /// How many smallest magazines there is memory for, in a pool of that many entries.
    pub fn units(&self, capacity: usize) -> usize {
        match usize::from(self.unit) {
            0 => 0,
            UNIT => elements(self.count(), capacity) / UNIT,
            _ => 1,
        }
    }

    /// Bytes of caches.
    pub fn line_bytes(&self) -> usize {
        self.count() * CACHE_DISTANCE
    }

    /// Bytes of caches and magazines.
    pub fn bytes(&self, capacity: usize) -> usize {
        self.line_bytes() + self.units(capacity) * usize::from(self.unit) * size_of::<Element>()
    }

    /// The distance after the last cache that the fast path finds. Of a pool where every call needs more than
    /// the fast path does, and looks for its cache later, 0.
    pub fn fast_end(&self, traits: Traits) -> usize {
        let fast = !traits.zero_on_free && (traits.single_thread || self.light);
        if fast { self.line_bytes() } else { 0 }
    }
}

/// Bytes for the caches of a pool with so many entries.
fn budget(capacity: usize) -> usize {
    let entries = capacity as u32; // create refuses more
    let depot = Depot::bits_bytes(entries) + Depot::ring_bytes(entries);
    // A depot of a few entries takes more.
    (capacity * SLOT_RESERVE).saturating_sub(depot)
}

/// Elements that a pool has beside so many caches: as many on each processor, so that there is memory for
/// them where they are largest. The line of an only one is in the pool's own
/// budget.
fn elements(count: usize, capacity: usize) -> usize {
    let lines = if count == 1 { 0 } else { count * CACHE_DISTANCE };
    (budget(capacity) - lines) / size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pools_get() {
        let cases = [
            (1, (0, 0, 0)),
            (11, (0, 0, 0)),
            (12, (1, 6, 1)),
            (16, (1, 10, 1)),
            (32, (1, 24, 1)),
            (85, (1, 40, 1)),
            (127, (1, 40, 1)),
            (128, (2, 13, 5)),
            (1000, (15, 13, 51)),
            (100_000, (1562, 13, 5367)),
            (262_144, (4096, 13, 14_073)),
            (1_000_000, (4096, 13, 59_457)),
        ];
        for (capacity, has) in cases {
            let plan = CachePlan::new(capacity, Traits::default());
            let seen = (plan.count(), plan.smallest_room(), plan.units(capacity));
            assert_eq!(seen, has, "{capacity} entries");
        }
    }

    #[test]
    fn within_the_budget() {
        for (capacity, single_thread) in (0..20_000).flat_map(|n| [(n, false), (n, true)]) {
            let plan = CachePlan::new(capacity, Traits { single_thread, ..Traits::default() });
            let own = if plan.count() == 1 { CACHE_DISTANCE } else { 0 };
            assert!(plan.bytes(capacity) <= budget(capacity) + own);
            assert!(plan.count() <= plan.units(capacity));
        }
    }
}
