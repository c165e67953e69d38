//! What else does a guarded pool do with an entry, beside handing it out and taking it back?
//!
//! A hardened pool checks that no code wrote into a free entry, or past one that is out. It hands out
//! entries in an unpredictable order. A watched pool tells the tools which bytes are whose. Both know how
//! many bytes of each entry were asked for: the *border* of what its holder may touch. Both hold back the
//! entries freed last for a while. A bypassed pool takes every entry from the heap. None of them has caches,
//! so every call comes here.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use super::body::Pool;
use super::dynamic::{self, Care, tail_of};
use super::guarding::{Beside, GUARD_GAP};
use super::heap::NotOut;
use super::holders::Record;
use super::shared::Shared;
use super::traits::Traits;
use crate::memory::layout::WORD;
use crate::memory::zero::zero;
use crate::os::SMALL;
use crate::os::lock::Guard;
use crate::os::watcher;
use crate::report::misuse::{ALLOC, Call, Kind};
use crate::slots::word::{Entry, State};

impl Pool {
    /// As `alloc_slow`, of a guarded pool. O(size of an entry).
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_guarded(&self) -> Option<Entry> {
        if self.traits.bypass {
            return self.alloc_bypassed();
        }
        let slot = self.take_guarded()?;
        let entry = self.entry(slot);
        self.hand_out_guarded(entry);
        Some(entry)
    }

    /// Hands a drawn entry to its holder. O(size of an entry).
    pub(super) fn hand_out_guarded(&self, entry: Entry) {
        let slot = self.slot(entry);
        self.tell(|| watcher::received(entry.payload()));
        let mut fresh = false;
        if self.traits.hardened {
            self.open_slot(slot);
            match self.state_of(slot) {
                // What lies after it, too.
                Some(State::Free) => self.check_free(slot),
                Some(State::Fresh) => fresh = true,
                // A new word would hide what wrote over this one.
                _ => self.stop_in(ALLOC, (Kind::HeaderOverwritten, entry)),
            }
        }
        {
            let _turn = fresh.then(|| self.at_once());
            // SAFETY: the slot was free, so it is this call's.
            unsafe {
                if fresh {
                    self.write_canary(entry, self.elem_size);
                }
                // Of one that was freed it is that already.
                self.set_tail(slot, 0);
                entry.mark(self.address(), State::Out);
            }
        }
        self.tell(|| watcher::taken(self.watched_name(), entry.payload(), self.elem_size));
        self.close_after(slot);
    }

    /// As `free_slow`, of a guarded pool. O(size of an entry).
    #[cold]
    #[inline(never)]
    pub(super) fn free_guarded(&self, entry: Entry) {
        let (slot, payload) = (self.slot(entry), entry.payload());
        // The entry, too: its holder may have closed some of it.
        self.open_slot(slot);
        let mut shared = self.at_once();
        // SAFETY: the word said that it is a slot of this pool's. If this call is the one that frees it, its
        // payload is this call's, and has that many bytes.
        let fault = unsafe {
            if !entry.free_once(self.address()) {
                // Another thread was faster with the same entry.
                Some(Kind::DoubleFree)
            } else if self.traits.hardened && !self.end_holds(slot) {
                Some(Kind::Overflow)
            } else {
                if self.traits.hardened {
                    // Behind the entry the canary stays.
                    self.fill_freed(entry, 0, self.elem_size);
                } else if self.traits.zero_on_free {
                    zero(payload, self.elem_size);
                }
                self.set_tail(slot, 0);
                None
            }
        };
        if fault.is_some() || self.traits.watched {
            // A misuse handler may use the pool, and the tools may have locks of their own.
            drop(shared);
            fault.inspect(|&kind| self.stop((kind, entry)));
            self.tell(|| {
                watcher::given(self.watched_name(), payload, self.elem_size);
                watcher::passed_on(payload);
            });
            self.close_slot(slot);
            shared = self.shared.lock();
        }
        let longest = match shared.guarding() {
            Some(guarding) => guarding.quarantine.exchange(slot),
            None => Some(slot),
        };
        if let Some(longest) = longest {
            // Nothing goes into the ring: a tool could attribute the library's use of it to the program.
            if !shared.depot.give_to_bits(longest) {
                shared.note_damage(longest);
            }
            self.leave(shared);
        }
    }

