//! What happens off the fast path: how do caches and the depot trade?
//!
//! Where there is plenty, caches and the depot exchange whole magazines. Where there is less, and where
//! slots come from the bits, entries are moved one by one: no call for one entry moves more than 64.

use core::ptr::null_mut;
use core::sync::atomic::Ordering;

use super::shared::{Damage, Shared};
use super::{Missed, Pool};
use crate::cache::{Cache, Unsettled};
use crate::fence;
use crate::likely_owner::expect;
use crate::magazine::{AT_ONCE, Element, MOST_MOVED_BY_ONE, size_of_room};
use crate::misuse::ALLOC;
use crate::slot::{Entry, State};
use crate::thread_index::{self, CACHE_DISTANCE};
use crate::work;
use crate::zero::zero;

/// How many slots that were never out a cache gets at a time: each is a word to be written, in a line that
/// no cache of the processor's has.
const FRESH_AT_A_TIME: usize = 16;

impl Pool {
    /// The calling thread's cache, wherever it lies. Gives the thread an index if it has none.
    pub(super) fn own_cache(&self) -> Option<&Cache> {
        if !self.has_caches() {
            return None;
        }
        let claimed = thread_index::claim();
        if self.traits.single_thread {
            if claimed {
                // The fast paths find it in a thread with an index, the one that came last.
                self.set_first(thread_index::distance());
            }
            return Some(self.cache(0));
        }
        let distance = self.own_distance();
        (distance < self.caches.line_bytes()).then(|| self.cache_at(distance))
    }

    /// Those that had entries since the pool began anew. With the lock they are all that can have some.
    pub(super) fn all_caches(&self) -> impl Iterator<Item = &Cache> {
        // Relaxed: it is written with the lock.
        (0..self.seen.load(Ordering::Relaxed)).map(|number| self.cache(number.into()))
    }

    /// A cache's number.
    pub(super) fn number_of(&self, cache: &Cache) -> u32 {
        let distance = &raw const *cache as usize - self.address() - size_of::<Self>();
        (distance / CACHE_DISTANCE) as u32
    }

    pub(super) fn cache(&self, number: usize) -> &Cache {
        self.cache_at(number * CACHE_DISTANCE)
    }

