//! How far may a cache go without the lock, and how does a call under the lock begin and end?

use super::body::Pool;
use super::shared::{Damage, NONE, Shared};
use crate::caches::cache::Cache;
use crate::caches::thread_index::CACHE_DISTANCE;
use crate::os::lock::Guard;
use crate::report::misuse::Kind;

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

    /// Releases the lock, and then reports what was noted under it: a misuse handler may use the pool. False
    /// if another thread is already reporting, or a handler came here: then the depot must hand out nothing.
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
