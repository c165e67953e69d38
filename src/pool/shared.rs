//! What do threads share behind a pool's lock, and what was the most that was out?

use core::ptr::NonNull;

use super::Pool;
use super::guard::Guarding;
use crate::cache::Cache;
use crate::depot::Depot;
use crate::lock::{Guard, Tallied, Tally};
use crate::magazine::Rack;
use crate::misuse::Kind;
use crate::thread_index::CACHE_DISTANCE;

/// What is known of a double free that came as far as the depot: the same slot may be there twice.
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
    pub(super) given_up: bool, // never again, since the kernel refuses the heavy fence
    pub(super) claimed: bool,  // those that were open are claimed for a promise
    pub(super) active: u32,    // how many are
    pub(super) visits: u16,    // since they were closed, or more
    pub(super) run: u16, // visits in a row: of who may get the only cache, or without who has it
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
        // SAFETY: it lives as long as the pool, and is reached through `self` alone, which is locked.
        self.guarding.map(|mut guarding| unsafe { guarding.as_mut() })
    }

    /// How many slots are free and kept back.
    pub(super) fn kept_back(&self) -> u32 {
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

impl Pool {
    /// Takes the lock for a call that moves slots. `in_push`: it is a push to the thread's own cache, and the
    /// push stopped.
    #[inline]
    pub(super) fn enter(&self, in_push: bool) -> Guard<'_, Shared> {
        let mut shared = self.shared.lock();
        self.look_at_falling(&mut shared, in_push);
        shared
    }

    /// Sets the limits of a cache, of which one without limits opens. A push comes by from `most` entries on,
    /// and it hands out without the lock what makes no new high-water mark: exactly that for one thread. Where
    /// several fill their caches, an eighth of each goes into the mark at a time, so that threads that use
    /// a new pool don't wait for each other at every entry. `takes`: the call takes entries out.
    ///
    /// # Safety
    /// The cache is the thread's own and settled, has a magazine, and what is in that begins at its start. No
    /// slot came or went since somebody looked at a falling cache.
    #[inline(never)]
    pub(super) unsafe fn set_limits(
        &self,
        shared: &mut Shared,
        cache: &Cache,
        most: usize,
        takes: bool,
    ) {
        let others = shared.held_back - cache.held_back() as u32;
        let all_out = shared.handed().saturating_sub(others);
        let (loaded, (_, spare)) = (cache.loaded_len(), cache.spare());
        let ahead = if shared.active > 1 { loaded / 8 } else { 0 };
        // The spare is out of reach without the lock anyhow.
        let too_many = (all_out.saturating_sub(shared.peak) as usize).saturating_sub(spare);
        let reserve = too_many.min(loaded - ahead);
        if takes && reserve > 0 && shared.active == 1 {
            shared.falling = self.number_of(cache);
            // SAFETY: by this function's contract.
            unsafe { cache.set_limits(0, 0) };
            shared.hold_back(cache, loaded + spare);
        } else {
            if shared.falling == self.number_of(cache) {
                shared.falling = NONE;
            }
            // SAFETY: as above.
            unsafe { cache.set_limits(reserve, most) };
            shared.hold_back(cache, reserve + spare);
        }
        shared.note_peak();
    }

    /// Notes the mark that a falling cache made, before slots come or go.
    #[inline]
    pub(super) fn look_at_falling(&self, shared: &mut Shared, in_push: bool) {
        if shared.falling != NONE {
            let cache = self.cache(shared.falling as usize);
            self.note_fallen(shared, cache, cache.loaded_len(), in_push);
        }
    }

    /// A falling cache has so many entries loaded.
    #[cold]
    pub(super) fn note_fallen(
        &self,
        shared: &mut Shared,
        cache: &Cache,
        loaded: usize,
        in_push: bool,
    ) {
        // Another thread may be in the middle of a push: it had one less before.
        let one = usize::from(in_push || !self.is_own(cache));
        shared.hold_back(cache, loaded.saturating_sub(one) + cache.spare().1);
        shared.note_peak();
    }

    /// Whether the calling thread owns a cache.
    pub(super) fn is_own(&self, cache: &Cache) -> bool {
        self.traits.single_thread
            || self.own_distance() == self.number_of(cache) as usize * CACHE_DISTANCE
    }

    /// Gives the lock back, and then tells what was noted under it: a handler of misuse may use the
    /// pool. False if another thread is telling that already, or a handler came here: nothing that the
    /// depot has may be handed out.
    pub(super) fn leave(&self, shared: Guard<'_, Shared>) -> bool {
        shared.damage == Damage::None || self.leave_damaged(shared)
    }

    #[cold]
    #[inline(never)]
    fn leave_damaged(&self, mut shared: Guard<'_, Shared>) -> bool {
        let damage = core::mem::replace(&mut shared.damage, Damage::Told);
        drop(shared);
        if let Damage::Seen(slot) = damage {
            self.stop((Kind::DoubleFree, self.entry(slot)));
        }
        false
    }
}
