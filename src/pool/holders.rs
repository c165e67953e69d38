//! Who took each entry, and who freed it last?
//!
//! A pool that records has no caches, so that every call comes by `guard.rs`; the C face, which knows its caller,
//! has it noted here. Records lie in a mapping beside the pool, that of a dynamic entry in front of its block.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::body::Pool;
use super::dynamic;
use crate::memory::fields::{Field, fields};
use crate::os::cpu::by_width;
use crate::os::sync::AtomicU64;
use crate::os::{SMALL, thread_number};
use crate::report::deed::{Deed, Last};
use crate::report::misuse::{Subject, TAKERS_NAMED, Takers};
use crate::slots::word::{Entry, State};

/// What is known of an entry. Written by who has it, read at any time: whoever reads while it is written may see
/// some of it.
#[repr(C)]
pub struct Record {
    taken: Note,
    freed: Note,
}

static_assertions::const_assert_eq!(size_of::<Record>(), by_width(48, 32, 32));

/// A [`Deed`] in memory.
#[repr(C)]
struct Note {
    caller: AtomicUsize,
    thread: AtomicUsize,
    number: AtomicU64, // 0: never
}

/// What a debugger reads.
pub(super) const FIELDS: [&[Field]; 3] = [
    &[Field::number("Record.BYTES", size_of::<Record>())],
    fields!(Record: taken, freed),
    fields!(Note: caller, thread, number),
];

/// How many deeds were recorded, of all pools.
static DEEDS: AtomicU64 = AtomicU64::new(0);
/// Whether a pool records, or ever did.
static ANY: AtomicBool = AtomicBool::new(false);

/// Callers that a count keeps apart; the entries of more than these are one more row.
pub const MOST_CALLERS: usize = 64;

/// How many entries are out by each caller.
///
/// Invariant: the first `len` rows are distinct callers; `others` counts the entries of all that found no row.
pub struct Callers {
    rows: [(usize, usize); MOST_CALLERS],
    len: usize,
    pub others: usize,
}

impl Note {
    fn write(&self, caller: usize) {
        // Relaxed, each: the entry's own way from thread to thread orders what is written here, too. Its number is
        // one that no other deed has.
        self.caller.store(caller, Ordering::Relaxed);
        self.thread.store(thread_number(), Ordering::Relaxed);
        let number = DEEDS.fetch_add(1, Ordering::Relaxed) + 1;
        self.number.store(number, Ordering::Relaxed);
    }

    fn read(&self) -> Option<Deed> {
        // Relaxed, as above.
        let number = self.number.load(Ordering::Relaxed);
        let caller = self.caller.load(Ordering::Relaxed);
        let thread = self.thread.load(Ordering::Relaxed);
        (number != 0).then_some(Deed { caller, thread, number })
    }
}

impl Callers {
    fn count(&mut self, caller: usize) {
        let row = self.rows[..self.len].iter().position(|&(known, _)| known == caller);
        match row {
            Some(row) => self.rows[row].1 += 1,
            None if self.len < MOST_CALLERS => {
                self.rows[self.len] = (caller, 1);
                self.len += 1;
            }
            None => self.others += 1,
        }
    }

    /// Those that have the most.
    pub fn most(&self) -> Takers {
        let mut most = [(0, 0); TAKERS_NAMED];
        most.iter_mut().zip(self.rows()).for_each(|(taker, &row)| *taker = row);
        most
    }

    /// Callers and their entries, the most entries first.
    pub fn rows(&self) -> &[(usize, usize)] {
        &self.rows[..self.len]
    }

    /// By insertion: there are few, and `core`'s way takes several KiB of code.
    fn sort(&mut self) {
        let rows = &mut self.rows[..self.len];
        for end in 1..rows.len() {
            let mut at = end;
            while at > 0 && rows[at - 1].1 < rows[at].1 {
                rows.swap(at - 1, at);
                at -= 1;
            }
        }
    }
}

/// Whether a pool may record, for calls that do not know their pools: a load.
pub fn any() -> bool {
    // Relaxed: whoever has an entry of such a pool had it after create wrote this.
    !SMALL && ANY.load(Ordering::Relaxed)
}

/// Create makes a pool that records.
pub fn announce() {
    ANY.store(true, Ordering::Relaxed);
}

/// Bytes of the records of so many entries; none if there are too many.
pub fn bytes(entries: usize) -> Option<usize> {
    entries.checked_mul(size_of::<Record>())
}

/// `caller` has an entry that was handed out, if its pool records.
///
/// # Safety
/// The entry is live, and the calling thread its holder.
#[cold]
pub unsafe fn note_taken(entry: Entry, caller: usize) {
    // SAFETY: by this function's contract.
    if let Some(record) = unsafe { record_of(entry) } {
        record.taken.write(caller);
    }
}

/// `caller` frees an entry, if it is one that is out and its pool records.
///
/// # Safety
/// The 8 bytes before the entry can be read.
#[cold]
pub unsafe fn note_freed(entry: Entry, caller: usize) {
    // SAFETY: by this function's contract.
    if let Some(record) = unsafe { record_of(entry) } {
        record.freed.write(caller);
    }
}

