//! What do threads share behind a pool's lock, and how many entries were out at most?

use core::ptr::NonNull;

use super::guarding::Guarding;
use crate::caches::cache::Cache;
use crate::caches::magazine::Rack;
use crate::memory::fields::{Field, fields};
use crate::os::SMALL;
use crate::os::lock::{Tallied, Tally};
use crate::slots::depot::Depot;

/// A double free that reached the depot: the same slot may be there twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    Seen(u32), // the slot; whoever holds the lock tells when it has given that back
    Told,      // the process is about to end
}

/// What threads share, behind the lock.
///
/// Invariant: `held_back` is the sum of what the caches hold back; `out with callers <= handed() -
/// held_back <= peak`. Hence the high-water mark costs the fast path nothing: a cache may hand out freely
/// what can't make a new one, and what could is below its floor. Or, if it is the only one that is open, it
/// begins to *fall*, and goes on when others open: it hands out all that it has, and its first push comes by.
/// Until then it only falls, so that whoever has the lock learns the mark by a look at it, before slots come
/// or go; and what it holds back is what it had then, or more.
pub(super) struct Shared {
    pub(super) depot: Depot,
    pub(super) rack: Rack,
    pub(super) guarding: Option<NonNull<Guarding>>, // of a guarded pool
    pub(super) open: bool,                          // caches may be open
    pub(super) given_up: bool, // never again, since the system refuses the heavy fence
    pub(super) claimed: bool,  // those that were open are claimed for a promise
    pub(super) active: u32,    // how many are
    pub(super) visits: u16,    // since they were closed, or more
    pub(super) run: u16, // visits in a row, for the only cache; of several caches, the last one looked at
    pub(super) promised: u32, // slots that a call will take before it gives the lock back
    pub(super) held_back: u32, // slots in caches that can't go out without the lock
    pub(super) falling: u32, // that one's number, or NONE
    pub(super) drained: u32, // after a shortage: so many caches, the first, have nothing left
    pub(super) peak: u32, // the most that were out at once
    pub(super) damage: Damage,
}

/// No cache's number.
pub(super) const NONE: u32 = u32::MAX;

impl Tallied for Shared {
    /// How many slots are in caches or out, and the high-water mark.
    fn tally(&self) -> Tally {
        [self.handed(), self.peak]
    }
}

impl Shared {
    /// What a debugger reads of it.
    pub(super) const FIELDS: &[Field] = fields!(Shared: depot, rack, guarding, peak);

    /// How many slots are free, beside those in caches.
    pub(super) fn free(&self) -> u32 {
        self.depot.free() + self.rack.entries()
    }

    /// How many slots are in caches or out.
    pub(super) fn handed(&self) -> u32 {
        // A double free can have brought more back than there is, until it is told.
        self.depot.out().saturating_sub(self.kept_back() + self.rack.entries())
    }

    /// What a guarded pool has in place of caches.
    pub(super) fn guarding(&mut self) -> Option<&mut Guarding> {
        if SMALL {
            return None;
        }
        // SAFETY: it lives as long as the pool, and is reached through `self` alone, which is locked.
        self.guarding.map(|mut guarding| unsafe { guarding.as_mut() })
    }

    /// How many slots are free and held back.
    pub(super) fn kept_back(&self) -> u32 {
        if SMALL {
            return 0;
        }
        // SAFETY: as in `guarding`.
        self.guarding.map_or(0, |guarding| unsafe { guarding.as_ref() }.quarantine.len())
    }

    /// Slots went out, or into caches.
    pub(super) fn note_peak(&mut self) {
        self.peak = self.peak.max(self.handed().saturating_sub(self.held_back));
    }

    /// So many entries of a cache can't go out without the lock.
    pub(super) fn hold_back(&mut self, cache: &Cache, count: usize) {
        self.held_back = self.held_back - cache.held_back() as u32 + count as u32;
        // SAFETY: `self` is what the lock is for.
        unsafe { cache.set_held_back(count) };
    }

    /// All caches are closed and empty, and all slots in the depot. The high-water mark stays, and so do
    /// caches that were given up.
    pub(super) fn start_anew(&mut self, has_caches: bool) {
        self.open = has_caches && !self.given_up;
        self.active = 0;
        self.held_back = 0;
        self.falling = NONE;
    }

    /// A slot's entry was freed twice.
    #[cold]
    pub(super) fn note_damage(&mut self, slot: u32) {
        if self.damage == Damage::None {
            self.damage = Damage::Seen(slot);
        }
    }
}
