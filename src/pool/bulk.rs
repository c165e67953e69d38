//! How do many entries go out at once?
//!
//! All or none, and no other call notices one that fails: it holds the locks of all pools that it may take
//! from while it finds out what there is, and entries from the heap count only when all are there.

use core::iter;
use core::mem::forget;

use super::body::Pool;
use super::dynamic;
use super::shared::Damage;
use crate::os::SMALL;
use crate::report::misuse::ALLOC;
use crate::slots::word::{Entry, State};

/// Where the entries of a call come from, in turn.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The pool that should serve them.
    pub class: &'a Pool,
    /// Then the larger ones of its collection.
    pub larger_too: bool,
    /// Then the heap.
    pub heap_too: bool,
}

impl Sources<'_> {
    /// Fills all places with entries, or none. O(places), O(caches) more in a shortage, and
    /// O(classes).
    pub fn fill(self, places: &mut [*mut u8]) -> bool {
        self.class.fill_at_once(places) || self.fill_by_turns(places)
    }

    #[cold]
    #[inline(never)]
    fn fill_by_turns(self, places: &mut [*mut u8]) -> bool {
        let capacity: usize = self.pools().map(Pool::capacity).sum();
        if !self.heap_too && places.len() > capacity {
            self.class.note_exhausted();
            self.class.note_failed();
            return false;
        }
        let filled = if self.class.traits.bypass {
            self.fill_bypassed(places)
        } else {
            self.fill_with_spares(places)
        };
        if !filled {
            self.class.note_failed();
        }
        filled
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        let larger_too = self.larger_too;
        iter::successors(Some(self.class), move |pool| pool.larger().filter(|_| larger_too))
    }

    /// Takes the slots that there are, and spares from the heap for the rest. It obtains as many spares as
    /// were missing with no lock held, and so has to look again.
    #[inline(never)]
    fn fill_with_spares(self, places: &mut [*mut u8]) -> bool {
        let class = self.class;
        let heap_too = self.heap_too && !SMALL;
        let mut spares = Spares { class, entries: None, count: 0 };
        let mut exhausted = false;
        let filled = loop {
            match self.take(places, spares.count, &mut exhausted) {
                Ok(from_slots) => {
                    places[from_slots..].fill_with(|| spares.enter_one());
                    break true;
                }
                Err(missing) if heap_too => {
                    if !(0..missing).all(|_| spares.obtain_one()) {
                        break false;
                    }
                }
                Err(_) => break false,
            }
        };
        if exhausted {
            class.note_exhausted();
        }
        filled
    }

    /// Fills all places but the last, for which there are spares, or none: then says how many spares are
    /// missing. `exhausted`: the class had not enough.
    fn take(
        &self,
        places: &mut [*mut u8],
        spares: usize,
        exhausted: &mut bool,
    ) -> Result<usize, usize> {
        // In the order in which a fork takes the same locks.
        let (mut wanted, mut locked) = (places.len(), 0);
        for pool in self.pools() {
            let mut shared = pool.shared.lock();
            pool.visit(&mut shared);
            wanted -= pool.promise(&mut shared, wanted);
            *exhausted |= locked == 0 && wanted > 0;
            locked += 1;
            forget(shared);
            if wanted == 0 {
                break;
            }
        }
        let from_slots = places.len() - wanted;
        let enough = wanted <= spares;
        let mut rest = &mut places[..from_slots];
        let mut damaged = false;
        for pool in self.pools().take(locked) {
            // SAFETY: this thread locked it just now and forgot the guard.
            let mut shared = unsafe { pool.shared.held() };
            let (own, others) = rest.split_at_mut(shared.promised as usize);
            rest = others;
            if enough {
                pool.keep_promise(&mut shared, own);
            } else {
                pool.break_promise(&mut shared);
            }
            damaged |= shared.damage != Damage::None;
        }
        // No lock is held from here on: a handler of misuse may use the pools.
        if damaged {
            self.pools().take(locked).for_each(|pool| _ = pool.leave(pool.shared.lock()));
        }
        if !enough {
            return Err(wanted - spares);
        }
        let mut pools = self.pools().peekable();
        for &payload in &places[..from_slots] {
            // They stand in the order of the pools.
            while pools.peek().is_some_and(|pool| !pool.has_slot_at(payload as usize)) {
                pools.next();
            }
            if let Some(pool) = pools.peek() {
                pool.hand_out(Entry::at(payload));
            }
        }
        Ok(from_slots)
    }

    /// Entries of the heap in place of the pools' own, and of those that would come from the heap anyhow.
    /// They are obtained with no lock held, and count if there is still room for all of them.
    #[inline(never)]
    fn fill_bypassed(&self, places: &mut [*mut u8]) -> bool {
        loop {
            let Some(own) = self.obtain_bypassed(places) else {
                self.class.note_exhausted();
                return false;
            };
            if self.enter_bypassed(places) {
                if own < places.len() {
                    self.class.note_exhausted();
                }
                return true;
            }
            // Other threads took what was left.
            self.class.forgo_all(places);
        }
    }

    /// Fills all places with dynamic entries that count nowhere yet, those of each pool in a row, or none.
    /// Says how many are the class's own.
    #[inline(never)]
    fn obtain_bypassed(&self, places: &mut [*mut u8]) -> Option<usize> {
        let left: usize = self.pools().map(Pool::left_bypassed).sum();
        if !self.heap_too && left < places.len() {
            return None;
        }
        let (mut own, mut filled) = (0, 0);
        for (i, pool) in self.pools().enumerate() {
            let count = pool.left_bypassed().min(places.len() - filled);
            if !pool.obtain_all(&mut places[filled..filled + count]) {
                self.class.forgo_all(&places[..filled]);
                return None;
            }
            filled += count;
            if i == 0 {
                own = count;
            }
        }
        let all_there = filled == places.len()
            || (self.heap_too && self.class.obtain_all(&mut places[filled..]));
        if !all_there {
            self.class.forgo_all(&places[..filled]);
        }
        all_there.then_some(own)
    }

    /// Counts what was obtained as out, if each pool has room for its row. False, and nothing happens, if
    /// one has not.
    #[inline(never)]
    fn enter_bypassed(&self, places: &[*mut u8]) -> bool {
        // In the order in which a fork takes the same locks.
        let (mut rest, mut locked, mut room) = (places, 0, true);
        for pool in self.pools() {
            let entries = pool.dynamic.lock();
            let (row, others) = rest.split_at(pool.own_row(rest));
            // The class may have more, if what it lacks comes from the heap.
            let left = pool.capacity().saturating_sub(entries.count());
            room &= row.len() <= left || (self.heap_too && locked == 0);
            rest = others;
            locked += 1;
            forget(entries);
        }
        // What is left over comes from the heap for the class.
        let (mut rows, mut fault) = (places, None);
        for pool in self.pools().take(locked) {
            // SAFETY: this thread locked it just now and forgot the guard.
            let mut entries = unsafe { pool.dynamic.held() };
            let (row, others) = rows.split_at(pool.own_row(rows));
            let left_over = if pool.address() == self.class.address() { rest } else { &[] };
            rows = others;
            for &payload in row.iter().chain(left_over).filter(|_| room) {
                fault = fault.or(entries.enter(Entry::at(payload)).err());
            }
        }
        // No lock is held from here on: a handler of misuse may use the pools.
        fault.inspect(|&fault| self.class.stop_in(ALLOC, fault));
        if room {
            let care = self.class.care();
            places.iter().for_each(|&payload| dynamic::close_around(Entry::at(payload), care));
        }
        room
    }
}

