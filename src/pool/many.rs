//! How do many entries come back at once, or all?
//!
//! They share the cost of one look at the thread's cache and one at the depot.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::body::Pool;
use super::dynamic;
use super::heap::NotOut;
use crate::caches::magazine::size_of_room;
use crate::memory::zero::zero;
use crate::os::SMALL;
use crate::report::misuse::RESET;
use crate::slots::word::{Entry, State};

impl Pool {
    /// Takes back entries of any pools. NULL does nothing. O(entries), and a lock for each row of
    /// neighbours that have the same owner.
    ///
    /// Fails with the first that is no entry of ours that is out.
    ///
    /// # Safety
    /// The 8 bytes before each entry can be read.
    pub unsafe fn free_bulk(entries: &[*mut u8]) -> Result<(), Entry> {
        let mut rest = entries;
        while let Some((&first, others)) = rest.split_first() {
            // SAFETY: by this function's contract.
            let owner = unsafe { owner_of_slot(first) };
            let Some(owner) = owner else {
                if let Some(payload) = NonNull::new(first) {
                    // SAFETY: as above. What is no slot's entry is dynamic, or misuse.
                    unsafe { Self::free(Entry::new(payload)) }
                        .map_err(|NotOut| Entry::at(first))?;
                }
                rest = others;
                continue;
            };
            // SAFETY: a word of ours names a live pool.
            let pool = unsafe { Self::at(owner) };
            if pool.traits.guarded() {
                // SAFETY: as above.
                unsafe { Self::free(Entry::at(first)) }.map_err(|NotOut| Entry::at(first))?;
                rest = others;
                continue;
            }
            let mut count = 0;
            // SAFETY: as above. Each is marked before the next is looked at, so that one that is there
            // twice ends the row, and is refused as the first of the next.
            while count < rest.len() && unsafe { owner_of_slot(rest[count]) } == Some(owner) {
                let entry = Entry::at(rest[count]);
                // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
                unsafe {
                    entry.mark(owner, State::Free);
                    if pool.traits.zero_on_free {
                        zero(entry.payload(), pool.elem_size);
                    }
                }
                count += 1;
            }
            pool.give_bulk(&rest[..count]);
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Gives free slots to the thread's cache as far as there is room, and the others to the depot.
    fn give_bulk(&self, payloads: &[*mut u8]) {
        let own = self.own_cache();
        let mut shared = self.enter(false);
        self.visit(&mut shared);
        let mut rest = payloads;
        if let Some(cache) = own {
            // SAFETY: the cache is the thread's own and settled, and this call holds the lock.
            unsafe {
                if let Some(target) = self.adjust(cache, &mut shared) {
                    let room = cache.room();
                    let most = target.min(room);
                    let (elements, len) = cache.elements();
                    let (others, last) =
                        rest.split_at(rest.len() - most.saturating_sub(len).min(rest.len()));
                    elements[len..len + last.len()].copy_from_slice(last);
                    cache.set_len(len + last.len());
                    rest = others;
                    if target > room {
                        rest = &rest[shared.rack.give_many(rest, size_of_room(room))..];
                    }
                    self.set_limits(&mut shared, cache, most, false);
                }
            }
        }
        self.give_all(&mut shared, rest);
        self.leave(shared);
    }

    /// Takes back all entries, dynamic ones included. O(slots that were ever used).
    ///
    /// # Safety
    /// No other thread is inside a call on the pool or uses its entries.
    pub unsafe fn reset(&self) {
        // SAFETY: by this function's contract.
        unsafe { self.look_at_all(RESET) };
        let fresh = self.shared.lock().depot.fresh();
        let out = (0..fresh).filter(|&slot| self.is_out(slot)).map(|slot| self.entry(slot));
        if self.traits.guarded() {
            out.for_each(|entry| self.free_slow(entry));
            let mut shared = self.shared.lock();
            if shared.handed() > 0 {
                // In a child of fork: those that other threads were taking or giving back.
                shared.guarding().iter_mut().for_each(|guarding| guarding.quarantine.forget());
                shared.depot.refill();
            }
        } else {
            for entry in out {
                // SAFETY: by this function's contract the slot is this call's.
                unsafe {
                    entry.mark(self.address(), State::Free);
                    if self.traits.zero_on_free {
                        zero(entry.payload(), self.elem_size);
                    }
                }
            }
            let mut shared = self.shared.lock();
            self.note_closed(&mut shared);
            // SAFETY: this call holds the lock, and stands in for the owners by its contract.
            unsafe {
                self.all_caches().for_each(|cache| cache.start_anew());
                shared.rack.start_anew(self.caches.count() as u32);
            }
            self.seen.store(0, Ordering::Relaxed);
            shared.depot.refill();
            shared.start_anew(self.has_caches());
        }
        if SMALL {
            return;
        }
        let owner = Some(self.address());
        dynamic::release_all(&self.dynamic, self.backing(), owner, self.care())
            .unwrap_or_else(|fault| self.stop_in(RESET, fault));
    }
}

/// The owner of an entry that is out in a slot.
///
/// # Safety
/// NULL, or the 8 bytes in front of it can be read.
#[inline(always)]
unsafe fn owner_of_slot(payload: *mut u8) -> Option<usize> {
    let entry = Entry::new(NonNull::new(payload)?);
    // SAFETY: by this function's contract.
    unsafe { entry.decode() }.if_out().map(|out| out.owner())
}
