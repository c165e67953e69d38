//! When is a thread's cache open, and how many entries may it have?
//!
//! Its owner opens and closes it when it comes by with the lock, by what the depot has to share out. Others
//! close it in a shortage: see `shortage.rs`.

use core::ptr::null_mut;
use core::sync::atomic::Ordering;

use super::body::Pool;
use super::shared::{NONE, Shared};
use crate::caches::cache::Cache;
use crate::caches::magazine::{AT_ONCE, ROOMS, SIZES, size_of_room};
use crate::caches::thread_index::{self, CACHE_DISTANCE};
use crate::slots::work;

/// The caches open again after a shortage once the depot was visited this often and has
/// [`PLENTY`] of the pool's slots: closing them costs as much as some hundred visits.
const VISITS_AFTER_SHORTAGE: u16 = 4096;
/// One in this many.
const PLENTY: u32 = 16;
/// A cache of fewer entries is not worth the trouble. For the only one of a pool, half of them are.
const SMALLEST_TARGET: usize = 8;
/// A thread that visits the depot so often with magazines of one size gets larger ones, if its share allows. Soon,
/// since threads that start together take slots in turn, and their entries share lines of the processor's caches.
const VISITS_WITH_SMALLEST: u16 = 4;
const VISITS_WITH_SMALL: u16 = 8;
/// Late for the largest ones: few threads could have all.
const VISITS_WITH_MIDDLE: u16 = 32;
const VISITS_FOR_LARGER: [u16; SIZES] =
    [VISITS_WITH_SMALLEST, VISITS_WITH_SMALL, VISITS_WITH_MIDDLE, u16::MAX];
/// From smaller sizes a cache goes up to this one at once.
const MIDDLE_SIZE: usize = 2;
/// So many caches are looked at for magazines to be had back.
const LOOKS: u16 = 8;
/// A thread that visits the depot so often while no other does gets the pool's only cache.
const VISITS_FOR_THE_ONLY: u16 = 64;
/// So many visits by others are a reason to see whether the owner of the only cache still lives.
const VISITS_WITHOUT_OWNER: u16 = 1024;
/// Added to the distance of the thread that may get the only cache: no thread has such a distance.
const CANDIDATE: usize = 1 << (usize::BITS - 2);
/// No thread is that yet.
pub(super) const NO_CANDIDATE: usize = CANDIDATE | 1;

