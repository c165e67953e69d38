//! Which slots are free, beside those in caches?
//!
//! What the depot knows lies outside the slots: a write after free can damage a freed payload, never
//! the pool.
//!
//! Slots that came back last are numbers on a stack, and go out first: threads that pass entries on
//! use the same few again and again. When the stack is full, the older half goes into a set of bits,
//! one per slot, from which slots go out lowest first: entries taken one after the other lie side by
//! side, however they came back, and what is in use stays together at the low end. Above the bits lies
//! a summary, a bit for each word that is not 0, and so on up to one word: the lowest slot is
//! found in a step per level, at most six.
//!
//! A guarded pool has all its free slots in the bits; a hardened one draws from them.

use core::ptr::{self, NonNull};

/// Slots that a word of bits stands for.
const BITS: usize = u64::BITS as usize;
const SHIFT: u32 = BITS.ilog2();
/// Levels for the largest pool: `BITS.pow(LEVELS)` is more than the slots that have a number.
const LEVELS: usize = 6;
/// The stack of a large pool: as many as two of the largest caches have room for.
const LARGEST_STACK: u32 = 2048;
/// How often a draw tries a slot that may not be free.
const TRIES: usize = 8;
/// Of a pool with more slots than this, not all words of bits are counted when these fail.
const LARGEST_EVEN_DRAW: u32 = 4096;

/// What a depot takes beyond 2 bytes per slot, at most: words and numbers are whole.
pub const DEPOT_SLACK: usize = 10;

static_assertions::const_assert!(SHIFT * LEVELS as u32 >= u32::BITS);

/// The free slots of a pool.
///
/// Invariant: each free slot that is here is either in `stack[..len]` or has its bit of level 0 set,
/// not both, and once; bit `i` of a level above is set exactly while word `i` of the level below is
/// not 0; the top level is one word; `len <= room`; `in_bits` counts the bits of level 0;
/// `free() <= capacity`; slots from `fresh` up have their bits set and were never taken.
pub struct Depot {
    stack: NonNull<u32>,
    words: NonNull<u64>,  // level 0 first
    start: [u32; LEVELS], // number of each level's first word
    top: u32,             // number of the top level
    len: u32,
    room: u32,
    capacity: u32,
    in_bits: u32,
    fresh: u32,
}

impl Depot {
    /// Bytes for the stack, of 4-byte numbers.
    pub fn stack_bytes(capacity: u32) -> usize {
        Self::room(capacity) as usize * size_of::<u32>()
    }

    fn room(capacity: u32) -> u32 {
        capacity.div_ceil(4).min(LARGEST_STACK)
    }