/// `caller` freed an entry that was out in a slot of a pool that records.
///
/// # Safety
/// The pool is live.
#[cold]
pub unsafe fn note_gone(entry: Entry, caller: usize) {
    // SAFETY: the slot has a word of the pool's, whoever has it now.
    let owner = unsafe { entry.decode_shared() }.owner_and_state();
    // SAFETY: as above.
    if let Some(record) = owner.and_then(|(owner, _)| unsafe { Pool::at(owner) }.record_at(entry)) {
        record.freed.write(caller);
    }
}

/// The record of an entry that is out.
///
/// # Safety
/// The 8 bytes before the entry can be read.
unsafe fn record_of<'a>(entry: Entry) -> Option<&'a Record> {
    // SAFETY: by this function's contract; a word of ours names a live pool.
    unsafe {
        let (owner, state) = entry.decode().owner_and_state()?;
        match state {
            State::Out => Pool::at(owner).record_at(entry),
            State::Dynamic if !SMALL => Pool::at(owner).record_of_dynamic(entry),
            _ => None,
        }
    }
}

impl Pool {
    /// Whether it records who took and freed its entries.
    #[inline(always)]
    pub fn records(&self) -> bool {
        !SMALL && self.traits.recorded
    }

    /// Where its records are.
    pub fn records_start(&self) -> Option<NonNull<u8>> {
        // SAFETY: create put that after a guarded pool.
        if self.records() { unsafe { (*self.beside()).records } } else { None }
    }

    /// The record of the entry in a slot.
    fn record(&self, slot: u32) -> Option<&Record> {
        let records = self.records_start()?.cast::<Record>();
        // SAFETY: there is one for each slot, all 0 at first, and they stay as long as the pool.
        Some(unsafe { records.add(slot as usize).as_ref() })
    }

    /// The record of what is at an address, if that is one of a slot's entry.
    fn record_at<'a>(&self, entry: Entry) -> Option<&'a Record> {
        let offset = entry.address().wrapping_sub(self.slots.as_ptr() as usize);
        let is_slot = offset < self.stride * self.capacity() && offset.is_multiple_of(self.stride);
        let record = is_slot.then(|| self.record(self.slot(entry))).flatten()?;
        // SAFETY: it stays as long as the pool, which the caller knows to be live.
        Some(unsafe { NonNull::from(record).as_ref() })
    }

    /// The record in front of a dynamic entry's block.
    ///
    /// # Safety
    /// The word says that the entry is dynamic, out, and of this pool.
    unsafe fn record_of_dynamic<'a>(&self, entry: Entry) -> Option<&'a Record> {
        if !self.records() {
            return None;
        }
        // SAFETY: by this function's contract. A pool that records leaves room for one.
        let place = unsafe { dynamic::start(&self.dynamic, entry) }.ok()?;
        // SAFETY: as above; obtain wrote zeros there.
        Some(unsafe { place.cast::<Record>().as_ref() })
    }

    /// What was done last with what is at an address, if that is one of its entries and the pool records.
    fn last_deed(&self, entry: Entry) -> Option<Last> {
        let record = self.record_at(entry)?;
        let (taken, freed) = (record.taken.read(), record.freed.read());
        match (taken, freed) {
            (Some(taken), Some(freed)) if taken.number < freed.number => Some(Last::Freed(freed)),
            (Some(taken), _) => Some(Last::Taken(taken)),
            (None, freed) => freed.map(Last::Freed),
        }
    }

    /// What a report says about the pool and one of its entries.
    pub fn subject_of(&self, entry: Entry) -> Subject<'_> {
        Subject { last: self.last_deed(entry), ..self.subject() }
    }

    /// How many of its entries are out by each caller. None if it does not record. O(capacity * callers), with the
    /// lock of its dynamic entries for these.
    pub fn callers(&self) -> Option<Callers> {
        self.records().then(|| self.count_callers())
    }

    #[cold]
    #[inline(never)]
    fn count_callers(&self) -> Callers {
        let mut callers = Callers { rows: [(0, 0); MOST_CALLERS], len: 0, others: 0 };
        let caller_of = |record: Option<&Record>| {
            record.and_then(|record| record.taken.read()).map_or(0, |deed| deed.caller)
        };
        let fresh = self.shared.lock().depot.fresh();
        for slot in (0..fresh).filter(|&slot| self.is_out(slot)) {
            callers.count(caller_of(self.record(slot)));
        }
        for place in dynamic::starts(&self.dynamic.lock()) {
            // SAFETY: the entry is live while the list is locked, and has a record in front of its block.
            callers.count(caller_of(Some(unsafe { place.cast::<Record>().as_ref() })));
        }
        callers.sort();
        callers
    }

    /// All entries are taken back by `caller`: nobody uses the pool meanwhile.
    pub fn note_reset(&self, caller: usize) {
        if self.records() {
            let fresh = self.shared.lock().depot.fresh();
            for slot in (0..fresh).filter(|&slot| self.is_out(slot)) {
                if let Some(record) = self.record(slot) {
                    record.freed.write(caller);
                }
            }
        }
    }
}
