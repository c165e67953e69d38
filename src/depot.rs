//! Which slots are free?
//!
//! Slots go by number. Those that were never handed out are the numbers from `fresh` up; those that
//! came back are on a stack of 4-byte numbers that lies outside the slots: a write after free can
//! damage a freed payload, never the pool, and a walk through cold memory waits for no chain of
//! pointers. Taking and giving are O(1).

use core::ptr::NonNull;

/// The free slots of a pool.
///
/// Invariant: `len <= fresh <= capacity`; the numbers in `stack[..len]` are distinct and below
/// `fresh`; `out == fresh - len`.
pub struct Depot {
    stack: NonNull<u32>, // `capacity` numbers
    len: u32,            // how many of them are free slots that were out before
    fresh: u32,          // this slot and all above were never handed out
    capacity: u32,
}

impl Depot {
    /// A depot in which all `capacity` slots are free.
    ///
    /// # Safety
    /// `stack` is room for `capacity` numbers that nobody else uses while the depot exists.
    pub unsafe fn new(stack: NonNull<u32>, capacity: u32) -> Self {
        Self { stack, len: 0, fresh: 0, capacity }
    }

    /// Takes a free slot: the one given last, else the lowest that was never out.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        if self.len > 0 {
            self.len -= 1;
            // SAFETY: `len <= capacity`, the room of the stack.
            return Some(unsafe { self.stack.add(self.len as usize).read() });
        }
        if self.fresh < self.capacity {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        None
    }

    /// Gives a slot back. False if all slots that were ever out are here already, which only a
    /// double free brings about.
    #[inline]
    #[must_use]
    pub fn give(&mut self, slot: u32) -> bool {
        if self.len == self.fresh {
            return false;
        }
        // SAFETY: `len < fresh <= capacity`, the room of the stack.
        unsafe { self.stack.add(self.len as usize).write(slot) };
        self.len += 1;
        true
    }

    /// How many slots are with callers.
    pub fn out(&self) -> u32 {
        self.fresh - self.len
    }

    /// This slot and all above were never handed out.
    pub fn fresh(&self) -> u32 {
        self.fresh
    }

    /// Proves the invariant, in O(capacity) time and memory of the heap.
    #[cfg(test)]
    pub fn check(&self) {
        assert!(self.len <= self.fresh && self.fresh <= self.capacity);
        let mut seen = vec![false; self.fresh as usize];
        for i in 0..self.len as usize {
            // SAFETY: `i < len <= capacity`.
            let slot = unsafe { self.stack.add(i).read() } as usize;
            assert!(!core::mem::replace(&mut seen[slot], true), "slot {slot} is free twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depot(room: &mut [u32]) -> Depot {
        // SAFETY: the room outlives the depot in each test and is used by it alone.
        unsafe { Depot::new(NonNull::from(&mut room[0]), room.len() as u32) }
    }

    #[test]
    fn hands_out_each_slot_once() {
        let mut room = [0; 5];
        let mut depot = depot(&mut room);
        let taken: Vec<_> = core::iter::from_fn(|| depot.take()).collect();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        assert_eq!((depot.out(), depot.take()), (5, None));
        depot.check();
    }

    #[test]
    fn the_last_given_is_the_next_taken() {
        let mut room = [0; 5];
        let mut depot = depot(&mut room);
        for _ in 0..4 {
            depot.take();
        }
        assert!(depot.give(1) && depot.give(3));
        depot.check();
        assert_eq!((depot.take(), depot.take(), depot.take()), (Some(3), Some(1), Some(4)));
        assert_eq!(depot.take(), None);
    }

    #[test]
    fn refuses_more_than_were_out() {
        let mut room = [0; 3];
        let mut depot = depot(&mut room);
        depot.take();
        assert!(depot.give(0));
        assert!(!depot.give(0));
        depot.check();
    }
}
