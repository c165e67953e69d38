//! Which slots does a guarded pool hold back?
//!
//! As malloc does under the tools, it does not hand out a freed entry again at once, so that its use through
//! an old pointer still shows. If it has no others, it hands these out, the oldest first.

use core::ptr::NonNull;

use super::traits::Traits;
use crate::memory::fields::{Field, fields};

/// The most slots that a large pool holds back.
const LARGEST_QUARANTINE: u32 = 1024;

/// The slots that were freed last, in that order.
///
/// Invariant: the numbers in the `len` places from `first` on, modulo `room`, are free slots that are
/// nowhere else; `len <= room`.
pub struct Quarantine {
    ring: NonNull<u32>,
    room: u32,
    first: u32,
    len: u32,
}

impl Quarantine {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Quarantine: ring, room, first, len);

    /// How many slots a pool holds back.
    pub fn room(capacity: u32, traits: Traits) -> u32 {
        if traits.guards_slots() { (capacity / 4).min(LARGEST_QUARANTINE) } else { 0 }
    }

    /// # Safety
    /// `ring` is room for so many numbers that nobody else uses.
    pub unsafe fn new(ring: NonNull<u32>, room: u32) -> Self {
        Self { ring, room, first: 0, len: 0 }
    }

    /// How many slots are in it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Keeps a slot, and gives the one that was kept longest if there are too many.
    pub fn exchange(&mut self, slot: u32) -> Option<u32> {
        if self.room == 0 {
            return Some(slot);
        }
        let longest = if self.len == self.room { self.take_longest() } else { None };
        let place = (self.first + self.len) % self.room;
        // SAFETY: `place < room`.
        unsafe { self.ring.add(place as usize).write(slot) };
        self.len += 1;
        longest
    }

    /// Keeps none any more.
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// The slot that was kept longest.
    pub fn take_longest(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: `first < room`, since there is one.
        let slot = unsafe { self.ring.add(self.first as usize).read() };
        self.first = (self.first + 1) % self.room;
        self.len -= 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_quarter_and_gives_the_oldest_back() {
        let hardened = Traits { hardened: true, ..Traits::default() };
        let room = |capacity, traits| Quarantine::room(capacity, traits);
        assert_eq!(
            [1, 3, 4, 100, 4096, 1 << 20].map(|capacity| room(capacity, hardened)),
            [0, 0, 1, 25, 1024, 1024]
        );
        let watched = Traits { watched: true, ..Traits::default() };
        assert_eq!((room(100, watched), room(100, Traits::default())), (25, 0));
        assert_eq!(room(100, Traits { bypass: true, ..watched }), 0);
        let mut ring = [0; 3];
        // SAFETY: the ring is this test's own.
        let mut kept = unsafe { Quarantine::new(NonNull::from(&mut ring).cast(), 3) };
        assert_eq!(
            [7, 8, 9, 10, 11].map(|slot| kept.exchange(slot)),
            [None, None, None, Some(7), Some(8)]
        );
        assert_eq!(kept.take_longest(), Some(9));
        assert_eq!((kept.exchange(12), kept.exchange(13)), (None, Some(10)));
        assert_eq!(std::iter::from_fn(|| kept.take_longest()).collect::<Vec<_>>(), [11, 12, 13]);
    }
}
