//! What happens off the fast path: how do caches and the depot trade, and what in a shortage?

use super::draw::Generator;
use super::quarantine::Quarantine;
use super::{Missed, Pool, slot_number};
use crate::cache::{Cache, Unsettled};
use crate::depot::Depot;
use crate::fence;
use crate::likely_owner::expect;
use crate::lock::{Guard, Tallied, Tally};
use crate::misuse::{ALLOC, Kind};
use crate::slot::{Entry, State};
use crate::thread_index::{self, CACHE_DISTANCE};
use crate::zero::zero;

/// The caches open again after a shortage once the depot was visited this often and has
/// [`PLENTY`] of the pool's slots: closing them costs as much as some hundred visits.
const VISITS_AFTER_SHORTAGE: u32 = 4096;
/// One in this many.
const PLENTY: u32 = 16;
/// A cache of fewer entries is not worth the trouble.
const SMALLEST_TARGET: usize = 8;

/// What is known of a double free that came as far as the depot: the same slot may be there twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    Seen(u32), // the slot; whoever holds the lock tells when it has given that back
    Told,      // the process is about to end
}

/// What threads share, behind the lock.
///
/// Invariant: `reserved` is the sum of the open caches' reserves;
/// `out with callers <= handed() - reserved <= peak`. Hence the high-water mark costs the fast path
/// nothing: a cache may hand out freely what can't make a new one, and what could is its reserve.
pub(super) struct Shared {
    pub(super) depot: Depot,
    pub(super) quarantine: Quarantine,
    pub(super) generator: Generator, // of a hardened pool, which slot is next
    pub(super) open: bool,           // caches may be open
    pub(super) given_up: bool,       // never again, since the kernel refuses the heavy fence
    pub(super) claimed: bool,        // those that were open are claimed for a promise
    pub(super) active: u32,          // how many are
    pub(super) visits: u32,          // since they were closed
    pub(super) promised: u32,        // slots that a call will take before it gives the lock back
    pub(super) reserved: u32,        // slots in caches that can't go out without the lock
    pub(super) peak: u32,            // the most that were out at once
    pub(super) damage: Damage,
}

impl Tallied for Shared {
    /// How many slots are in caches or out, and the high-water mark.
    fn tally(&self) -> Tally {
        [self.handed(), self.peak]
    }
}

impl Shared {
    /// How many slots are in caches or out.
    pub(super) fn handed(&self) -> u32 {
        // A double free can have brought more back than there is, until it is told.
        self.depot.out().saturating_sub(self.quarantine.len())
    }

    /// Slots went out, or into caches.
    pub(super) fn note_peak(&mut self) {
        self.peak = self.peak.max(self.handed().saturating_sub(self.reserved));
    }

    /// Lets a cache hand out without the lock what makes no new high-water mark: exactly that for one
    /// thread. Where several fill their caches, an eighth of each goes into the mark at a time, so
    /// that threads that use a new pool don't wait for each other at every entry.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled.
    pub(super) unsafe fn set_reserve(&mut self, cache: &Cache) {
        let others = self.reserved - cache.reserve() as u32;
        let all_out = self.handed().saturating_sub(others);
        let len = cache.len() as u32;
        let ahead = if self.active > 1 { len / 8 } else { 0 };
        let reserve = all_out.saturating_sub(self.peak).min(len - ahead);
        // SAFETY: by this function's contract.
        unsafe { cache.set_reserve(reserve as usize) };
        self.reserved = others + reserve;
        self.note_peak();
    }