/// Entries of the heap for a class, which count nowhere yet. Those that are not entered are freed.
struct Spares<'a> {
    class: &'a Pool,
    entries: Option<Entry>, // the last; in each lies the one before
    count: usize,
}

impl Spares<'_> {
    fn obtain_one(&mut self) -> bool {
        let Some(entry) = self.class.obtain_dynamic() else { return false };
        // SAFETY: nobody else has the entry.
        unsafe { dynamic::set_next(entry, self.entries) };
        self.entries = Some(entry);
        self.count += 1;
        true
    }

    fn take_one(&mut self) -> Option<Entry> {
        let entry = self.entries?;
        // SAFETY: as above.
        self.entries = unsafe { dynamic::next(entry) };
        self.count -= 1;
        Some(entry)
    }

    fn enter_one(&mut self) -> *mut u8 {
        let entry = self.take_one().expect("as many as places are left");
        self.class.enter_dynamic(entry);
        entry.payload()
    }
}

impl Drop for Spares<'_> {
    fn drop(&mut self) {
        while let Some(entry) = self.take_one() {
            // SAFETY: it was obtained for this class, and nobody has it.
            unsafe { dynamic::forgo(self.class.backing(), entry) };
        }
    }
}

impl Pool {
    /// Fills all places with what the thread's cache and the depot have, or none.
    fn fill_at_once(&self, places: &mut [*mut u8]) -> bool {
        if self.traits.guarded() || places.len() > self.capacity() {
            return false;
        }
        let own = self.own_cache();
        let mut shared = self.shared.lock();
        let filled = self.has_at_hand(&shared, own, places.len());
        if filled {
            self.look_at_falling(&mut shared, false);
            self.visit(&mut shared);
            self.take_at_hand(&mut shared, own, places);
        }
        drop(shared);
        if filled {
            for &mut payload in places {
                // SAFETY: the slot was free, so it is this call's.
                unsafe { Entry::at(payload).mark(self.address(), State::Out) };
            }
        }
        filled
    }

    /// Marks an entry that was taken as out, with no lock held.
    fn hand_out(&self, entry: Entry) {
        if self.traits.guarded() {
            self.hand_out_guarded(entry);
        } else {
            // SAFETY: the slot was free, so it is this call's.
            unsafe { entry.mark(self.address(), State::Out) };
        }
    }

    fn has_slot_at(&self, address: usize) -> bool {
        address.wrapping_sub(self.slots.as_ptr() as usize) < self.stride * self.capacity()
    }

    /// Fills all places with dynamic entries that count nowhere yet, or none.
    fn obtain_all(&self, places: &mut [*mut u8]) -> bool {
        for i in 0..places.len() {
            let Some(entry) = self.obtain_dynamic() else {
                self.forgo_all(&places[..i]);
                return false;
            };
            places[i] = entry.payload();
        }
        true
    }

    /// How many entries at the start of a row of dynamic ones are this pool's.
    fn own_row(&self, places: &[*mut u8]) -> usize {
        let own = |&&payload: &&*mut u8| {
            // SAFETY: it was obtained, and nobody else has it.
            let word = unsafe { Entry::at(payload).decode() };
            word.owner_and_state().is_some_and(|(owner, _)| owner == self.address())
        };
        places.iter().take_while(own).count()
    }

    fn forgo_all(&self, places: &[*mut u8]) {
        for &payload in places {
            // SAFETY: obtained, and nobody has it.
            unsafe { dynamic::forgo(self.backing(), Entry::at(payload)) };
        }
    }
}
