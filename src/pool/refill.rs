//! What happens when the fast path has no entry: how do caches get some from the depot?
//!
//! Where there is plenty, caches and the depot exchange whole magazines. Where there is less, and where
//! slots come from the bits, entries are moved one by one: no call for one entry moves more than 64.

use core::ptr::null_mut;

use super::body::Pool;
use super::fast::Missed;
use super::shared::{Damage, Shared};
use crate::caches::cache::Cache;
use crate::caches::magazine::{AT_ONCE, size_of_room};
use crate::os::{fence, probe};
use crate::slots::likely_owner::expect;
use crate::slots::word::{Entry, State};
use crate::slots::work;

/// How many slots that were never out a cache gets at a time, side by side. With fewer, entries of several threads
/// share lines of the processor's caches; each is a word to be written, in a line that none of those has.
const FRESH_AT_A_TIME: usize = 60;

impl Pool {
    /// The thread's cache is empty, closed, none, or not for the fast path.
    #[cold]
    #[inline(never)]
    pub fn alloc_slow(&self, missed: Missed) -> Option<Entry> {
        let mut unsettled = missed == Missed::Stopped;
        if self.traits.guarded() {
            return self.alloc_guarded();
        }
        let own = self.own_cache();
        if self.fast_end == 0
            && let Some(cache) = own
        {
            // SAFETY: the cache is the thread's own.
            if let Ok(entry) = unsafe { cache.pop(self.fence()) } {
                // SAFETY: the slot was free, so it is this call's.
                unsafe { entry.mark(self.address(), State::Out) };
                return Some(entry);
            }
            unsettled = true;
        }
        let mut shared = self.enter(false);
        let taken = own
            // SAFETY: the cache is the thread's own, and this call holds the lock.
            .and_then(|cache| unsafe { self.alloc_through(cache, &mut shared, unsettled) })
            .or_else(|| {
                self.visit(&mut shared);
                if own.is_none() && self.has_only_one() {
                    self.note_visitor(&mut shared);
                }
                self.take_one(&mut shared)
            });
        if let Some(entry) = taken {
            // SAFETY: the slot was free, so it is this call's.
            unsafe { entry.mark(self.address(), State::Out) };
        }
        self.leave(shared).then_some(taken).flatten()
    }

    /// Gets an entry from the thread's cache or, if that is empty, from the depot, and more into the cache if
    /// there is plenty. None if the cache is to stay closed.
    ///
    /// # Safety
    /// The cache is the thread's own, `shared` is locked, and `unsettled` says that the last call on
    /// the cache was such a pop.
    unsafe fn alloc_through(
        &self,
        cache: &Cache,
        shared: &mut Shared,
        unsettled: bool,
    ) -> Option<Entry> {
        // SAFETY: by this function's contract.
        unsafe {
            // A new index brings a cache that may hold entries.
            if !unsettled && let Ok(entry) = cache.pop(fence::light) {
                return Some(entry);
            }
            if let Some(entry) = cache.settle_pop() {
                if cache.is_open() {
                    self.set_limits(shared, cache, cache.most(), true);
                } else {
                    // The thief left it, and may have left others.
                    self.come_by_closed(cache, shared);
                    shared.note_peak();
                }
                return Some(entry);
            }
            if shared.damage != Damage::None {
                return None;
            }
            // A change of magazines brings entries to the depot, too.
            let before = shared.free();
            let target = self.adjust(cache, shared)?;
            if cache.loaded_len() == 0 {
                self.refill(cache, shared, target);
                probe::refill(self.traced(), before.saturating_sub(shared.free()) as usize);
            }
            let (elements, len) = cache.elements();
            let last = len.checked_sub(1)?;
            let entry = Entry::at(elements[last]);
            cache.set_len(last);
            self.set_limits(shared, cache, target.min(cache.room()), true);
            Some(entry)
        }
    }

    /// Gets entries into a cache that is empty: a magazine, if there is one, else as many as a call may move.
    ///
    /// # Safety
    /// The cache is the thread's own and open, and its loaded magazine empty; `shared` is locked.
    unsafe fn refill(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        let room = cache.room();
        // SAFETY: by this function's contract. What the rack and the spare have is valid.
        unsafe {
            if target > room {
                let (size, (spare, len)) = (size_of_room(room), cache.spare());
                if len > 0 {
                    let empty = cache.load(spare, room, len);
                    cache.set_spare(empty, 0);
                    return;
                }
                if spare.is_null()
                    && let Some((filled, len)) =
                        shared.rack.take_more(size, shared.active, |rack| rack.take_filled(size))
                {
                    let empty = cache.load(filled, room, len);
                    cache.set_spare(empty, 0);
                    return;
                }
                if let Some((filled, len)) = shared.rack.take_filled(size) {
                    let empty = cache.load(filled, room, len);
                    shared.rack.put(empty, size, 0);
                    return;
                }
            }
            let most = if target > room { AT_ONCE } else { AT_ONCE.min(target / 2) }.min(room);
            let (elements, _) = cache.elements();
            let count = self.take_some(shared, &mut elements[..most]);
            cache.set_len(count);
        }
    }

    /// Fills the first of `places` with free slots of the depot's, what came back last in the last of them.
    /// Says how many: of slots that were never out, few.
    #[inline(never)]
    fn take_some(&self, shared: &mut Shared, places: &mut [*mut u8]) -> usize {
        let depot = &mut shared.depot;
        if !depot.has_recent() {
            let count = shared.rack.take_some(places);
            if count > 0 {
                return count;
            }
        }
        let count = match depot.used_before() as usize {
            0 => FRESH_AT_A_TIME.min(depot.free() as usize),
            used => used,
        };
        let count = count.min(places.len());
        self.take_from_depot(shared, &mut places[..count]);
        count
    }

    /// Fills all of `places` with slots of the depot's, of which there are enough, what came back last in the
    /// last of them. Says how many did not come back lately: they are the first places', and fall.
    #[inline(never)]
    pub(super) fn take_from_depot(&self, shared: &mut Shared, places: &mut [*mut u8]) -> usize {
        let (slots, stride, fresh) = (self.slots, self.stride, shared.depot.fresh());
        let falling = shared.depot.take_many(places, |slot| {
            // SAFETY: a slot of the depot's is below the capacity, and this call's.
            unsafe {
                let payload = slots.add(slot as usize * stride);
                if slot >= fresh {
                    work::touched(1);
                    // The fast path counts on a word.
                    Entry::new(payload).mark(self.address(), State::Free);
                }
                payload.as_ptr()
            }
        });
        // Of the others it is known since they went out before.
        expect(&places[..falling], self.address());
        falling
    }

    /// Takes one slot, if need be out of other threads' caches.
    fn take_one(&self, shared: &mut Shared) -> Option<Entry> {
        if shared.free() == 0 {
            self.take_back_from_caches(shared);
        }
        let entry = if shared.depot.has_recent() || shared.rack.entries() == 0 {
            let entry = self.entry(shared.depot.take()?);
            // It may go into a cache next.
            expect(&[entry.payload()], self.address());
            entry
        } else {
            let mut place = null_mut();
            shared.rack.take_some(core::slice::from_mut(&mut place));
            Entry::at(place)
        };
        shared.note_peak();
        Some(entry)
    }
}
