//! Which entries are out, and what is at an address where none is?

use super::body::Pool;
use crate::report::misuse::{self, Kind, LEAKS_NAMED};
use crate::slots::word::State;

impl Pool {
    /// Reports the entries that are out, if any. O(caches) if none are, else O(capacity).
    pub fn report_leak(&self) {
        let count = self.used() + self.dynamic_count();
        if count == 0 {
            return;
        }
        let mut first = [0; LEAKS_NAMED];
        let mut places = first.iter_mut();
        let fresh = self.shared.lock().depot.fresh();
        for (slot, place) in (0..fresh).filter(|&slot| self.is_out(slot)).zip(&mut places) {
            *place = self.entry(slot).address();
        }
        for (entry, place) in self.dynamic.lock().entries().zip(places) {
            *place = entry.address();
        }
        let takers = self.callers().map(|callers| callers.most());
        misuse::tell_of_leak(count, first, takers, self.subject());
    }

    /// Whether a caller holds the slot's entry. A slot that was never out has no word of ours.
    pub(super) fn is_out(&self, slot: u32) -> bool {
        // SAFETY: it is a slot of this pool's.
        let decoded = unsafe { self.entry(slot).decode_shared() };
        decoded.owner_and_state() == Some((self.address(), State::Out))
    }

    /// What is at an address that may not be freed, if it lies among this pool's slots.
    pub fn what_is_at(&self, address: usize) -> Option<Kind> {
        let offset = address.wrapping_sub(self.slots.as_ptr() as usize);
        if offset >= self.stride * self.capacity as usize {
            return None;
        }
        if !offset.is_multiple_of(self.stride) {
            return Some(Kind::Interior { offset: offset % self.stride });
        }
        let slot = offset / self.stride;
        // A hardened pool's slots all have words. The lock once more, in the same way: without it, the
        // entry counts as one that was out.
        let untouched = !self.traits.hardened
            && self
                .shared
                .lock_unless_held()
                .is_some_and(|shared| slot >= shared.depot.fresh() as usize);
        Some(if untouched { Kind::NeverOut } else { Kind::HeaderOverwritten })
    }
}
