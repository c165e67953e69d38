//! How many caches does a pool have, and how large are they?
//!
//! Their memory is part of what a pool of that many entries takes anyhow: 6 bytes per entry
//! (`layout.rs`). A small pool has few caches or none, and works on its depot.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::fence;
use crate::pool::Traits;
use crate::thread_index::{CACHE_DISTANCE, MAX_THREADS};

/// No cache is larger, in entries: with more, a thread would hold much and gain nothing.
const LARGEST_ROOM: usize = 1024;
/// Nor is it worth having caches of fewer.
const SMALLEST_ROOM: usize = 16;
/// Bytes for caches per entry of the pool.
const BUDGET: usize = 6;

/// The caches behind a pool.
///
/// Invariant: `count * (CACHE_DISTANCE + elements() * 8) <= BUDGET * capacity`, but for the line of an
/// only cache, which is in the pool's own budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CachePlan {
    count: u32,
    room: u32,
    /// Whether the fast path finds them. If not, every call needs more than the fast path does, and
    /// looks for its cache later.
    pub fast: bool,
    /// Whether owners run light fences, so that who closes the caches of others needs a heavy one.
    pub light: bool,
}

impl CachePlan {
    /// For a pool of that many entries.
    pub fn new(capacity: usize, traits: Traits) -> Self {
        let (count, room) = if traits.guarded() {
            // What a cache holds goes out in an order that can be foreseen.
            (0, 0)
        } else if traits.single_thread {
            one(capacity)
        } else {
            many(capacity, most_caches())
        };
        // What needs no fence does not ask for one.
        let light = count > 0 && !traits.single_thread && fence::available();
        let fast = !traits.zero_on_free && (traits.single_thread || light);
        Self { count: count as u32, room: room as u32, fast, light }
    }

    /// How many threads have one: those with an index below.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Entries of each, at most.
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// How many elements each takes: one more than it keeps, see `cache.rs`.
    pub fn elements(&self) -> usize {
        self.room() + 1
    }

    /// The distance behind the last cache that the fast path finds.
    pub fn fast_end(&self) -> usize {
        if self.fast { self.count() * CACHE_DISTANCE } else { 0 }
    }
}

fn one(capacity: usize) -> (usize, usize) {
    let room = (capacity * BUDGET / size_of::<usize>()).saturating_sub(1).min(LARGEST_ROOM);
    if room < SMALLEST_ROOM { (0, 0) } else { (1, room) }
}

/// As many as the machine has use for, as long as they are large enough; fewer in a small pool.
fn many(capacity: usize, most: usize) -> (usize, usize) {
    let budget = capacity * BUDGET;
    let mut count = most;
    while count >= 2 {
        let bytes = (budget / count).saturating_sub(CACHE_DISTANCE);
        let room = (bytes / size_of::<usize>()).saturating_sub(1);
        // More caches than sixteen must not make them too small for those who have one.
        if room >= SMALLEST_ROOM && room >= 4 * count {
            return (count, room.min(LARGEST_ROOM));
        }
        count /= 2;
    }
    (0, 0)
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
            (1, (0, 0)),
            (16, (0, 0)),
            (100, (2, 28)),
            (1000, (8, 84)),
            (10_000, (16, 459)),
            (1_000_000, (16, 1024)),
        ];
        for (capacity, plan) in cases {
            assert_eq!(many(capacity, 16), plan, "{capacity} entries");
        }
        assert_eq!((many(100_000, 64), many(10_000, 64)), ((64, 1024), (32, 225)));
        assert_eq!((one(10), one(100), one(10_000)), ((0, 0), (1, 74), (1, 1024)));
    }

    #[test]
    fn within_the_budget() {
        for capacity in 0..20_000 {
            for most in [16, 64] {
                let (count, room) = many(capacity, most);
                if count == 0 {
                    continue;
                }
                assert!(count * (CACHE_DISTANCE + 8 * (room + 1)) <= BUDGET * capacity);
            }
        }
    }
}
