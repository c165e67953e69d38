//! Which slots are free, beside those in caches?
//!
//! One bit per slot, outside the slots: a write after free can damage a freed payload, never the
//! pool. Above the bits lies a summary of them, a bit for each word that has any, and so on up to
//! one word: finding a free slot takes a step per level, at most six.
//!
//! Slots go out lowest first. What is in use stays together at the low end, and entries that are
//! taken one after the other lie side by side, however they came back.

use core::ptr::NonNull;

/// Slots that a word of bits stands for.
const BITS: usize = u64::BITS as usize;
const SHIFT: u32 = BITS.ilog2();
/// Levels for the largest pool: `BITS.pow(LEVELS)` is more than the slots that have a number.
const LEVELS: usize = 6;

static_assertions::const_assert!(SHIFT * LEVELS as u32 >= u32::BITS);

/// The free slots of a pool.
///
/// Invariant: bit `i` of level 0 is set exactly while slot `i` is free and here; bit `i` of a level
/// above exactly while word `i` of the level below is not 0; the top level is one word;
/// `free` counts the bits of level 0; `fresh` is above every slot that was ever taken.
pub struct Depot {
    words: NonNull<u64>,  // level 0 first
    start: [u32; LEVELS], // number of each level's first word
    top: u32,             // number of the top level
    capacity: u32,
    free: u32,
    fresh: u32,
}

impl Depot {
    /// Bytes of the bits for so many slots.
    pub fn bytes(capacity: u32) -> usize {
        let mut words = 0;
        let mut level = capacity as usize;
        loop {
            level = level.div_ceil(BITS);
            words += level;
            if level <= 1 {
                return words * size_of::<u64>();
            }
        }
    }

    /// A depot in which all `capacity` slots are free. O(capacity / 64).
    ///
    /// # Safety
    /// `words` is room for [`bytes`](Self::bytes) that nobody else uses while the depot exists.
    pub unsafe fn new(words: NonNull<u64>, capacity: u32) -> Self {
        let (mut start, mut top) = ([0; LEVELS], 0);
        let (mut bits, mut next) = (capacity as usize, 0);
        for (level, start) in start.iter_mut().enumerate() {
            (*start, top) = (next as u32, level as u32);
            let count = bits.div_ceil(BITS);
            for word in 0..count {
                let set = (bits - word * BITS).min(BITS) as u32;
                // SAFETY: the words of all levels lie in the room that the caller gave.
                unsafe { words.add(next + word).write(u64::MAX >> (u64::BITS - set)) };
            }
            if count == 1 {
                break;
            }
            (bits, next) = (count, next + count);
        }
        Self { words, start, top, capacity, free: capacity, fresh: 0 }
    }

    /// Takes the lowest free slot.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        let word = self.lowest_word();
        let bits = self.word(0, word);
        let slot = (word << SHIFT) + bits.trailing_zeros();
        *bits &= *bits - 1;
        if *bits == 0 {
            self.clear_above(word);
        }
        self.free -= 1;
        self.fresh = self.fresh.max(slot + 1);
        Some(slot)
    }

    /// Gives a slot back. False, and nothing happens, if it is here already, which only a double free
    /// brings about.
    #[inline]
    #[must_use]
    pub fn give(&mut self, slot: u32) -> bool {
        self.give_to_word(slot >> SHIFT, bit(slot))
    }

    /// Gives slots back, until there is one that is here already: that is the error.
    #[inline]
    pub fn give_many(&mut self, slots: impl Iterator<Item = u32>) -> Result<(), u32> {
        // Neighbours often come back together: one access for all of them that share a word.
        let (mut word, mut bits) = (0, 0);
        for slot in slots {
            if slot >> SHIFT != word {
                if !self.give_to_word(word, bits) {
                    return Err(slot);
                }
                (word, bits) = (slot >> SHIFT, 0);
            }
            if bits & bit(slot) != 0 {
                return Err(slot);
            }
            bits |= bit(slot);
        }
        if self.give_to_word(word, bits) { Ok(()) } else { Err(word << SHIFT) }
    }

    #[inline]
    fn give_to_word(&mut self, word: u32, bits: u64) -> bool {
        debug_assert!(word < self.capacity.div_ceil(u64::BITS));
        let place = self.word(0, word);
        let before = *place;
        if before & bits != 0 {
            return false;
        }
        *place |= bits;
        if before == 0 && bits != 0 {
            self.set_above(word);
        }
        self.free += bits.count_ones();
        true
    }

    /// Fills `places` with what `to` makes of slots, the lowest at the end.
    ///
    /// # Panics
    /// If there are not that many.
    #[inline]
    pub fn take_many<T>(&mut self, places: &mut [T], to: impl Fn(u32) -> T) {
        assert!(places.len() <= self.free as usize);
        self.free -= places.len() as u32;
        let mut places = places.iter_mut().rev().peekable();
        while places.peek().is_some() {
            let word = self.lowest_word();
            let mut bits = *self.word(0, word);
            let mut slot = 0;
            while bits != 0
                && let Some(place) = places.next()
            {
                slot = (word << SHIFT) + bits.trailing_zeros();
                bits &= bits - 1;
                *place = to(slot);
            }
            self.fresh = self.fresh.max(slot + 1);
            *self.word(0, word) = bits;
            if bits == 0 {
                self.clear_above(word);
            }
        }
    }

    /// How many slots are here.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// How many slots are not here.
    pub fn out(&self) -> u32 {
        self.capacity - self.free
    }

    /// This slot and all above were never handed out.
    pub fn fresh(&self) -> u32 {
        self.fresh
    }

    /// The first word of level 0 that is not 0; there is one.
    #[inline]
    fn lowest_word(&mut self) -> u32 {
        let mut number = 0;
        for level in (1..=self.top as usize).rev() {
            number = (number << SHIFT) + self.word(level, number).trailing_zeros();
        }
        number
    }

    /// A word of level 0 is not 0 any more: says so above.
    #[inline]
    fn set_above(&mut self, word: u32) {
        let mut number = word;
        for level in 1..=self.top as usize {
            let bits = self.word(level, number >> SHIFT);
            let before = *bits;
            *bits |= bit(number);
            if before != 0 {
                break;
            }
            number >>= SHIFT;
        }
    }

    /// A word of level 0 has become 0: says so above.
    #[inline]
    fn clear_above(&mut self, word: u32) {
        let mut number = word;
        for level in 1..=self.top as usize {
            let bits = self.word(level, number >> SHIFT);
            *bits &= !bit(number);
            if *bits != 0 {
                break;
            }
            number >>= SHIFT;
        }
    }

    #[inline(always)]
    fn word(&mut self, level: usize, number: u32) -> &mut u64 {
        debug_assert!(level <= self.top as usize);
        // SAFETY: `level <= top < LEVELS`, and a level has a word for each number that the callers,
        // who come from a slot or from the level above, ask for (invariant).
        unsafe {
            let start = *self.start.get_unchecked(level);
            self.words.add((start + number) as usize).as_mut()
        }
    }

    /// Proves the invariant, in O(capacity) time.
    #[cfg(test)]
    pub fn check(&self) {
        let word = |level: usize, number: usize| {
            // SAFETY: as in `word`.
            unsafe { self.words.add(self.start[level] as usize + number).read() }
        };
        let mut count = self.capacity as usize;
        for level in 0..=self.top as usize {
            let words = count.div_ceil(BITS);
            for number in 0..words {
                let known = (count - number * BITS).min(BITS);
                assert!(known == BITS || word(level, number) >> known == 0);
                if level < self.top as usize {
                    let above = word(level + 1, number / BITS) >> (number % BITS) & 1;
                    assert_eq!(above != 0, word(level, number) != 0);
                }
            }
            count = words;
        }
        assert_eq!(count, 1);
        let words = (self.capacity as usize).div_ceil(BITS);
        let free: u32 = (0..words).map(|number| word(0, number).count_ones()).sum();
        assert_eq!(free, self.free);
        let fresh = self.fresh as usize..self.capacity as usize;
        assert!(fresh.clone().all(|slot| word(0, slot / BITS) >> (slot % BITS) & 1 != 0));
    }
}

