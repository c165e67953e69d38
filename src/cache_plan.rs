//! How many caches does a pool have, and how large are they?
//!
//! Their memory is part of what a pool of that many entries takes anyhow: 4 bytes per entry
//! (`layout.rs`). A small pool has few caches or none, and works on its depot.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::fence;
use crate::pool::Traits;
use crate::thread_index::{CACHE_DISTANCE, MAX_THREADS};

/// No cache is larger, in entries: with more, a thread would hold much and gain nothing.
const LARGEST_ROOM: usize = 512;
/// Nor is it worth having caches of fewer.
const SMALLEST_ROOM: usize = 16;
/// Bytes for caches per entry of the pool.
const BUDGET: usize = 4;

/// The caches behind a pool.
///
/// Invariant: `count * (CACHE_DISTANCE + room * 8) <= BUDGET * capacity`, but for a single cache's
/// line, which takes the place of the one that is closed for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CachePlan {
    /// How many threads have one: those with an index below.
    pub count: usize,
    /// Entries of each, at most.
    pub room: usize,
    /// The line of the first. A line is [`CACHE_DISTANCE`] bytes.
    pub first: usize,
    /// Calls need more than the fast path does, so that it must find a closed cache.
    pub detour: bool,
}

impl CachePlan {
    /// For a pool of that many entries.
    pub fn new(capacity: usize, traits: Traits) -> Self {
        let detour = traits.zero_on_free || !(traits.single_thread || fence::available());
        let (count, room) =
            if traits.single_thread { one(capacity) } else { many(capacity, most_caches()) };
        Self { count, room, first: usize::from(detour), detour }
    }

    /// How many lines: the caches', and that of one closed for good, unless the only cache may
    /// always be used.
    pub fn lines(&self) -> usize {
        self.count + usize::from(self.detour || self.reach() > 0 || self.count == 0)
    }

    /// Distance of the last line that the fast path may look at.
    pub fn reach(&self) -> usize {
        if self.detour || self.count <= 1 { 0 } else { self.count * CACHE_DISTANCE }
    }
}

fn one(capacity: usize) -> (usize, usize) {
    let room = (capacity * BUDGET / size_of::<usize>()).min(LARGEST_ROOM);
    if room < SMALLEST_ROOM { (0, 0) } else { (1, room) }
}

/// As many as the machine has use for, as long as they are large enough; fewer in a small pool.
fn many(capacity: usize, most: usize) -> (usize, usize) {
    let budget = capacity * BUDGET;
    let mut count = most;
    while count >= 2 {
        let room = (budget / count).saturating_sub(CACHE_DISTANCE) / size_of::<usize>();
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
            (100, (2, 17)),
            (1000, (8, 54)),
            (10_000, (16, 304)),
            (1_000_000, (16, 512)),
        ];
        for (capacity, plan) in cases {
            assert_eq!(many(capacity, 16), plan, "{capacity} entries");
        }
        assert_eq!((many(100_000, 64), many(10_000, 64)), ((64, 512), (32, 148)));
        assert_eq!((one(10), one(100), one(10_000)), ((0, 0), (1, 50), (1, 512)));
    }

    #[test]
    fn within_the_budget() {
        for capacity in 0..20_000 {
            for most in [16, 64] {
                let (count, room) = many(capacity, most);
                assert!(count * (CACHE_DISTANCE + 8 * room) <= BUDGET * capacity);
            }
        }
    }
}