    /// Makes a fork wait: a child sees all or nothing of what is written into a slot meanwhile. When a
    /// hardened pool ends there, it checks all slots, also those of vanished threads.
    fn at_once(&self) -> Guard<'_, Shared> {
        self.shared.lock()
    }

    fn take_guarded(&self) -> Option<u32> {
        let mut shared = self.shared.lock();
        let slot = self.draw(&mut shared);
        self.leave(shared).then_some(slot).flatten()
    }

    /// Fills places with entries that were promised.
    pub(super) fn draw_guarded(&self, shared: &mut Shared, places: &mut [*mut u8]) {
        for place in places {
            let slot = self.draw(shared).expect("as many as were promised");
            *place = self.entry(slot).payload();
        }
    }

    fn draw(&self, shared: &mut Shared) -> Option<u32> {
        // SAFETY: it lives as long as the pool, which is locked.
        let guarding = shared.guarding.map(|mut guarding| unsafe { guarding.as_mut() });
        let slot = match guarding {
            Some(guarding) if shared.depot.free() == 0 => guarding.quarantine.take_longest(),
            Some(guarding) if self.traits.hardened => {
                shared.depot.take_random(|| guarding.generator.next())
            }
            _ => shared.depot.take(),
        };
        shared.note_peak();
        slot
    }

    /// How many entries of a bypassed pool are not out.
    pub(super) fn left_bypassed(&self) -> usize {
        self.capacity().saturating_sub(self.dynamic.lock().count())
    }

    /// An entry from the heap in place of one of the pool's own.
    fn alloc_bypassed(&self) -> Option<Entry> {
        if self.left_bypassed() == 0 {
            return None;
        }
        // No lock is held while the heap may wait for its own, and nothing counts that is not there: of
        // two threads that want the last entry, the faster has it.
        let entry = self.obtain_dynamic()?;
        let entered = dynamic::enter_below(&self.dynamic, entry, self.capacity(), self.care())
            .unwrap_or_else(|fault| self.stop_in(ALLOC, fault));
        if !entered {
            // SAFETY: it was obtained just now, and nobody has it.
            unsafe { dynamic::forgo(self.backing(), entry) };
        }
        entered.then_some(entry)
    }

    /// How many bytes of an entry that is out its holder may touch. Of a pool that guards its slots.
    pub(super) fn border(&self, slot: u32) -> usize {
        // Relaxed: whoever has the slot wrote it, or got the slot from who did.
        self.elem_size - self.tail(slot).load(Ordering::Relaxed) as usize
    }

    fn set_tail(&self, slot: u32, tail: u32) {
        if self.traits.guards_slots() {
            // Relaxed: as in `border`.
            self.tail(slot).store(tail, Ordering::Relaxed);
        }
    }

    fn tail(&self, slot: u32) -> &AtomicU32 {
        debug_assert!(self.traits.guards_slots() && slot < self.capacity);
        // SAFETY: create dealt a tail for each slot, aligned, to atomic use alone.
        unsafe { AtomicU32::from_ptr((*self.beside()).tails.as_ptr().add(slot as usize)) }
    }

    /// What a guarded pool has after it.
    pub(super) fn beside(&self) -> *const Beside {
        debug_assert!(self.traits.guarded());
        core::ptr::with_exposed_provenance(self.address() + size_of::<Self>())
    }

    /// The holder of an entry of a guarded pool asks in `call` for `size` bytes of it, which it has: what
    /// lies after them is nobody's. O(size of an entry).
    ///
    /// # Safety
    /// The entry is live, and the caller its holder.
    #[cold]
    #[inline(never)]
    pub unsafe fn fit(call: Call, entry: Entry, size: usize) -> Result<(), NotOut> {
        // SAFETY: by this function's contract; a word of ours names a live pool.
        unsafe {
            match entry.decode().owner_and_state() {
                Some((owner, State::Out)) => {
                    let pool = Self::at(owner);
                    if pool.traits.guards_slots() {
                        pool.fit_slot(entry, size);
                    }
                }
                Some((owner, State::Dynamic)) if !SMALL => {
                    let pool = Self::at(owner);
                    dynamic::fit(&pool.dynamic, entry, size, pool.care())
                        .unwrap_or_else(|fault| pool.stop_in(call, fault));
                }
                _ => return Err(NotOut),
            }
        }
        Ok(())
    }

    /// As [`fit`](Self::fit), of many new entries, whether the pool is guarded or not.
    pub fn fit_many(&self, places: &[*mut u8], size: usize) -> Result<(), Entry> {
        if self.is_guarded() {
            for payload in places.iter().filter_map(|&payload| NonNull::new(payload)) {
                let entry = Entry::new(payload);
                // SAFETY: the entries are new, and the caller's.
                unsafe { Self::fit(ALLOC, entry, size) }.map_err(|NotOut| entry)?;
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`fit`](Self::fit); the entry is in a slot of this pool's.
    unsafe fn fit_slot(&self, entry: Entry, size: usize) {
        let (slot, payload) = (self.slot(entry), entry.payload());
        let old = self.border(slot);
        self.open_after(slot);
        if self.traits.hardened {
            self.check_end(slot);
        }
        let border = {
            let _turn = self.at_once();
            self.set_tail(slot, tail_of(self.elem_size, size));
            let border = self.border(slot);
            if self.traits.hardened {
                // SAFETY: the slot is the caller's.
                unsafe {
                    if border > old {
                        // The holder is not to see the canary.
                        self.fill_freed(entry, old, border);
                    }
                    self.write_canary(entry, border);
                }
            }
            border
        };
        self.tell(|| {
            watcher::resized(self.watched_name(), payload, border);
            if border > old {
                watcher::open_new(payload.wrapping_add(old), border - old);
            }
        });
        self.close_after(slot);
    }

    /// How many bytes of one of its entries its holder may touch, for `call`.
    ///
    /// # Safety
    /// The entry is out and of this pool; `dynamic` says which sort it is.
    pub unsafe fn touchable(&self, call: Call, entry: Entry, is_dynamic: bool) -> usize {
        if is_dynamic {
            // SAFETY: by this function's contract.
            unsafe { dynamic::border(&self.dynamic, entry) }
                .unwrap_or_else(|fault| self.stop_in(call, fault))
        } else if self.traits.guards_slots() {
            self.border(self.slot(entry))
        } else {
            self.elem_size
        }
    }

    /// Before a hardened pool's entries are all taken back: aborts if something wrote into a free entry, or
    /// after one that is out. `call` is what takes them. O(bytes of all entries).
    ///
    /// # Safety
    /// Nobody else uses the pool.
    pub unsafe fn look_at_all(&self, call: Call) {
        if SMALL || !self.traits.hardened {
            return;
        }
        if !self.traits.bypass {
            self.check_all(call);
        }
        // SAFETY: by this function's contract.
        unsafe { dynamic::look_at_all(&self.dynamic, self.care()) }
            .unwrap_or_else(|fault| self.stop_in(call, fault));
    }

    /// What is done with its dynamic entries.
    pub(super) fn care(&self) -> Care {
        let Traits { hardened, watched, zero_on_free, bypass, recorded, .. } = self.traits;
        let gap = if hardened || watched { GUARD_GAP as u16 } else { 0 };
        let front = if recorded { size_of::<Record>() as u16 } else { 0 };
        Care { gap, hardened, watched, zero_on_free, unlisted: watched && bypass, front }
    }

    /// Before the first entry goes out: no slot was touched.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare_guarded(&self) {
        if self.traits.hardened && !self.traits.bypass {
            self.harden();
        }
        if self.care().unlisted {
            dynamic::close_start(&self.dynamic);
        }
        self.tell(|| {
            watcher::opened(self.watched_name());
            let (words, len) = self.all_slots();
            // Words are read that were never written, and say nothing then.
            watcher::open(words, len);
            watcher::close_to_others(words, len);
            (0..self.capacity).for_each(|slot| self.close_slot(slot));
        });
    }

    /// Nobody uses the pool any more.
    #[cold]
    #[inline(never)]
    pub(super) fn retire_guarded(&self) {
        if self.care().unlisted {
            dynamic::open_start(&self.dynamic);
        }
        self.tell(|| {
            watcher::retired(self.watched_name());
            let (words, len) = self.all_slots();
            watcher::open(words, len);
        });
    }

    /// From the first slot's word to the one after the last.
    fn all_slots(&self) -> (*mut u8, usize) {
        let first = self.slots.as_ptr().wrapping_sub(WORD);
        (first, self.stride * self.capacity() + WORD)
    }

    pub(super) fn tell(&self, what: impl FnOnce()) {
        if self.traits.watched && !self.traits.bypass {
            what();
        }
    }

    /// The pool's name for the tools; null for a pool in another's memory.
    fn watched_name(&self) -> *const u8 {
        if self.traits.nested { core::ptr::null() } else { (&raw const *self).cast() }
    }
}