    /// The thread's cache is empty, closed, none, or not for the fast path.
    #[cold]
    #[inline(never)]
    pub fn alloc_slow(&self, missed: Missed) -> Option<Entry> {
        let mut unsettled = missed == Missed::Stopped;
        self.expect_live(ALLOC);
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
            // With an index new to this thread comes a cache that may hold entries.
            if !unsettled && let Ok(entry) = cache.pop(fence::light) {
                return Some(entry);
            }
            if let Some(entry) = cache.settle_pop() {
                if cache.is_open() {
                    self.set_limits(shared, cache, cache.most(), true);
                } else {
                    // The thief left it. So may it have left others.
                    self.come_by_closed(cache, shared);
                    shared.note_peak();
                }
                return Some(entry);
            }
            if shared.damage != Damage::None {
                return None;
            }
            let target = self.adjust(cache, shared)?;
            if cache.loaded_len() == 0 {
                self.refill(cache, shared, target);
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
                        shared.rack.take_more(size, |rack| rack.take_filled(size))
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
            let most = if target > room { AT_ONCE } else { target / 2 }.min(room);
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

    /// The thread has no cache, or none for the fast path, or did not know yet that it has one.
    #[cold]
    #[inline(never)]
    pub(super) fn free_slow(&self, entry: Entry) {
        if self.traits.guarded() {
            return self.free_guarded(entry);
        }
        // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
        unsafe { entry.mark(self.address(), State::Free) };
        if self.traits.zero_on_free {
            // SAFETY: the payload has that many bytes, and the slot is this call's.
            unsafe { zero(entry.payload(), self.elem_size) };
        }
        let own = self.own_cache();
        if let Some((cache, top)) = own.and_then(|cache| Some((cache, cache.top()?))) {
            // SAFETY: the cache is the thread's own, and the slot this call's.
            if unsafe { cache.push(top, entry, self.fence()) } == Err(Unsettled) {
                self.settle_push(cache);
            }
            return;
        }
        let mut shared = self.enter(false);
        self.visit(&mut shared);
        if let Some(cache) = own {
            // SAFETY: the cache is the thread's own, closed as there is no magazine, and this call has the lock.
            unsafe { self.adjust(cache, &mut shared) };
        } else if self.has_only_one() {
            self.note_visitor(&mut shared);
        }
        self.give(&mut shared, entry);
        self.leave(shared);
    }

    /// The thread's own cache is full or closed, and has one entry more.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_push(&self, cache: &Cache) {
        let mut shared = self.enter(true);
        self.visit(&mut shared);
        // SAFETY: the cache is the caller's own, and this call holds the lock.
        unsafe {
            if !cache.is_open() {
                if let Some(entry) = cache.settle_push() {
                    self.give(&mut shared, entry);
                }
                self.come_by_closed(cache, &mut shared);
            } else if let Some(target) = self.adjust(cache, &mut shared) {
                self.make_room(cache, &mut shared, target);
                self.set_limits(&mut shared, cache, target.min(cache.room()), false);
            }
        }
        self.leave(shared);
    }

    /// Brings a cache down to what it may have, as far as one call goes.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled, and `shared` is locked.
    unsafe fn make_room(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        let room = cache.room();
        // SAFETY: by this function's contract. The loaded magazine has one element more than room.
        unsafe {
            let (elements, len) = cache.elements();
            if target > room {
                if len > room {
                    let last = elements[room];
                    cache.set_len(room);
                    work::moved(1);
                    self.put_aside(cache, shared);
                    let (elements, len) = cache.elements();
                    elements[len] = last;
                    cache.set_len(len + 1);
                }
            } else if len > MOST_MOVED_BY_ONE + 1 {
                // From when there was plenty, up to a magazine: the next pushes go on.
                self.move_top(cache, shared);
            } else if len > target {
                // Each may put another one from the depot's ring into the bits.
                let oldest = (len - target / 2).min(MOST_MOVED_BY_ONE / 2 + 1);
                self.give_all(shared, &elements[..oldest]);
                elements.copy_within(oldest..len, 0);
                work::moved(len - oldest);
                cache.set_len(len - oldest);
            }
        }
    }

    /// The loaded magazine is full: loads one that has room.
    ///
    /// # Safety
    /// As [`make_room`](Self::make_room).
    #[inline(never)]
    unsafe fn put_aside(&self, cache: &Cache, shared: &mut Shared) {
        let room = cache.room();
        let (size, (spare, spare_len)) = (size_of_room(room), cache.spare());
        // SAFETY: by this function's contract; what is full has `room` valid elements.
        unsafe {
            if spare.is_null() {
                let Some(empty) = shared.rack.take_more(size, |rack| rack.take_empty(size)) else {
                    return self.move_top(cache, shared);
                };
                let full = cache.load(empty, room, 0);
                cache.set_spare(full, room);
                return;
            }
            if spare_len == room
                && let Some(empty) = shared.rack.take_empty(size)
            {
                let full = cache.load(empty, room, 0);
                cache.set_spare(full, room);
                shared.rack.put(spare, size, room);
                return;
            }
            let rest =
                if spare_len == room { self.give_top(shared, spare, room) } else { spare_len };
            let full = cache.load(spare, room, rest);
            cache.set_spare(full, room);
        }
    }

    /// Gives the top entries of the loaded magazine to the depot, as many as a call moves.
    ///
    /// # Safety
    /// As [`make_room`](Self::make_room).
    pub(super) unsafe fn move_top(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            let (elements, len) = cache.elements();
            let rest = len.saturating_sub(AT_ONCE);
            self.give_to_bits(shared, &elements[rest..len]);
            cache.set_len(rest);
        }
    }

    /// Gives the top entries of a magazine with `len` of them to the depot, as many as a call moves. Says how
    /// many are left.
    ///
    /// # Safety
    /// The magazine is the caller's, and `shared` is locked.
    #[inline(never)]
    unsafe fn give_top(&self, shared: &mut Shared, magazine: *mut Element, len: usize) -> usize {
        let rest = len.saturating_sub(AT_ONCE);
        // SAFETY: these are valid; an atomic pointer is laid out like a plain one.
        let top = unsafe {
            core::slice::from_raw_parts(magazine.add(rest).cast::<*mut u8>(), len - rest)
        };
        self.give_to_bits(shared, top);
        rest
    }

    /// Gives a free slot to the depot. [`leave`](Self::leave) must follow.
    pub(super) fn give(&self, shared: &mut Shared, entry: Entry) {
        let slot = self.slot(entry);
        if !shared.depot.give(slot) {
            shared.note_damage(slot);
        }
    }

    /// Gives free slots to the depot. [`leave`](Self::leave) must follow.
    #[inline(never)]
    pub(super) fn give_all(&self, shared: &mut Shared, payloads: &[*mut u8]) {
        let numbers = payloads.iter().map(|&payload| self.slot(Entry::at(payload)));
        shared.depot.give_many(numbers).unwrap_or_else(|slot| shared.note_damage(slot));
    }

    /// The same of slots that nobody is likelier to want next than others.
    #[inline(never)]
    pub(super) fn give_to_bits(&self, shared: &mut Shared, payloads: &[*mut u8]) {
        payloads.iter().for_each(|&payload| self.give_drained(shared, Entry::at(payload)));
    }

    /// Gives the slot of an entry that was in a cache to the depot, as [`give_to_bits`](Self::give_to_bits).
    pub(super) fn give_drained(&self, shared: &mut Shared, entry: Entry) {
        let slot = self.slot(entry);
        if !shared.depot.give_to_bits(slot) {
            shared.note_damage(slot);
        }
    }

    /// The owner's side of the protocol on a detour.
    fn fence(&self) -> fn() {
        if self.caches.light || self.traits.single_thread { fence::light } else { fence::full }
    }
}
