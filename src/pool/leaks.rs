//! Which entries are out when a pool goes?

use super::Pool;
use crate::misuse::{self, LEAKS_NAMED};
use crate::slot::State;

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
        misuse::tell_of_leak(count, first, self.subject());
    }

    /// Whether a caller holds the slot's entry. A slot that was never out has no word of ours.
    pub(super) fn is_out(&self, slot: u32) -> bool {
        // SAFETY: it is a slot of this pool's.
        let decoded = unsafe { self.entry(slot).decode_shared() };
        decoded.owner_and_state() == Some((self.address(), State::Out))
    }
}
