//! Which slot does a hardened pool hand out next?
//!
//! A random one. Each pool has a generator of its own, seeded from the system when the pool is made and again
//! in a child of fork: no two hand out in the same order.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::slots::secret::{keyed, random};

/// How many forks lie between this process and the first one that loaded the library.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// This process is a child of fork, and draws other numbers than its parent.
pub fn begin_anew() {
    // Relaxed: a child has one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Random numbers, unpredictable without the process's secrets. No cryptography.
pub struct Generator {
    state: u64,
    generation: u32,
}

/// From a state to the next: odd, so that none comes twice in 2^64 draws.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Generator {
    /// One that was not seeded; pools that draw nothing never are.
    pub const fn idle() -> Self {
        Self { state: 0, generation: 0 }
    }

    /// Seeded with words from the system.
    pub fn seeded() -> Self {
        let generation = GENERATION.load(Ordering::Relaxed);
        Self { state: random(), generation }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        if self.generation != GENERATION.load(Ordering::Relaxed) {
            *self = Self::seeded();
        }
        self.state = self.state.wrapping_add(STEP);
        keyed(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draw_the_same() {
        crate::slots::secret::draw();
        let mut both = [Generator::seeded(), Generator::seeded()];
        let numbers: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| both.each_mut().map(Generator::next)).collect();
        assert_eq!(numbers.len(), 2000);
    }

    #[test]
    fn draws_evenly() {
        crate::slots::secret::draw();
        let mut generator = Generator::seeded();
        let mut counts = [0; 16];
        (0..16_000).for_each(|_| counts[(generator.next() >> 60) as usize] += 1);
        // Six standard deviations of a fair one.
        assert!(counts.iter().all(|count| (810..1190).contains(count)), "{counts:?}");
    }
}