    /// Bytes for the bits, in 8-byte words.
    pub fn bits_bytes(capacity: u32) -> usize {
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
    /// The two are room for [`stack_bytes`](Self::stack_bytes) and
    /// [`bits_bytes`](Self::bits_bytes) that nobody else uses while the depot exists.
    pub unsafe fn new(stack: NonNull<u32>, words: NonNull<u64>, capacity: u32) -> Self {
        let (mut start, mut top) = ([0; LEVELS], 0);
        let (mut bits, mut next) = (capacity as usize, 0);
        for (level, start) in start.iter_mut().enumerate() {
            (*start, top) = (next as u32, level as u32);
            let count = bits.div_ceil(BITS);
            if count == 1 {
                break;
            }
            (bits, next) = (count, next + count);
        }
        let room = Self::room(capacity);
        let mut depot =
            Self { stack, words, start, top, len: 0, room, capacity, in_bits: 0, fresh: 0 };
        depot.refill();
        depot
    }

    /// All slots are free again, wherever they were. O(capacity / 64).
    pub fn refill(&mut self) {
        let mut bits = self.capacity as usize;
        for level in 0..=self.top as usize {
            let count = bits.div_ceil(BITS);
            for number in 0..count {
                let set = (bits - number * BITS).min(BITS) as u32;
                *self.word(level, number as u32) = u64::MAX >> (u64::BITS - set);
            }
            bits = count;
        }
        (self.len, self.in_bits) = (0, self.capacity);
    }

    /// Takes a free slot: the one given last, or the lowest.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        if self.len > 0 {
            self.len -= 1;
            // SAFETY: `len < room`.
            return Some(unsafe { self.stack.add(self.len as usize).read() });
        }
        let mut slot = None;
        if self.in_bits > 0 {
            self.take_lowest(core::iter::once(&mut slot), Some);
        }
        slot
    }

    /// Takes a free slot that follows from random numbers, of those in the bits if there are any.
    ///
    /// Each is as likely as the others, whichever of the [`TRIES`] finds one that is free. If none does, the
    /// same holds in a pool of up to [`LARGEST_EVEN_DRAW`] slots; in a larger one it is then the first that is
    /// free behind a random place.
    #[inline(never)]
    pub fn take_random(&mut self, mut random: impl FnMut() -> u64) -> Option<u32> {
        if self.in_bits == 0 {
            return self.take();
        }
        let mut below = |n: u32| ((u128::from(random()) * u128::from(n)) >> u64::BITS) as u32;
        let tried = (0..TRIES).find_map(|_| {
            let slot = below(self.capacity);
            self.has_in_bits(slot).then_some(slot)
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

    /// Fills `places` with what `to` makes of slots, of which `take` would hand out the last first.
    /// Says how many did not come back lately: they are the first places', and fall.
    ///
    /// # Panics
    /// If there are not that many.
    #[inline]
    pub fn take_many<T>(&mut self, places: &mut [T], to: impl Fn(u32) -> T) -> usize {
        assert!(places.len() <= self.free() as usize);
        let from_stack = places.len().min(self.len as usize);
        let (lowest, last) = places.split_at_mut(places.len() - from_stack);
        self.len -= from_stack as u32;
        // SAFETY: `len + from_stack <= room`.
        let top = unsafe { self.stack.add(self.len as usize) };
        for (i, place) in last.iter_mut().enumerate() {
            // SAFETY: `i < from_stack`.
            *place = to(unsafe { top.add(i).read() });
        }
        let count = lowest.len();
        self.take_lowest(lowest.iter_mut().rev(), to);
        count
    }

    /// Fills `places` with the lowest slots of the bits, of which there are enough.
    #[inline]
    fn take_lowest<'a, T: 'a>(
        &mut self,
        places: impl Iterator<Item = &'a mut T>,
        to: impl Fn(u32) -> T,
    ) {
        let mut places = places.peekable();
        while places.peek().is_some() {
            let word = self.lowest_word();
            let mut bits = *self.word(0, word);
            let before = bits.count_ones();
            let mut slot = 0;
            while bits != 0
                && let Some(place) = places.next()
            {
                slot = (word << SHIFT) + bits.trailing_zeros();
                bits &= bits - 1;
                *place = to(slot);
            }
            self.fresh = self.fresh.max(slot + 1);
            self.in_bits -= before - bits.count_ones();
            *self.word(0, word) = bits;
            if bits == 0 {
                self.clear_above(word);
            }
        }
    }

    /// Gives a slot back. False if more came back than were out, or one twice, as far as is seen: only
    /// a double free brings that about.
    #[inline]
    #[must_use]
    pub fn give(&mut self, slot: u32) -> bool {
        self.give_many(core::iter::once(slot)).is_ok()
    }

    /// As [`give`](Self::give), into the bits: the slot is no likelier than others to be taken next.
    #[must_use]
    pub fn give_to_bits(&mut self, slot: u32) -> bool {
        debug_assert!(slot < self.capacity);
        self.out() > 0 && self.add_bits(slot >> SHIFT, bit(slot)).is_ok()
    }

    /// Whether a slot is in the bits, where a guarded pool has all that are here.
    pub fn has_in_bits(&mut self, slot: u32) -> bool {
        debug_assert!(slot < self.capacity);
        *self.word(0, slot >> SHIFT) & bit(slot) != 0
    }

    /// Gives slots back, the last to be taken first, until there is one of which [`give`](Self::give)
    /// would say false: that is the error.
    #[inline]
    pub fn give_many(&mut self, slots: impl Iterator<Item = u32>) -> Result<(), u32> {
        for slot in slots {
            debug_assert!(slot < self.capacity);
            if self.len == self.room {
                self.spill()?;
            }
            if self.out() == 0 {
                return Err(slot);
            }
            // SAFETY: `len < room`.
            unsafe { self.stack.add(self.len as usize).write(slot) };
            self.len += 1;
        }
        Ok(())
    }

    /// The stack is full: its older half goes into the bits. Fails with a slot that is there already.
    #[cold]
    #[inline(never)]
    fn spill(&mut self) -> Result<(), u32> {
        let count = self.len.div_ceil(2) as usize;
        // Neighbours often come back together: one access for all of them that share a word.
        let (mut word, mut bits) = (0, 0);
        for i in 0..count {
            // SAFETY: `i < len`.
            let slot = unsafe { self.stack.add(i).read() };
            if slot >> SHIFT != word {
                self.add_bits(word, bits)?;
                (word, bits) = (slot >> SHIFT, 0);
            }
            if bits & bit(slot) != 0 {
                return Err(slot);
            }
            bits |= bit(slot);
        }
        self.add_bits(word, bits)?;
        self.len -= count as u32;
        // SAFETY: both lie in the stack, which has `len + count` numbers.
        unsafe {
            ptr::copy(self.stack.add(count).as_ptr(), self.stack.as_ptr(), self.len as usize)
        };
        Ok(())
    }

    /// Fails, and nothing happens, if one of them is set already: with its slot.
    #[inline]
    fn add_bits(&mut self, word: u32, bits: u64) -> Result<(), u32> {
        let place = self.word(0, word);
        let before = *place;
        if before & bits != 0 {
            return Err((word << SHIFT) + (before & bits).trailing_zeros());
        }
        *place |= bits;
        if before == 0 && bits != 0 {
            self.set_above(word);
        }
        self.in_bits += bits.count_ones();
        Ok(())
    }

    /// How many slots are here.
    pub fn free(&self) -> u32 {
        self.len + self.in_bits
    }

    /// How many slots are not here.
    pub fn out(&self) -> u32 {
        // With a slot here twice there may be more.
        self.capacity.saturating_sub(self.free())
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
        let in_bits: u32 = (0..words).map(|number| word(0, number).count_ones()).sum();
        assert_eq!(in_bits, self.in_bits);
        let is_set = |slot: usize| word(0, slot / BITS) >> (slot % BITS) & 1 != 0;
        assert!((self.fresh as usize..self.capacity as usize).all(is_set));
        assert!(self.len <= self.room && self.free() <= self.capacity);
        let mut stacked = std::collections::HashSet::new();
        for i in 0..self.len as usize {
            // SAFETY: `i < len`.
            let slot = unsafe { self.stack.add(i).read() };
            assert!(stacked.insert(slot) && !is_set(slot as usize), "slot {slot} is free twice");
        }
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
        _stack: Vec<u32>,
        _words: Vec<u64>,
    }

    fn depot_of(capacity: u32) -> Tested {
        // Garbage, as in a caller's buffer.
        let mut stack = vec![0xA5A5; Depot::stack_bytes(capacity) / size_of::<u32>()];
        let mut words = vec![0xA5A5_A5A5; Depot::bits_bytes(capacity) / size_of::<u64>()];
        let (numbers, bits) = (NonNull::from(&mut stack[..]), NonNull::from(&mut words[..]));
        // SAFETY: the room goes where the depot goes, and is used by it alone.
        let depot = unsafe { Depot::new(numbers.cast(), bits.cast(), capacity) };
        depot.check();
        Tested { depot, _stack: stack, _words: words }
    }

    /// A generator with a fixed start.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ mixed >> 31
    }

    #[test]
    fn hands_out_each_slot_once_at_every_number_of_levels() {
        for capacity in [1, 2, 63, 64, 65, 4095, 4096, 4097, 262_144, 262_145] {
            let tested = &mut depot_of(capacity);
            let depot = &mut tested.depot;
            assert!((0..capacity).all(|slot| depot.take() == Some(slot)));
            assert_eq!((depot.out(), depot.free(), depot.take()), (capacity, 0, None));
            depot.check();
            assert!((0..capacity).all(|slot| depot.give(slot)));
            depot.check();
            assert_eq!((depot.out(), depot.free()), (0, capacity));
            let again: BTreeSet<_> = std::iter::from_fn(|| depot.take()).collect();
            assert!(again.into_iter().eq(0..capacity));
            depot.check();
            assert!((0..capacity).all(|slot| depot.give_to_bits(slot)));
            depot.check();
            let mut random = 0u64;
            let drawn: BTreeSet<_> =
                std::iter::from_fn(|| depot.take_random(|| next(&mut random))).collect();
            assert!(drawn.into_iter().eq(0..capacity));
        }
    }

    #[test]
    fn the_last_given_goes_out_first_and_then_the_lowest() {
        let tested = &mut depot_of(40);
        let depot = &mut tested.depot;
        let mut places = [0; 30];
        assert_eq!(depot.take_many(&mut places, |slot| slot), 30);
        assert!(places.iter().rev().copied().eq(0..30));
        assert_eq!(depot.fresh(), 30);
        // More than the stack's ten.
        assert_eq!(depot.give_many((3..20).rev()), Ok(()));
        depot.check();
        let mut places = [0; 20];
        assert_eq!(depot.take_many(&mut places, |slot| slot), 13);
        let last = [3, 4, 5, 6, 7, 8, 9];
        let lowest = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 30, 31, 32];
        assert!(places.iter().rev().eq(last.iter().chain(&lowest)), "{places:?}");
    }

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

    #[test]
    fn refuses_what_is_here() {
        let tested = &mut depot_of(8);
        let depot = &mut tested.depot;
        assert!(!depot.give(0));
        (0..8).for_each(|slot| assert_eq!(depot.take(), Some(slot)));
        // The stack has room for two.
        assert_eq!(depot.give_many([5, 6, 7, 3].into_iter()), Ok(()));
        depot.check();
        assert_eq!(depot.give_many([5, 5, 5].into_iter()), Err(5));
        // Twice in the half of a stack that goes into the bits at once.
        let tested = &mut depot_of(12);
        let depot = &mut tested.depot;
        (0..12).for_each(|slot| assert_eq!(depot.take(), Some(slot)));
        assert_eq!(depot.give_many([5, 5, 6, 7].into_iter()), Err(5));
    }

    #[test]
    fn at_most_two_bytes_per_slot_and_a_few_for_the_first() {
        let fits = |capacity| {
            let bytes = Depot::stack_bytes(capacity) + Depot::bits_bytes(capacity);
            bytes <= 2 * capacity as usize + DEPOT_SLACK
        };
        assert!((1..5000).chain([1 << 20, u32::MAX]).all(fits));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        TakeRandom(u64),
        TakeMany(usize),
        Give(usize),
        GiveToBits(usize),
        GiveMany(usize, usize),
    }

    fn steps() -> impl Strategy<Value = (u32, Vec<Step>)> {
        let step = prop_oneof![
            3 => Just(Step::Take),
            2 => any::<u64>().prop_map(Step::TakeRandom),
            1 => (0..300usize).prop_map(Step::TakeMany),
            4 => any::<usize>().prop_map(Step::Give),
            2 => any::<usize>().prop_map(Step::GiveToBits),
            1 => (any::<usize>(), 0..100usize).prop_map(|(at, count)| Step::GiveMany(at, count)),
        ];
        (prop_oneof![1..200u32, 4000..4200u32], proptest::collection::vec(step, 1..400))
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
        /// As in a hardened pool: nothing is ever on the stack.
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

        #[test]
        fn hands_out_what_is_free_once((capacity, steps) in steps()) {
            let tested = &mut depot_of(capacity);
            let depot = &mut tested.depot;
            let mut free: BTreeSet<u32> = (0..capacity).collect();
            let mut out: Vec<u32> = Vec::new();
            for step in steps {
                match step {
                    Step::Take | Step::TakeRandom(_) => {
                        let taken = match step {
                            Step::TakeRandom(mut random) => depot.take_random(|| next(&mut random)),
                            _ => depot.take(),
                        };
                        prop_assert_eq!(taken.is_some(), !free.is_empty());
                        prop_assert!(taken.is_none_or(|slot| free.remove(&slot)));
                        out.extend(taken);
                    }
                    Step::TakeMany(count) => {
                        let mut places = vec![u32::MAX; count.min(free.len())];
                        let falling = depot.take_many(&mut places, |slot| slot);
                        prop_assert!(places[..falling].is_sorted_by(|a, b| a > b));
                        prop_assert!(places.iter().all(|slot| free.remove(slot)));
                        out.extend(places);
                    }
                    Step::Give(any) => {
                        if let Some(at) = any.checked_rem(out.len()) {
                            let slot = out.swap_remove(at);
                            prop_assert!(depot.give(slot) && free.insert(slot));
                            prop_assert_eq!(depot.take(), Some(slot));
                            prop_assert!(depot.give(slot));
                        }
                    }
                    Step::GiveToBits(any) => {
                        if let Some(at) = any.checked_rem(out.len()) {
                            let slot = out.swap_remove(at);
                            prop_assert!(depot.give_to_bits(slot) && free.insert(slot));
                            prop_assert!(!depot.give_to_bits(slot));
                        }
                    }
                    Step::GiveMany(at, count) => {
                        let at = at.checked_rem(out.len()).unwrap_or(0);
                        let given: Vec<_> = out.drain(at..out.len().min(at + count)).collect();
                        prop_assert_eq!(depot.give_many(given.iter().copied()), Ok(()));
                        free.extend(given);
                    }
                }
                prop_assert_eq!(depot.free() as usize, free.len());
                depot.check();
            }
        }
    }
}
