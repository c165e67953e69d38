//! What happens when the fast path can't take an entry back, and how do caches give entries to the depot?
//!
//! In the same steps as in `refill.rs`.

use super::body::Pool;
use super::shared::Shared;
use crate::caches::cache::{Cache, Unsettled};
use crate::caches::magazine::{AT_ONCE, Element, MOST_MOVED_BY_ONE, size_of_room};
use crate::memory::zero::zero;
use crate::os::probe;
use crate::slots::word::{Entry, State};
use crate::slots::work;

impl Pool {
    /// The thread has no cache, or none for the fast path, or did not know yet that it has one.
    #[cold]
    #[inline(never)]
    pub fn free_slow(&self, entry: Entry) {
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

    /// The thread's own cache is full or closed, and holds the extra entry.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_push(&self, cache: &Cache) {
        let mut shared = self.enter(true);
        self.visit(&mut shared);
        // SAFETY: the cache is the caller's own, and this call holds the lock.
        unsafe {
            // A change of magazines brings entries to the depot, too.
            let before = shared.free();
            if !cache.is_open() {
                if let Some(entry) = cache.settle_push() {
                    self.give(&mut shared, entry);
                }
                self.come_by_closed(cache, &mut shared);
            } else if let Some(target) = self.adjust(cache, &mut shared) {
                self.make_room(cache, &mut shared, target);
                probe::flush(self.traced(), shared.free().saturating_sub(before) as usize);
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
            } else if len > target && len > MOST_MOVED_BY_ONE + 1 {
                // With many more from when there was plenty, the next pushes go on.
                self.move_part(cache, shared, len - target / 2);
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
                let Some(empty) =
                    shared.rack.take_more(size, shared.active, |rack| rack.take_empty(size))
                else {
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

    /// Gives up to `most` top entries of the loaded magazine to the depot, no more than a call moves: in a magazine
    /// of the rack's if it has room, so that they stay together.
    ///
    /// # Safety
    /// As [`make_room`](Self::make_room).
    unsafe fn move_part(&self, cache: &Cache, shared: &mut Shared, most: usize) {
        // SAFETY: by this function's contract.
        unsafe {
            let (elements, len) = cache.elements();
            let rest = len - most.min(AT_ONCE);
            if !shared.rack.put_part(&elements[rest..len]) {
                self.give_to_bits(shared, &elements[rest..len]);
            }
            cache.set_len(rest);
        }
    }

    /// Gives the top entries of the loaded magazine to the bits, as many as a call moves.
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

    /// The same for slots that are no more likely than others to be wanted next.
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
}
