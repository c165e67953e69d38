//! Which dynamic entries does a pool have?

use core::ptr::{self, NonNull};

use super::block::{Block, Fault, HEADER, block_of, entry_of};
use crate::memory::fields::{Field, fields};
use crate::os::lock::{Locked, Tallied, Tally};
use crate::slots::word::{Entry, State};

/// A pool's dynamic entries.
///
/// Invariant: `count <= peak`; `count` blocks are reachable from `first` by `next`; `b.next.previous == b`; each guard
/// holds, and each word says that the entry is this pool's and out.
pub struct DynamicEntries {
    pub(super) first: *mut Block,
    count: usize,
    peak: usize,
}

impl Tallied for DynamicEntries {
    /// How many are with callers, and the most at once.
    fn tally(&self) -> Tally {
        [self.count, self.peak].map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }
}

impl DynamicEntries {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(DynamicEntries: first, count, peak);

    /// None yet.
    pub const fn new() -> Self {
        Self { first: ptr::null_mut(), count: 0, peak: 0 }
    }

    /// How many are with callers.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Restarts the peak from the entries that are there.
    pub fn forget_peak(&mut self) {
        self.peak = self.count;
    }

    /// The entries that are with callers; ends at a damaged one.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.from(self.first)
    }

    /// One of the entries, and those after it.
    pub fn entries_from(&self, entry: Entry) -> impl Iterator<Item = Entry> {
        self.from(block_of(entry))
    }

    fn from(&self, mut block: *mut Block) -> impl Iterator<Item = Entry> {
        core::iter::from_fn(move || {
            // SAFETY: live by the invariant.
            let intact = (!block.is_null()).then(|| unsafe { Block::intact(block) })?.ok()?;
            Some(entry_of(core::mem::replace(&mut block, intact.next)))
        })
    }

    /// Counts an entry from [`obtain`] as one that is out.
    pub fn enter(&mut self, entry: Entry) -> Result<(), Fault> {
        self.insert(block_of(entry))
    }

    /// Puts a new block first. Fails if the one that was first is damaged.
    fn insert(&mut self, block: *mut Block) -> Result<(), Fault> {
        // SAFETY: the new block is the caller's alone; `first` is live by the invariant.
        unsafe {
            if !self.first.is_null() {
                Block::relink(self.first, |first| first.previous = block)?;
            }
            (*block).next = self.first;
            (*block).guard = (*block).guard();
        }
        self.first = block;
        self.count += 1;
        self.peak = self.peak.max(self.count);
        Ok(())
    }

    /// Takes a block out. Fails if it or one beside it is damaged.
    pub(super) fn remove(&mut self, block: *mut Block) -> Result<(), Fault> {
        // SAFETY: the block's word said that it is live; a guard that holds says the same of the
        // links after it.
        unsafe {
            let Block { next, previous, .. } = *Block::intact(block)?;
            if previous.is_null() {
                self.first = next;
            } else {
                Block::relink(previous, |previous| previous.next = next)?;
            }
            if !next.is_null() {
                Block::relink(next, |next| next.previous = previous)?;
            }
        }
        self.count -= 1;
        Ok(())
    }

    /// Takes the first block out, as one that nobody may use any more: freed, if the pool at `owner`
    /// goes on.
    pub(super) fn pop(&mut self, owner: Option<usize>) -> Result<Option<*mut Block>, Fault> {
        let block = self.first;
        if block.is_null() {
            return Ok(None);
        }
        self.remove(block)?;
        // SAFETY: it was live, and is this call's.
        unsafe {
            match owner {
                Some(owner) => entry_of(block).mark(owner, State::DynamicFreed),
                None => entry_of(block).wipe(),
            }
        }
        Ok(Some(block))
    }

    /// Proves the invariant, in O(count).
    #[cfg(test)]
    pub fn check(&self) {
        let (mut block, mut previous, mut count) = (self.first, ptr::null_mut(), 0);
        while !block.is_null() {
            // SAFETY: live by the invariant that is being proven.
            unsafe {
                assert_eq!((*block).previous, previous);
                assert_eq!((*block).guard, (*block).guard());
                assert!(matches!(
                    entry_of(block).decode_shared().owner_and_state(),
                    Some((_, State::Dynamic))
                ));
                (previous, block) = (block, (*block).next);
            }
            count += 1;
        }
        assert!(count == self.count && count <= self.peak);
    }
}

/// Usable bytes of a dynamic entry of the pool whose list this is.
///
/// # Safety
/// The entry's word says that it is dynamic, out, and of that pool.
pub unsafe fn size(list: &Locked<DynamicEntries>, entry: Entry) -> Result<usize, Fault> {
    // SAFETY: by this function's contract.
    unsafe { look(list, entry, |block| block.size) }
}

/// Where what was obtained for a dynamic entry begins, with the bytes in front that are the pool's.
///
/// # Safety
/// As [`size`].
pub unsafe fn start(list: &Locked<DynamicEntries>, entry: Entry) -> Result<NonNull<u8>, Fault> {
    // SAFETY: by this function's contract.
    unsafe { look(list, entry, start_of) }
}

/// The same, of all entries that are with callers.
pub fn starts(entries: &DynamicEntries) -> impl Iterator<Item = NonNull<u8>> {
    // SAFETY: what the walk gives is live and intact.
    entries.entries().map(|entry| start_of(unsafe { &*block_of(entry) }))
}

fn start_of(block: &Block) -> NonNull<u8> {
    let entry = (&raw const *block).cast::<u8>().wrapping_add(HEADER);
    // SAFETY: no block begins at address 0.
    unsafe { NonNull::new_unchecked(entry.wrapping_sub(block.lead.into()).cast_mut()) }
}

/// # Safety
/// As [`size`].
pub(super) unsafe fn look<T>(
    list: &Locked<DynamicEntries>,
    entry: Entry,
    what: impl FnOnce(&Block) -> T,
) -> Result<T, Fault> {
    // The neighbours' calls change its links.
    let _entries = list.lock();
    // SAFETY: the block lies in front of the word.
    Ok(what(unsafe { Block::intact(block_of(entry)) }?))
}
