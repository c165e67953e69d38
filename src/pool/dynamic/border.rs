//! Which bytes of a dynamic entry's block may no holder touch?
//!
//! What lies in front of the entry, and from the size asked for to the end of the gap. Hardened pools have a
//! canary there; the tools are told that no code may touch either.

use super::block::{Block, Care, Fault, block_of, entry_of, holds_canary, open_all, tail_of};
use super::list::{DynamicEntries, look};
use crate::os::lock::Locked;
use crate::os::watcher;
use crate::report::misuse::Kind;
use crate::slots::canary;
use crate::slots::word::{Entry, State};

/// Closes the list's start to a leak checker.
pub fn close_start(list: &Locked<DynamicEntries>) {
    let mut entries = list.lock();
    let start = &raw mut entries.first;
    watcher::close_to_others(start.cast(), size_of::<*mut Block>());
}

/// Takes [`close_start`] back.
pub fn open_start(list: &Locked<DynamicEntries>) {
    let mut entries = list.lock();
    let start = &raw mut entries.first;
    watcher::open_to_others(start.cast(), size_of::<*mut Block>());
}

/// How many bytes of a dynamic entry its holder may touch: what was asked for.
///
/// # Safety
/// As [`size`](super::list::size).
pub unsafe fn border(list: &Locked<DynamicEntries>, entry: Entry) -> Result<usize, Fault> {
    // SAFETY: by this function's contract.
    unsafe { look(list, entry, Block::border) }
}

/// The holder of an entry asks for `size` bytes, which it has: what lies after them is nobody's.
///
/// # Safety
/// As [`size`](super::list::size), and the entry is this call's.
#[cold]
pub unsafe fn fit(
    list: &Locked<DynamicEntries>,
    entry: Entry,
    size: usize,
    care: Care,
) -> Result<(), Fault> {
    // SAFETY: by this function's contract. What lies after the border is the library's alone.
    unsafe {
        let (old, whole, end) = look(list, entry, |b| (b.border(), b.size, b.end()))?;
        let payload = entry.payload();
        let after = |from: usize| (payload.add(from), end - from);
        if care.watched {
            let (start, len) = after(old);
            watcher::open(start, len);
        }
        let (start, len) = after(old);
        if care.hardened && !canary::holds(start, len) {
            return Err((Kind::Overflow, entry));
        }
        let tail = tail_of(whole, size);
        let border = whole - tail as usize;
        {
            // A child of fork sees all of it or nothing.
            let _entries = list.lock();
            Block::relink(block_of(entry), |block| block.tail = tail)?;
            if care.hardened {
                if border > old {
                    payload.add(old).write_bytes(0, border - old);
                }
                let (start, len) = after(border);
                canary::write(start, len);
            }
        }
        if care.watched {
            if border > old {
                watcher::open_new(payload.add(old), border - old);
            }
            let (start, len) = after(border);
            watcher::close(start, len);
        }
        Ok(())
    }
}

/// Looks at every entry of a hardened pool: none may be written past its end, nor in front of it.
///
/// # Safety
/// Nobody else uses the pool.
pub unsafe fn look_at_all(list: &Locked<DynamicEntries>, care: Care) -> Result<(), Fault> {
    if care.watched {
        let mut next = list.lock().entries().next();
        while let Some(entry) = next {
            next = list.lock().entries_from(entry).nth(1);
            // SAFETY: the entry is live.
            unsafe { open_all(entry) };
        }
    }
    let found = list.lock().first_damaged();
    found.map_or(Ok(()), Err)
}

impl DynamicEntries {
    /// An entry that was written past its end, or whose word is gone; or the fault that the walk ends at.
    fn first_damaged(&self) -> Option<Fault> {
        let mut block = self.first;
        while !block.is_null() {
            // SAFETY: live by the invariant.
            match unsafe { Block::intact(block) } {
                Ok(intact) => {
                    // SAFETY: a live block's word can be read.
                    let word = unsafe { entry_of(block).decode_shared() };
                    if !matches!(word.owner_and_state(), Some((_, State::Dynamic))) {
                        return Some((Kind::DynamicHeaderOverwritten, entry_of(block)));
                    }
                    // SAFETY: the bytes past the border are the block's.
                    if !unsafe { holds_canary(intact) } {
                        return Some((Kind::Overflow, entry_of(block)));
                    }
                    block = intact.next;
                }
                Err(fault) => return Some(fault),
            }
        }
        None
    }
}