impl Pool {
    /// The owner of a closed cache has the lock: the cache may open, or is to be emptied.
    ///
    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn come_by_closed(&self, cache: &Cache, shared: &mut Shared) {
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

    /// Opens or closes the caller's own cache by what the depot has to share out, and has it have magazines of
    /// the size for that. Returns how many entries an open one may have: with more than a magazine's, it
    /// exchanges magazines.
    ///
    /// # Safety
    /// The cache is the thread's own, settled, and `shared` is locked.
    #[inline(never)]
    pub(super) unsafe fn adjust(&self, cache: &Cache, shared: &mut Shared) -> Option<usize> {
        if !shared.open || !self.has_caches() {
            return None;
        }
        let share = self.share(cache, shared, shared.active + u32::from(!cache.is_open()));
        let enough =
            share >= if self.caches.count() == 1 { SMALLEST_TARGET / 2 } else { SMALLEST_TARGET };
        // SAFETY: by this function's contract.
        unsafe {
            match (cache.is_open(), enough) {
                (true, true) => self.resize(cache, shared, share),
                (true, false) => self.close_own(cache, shared),
                (false, true) => self.open_own(cache, shared, share),
                (false, false) => {}
            }
            if !(enough && cache.is_open()) {
                return None;
            }
            let target = target(cache, shared, share);
            if target <= cache.room() {
                self.return_spare(cache, shared);
            }
            Some(target)
        }
    }

    /// How many entries each of so many caches may have; the only one of a pool, all that are free.
    fn share(&self, cache: &Cache, shared: &Shared, sharers: u32) -> usize {
        if self.traits.single_thread {
            // Nobody else wants them.
            self.capacity()
        } else if self.has_only_one() {
            shared.free() as usize + cache.len()
        } else {
            // Together one and a half times what is free, and no more than five eighths of the pool.
            let all = (shared.free() as usize / 2 * 3).min(self.capacity() / 8 * 5);
            all / sharers as usize
        }
    }

    /// How many entries the caller's own cache, which is open, may have.
    pub(super) fn own_target(&self, cache: &Cache, shared: &Shared) -> usize {
        target(cache, shared, self.share(cache, shared, shared.active))
    }

    /// Has an open cache have magazines of a size that its share allows: smaller ones at once, and larger ones
    /// step by step, if its thread comes to the depot often.
    ///
    /// # Safety
    /// The cache is the thread's own, open and settled, and `shared` is locked.
    #[inline]
    unsafe fn resize(&self, cache: &Cache, shared: &mut Shared, share: usize) {
        let (size, suited) = (size_of_room(cache.room()), suited_size(share));
        // SAFETY: by this function's contract.
        unsafe {
            let often = cache.count_visit().is_multiple_of(VISITS_FOR_LARGER[size]);
            if suited > size && (often || self.traits.single_thread) {
                // Small ones that are left behind are not put together again: few sizes on the way up.
                let next = suited.min(MIDDLE_SIZE.max(size + 1));
                let grown = self.change_size(cache, shared, share, next)
                    || (next > size + 1 && self.change_size(cache, shared, share, size + 1));
                if !grown {
                    self.recall_magazines(cache, shared, share);
                }
            // A cache with a larger one keeps it for a while.
            } else if suited < size && suited_size(share * 4 / 3) < size {
                self.change_size(cache, shared, share, suited);
            }
        }
    }

    /// There are no magazines left for a cache whose share allows more. Has the owners of some others come by, at
    /// their next free, if those have more than such a share: they would seldom come.
    #[cold]
    #[inline(never)]
    fn recall_magazines(&self, cache: &Cache, shared: &mut Shared, share: usize) {
        let seen = self.seen.load(Ordering::Relaxed);
        for _ in 0..LOOKS.min(seen) {
            shared.run = if shared.run + 1 < seen { shared.run + 1 } else { 0 };
            let other = self.cache(shared.run.into());
            if !core::ptr::eq(other, cache)
                && other.is_open()
                && u32::from(shared.run) != shared.falling
                && has_too_much(other, share)
            {
                // SAFETY: `shared` is locked, and the cache open.
                unsafe { other.stop_pushes() };
            }
        }
        work::touched(LOOKS.into());
    }

    /// Has the cache have magazines of another size. False if there is none for it.
    ///
    /// # Safety
    /// As [`resize`](Self::resize).
    #[cold]
    #[inline(never)]
    unsafe fn change_size(
        &self,
        cache: &Cache,
        shared: &mut Shared,
        share: usize,
        size: usize,
    ) -> bool {
        let (before, (spare, spare_len)) = (size_of_room(cache.room()), cache.spare());
        let back = if spare.is_null() { 1 } else { 2 };
        let Some(magazine) = shared.rack.take_instead(size, (back, before), shared.active) else {
            return false;
        };
        // SAFETY: by this function's contract; what the cache gives away is the lock's.
        unsafe {
            let (elements, len) = cache.elements();
            // A push that finds the cache full has one more.
            let more = (len > cache.room()).then(|| elements[len - 1]);
            let len = len.min(cache.room());
            let loaded = cache.load(magazine, ROOMS[size], 0);
            shared.rack.put(loaded, before, len);
            if !spare.is_null() {
                cache.set_spare(null_mut(), 0);
                shared.rack.put(spare, before, spare_len);
            }
            if let Some(entry) = more {
                cache.elements().0[0] = entry;
                cache.set_len(1);
            }
            let most = target(cache, shared, share).min(cache.room());
            self.set_limits(shared, cache, most, false);
        }
        true
    }

    /// # Safety
    /// The cache is the thread's own, closed and settled, and `shared` is locked.
    #[cold]
    #[inline(never)]
    unsafe fn open_own(&self, cache: &Cache, shared: &mut Shared, share: usize) {
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
            if cache.room() == 0 && !self.load_first(cache, shared) {
                return;
            }
            shared.active += 1;
            let most = target(cache, shared, share).min(cache.room());
            self.set_limits(shared, cache, most, false);
        }
    }