/// The bit of slot or word `number` in its word.
#[inline(always)]
fn bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    struct Tested {
        depot: Depot,
        _words: Vec<u64>,
    }

    fn depot(capacity: u32) -> Tested {
        // Garbage, as in a caller's buffer.
        let mut words = vec![0xA5A5_A5A5; Depot::bytes(capacity) / size_of::<u64>()];
        // SAFETY: the room goes where the depot goes, and is used by it alone.
        let depot = unsafe { Depot::new(NonNull::from(&mut words[..]).cast(), capacity) };
        depot.check();
        Tested { depot, _words: words }
    }

    #[test]
    fn hands_out_each_slot_once_at_every_number_of_levels() {
        for capacity in [1, 2, 63, 64, 65, 4095, 4096, 4097, 262_144, 262_145] {
            let Tested { mut depot, _words } = depot(capacity);
            assert!((0..capacity).all(|slot| depot.take() == Some(slot)));
            assert_eq!((depot.out(), depot.free(), depot.take()), (capacity, 0, None));
            depot.check();
            assert!((0..capacity).rev().all(|slot| depot.give(slot)));
            depot.check();
            assert_eq!((depot.out(), depot.free(), depot.take()), (0, capacity, Some(0)));
        }
    }

    #[test]
    fn at_most_a_byte_per_slot_and_a_word_for_the_first() {
        let fits = |capacity| Depot::bytes(capacity) < capacity as usize + size_of::<u64>();
        assert!((1..5000).chain([1 << 20, u32::MAX]).all(fits));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        TakeMany(usize),
        Give(usize),
    }

    fn steps() -> impl Strategy<Value = (u32, Vec<Step>)> {
        let step = prop_oneof![
            3 => Just(Step::Take),
            1 => (0..300usize).prop_map(Step::TakeMany),
            6 => any::<usize>().prop_map(Step::Give),
        ];
        (prop_oneof![1..200u32, 4000..4200u32], proptest::collection::vec(step, 1..400))
    }

    proptest! {
        #[test]
        fn is_a_set_that_gives_the_lowest((capacity, steps) in steps()) {
            let Tested { mut depot, _words } = depot(capacity);
            let mut free: BTreeSet<u32> = (0..capacity).collect();
            for step in steps {
                match step {
                    Step::Take => prop_assert_eq!(depot.take(), free.pop_first()),
                    Step::TakeMany(count) => {
                        let mut places = vec![u32::MAX; count.min(free.len())];
                        depot.take_many(&mut places, |slot| slot);
                        for place in places.into_iter().rev() {
                            prop_assert_eq!(Some(place), free.pop_first());
                        }
                    }
                    Step::Give(any) => {
                        let slot = (any % capacity as usize) as u32;
                        prop_assert_eq!(depot.give(slot), free.insert(slot));
                    }
                }
                prop_assert_eq!(depot.free() as usize, free.len());
                depot.check();
            }
        }
    }
}
