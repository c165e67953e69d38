//! Which slots are free, apart from those in caches?
//!
//! The depot's data lies outside the slots: a write after free can damage a freed payload, never the pool.
//!
//! Slots that came back last are numbers in a ring, and go out first: threads that pass entries on use the
//! same few again and again. When the ring is full, the oldest goes into a set of bits,
//! one per slot, from which slots go out lowest first: entries taken one after the other lie side by
//! side, however they came back, and what is in use stays together at the low end. Above the bits lies
//! a summary, a bit for each word that is not 0, and so on up to one word: the lowest slot is
//! found in a step per level, at most six. A call for one slot moves that one and the oldest.
//!
//! A guarded pool has all its free slots in the bits; a hardened one draws from them.

mod random;

use core::ptr::NonNull;

use crate::memory::fields::{Field, fields};
use crate::slots::work;

/// Slots that a word of bits stands for.
const BITS: usize = u64::BITS as usize;
const SHIFT: u32 = BITS.ilog2();
/// Levels for the largest pool: `BITS.pow(LEVELS)` is more than the slots that have a number.
const LEVELS: usize = 6;
/// The ring of a large pool.
const LARGEST_RING: u32 = 64;

/// What a depot takes beyond 2 bytes per slot, at most: words and numbers are whole.
pub const DEPOT_SLACK: usize = 10;

static_assertions::const_assert!(SHIFT * LEVELS as u32 >= u32::BITS);
static_assertions::const_assert!(LARGEST_RING <= u8::MAX as u32 / 2);

/// The free slots of a pool.
///
/// Invariant: each free slot that is here is either in the ring, at one of the `len` places from `oldest` on
/// modulo `room`, or has its bit of level 0 set, not both, and once; bit `i` of a level above is set exactly
/// while word `i` of the level below is not 0; the top level is one word; `len <= room`; `in_bits` counts the
/// bits of level 0; `free() <= capacity`; slots from `fresh` up have their bits set and were never taken.
pub struct Depot {
    ring: NonNull<u32>,
    words: NonNull<u64>,  // level 0 first
    start: [u32; LEVELS], // number of each level's first word
    top: u8,              // number of the top level
    oldest: u8,           // below `room`
    len: u8,
    room: u8,
    capacity: u32,
    in_bits: u32,
    fresh: u32,
}