    /// Loads a smallest magazine into a cache that has none. False if there is none.
    ///
    /// # Safety
    /// As [`open_own`](Self::open_own).
    #[cold]
    #[inline(never)]
    unsafe fn load_first(&self, cache: &Cache, shared: &mut Shared) -> bool {
        if let Some(magazine) = shared.rack.take_first() {
            // SAFETY: by this function's contract; the magazine is this call's.
            unsafe { cache.load(magazine, self.caches.smallest_room(), 0) };
            // Relaxed: the lock orders it for those who look at caches.
            let seen = self.seen.load(Ordering::Relaxed).max(self.number_of(cache) as u16 + 1);
            self.seen.store(seen, Ordering::Relaxed);
            return true;
        }
        // All are filled, with what threads gave back that need it no more.
        let mut entries = [null_mut(); AT_ONCE];
        let count = shared.rack.take_some(&mut entries);
        self.give_to_bits(shared, &entries[..count]);
        false
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
                return self.set_limits(shared, cache, 0, false);
            }
        }
        cache.close();
        if shared.falling == self.number_of(cache) {
            shared.falling = NONE;
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
                let size = size_of_room(cache.room());
                shared.rack.put(spare, size, len);
                shared.rack.end_loan(size);
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

    /// Whether it has one cache, for one of several threads.
    pub(super) fn has_only_one(&self) -> bool {
        self.caches.count() == 1 && !self.traits.single_thread
    }

    /// Runs `inside` as the owner of a cache, unless that is another thread that lives.
    pub(super) fn stand_in(&self, cache: &Cache, inside: &mut dyn FnMut()) {
        let first = self.first();
        if self.is_own(cache) || first & CANDIDATE != 0 {
            inside();
        } else {
            let number = self.number_of(cache) as usize;
            thread_index::stand_in(first / CACHE_DISTANCE + number, inside);
        }
    }

    /// A thread that does not have the only cache came to the depot. It gets the cache, from its next call
    /// on, if no other thread came for a while and none has it. The thread that has it keeps it until it
    /// ends: it may have been stopped on its way to the cache.
    #[cold]
    #[inline(never)]
    pub(super) fn note_visitor(&self, shared: &mut Shared) {
        let Some(index) = thread_index::own_index() else { return };
        let (first, own) = (self.first(), index * CACHE_DISTANCE);
        shared.run = shared.run.saturating_add(1);
        if first & CANDIDATE == 0 {
            if shared.run >= VISITS_WITHOUT_OWNER {
                shared.run = 0;
                thread_index::stand_in(first / CACHE_DISTANCE, &mut || {
                    self.set_first(own | CANDIDATE);
                });
            }
        } else if first != own | CANDIDATE {
            shared.run = 0;
            self.set_first(own | CANDIDATE);
        } else if shared.run >= VISITS_FOR_THE_ONLY {
            shared.run = 0;
            self.set_first(own);
        }
    }
}

/// The size of the magazines of a cache that may have so many entries: the largest of which it exchanges two, or, of
/// the middle size, fills more than half of one.
fn suited_size(share: usize) -> usize {
    match share {
        _ if share >= 2 * ROOMS[3] => 3,
        _ if share * 5 >= ROOMS[2] * 3 => 2,
        _ if share * 2 >= ROOMS[1] * 3 => 1,
        _ => 0,
    }
}

/// Whether a cache has more magazines than one that may have so many entries.
fn has_too_much(cache: &Cache, share: usize) -> bool {
    let room = cache.room();
    suited_size(share * 4 / 3) < size_of_room(room)
        || (!cache.spare().0.is_null() && share * 2 < room * 3)
}

/// How many entries a cache has that may have so many: two magazines full, which it exchanges, or a part of one.
fn target(cache: &Cache, shared: &Shared, share: usize) -> usize {
    let room = cache.room();
    let has_two =
        || !cache.spare().0.is_null() || shared.rack.has_more(size_of_room(room), shared.active);
    if share * 2 >= room * 3 && has_two() { 2 * room } else { share.min(room) }
}
