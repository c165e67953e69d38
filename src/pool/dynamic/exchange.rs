//! How does an entry come from the heap or the backing, and how is it freed?
//!
//! O(1) beside the heap's own cost. Nothing is locked while the heap or the backing is at work.

use core::ptr::{self, NonNull};

use super::block::{Block, Care, Fault, HEADER, LINKS, block_of, entry_of, holds_canary, open_all};
use super::list::DynamicEntries;
use crate::memory::backing::{self, Backing};
use crate::os::lock::Locked;
use crate::os::watcher;
use crate::report::misuse::Kind;
use crate::slots::canary;
use crate::slots::word::{Entry, State};

/// A new entry of `size` bytes from the heap or the backing, for the pool at `owner`, that counts
/// nowhere before [`enter`]. None if the memory is not available.
#[cold]
pub fn obtain(
    backing: Option<&Backing>,
    owner: usize,
    (size, align): (usize, usize),
    care: Care,
) -> Option<Entry> {
    let lead = (HEADER + usize::from(care.front)).next_multiple_of(align);
    let bytes = lead.checked_add(care.gap.into())?.checked_add(size)?;
    let base = backing::obtain(backing, bytes, align).ok()?;
    // SAFETY: `bytes` bytes are there, of which `lead` has room for the block, in front.
    unsafe {
        base.write_bytes(0, care.front.into());
        let entry = Entry::new(base.add(lead));
        let block = block_of(entry);
        block.write(Block {
            next: ptr::null_mut(),
            previous: ptr::null_mut(),
            size,
            tail: 0,
            lead: lead as u16, // at most MAX_ALIGN
            gap: care.gap,
            guard: 0,
            word: 0,
        });
        entry.mark(owner, State::Dynamic);
        if care.hardened {
            canary::write(entry.payload().add(size), care.gap.into());
        }
        Some(entry)
    }
}

/// Counts an entry from [`obtain`] as one that is out. Says how many are.
pub fn enter(list: &Locked<DynamicEntries>, entry: Entry, care: Care) -> Result<usize, Fault> {
    let count = {
        let mut entries = list.lock();
        entries.enter(entry)?;
        entries.count()
    };
    close_around(entry, care);
    Ok(count)
}

/// As [`enter`], unless `limit` are out already: false then.
pub fn enter_below(
    list: &Locked<DynamicEntries>,
    entry: Entry,
    limit: usize,
    care: Care,
) -> Result<bool, Fault> {
    {
        let mut entries = list.lock();
        if entries.count() >= limit {
            return Ok(false);
        }
        entries.enter(entry)?;
    }
    close_around(entry, care);
    Ok(true)
}

/// Tells the tools which bytes of a new entry's block no holder may touch.
pub fn close_around(entry: Entry, care: Care) {
    if care.watched {
        let block = block_of(entry);
        // A leak checker finds nothing by what is closed.
        let open = if care.unlisted { 0 } else { LINKS };
        // SAFETY: the block is the caller's.
        let (lead, size) = unsafe { ((*block).lead.into(), (*block).size) };
        watcher::close_to_others(entry.payload().wrapping_sub(lead), lead - HEADER);
        watcher::close_to_others(block.cast::<u8>().wrapping_add(open), HEADER - open);
        watcher::close(entry.payload().wrapping_add(size), care.gap.into());
    }
}

/// Remembers another entry in one that was obtained and did not enter.
///
/// # Safety
/// It is from [`obtain`], did not [`enter`], and is the caller's alone.
pub unsafe fn set_next(entry: Entry, next: Option<Entry>) {
    let next = next.map_or(ptr::null_mut(), block_of);
    // SAFETY: by this function's contract.
    unsafe { (*block_of(entry)).next = next };
}

/// What [`set_next`] remembered.
///
/// # Safety
/// As [`set_next`], which was called for it.
pub unsafe fn next(entry: Entry) -> Option<Entry> {
    // SAFETY: by this function's contract.
    NonNull::new(unsafe { (*block_of(entry)).next }).map(|block| entry_of(block.as_ptr()))
}

/// Frees an entry that was obtained and did not enter.
///
/// # Safety
/// As [`set_next`]; `backing` is what it was obtained from.
pub unsafe fn forgo(backing: Option<&Backing>, entry: Entry) {
    // SAFETY: by this function's contract.
    unsafe {
        entry.wipe();
        give_back(backing, block_of(entry));
    }
}

/// Frees a dynamic entry of the pool at `owner`.
///
/// # Safety
/// The entry's word said that it is dynamic, out, and of the pool whose list this is.
#[cold]
pub unsafe fn free(
    list: &Locked<DynamicEntries>,
    backing: Option<&Backing>,
    owner: usize,
    entry: Entry,
    care: Care,
) -> Result<(), Fault> {
    // SAFETY: by this contract the block is there. Of two threads that free it at once, the second
    // finds it freed, unless the heap had the memory unmapped by then.
    unsafe {
        let block = block_of(entry);
        let mut entries = list.lock();
        match entry.decode_shared().owner_and_state() {
            Some((_, State::Dynamic)) => {}
            _ => return Err((Kind::DoubleFreeDynamic, entry)),
        }
        entries.remove(block)?;
        entry.mark(owner, State::DynamicFreed);
        drop(entries);
        if care.watched {
            open_all(entry);
        }
        if care.hardened && !holds_canary(&*block) {
            return Err((Kind::Overflow, entry));
        }
        if care.zero_on_free {
            if care.watched {
                // The holder may have closed some of it.
                watcher::open(entry.payload(), (*block).size);
            }
            entry.payload().write_bytes(0, (*block).size);
        }
        give_back(backing, block);
        Ok(())
    }
}

/// Frees every block. The entries are not used any more. Either the pool is not used any more, or it goes on:
/// then `owner` is its address.
pub fn release_all(
    list: &Locked<DynamicEntries>,
    backing: Option<&Backing>,
    owner: Option<usize>,
    care: Care,
) -> Result<(), Fault> {
    loop {
        // The lock goes before the block does.
        let popped = list.lock().pop(owner)?;
        let Some(block) = popped else { return Ok(()) };
        // SAFETY: it is out of the list.
        unsafe {
            if care.watched {
                open_all(entry_of(block));
            }
            give_back(backing, block);
        }
    }
}

/// # Safety
/// The block was obtained from there, its header is intact, and nobody uses it any more.
unsafe fn give_back(backing: Option<&Backing>, block: *mut Block) {
    // SAFETY: by this function's contract; what was asked for ends with the gap.
    unsafe {
        let (lead, end) = (usize::from((*block).lead), (*block).end());
        let base = NonNull::new_unchecked(entry_of(block).payload().sub(lead));
        backing::give_back(backing, base, lead + end);
    }
}
