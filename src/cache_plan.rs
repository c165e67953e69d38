//! How many caches does a pool have, and how many magazines, and how large are they?
//!
//! Their memory is part of what a pool of that many entries takes anyhow: 6 bytes per entry
//! (`layout.rs`). A small pool has few caches or none, and works on its depot.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::fence;
use crate::magazine::{BESIDE_ROOM, Element};
use crate::pool::Traits;
use crate::thread_index::{CACHE_DISTANCE, MAX_THREADS};

/// Room of the magazines of pools that have plenty of them, the largest of which there are enough: with what
/// is beside, powers of two.
const EXCHANGED_ROOMS: [usize; 4] = [LARGEST_EXCHANGED, 125, 61, 29];
const LARGEST_EXCHANGED: usize = 253;
/// A cache has two of them.
const MOST_CACHED: usize = 506;
static_assertions::const_assert_eq!(MOST_CACHED, 2 * LARGEST_EXCHANGED);
static_assertions::const_assert!((LARGEST_EXCHANGED + BESIDE_ROOM).is_power_of_two());
/// Beside two for each cache, so many are worth the smaller ones.
const FOR_THE_RACK: usize = 8;
/// Where each cache has one magazine for good, fewer entries are not worth one.
const SMALLEST_ROOM: usize = 16;
/// Of more a call would move too many: half of them to the depot's ring, as many from there to the bits, and
/// the other half down.
pub const LARGEST_ROOM: usize = 40;
/// Bytes for caches per entry of the pool.
const BUDGET: usize = 6;

/// The caches behind a pool.
///
/// Invariant: `count <= magazines`, and `bytes() <= BUDGET * capacity`, but for the line of an only cache,
/// which is in the pool's own budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CachePlan {
    count: u32,
    magazines: u32,
    room: u16,
    /// Whether the fast path finds them. If not, every call needs more than the fast path does, and
    /// looks for its cache later.
    pub fast: bool,
    /// Whether owners run light fences, so that who closes the caches of others needs a heavy one.
    pub light: bool,
}

impl CachePlan {
    /// For a pool of that many entries.
    pub fn new(capacity: usize, traits: Traits) -> Self {
        let plan = if traits.guarded() {
            // What a cache holds goes out in an order that can be foreseen.
            Self::default()
        } else if traits.single_thread {
            one(capacity)
        } else {
            many(capacity, most_caches())
        };
        // What needs no fence does not ask for one.
        let light = plan.count > 0 && !traits.single_thread && fence::available();
        let fast = !traits.zero_on_free && (traits.single_thread || light);
        Self { fast, light, ..plan }
    }

    fn of(count: usize, magazines: usize, elements: usize) -> Self {
        let room = (elements - BESIDE_ROOM) as u16;
        Self { count: count as u32, magazines: magazines as u32, room, ..Self::default() }
    }

    /// How many threads have one: those with an index below.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Entries of a magazine, at most.
    pub fn room(&self) -> usize {
        self.room.into()
    }

    /// How many magazines there are.
    pub fn magazines(&self) -> usize {
        self.magazines as usize
    }

    /// Elements from one magazine to the next.
    pub fn elements(&self) -> usize {
        self.room() + BESIDE_ROOM
    }

    /// Whether there are magazines beside the one that each cache has, so that they can be exchanged.
    pub fn exchanges(&self) -> bool {
        self.magazines > self.count
    }

    /// Bytes of caches and magazines.
    pub fn bytes(&self) -> usize {
        self.count() * CACHE_DISTANCE + self.magazines() * self.elements() * size_of::<Element>()
    }

    /// The distance behind the last cache that the fast path finds.
    pub fn fast_end(&self) -> usize {
        if self.fast { self.count() * CACHE_DISTANCE } else { 0 }
    }
}

/// The line of an only cache is in the pool's own budget.
fn one(capacity: usize) -> CachePlan {
    plan(1, capacity * BUDGET).unwrap_or_default()
}

/// As many as the machine has use for, as long as they are large enough; fewer in a small pool.
fn many(capacity: usize, most: usize) -> CachePlan {
    let mut count = most;
    while count >= 2 {
        let budget = (capacity * BUDGET).saturating_sub(count * CACHE_DISTANCE);
        // More caches than sixteen must not make them too small for those who have one.
        if let Some(plan) = plan(count, budget)
            && plan.room() + BESIDE_ROOM >= (4 * count).min(LARGEST_ROOM)
        {
            return plan;
        }
        count /= 2;
    }
    CachePlan::default()
}

/// The magazines for that many caches, in so many bytes: to exchange, or one for each if there are too few
/// for that.
fn plan(count: usize, budget: usize) -> Option<CachePlan> {
    let budget = budget / size_of::<Element>();
    for elements in EXCHANGED_ROOMS.map(|room| room + BESIDE_ROOM) {
        if budget / elements >= 2 * count + FOR_THE_RACK {
            return Some(CachePlan::of(count, budget / elements, elements));
        }
    }
    let elements = (budget / count).min(LARGEST_ROOM + BESIDE_ROOM);
    (elements >= SMALLEST_ROOM + BESIDE_ROOM).then(|| CachePlan::of(count, count, elements))
}

/// Eight threads per core have a cache, at least 16 and at most [`MAX_THREADS`].
fn most_caches() -> usize {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: whoever computes it gets the same.
    let known = MOST.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: a plain query; it fails with -1.
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }.clamp(1, 64) as usize;
    let most = (8 * cores).next_power_of_two().clamp(16, MAX_THREADS);
    MOST.store(most, Ordering::Relaxed);
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pools_get() {
        let cases = [
            (1, None),
            (16, None),
            (100, Some((2, 2, 26))),
            (1000, Some((8, 8, 40))),
            (10_000, Some((16, 57, 125))),
            (16_384, Some((16, 47, 253))),
            (1_000_000, Some((16, 2929, 253))),
        ];
        let seen = |plan: CachePlan| (plan.count(), plan.magazines(), plan.room());
        for (capacity, plan) in cases {
            let has = many(capacity, 16);
            assert_eq!((has.count > 0).then(|| seen(has)), plan, "{capacity} entries");
        }
        assert_eq!(seen(many(100_000, 64)), (64, 290, 253));
        assert_eq!(
            (seen(one(10)), seen(one(100)), seen(one(10_000))),
            ((0, 0, 0), (1, 1, 40), (1, 29, 253))
        );
    }

    #[test]
    fn within_the_budget() {
        for capacity in 0..20_000 {
            for most in [16, 64] {
                assert!(many(capacity, most).bytes() <= BUDGET * capacity);
            }
            let plan = one(capacity);
            assert!(plan.bytes() <= BUDGET * capacity + plan.count() * CACHE_DISTANCE);
        }
    }
}
