//! What happens off the fast path: how do caches and the depot trade?
//!
//! Where there is plenty, caches and the depot exchange whole magazines. Where there is less, and where
//! slots come from the bits, entries are moved one by one: no call for one entry moves more than 64.

use core::ptr::{self, NonNull, null, null_mut};

use super::guard::Guarding;
use super::{Missed, Pool, slot_number};
use crate::cache::{Cache, Unsettled};
use crate::cache_plan::LARGEST_ROOM;
use crate::depot::Depot;
use crate::fence;
use crate::likely_owner::expect;
use crate::lock::{Guard, Tallied, Tally};
use crate::magazine::{AT_ONCE, Element, Rack};
use crate::misuse::{ALLOC, Kind};
use crate::slot::{Entry, State};
use crate::thread_index::{self, CACHE_DISTANCE};
use crate::work;
use crate::zero::zero;

/// The caches open again after a shortage once the depot was visited this often and has
/// [`PLENTY`] of the pool's slots: closing them costs as much as some hundred visits.
const VISITS_AFTER_SHORTAGE: u32 = 4096;
/// One in this many.
const PLENTY: u32 = 16;
/// A cache of fewer entries is not worth the trouble.
const SMALLEST_TARGET: usize = 8;
/// How many slots that were never out a cache gets at a time: each is a word to be written, in a line that
/// no cache of the processor's has.
const FRESH_AT_A_TIME: usize = 16;

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
    pub(super) visits: u32,    // since they were closed
    pub(super) promised: u32,  // slots that a call will take before it gives the lock back
    pub(super) held_back: u32, // slots in caches that can't go out without the lock
    pub(super) falling: *const Cache, // that one, or NULL
    pub(super) drained: u32,   // after a shortage: so many caches, the first, have nothing left
    pub(super) peak: u32,      // the most that were out at once
    pub(super) damage: Damage,
}

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

    /// Sets the limits of a cache, of which one without limits opens. A push comes by from `most` entries on,
    /// and it hands out without the lock what makes no new high-water mark: exactly that for one thread. Where
    /// several fill their caches, an eighth of each goes into the mark at a time, so that threads that use
    /// a new pool don't wait for each other at every entry. `takes`: the call takes entries out.
    ///
    /// # Safety
    /// The cache is the thread's own and settled, and what is in it begins at its start. No slot came or went
    /// since somebody looked at a falling cache.
    #[inline(never)]
    pub(super) unsafe fn set_limits(&mut self, cache: &Cache, most: usize, takes: bool) {
        let others = self.held_back - cache.held_back() as u32;
        let all_out = self.handed().saturating_sub(others);
        let (loaded, (_, spare)) = (cache.loaded_len(), cache.spare());
        let ahead = if self.active > 1 { loaded / 8 } else { 0 };
        // The spare is out of reach without the lock anyhow.
        let too_many = (all_out.saturating_sub(self.peak) as usize).saturating_sub(spare);
        let reserve = too_many.min(loaded - ahead);
        if takes && reserve > 0 && self.active == 1 {
            self.falling = cache;
            // SAFETY: by this function's contract.
            unsafe { cache.set_limits(0, 0) };
            self.hold_back(cache, loaded + spare);
        } else {
            if ptr::eq(self.falling, cache) {
                self.falling = null();
            }
            // SAFETY: as above.
            unsafe { cache.set_limits(reserve, most) };
            self.hold_back(cache, reserve + spare);
        }
        self.note_peak();
    }

    /// All caches are closed and empty, and all slots in the depot. The high-water mark stays, and so do
    /// caches that were given up.
    pub(super) fn start_anew(&mut self, has_caches: bool) {
        self.open = has_caches && !self.given_up;
        self.active = 0;
        self.held_back = 0;
        self.falling = null();
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
    /// The calling thread's cache, wherever it lies. Gives the thread an index if it has none.
    pub(super) fn own_cache(&self) -> Option<&Cache> {
        let count = self.caches.count();
        let number = if self.traits.single_thread {
            // The fast paths find it in a thread with an index, the one that came last.
            if count > 0 && thread_index::claim() {
                // SAFETY: calls on the pool don't overlap.
                unsafe { *self.first.get() = thread_index::distance() };
            }
            0
        } else if count > 0 && thread_index::claim() {
            thread_index::distance() / CACHE_DISTANCE
        } else {
            return None;
        };
        (number < count).then(|| self.cache(number))
    }

    /// Takes the lock for a call that moves slots. `in_push`: it is a push to the thread's own cache, and the
    /// push stopped.
    #[inline]
    pub(super) fn enter(&self, in_push: bool) -> Guard<'_, Shared> {
        let mut shared = self.shared.lock();
        self.look_at_falling(&mut shared, in_push);
        shared
    }

    /// Notes the mark that a falling cache made, before slots come or go.
    #[inline]
    pub(super) fn look_at_falling(&self, shared: &mut Shared, in_push: bool) {
        if !shared.falling.is_null() {
            // SAFETY: it is a cache of this pool's.
            let cache = unsafe { &*shared.falling };
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

    fn is_own(&self, cache: &Cache) -> bool {
        let is_at = |index| ptr::eq(cache, self.cache(index));
        self.traits.single_thread || thread_index::own_index().is_some_and(is_at)
    }

    pub(super) fn all_caches(&self) -> impl Iterator<Item = &Cache> {
        (0..self.caches.count()).map(|number| self.cache(number))
    }

    pub(super) fn cache(&self, number: usize) -> &Cache {
        self.cache_at(number * CACHE_DISTANCE)
    }

    /// The thread's cache is empty, closed, none, or not for the fast path.
    #[cold]
    #[inline(never)]
    pub fn alloc_slow(&self, Missed { mut unsettled }: Missed) -> Option<Entry> {
        self.expect_live(ALLOC);
        if self.traits.guarded() {
            return self.alloc_guarded();
        }
        let own = self.own_cache();
        if !self.caches.fast
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
                    shared.set_limits(cache, cache.most(), true);
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
            let (elements, len) = cache.elements(self.caches.room());
            let last = len.checked_sub(1)?;
            let entry = Entry::new(NonNull::new_unchecked(elements[last]));
            cache.set_len(last);
            shared.set_limits(cache, target.min(self.caches.room()), true);
            Some(entry)
        }
    }

    /// Gets entries into a cache that is empty: a magazine, if there is one, else as many as a call may move.
    ///
    /// # Safety
    /// The cache is the thread's own and open, and its loaded magazine empty; `shared` is locked.
    unsafe fn refill(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        let room = self.caches.room();
        // SAFETY: by this function's contract. What the rack and the spare have is valid.
        unsafe {
            if target > room {
                let (spare, len) = cache.spare();
                if len > 0 {
                    let empty = cache.load(spare, len);
                    cache.set_spare(empty, 0);
                    return;
                }
                if let Some((filled, len)) = shared.rack.take_filled() {
                    let empty = cache.load(filled, len);
                    if spare.is_null() {
                        cache.set_spare(empty, 0);
                    } else {
                        shared.rack.put(empty, 0);
                    }
                    return;
                }
            }
            let most = if target > room { AT_ONCE } else { target / 2 }.min(room);
            let (elements, _) = cache.elements(room);
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
        let places = &mut places[..count];
        let (slots, stride, fresh) = (self.slots, self.stride, depot.fresh());
        let falling = depot.take_many(places, |slot| {
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
        count
    }

    /// Takes one slot, if need be out of other threads' caches.
    fn take_one(&self, shared: &mut Shared) -> Option<Entry> {
        if shared.free() == 0 {
            self.take_back_from_caches(shared);
        }
        let entry = if shared.depot.has_recent() || shared.rack.entries() == 0 {
            self.entry(shared.depot.take()?)
        } else {
            let mut place = null_mut();
            shared.rack.take_some(core::slice::from_mut(&mut place));
            Entry::new(NonNull::new(place)?)
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
        match self.own_cache() {
            // SAFETY: the cache is the thread's own, and the slot this call's.
            Some(cache) => match unsafe { cache.push(entry, self.fence()) } {
                Ok(()) => {}
                Err(Unsettled) => self.settle_push(cache),
            },
            None => {
                let mut shared = self.enter(false);
                self.visit(&mut shared);
                self.give(&mut shared, entry);
                self.leave(shared);
            }
        }
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
                shared.set_limits(cache, target.min(self.caches.room()), false);
            }
        }
        self.leave(shared);
    }

    /// Brings a cache down to what it may have, as far as one call goes.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled, and `shared` is locked.
    unsafe fn make_room(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        let room = self.caches.room();
        // SAFETY: by this function's contract. The loaded magazine has one element more than room.
        unsafe {
            let (elements, len) = cache.elements(room);
            if target > room {
                if len > room {
                    let last = elements[room];
                    cache.set_len(room);
                    work::moved(1);
                    self.put_aside(cache, shared);
                    let (elements, len) = cache.elements(room);
                    elements[len] = last;
                    cache.set_len(len + 1);
                }
            } else if len > LARGEST_ROOM + 1 {
                // From when there was plenty, up to a magazine: the next pushes go on.
                self.move_top(cache, shared);
            } else if len > target {
                // Each may put another one from the depot's ring into the bits.
                let oldest = (len - target / 2).min(LARGEST_ROOM / 2 + 1);
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
        let room = self.caches.room();
        let (spare, spare_len) = cache.spare();
        // SAFETY: by this function's contract; what is full has `room` valid elements.
        unsafe {
            if spare.is_null() || spare_len == room {
                if let Some(empty) = shared.rack.take_empty() {
                    let full = cache.load(empty, 0);
                    cache.set_spare(full, room);
                    if !spare.is_null() {
                        shared.rack.put(spare, room);
                    }
                    return;
                }
                if spare.is_null() {
                    return self.move_top(cache, shared);
                }
            }
            let rest =
                if spare_len == room { self.give_top(shared, spare, room) } else { spare_len };
            let full = cache.load(spare, rest);
            cache.set_spare(full, room);
        }
    }

    /// Gives the top entries of the loaded magazine to the depot, as many as a call moves.
    ///
    /// # Safety
    /// As [`make_room`](Self::make_room).
    unsafe fn move_top(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            let (elements, len) = cache.elements(self.caches.room());
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

    /// The owner of a closed cache has the lock: the cache may open, or is to be emptied.
    ///
    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn come_by_closed(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            if shared.given_up {
                // Nobody else may take it.
                cache.drain(AT_ONCE, |entry| self.give_drained(shared, entry));
            } else {
                shared.hold_back(cache, cache.len());
                self.adjust(cache, shared);
            }
        }
    }

    /// Opens or closes the caller's own cache by what the depot has to share out. Returns how many entries
    /// an open one may have: with more than a magazine's, it exchanges magazines.
    ///
    /// # Safety
    /// The cache is the thread's own, settled, and `shared` is locked.
    #[inline(never)]
    pub(super) unsafe fn adjust(&self, cache: &Cache, shared: &mut Shared) -> Option<usize> {
        if !shared.open || self.caches.count() == 0 {
            return None;
        }
        let target = self.target(shared, shared.active + u32::from(!cache.is_open()));
        // SAFETY: by this function's contract.
        unsafe {
            match (cache.is_open(), target >= SMALLEST_TARGET) {
                (true, true) if target > self.caches.room() => {}
                (true, true) => self.return_spare(cache, shared),
                (true, false) => self.close_own(cache, shared),
                (false, true) => self.open_own(cache, shared, target),
                (false, false) => {}
            }
        }
        (target >= SMALLEST_TARGET && cache.is_open()).then_some(target)
    }

    /// How many entries each of so many caches may have.
    pub(super) fn target(&self, shared: &Shared, sharers: u32) -> usize {
        let room = self.caches.room();
        let few = room.min(LARGEST_ROOM);
        let most = if self.caches.exchanges() { 2 * room } else { few };
        let share = (shared.free() / (4 * sharers)) as usize;
        if self.traits.single_thread || share >= most { most } else { few.min(share) }
    }

    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn open_own(&self, cache: &Cache, shared: &mut Shared, target: usize) {
        // SAFETY: by this function's contract. What is left in a closed cache is whoever's has the lock.
        unsafe {
            if !cache.begins_at_start() {
                // Thieves took a part.
                cache.drain(AT_ONCE, |entry| self.give_drained(shared, entry));
                shared.hold_back(cache, cache.len());
                if cache.loaded_len() > 0 {
                    return;
                }
                cache.abandon();
            }
            shared.active += 1;
            shared.set_limits(cache, target.min(self.caches.room()), false);
        }
    }

    /// Closes the thread's own cache and brings what is in it to the depot, if that is no more than a call
    /// may move; else a part, and the next push goes on.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn close_own(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract.
        unsafe {
            self.return_spare(cache, shared);
            self.move_top(cache, shared);
            if cache.loaded_len() > 0 {
                return shared.set_limits(cache, 0, false);
            }
        }
        cache.close();
        if ptr::eq(shared.falling, cache) {
            shared.falling = null();
        }
        shared.hold_back(cache, 0);
        shared.active -= 1;
    }

    /// Brings the spare of a cache to the depot.
    ///
    /// # Safety
    /// `shared` is locked.
    #[inline(never)]
    pub(super) unsafe fn return_spare(&self, cache: &Cache, shared: &mut Shared) {
        // SAFETY: by this function's contract; the spare is the lock's.
        unsafe {
            let (spare, len) = cache.set_spare(null_mut(), 0);
            if !spare.is_null() {
                shared.rack.put(spare, len);
                shared.hold_back(cache, cache.held_back().saturating_sub(len));
            }
        }
    }

    /// Counts a call that came to the depot, which after a shortage may end it.
    pub(super) fn visit(&self, shared: &mut Shared) {
        shared.visits = shared.visits.saturating_add(1);
        // What is in closed caches is held back, and as good as free.
        if !shared.open
            && shared.visits > VISITS_AFTER_SHORTAGE
            && shared.free() + shared.held_back > self.capacity / PLENTY
        {
            shared.open = self.has_caches() && !shared.given_up;
        }
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
        let (slots, shift, inverse) = (self.slots, self.stride_shift, self.stride_inverse);
        let numbers =
            payloads.iter().map(|payload| slot_number(*payload as usize, slots, shift, inverse));
        shared.depot.give_many(numbers).unwrap_or_else(|slot| shared.note_damage(slot));
    }

    /// The same of slots that nobody is likelier to want next than others.
    #[inline(never)]
    fn give_to_bits(&self, shared: &mut Shared, payloads: &[*mut u8]) {
        for &payload in payloads {
            let slot =
                slot_number(payload as usize, self.slots, self.stride_shift, self.stride_inverse);
            if !shared.depot.give_to_bits(slot) {
                shared.note_damage(slot);
            }
        }
    }

    /// Gives the slot of an entry that was in a cache to the depot, as [`give_to_bits`](Self::give_to_bits).
    pub(super) fn give_drained(&self, shared: &mut Shared, entry: Entry) {
        let slot = self.slot(entry);
        if !shared.depot.give_to_bits(slot) {
            shared.note_damage(slot);
        }
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

    /// The owner's side of the protocol on a detour.
    fn fence(&self) -> fn() {
        if self.caches.light || self.traits.single_thread { fence::light } else { fence::full }
    }
}