    /// All caches are closed and empty, and all slots in the depot. The high-water mark stays, and so do
    /// caches that were given up.
    pub(super) fn start_anew(&mut self, has_caches: bool) {
        self.open = has_caches && !self.given_up;
        self.active = 0;
        self.reserved = 0;
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
            // A free finds the cache faster in a thread with an index.
            thread_index::claim();
            0
        } else if count > 0 && thread_index::claim() {
            thread_index::distance() / CACHE_DISTANCE
        } else {
            return None;
        };
        (number < count).then(|| self.cache_at(number * CACHE_DISTANCE))
    }

    pub(super) fn all_caches(&self) -> impl Iterator<Item = &Cache> {
        (0..self.caches.count()).map(|number| self.cache_at(number * CACHE_DISTANCE))
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
        let mut shared = self.shared.lock();
        let taken = own
            // SAFETY: the cache is the thread's own, and this call holds the lock.
            .and_then(|cache| unsafe { self.alloc_through(cache, &mut shared, unsettled) })
            .or_else(|| {
                self.visit(&mut shared);
                if shared.depot.free() == 0 {
                    self.take_back_from_caches(&mut shared);
                }
                let slot = shared.depot.take()?;
                shared.note_peak();
                Some(self.entry(slot))
            });
        if let Some(entry) = taken {
            // SAFETY: the slot was free, so it is this call's.
            unsafe { entry.mark(self.address(), State::Out) };
        }
        self.leave(shared).then_some(taken).flatten()
    }

    /// Gets an entry from the depot, and more into the cache if there is plenty. None if the cache
    /// is to stay closed.
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
        // SAFETY: by this function's contract. An open cache that is empty has room for its target.
        unsafe {
            // With an index new to this thread comes a cache that may hold entries.
            if !unsettled && let Ok(entry) = cache.pop(fence::light) {
                return Some(entry);
            }
            if let Some(entry) = cache.settle_pop() {
                if cache.is_open() {
                    shared.set_reserve(cache);
                } else {
                    // Who closed it took the others, if that was possible.
                    cache.clear(|entry| self.give(shared, entry));
                    shared.note_peak();
                }
                return Some(entry);
            }
            if shared.damage != Damage::None {
                return None;
            }
            let target = self.adjust(cache, shared)?;
            let slot = shared.depot.take()?;
            let count = (target / 2).min(shared.depot.free() as usize);
            let (elements, _) = cache.elements();
            let (slots, stride) = (self.slots, self.stride);
            let fresh = shared.depot.fresh();
            let falling = shared.depot.take_many(&mut elements[..count], |slot| {
                let payload = slots.add(slot as usize * stride);
                if slot >= fresh {
                    // The fast path counts on a word.
                    Entry::new(payload).mark(self.address(), State::Free);
                }
                payload.as_ptr()
            });
            // Of the others it is known since they went out before.
            expect(&elements[..falling], self.address());
            cache.set_len(count);
            shared.set_reserve(cache);
            Some(self.entry(slot))
        }
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
                let mut shared = self.shared.lock();
                self.visit(&mut shared);
                self.give(&mut shared, entry);
                self.leave(shared);
            }
        }
    }

    /// The thread's own cache is full or closed, and has one entry more: brings some to the depot,
    /// or all.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_push(&self, cache: &Cache) {
        let mut shared = self.shared.lock();
        self.visit(&mut shared);
        // SAFETY: the cache is the caller's own, and this call holds the lock. What it has when it is
        // open are its first `len` elements.
        unsafe {
            if !cache.is_open() {
                cache.clear(|entry| self.give(&mut shared, entry));
            }
            if let Some(target) = self.adjust(cache, &mut shared)
                && let (elements, len) = cache.elements()
                && len >= target
            {
                let oldest = len - target / 2;
                let (slots, shift, inverse) = (self.slots, self.stride_shift, self.stride_inverse);
                let given = shared.depot.give_many(
                    elements[..oldest]
                        .iter()
                        .map(|payload| slot_number(*payload as usize, slots, shift, inverse)),
                );
                given.unwrap_or_else(|slot| shared.note_damage(slot));
                elements.copy_within(oldest..len, 0);
                cache.set_len(len - oldest);
                shared.set_reserve(cache);
            }
        }
        self.leave(shared);
    }

    /// Opens or closes the caller's own cache and sets its ceiling, by what the depot has to share
    /// out. Returns the ceiling of an open cache.
    ///
    /// # Safety
    /// The cache is the thread's own, settled, and `shared` is locked.
    pub(super) unsafe fn adjust(&self, cache: &Cache, shared: &mut Shared) -> Option<usize> {
        if !shared.open || cache.room() == 0 {
            return None;
        }
        let sharers = shared.active + u32::from(!cache.is_open());
        let mut target = cache.room();
        if !self.traits.single_thread {
            target = target.min((shared.depot.free() / (4 * sharers)) as usize);
        }
        // SAFETY: by this function's contract. A closed cache is empty when its owner is inside no
        // unsettled call (invariant of `Cache`).
        unsafe {
            match (cache.is_open(), target >= SMALLEST_TARGET) {
                (true, true) => cache.set_ceiling(target),
                (true, false) => {
                    shared.reserved -= cache.reserve() as u32;
                    cache.close();
                    cache.clear(|entry| self.give(shared, entry));
                    shared.active -= 1;
                }
                (false, true) => {
                    cache.open(target);
                    shared.active += 1;
                }
                (false, false) => {}
            }
        }
        (target >= SMALLEST_TARGET).then_some(target)
    }

    /// The depot is empty: closes every cache and takes what is in it. O(caches), once per
    /// shortage: while they are closed, whoever frees brings the entry to the depot.
    #[cold]
    pub(super) fn take_back_from_caches(&self, shared: &mut Shared) {
        if shared.given_up {
            self.take_back_as_owner(shared);
        } else if shared.open {
            self.empty_caches(shared);
            shared.open = false;
            shared.visits = 0;
        }
    }

    /// Closes every cache and brings what is in it to the depot, or gives the caches up.
    pub(super) fn empty_caches(&self, shared: &mut Shared) {
        self.all_caches().for_each(Cache::close);
        if !self.thief_fence() {
            return self.give_up_caches(shared);
        }
        for cache in self.all_caches() {
            // SAFETY: this call holds the lock, and the caches were closed before the fence.
            unsafe { cache.drain(|entry| self.give(shared, entry)) };
        }
        shared.active = 0;
        shared.reserved = 0;
    }

    /// The kernel refuses the heavy fence: what other threads' caches hold can't be told any more. They
    /// are closed for good, and whoever owns one brings what is in it to the depot at its next call.
    #[cold]
    pub(super) fn give_up_caches(&self, shared: &mut Shared) {
        shared.given_up = true;
        shared.open = false;
        shared.active = 0;
        shared.reserved = 0;
        self.take_back_as_owner(shared);
    }

    /// Takes what is in the calling thread's own cache, and in those that no living thread owns.
    #[cold]
    pub(super) fn take_back_as_owner(&self, shared: &mut Shared) {
        let own = thread_index::own_index();
        for (number, cache) in self.all_caches().enumerate() {
            // SAFETY: this call holds the lock, the cache is closed, and its owner is the calling thread,
            // inside no other call on it, or whoever stands in for it.
            let mut take = || unsafe { cache.clear(|entry| self.give(shared, entry)) };
            if own == Some(number) {
                take();
            } else {
                thread_index::stand_in(number, &mut take);
            }
        }
    }

    /// The thief's side of the protocol. False if the kernel refuses it.
    pub(super) fn thief_fence(&self) -> bool {
        if self.needs_heavy_fence() {
            return fence::heavy();
        }
        fence::full();
        true
    }

    /// Whether owners of its caches count on a heavy fence of whoever closes them.
    pub fn needs_heavy_fence(&self) -> bool {
        self.caches.light
    }

    /// Counts a call that came to the depot, which after a shortage may end it.
    pub(super) fn visit(&self, shared: &mut Shared) {
        shared.visits = shared.visits.saturating_add(1);
        if !shared.open
            && shared.visits > VISITS_AFTER_SHORTAGE
            && shared.depot.free() > self.capacity / PLENTY
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
