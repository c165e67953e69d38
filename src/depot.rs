//! Which slots are free, beside those in caches?
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

    /// Fills `places` with what `to` makes of slots, of which `take` would hand out the last first.
    ///
    /// # Panics
    /// If there are not that many.
    #[inline]
    pub fn take_many<T>(&mut self, places: &mut [T], to: impl Fn(u32) -> T) {
        assert!(places.len() <= self.free() as usize);
        let from_stack = places.len().min(self.len as usize);
        // Those that were never out come after those on the stack, the lowest first.
        let (fresh, back) = places.split_at_mut(places.len() - from_stack);
        for (place, slot) in fresh.iter_mut().rev().zip(self.fresh..) {
            *place = to(slot);
        }
        self.fresh += fresh.len() as u32;
        self.len -= from_stack as u32;
        // SAFETY: `len + from_stack <= capacity`, the room of the stack.
        let top = unsafe { self.stack.add(self.len as usize) };
        for (i, place) in back.iter_mut().enumerate() {
            // SAFETY: `i < from_stack`.
            *place = to(unsafe { top.add(i).read() });
        }
    }

    /// Gives the slots back that `from` makes of `items`, the last to be taken first. False, and
    /// nothing happens, if more would be here than ever were out.
    #[inline]
    #[must_use]
    pub fn give_many<T: Copy>(&mut self, items: &[T], from: impl Fn(T) -> u32) -> bool {
        if items.len() > (self.fresh - self.len) as usize {
            return false;
        }
        // SAFETY: `len + items.len() <= fresh <= capacity`, the room of the stack.
        let top = unsafe { self.stack.add(self.len as usize) };
        for (i, &item) in items.iter().enumerate() {
            // SAFETY: `i < items.len()`.
            unsafe { top.add(i).write(from(item)) };
        }
        self.len += items.len() as u32;
        true
    }

    /// How many slots are here.
    pub fn free(&self) -> u32 {
        self.len + (self.capacity - self.fresh)
    }

    /// How many slots are not here.
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
    fn many_come_in_the_order_of_take() {
        for count in 0..=6 {
            let (mut room, mut other) = ([0; 6], [0; 6]);
            let (mut one, mut many) = (depot(&mut room), depot(&mut other));
            for depot in [&mut one, &mut many] {
                (0..4).for_each(|_| _ = depot.take());
                [2, 0, 3].iter().for_each(|&slot| assert!(depot.give(slot)));
            }
            let count = count.min(many.free());
            let single: Vec<_> = (0..count).map(|_| one.take().unwrap()).collect();
            let mut bulk = vec![u32::MAX; count as usize];
            many.take_many(&mut bulk, |slot| slot);
            assert!(bulk.iter().rev().eq(&single));
            assert_eq!(many.free(), one.free());
            many.check();
            assert!(many.give_many(&bulk, |slot| slot));
            many.check();
            assert!(single.iter().all(|&slot| many.take() == Some(slot)));
            assert!(!many.give_many(&[0; 7], |slot| slot));
        }
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
