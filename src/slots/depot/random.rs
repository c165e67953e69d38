//! Which free slot do random numbers stand for?
//!
//! A hardened pool hands out entries in an unpredictable order. All its free slots are in the bits.

use super::{BITS, Depot, SHIFT, bit};

/// How often a draw tries a slot that may not be free.
const TRIES: usize = 8;
/// Of a pool with more slots than this, not all words of bits are counted when these fail.
const LARGEST_EVEN_DRAW: u32 = 4096;

impl Depot {
    /// Takes a free slot that follows from random numbers, of those in the bits if there are any.
    ///
    /// Each is as likely as the others, whichever of the [`TRIES`] finds one that is free. If none does, the
    /// same holds in a pool of up to [`LARGEST_EVEN_DRAW`] slots; in a larger one it is then the first that is
    /// free after a random place.
    #[inline(never)]
    pub fn take_random(&mut self, mut random: impl FnMut() -> u64) -> Option<u32> {
        if self.in_bits == 0 {
            return self.take();
        }
        let mut below = |n: u32| ((u128::from(random()) * u128::from(n)) >> u64::BITS) as u32;
        let tried = (0..TRIES).find_map(|_| {
            let slot = below(self.capacity);
            (*self.word(0, slot >> SHIFT) & bit(slot) != 0).then_some(slot)
        });
        let slot = match tried {
            Some(slot) => slot,
            None if self.capacity <= LARGEST_EVEN_DRAW => {
                self.number_among_free(below(self.in_bits))?
            }
            None => {
                let from = below(self.capacity);
                self.free_from(from).or_else(|| self.free_from(0))?
            }
        };
        let word = slot >> SHIFT;
        let bits = self.word(0, word);
        *bits &= !bit(slot);
        if *bits == 0 {
            self.clear_above(word);
        }
        self.in_bits -= 1;
        self.fresh = self.fresh.max(slot + 1);
        Some(slot)
    }

    /// Free slot number `number` of those in the bits, counted from the lowest. O(capacity / 64).
    fn number_among_free(&mut self, mut number: u32) -> Option<u32> {
        for word in 0..self.capacity.div_ceil(BITS as u32) {
            let mut bits = *self.word(0, word);
            let count = bits.count_ones();
            if number < count {
                (0..number).for_each(|_| bits &= bits - 1);
                return Some((word << SHIFT) + bits.trailing_zeros());
            }
            number -= count;
        }
        None
    }

    /// The lowest slot in the bits from that number on. A step per level, up and down again.
    fn free_from(&mut self, slot: u32) -> Option<u32> {
        let mut number = slot;
        for level in 0..=self.top as usize {
            if number >> SHIFT >= self.words_of(level) {
                return None;
            }
            let bits = *self.word(level, number >> SHIFT) & u64::MAX << (number % u64::BITS);
            if bits != 0 {
                number = (number >> SHIFT << SHIFT) + bits.trailing_zeros();
                for below in (0..level).rev() {
                    number = (number << SHIFT) + self.word(below, number).trailing_zeros();
                }
                return Some(number);
            }
            number = (number >> SHIFT) + 1;
        }
        None
    }

    /// How many words a level has.
    fn words_of(&self, level: usize) -> u32 {
        if level == self.top as usize { 1 } else { self.start[level + 1] - self.start[level] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{depot_of, next};
    use super::*;

    #[test]
    fn each_free_slot_is_drawn_as_often_as_others() {
        for capacity in [4, 100, LARGEST_EVEN_DRAW, 10_000] {
            let tested = &mut depot_of(capacity);
            let depot = &mut tested.depot;
            let mut counts = vec![0u32; capacity as usize];
            // So few that most tries fail.
            let free: Vec<u32> = (0..capacity).step_by(1 + capacity as usize / 16).collect();
            assert!((0..capacity).all(|_| depot.take().is_some()));
            assert!(free.iter().all(|&slot| depot.give_to_bits(slot)));
            let mut random = 1;
            let rounds = 1000 * free.len();
            for _ in 0..rounds {
                let slot = depot.take_random(|| next(&mut random)).unwrap();
                assert!(depot.give_to_bits(slot));
                counts[slot as usize] += 1;
            }
            // Eight standard deviations of an even draw, at most.
            assert!(free.iter().all(|&slot| (750..1250).contains(&counts[slot as usize])));
        }
    }

    #[derive(Clone, Debug)]
    enum Draw {
        Take(u64),
        TakeAll(u64),
        Give(usize),
        GiveAll,
    }

    fn draws() -> impl Strategy<Value = (u32, Vec<Draw>)> {
        let draw = prop_oneof![
            8 => any::<u64>().prop_map(Draw::Take),
            1 => any::<u64>().prop_map(Draw::TakeAll),
            8 => any::<usize>().prop_map(Draw::Give),
            1 => Just(Draw::GiveAll),
        ];
        (prop_oneof![1..200u32, 4000..4300u32], proptest::collection::vec(draw, 1..60))
    }

    /// Takes the slot that `take_random` must take out of all that are free, in ascending order.
    fn draw(free: &mut Vec<u32>, capacity: u32, mut random: u64) -> Option<u32> {
        if free.is_empty() {
            return None;
        }
        let mut below = |n: usize| ((u128::from(next(&mut random)) * n as u128) >> 64) as usize;
        for _ in 0..TRIES {
            if let Ok(at) = free.binary_search(&(below(capacity as usize) as u32)) {
                return Some(free.remove(at));
            }
        }
        let at = if capacity <= LARGEST_EVEN_DRAW {
            below(free.len())
        } else {
            let from = below(capacity as usize) as u32;
            free.partition_point(|&slot| slot < from) % free.len()
        };
        Some(free.remove(at))
    }

    proptest! {
        /// As in a hardened pool: nothing is ever in the ring.
        #[test]
        fn draws_what_follows_from_the_number((capacity, draws) in draws()) {
            let tested = &mut depot_of(capacity);
            let depot = &mut tested.depot;
            let mut free: Vec<u32> = (0..capacity).collect();
            let mut out: Vec<u32> = Vec::new();
            for step in draws {
                match step {
                    Draw::Take(random) | Draw::TakeAll(random) => {
                        let all = matches!(step, Draw::TakeAll(_));
                        let count = if all { free.len() + 1 } else { 1 };
                        for i in 0..count as u64 {
                            let random = random.wrapping_add(i << 55);
                            let expected = draw(&mut free, capacity, random);
                            let mut random = random;
                            prop_assert_eq!(depot.take_random(|| next(&mut random)), expected);
                            out.extend(expected);
                        }
                    }
                    Draw::Give(any) => {
                        if let Some(at) = any.checked_rem(out.len()) {
                            let slot = out.swap_remove(at);
                            prop_assert!(depot.give_to_bits(slot));
                            free.insert(free.partition_point(|&other| other < slot), slot);
                        }
                    }
                    Draw::GiveAll => {
                        prop_assert!(out.iter().all(|&slot| depot.give_to_bits(slot)));
                        free.append(&mut out);
                        free.sort_unstable();
                    }
                }
                prop_assert_eq!(depot.free() as usize, free.len());
                depot.check();
            }
        }
    }
}