impl Depot {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Depot: ring, words, oldest, len, room, in_bits, fresh);

    /// Bytes for the ring, of 4-byte numbers.
    pub fn ring_bytes(capacity: u32) -> usize {
        Self::room(capacity) as usize * size_of::<u32>()
    }

    fn room(capacity: u32) -> u32 {
        capacity.div_ceil(4).min(LARGEST_RING)
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
    /// The two are room for [`ring_bytes`](Self::ring_bytes) and
    /// [`bits_bytes`](Self::bits_bytes) that nobody else uses while the depot exists.
    pub unsafe fn new(ring: NonNull<u32>, words: NonNull<u64>, capacity: u32) -> Self {
        let (mut start, mut top) = ([0; LEVELS], 0);
        let (mut bits, mut next) = (capacity as usize, 0);
        for (level, start) in start.iter_mut().enumerate() {
            (*start, top) = (next as u32, level as u8);
            let count = bits.div_ceil(BITS);
            if count == 1 {
                break;
            }
            (bits, next) = (count, next + count);
        }
        let room = Self::room(capacity) as u8; // no more than LARGEST_RING
        let mut depot = Self {
            ring,
            words,
            start,
            top,
            oldest: 0,
            len: 0,
            room,
            capacity,
            in_bits: 0,
            fresh: 0,
        };
        depot.refill();
        depot
    }

    /// All slots are free again, wherever they were. O(capacity / 64).
    #[inline(never)]
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
        (self.oldest, self.len, self.in_bits) = (0, 0, self.capacity);
    }

    /// Takes a free slot: the one that came back last, or the lowest.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        if self.len > 0 {
            self.len -= 1;
            work::moved(1);
            // SAFETY: there were `len + 1`.
            return Some(unsafe { self.ring_place(self.len).read() });
        }
        let mut slot = None;
        if self.in_bits > 0 {
            self.take_lowest(core::iter::once(&mut slot), Some);
        }
        slot
    }

    /// Fills `places` with what `to` makes of slots, of which `take` would hand out the last first.
    /// Says how many did not come back lately: they are the first places', and fall.
    ///
    /// # Panics
    /// If there are not that many.
    #[inline]
    pub fn take_many<T>(&mut self, places: &mut [T], to: impl Fn(u32) -> T) -> usize {
        assert!(places.len() <= self.free() as usize);
        let from_ring = places.len().min(self.len as usize);
        let (lowest, last) = places.split_at_mut(places.len() - from_ring);
        self.len -= from_ring as u8;
        work::moved(from_ring);
        for (i, place) in last.iter_mut().enumerate() {
            // SAFETY: there were `len + from_ring`.
            *place = to(unsafe { self.ring_place(self.len + i as u8).read() });
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
            work::moved((before - bits.count_ones()) as usize);
            work::touched(1);
            *self.word(0, word) = bits;
            if bits == 0 {
                self.clear_above(word);
            }
        }
    }

    /// Gives a slot back. False if more came back than were out, or if one is seen to come back twice: only a
    /// double free causes that.
    #[inline]
    #[must_use]
    pub fn give(&mut self, slot: u32) -> bool {
        self.give_many(core::iter::once(slot)).is_ok()
    }

    /// As [`give`](Self::give), into the bits: the slot is no more likely than others to be taken next.
    #[must_use]
    pub fn give_to_bits(&mut self, slot: u32) -> bool {
        debug_assert!(slot < self.capacity);
        self.out() > 0 && self.add_bits(slot >> SHIFT, bit(slot)).is_ok()
    }

    /// Gives slots back, the last to be taken first, until there is one of which [`give`](Self::give)
    /// would say false: that is the error.
    #[inline]
    pub fn give_many(&mut self, slots: impl Iterator<Item = u32>) -> Result<(), u32> {
        for slot in slots {
            debug_assert!(slot < self.capacity);
            if self.len == self.room {
                self.put_oldest_into_bits()?;
            }
            if self.out() == 0 {
                return Err(slot);
            }
            work::moved(1);
            // SAFETY: `len < room`.
            unsafe { self.ring_place(self.len).write(slot) };
            self.len += 1;
        }
        Ok(())
    }

    /// The ring is full. Fails with a slot that is in the bits already.
    fn put_oldest_into_bits(&mut self) -> Result<(), u32> {
        // SAFETY: there are `room`.
        let slot = unsafe { self.ring_place(0).read() };
        self.add_bits(slot >> SHIFT, bit(slot))?;
        self.oldest = if self.oldest + 1 == self.room { 0 } else { self.oldest + 1 };
        self.len -= 1;
        Ok(())
    }

    /// Number `i` of the ring, the oldest being number 0.
    ///
    /// # Safety
    /// `i < room`.
    #[inline(always)]
    unsafe fn ring_place(&self, i: u8) -> NonNull<u32> {
        let at = self.oldest + i;
        let place = if at >= self.room { at - self.room } else { at };
        // SAFETY: `oldest` and `i` are below `room`, and so is this.
        unsafe { self.ring.add(place as usize) }
    }

    /// Fails, and nothing happens, if one of them is set already: with its slot.
    #[inline]
    fn add_bits(&mut self, word: u32, bits: u64) -> Result<(), u32> {
        let place = self.word(0, word);
        let before = *place;
        if before & bits != 0 {
            return Err((word << SHIFT) + (before & bits).trailing_zeros());
        }
        work::moved(bits.count_ones() as usize);
        work::touched(1);
        *place |= bits;
        if before == 0 && bits != 0 {
            self.set_above(word);
        }
        self.in_bits += bits.count_ones();
        Ok(())
    }

    /// How many slots are here.
    pub fn free(&self) -> u32 {
        u32::from(self.len) + self.in_bits
    }

    /// How many of them were out before.
    pub fn used_before(&self) -> u32 {
        self.free() - (self.capacity - self.fresh)
    }

    /// Whether some came back lately.
    pub fn has_recent(&self) -> bool {
        self.len > 0
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
        let mut in_ring = std::collections::HashSet::new();
        for i in 0..self.len as usize {
            // SAFETY: `i < len`.
            let slot = unsafe { self.ring_place(i as u8).read() };
            assert!(in_ring.insert(slot) && !is_set(slot as usize), "slot {slot} is free twice");
        }
    }
}

/// The bit of slot or word `number` in its word.
#[inline(always)]
fn bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

#[cfg(test)]
mod tests;
