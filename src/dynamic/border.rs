//! What of a dynamic entry's block is nobody's?
//!
//! What lies in front of the entry, and from the size asked for to the end of the gap. Hardened pools have a
//! canary there; who watches is told to let nobody touch either.

use super::{Block, Care, DynamicEntries, Fault, HEADER, block_of, entry_of, look};
use crate::canary;
use crate::lock::Locked;
use crate::misuse::Kind;
use crate::slot::{Entry, State};
use crate::watcher;

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
/// As [`size`](super::size).
pub unsafe fn border(list: &Locked<DynamicEntries>, entry: Entry) -> Result<usize, Fault> {
    // SAFETY: by this function's contract.
    unsafe { look(list, entry, Block::border) }
}

/// The holder of an entry asks for `size` bytes, which it has: what lies behind them is nobody's.
///
/// # Safety
/// As [`size`](super::size), and the entry is this call's.
#[cold]
pub unsafe fn fit(
    list: &Locked<DynamicEntries>,
    entry: Entry,
    size: usize,
    care: Care,
) -> Result<(), Fault> {
    // SAFETY: by this function's contract. What lies behind the border is the library's alone.
    unsafe {
        let (old, whole, end) = look(list, entry, |b| (b.border(), b.size, b.end()))?;
        let payload = entry.payload();
        let behind = |from: usize| (payload.add(from), end - from);
        if care.watched {
            let (start, len) = behind(old);
            watcher::open(start, len);
        }
        let (start, len) = behind(old);
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
                let (start, len) = behind(border);
                canary::write(start, len);
            }
        }
        if care.watched {
            if border > old {
                watcher::open_new(payload.add(old), border - old);
            }
            let (start, len) = behind(border);
            watcher::close(start, len);
        }
        Ok(())
    }
}

/// The tail of an entry of `whole` bytes of which `size` were asked for. What is more than has a number is
/// the holder's.
pub fn tail_of(whole: usize, size: usize) -> u32 {
    whole.saturating_sub(size).min(u32::MAX as usize) as u32
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
                    // SAFETY: the bytes behind the border are the block's.
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

/// Whether nobody wrote behind the border.
///
/// # Safety
/// The block is one of a hardened pool, and this call's, or its list is locked.
pub(super) unsafe fn holds_canary(block: &Block) -> bool {
    let start = (&raw const *block).cast::<u8>().wrapping_add(HEADER + block.border());
    // SAFETY: the bytes up to the end are the block's, by this function's contract.
    unsafe { canary::holds(start, block.end() - block.border()) }
}

/// Tells who watches that the block's owner may touch all of it, but for what the holder may touch anyway.
///
/// # Safety
/// The block's header is intact, and the entry this call's.
pub(super) unsafe fn open_all(entry: Entry) {
    // SAFETY: by this function's contract.
    let block = unsafe { &*block_of(entry) };
    let (lead, border, end) = (block.lead.into(), block.border(), block.end());
    watcher::open_to_others(entry.payload().wrapping_sub(lead), lead);
    watcher::open(entry.payload().wrapping_add(border), end - border);
}
