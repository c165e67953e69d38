//! What lies before a dynamic entry, and where does the entry end?

use core::ptr::NonNull;

use crate::memory::fields::{Field, fields};
use crate::memory::layout::{MAX_ALIGN, MIN_ALIGN};
use crate::os::cpu::by_width;
use crate::os::watcher;
use crate::report::misuse::Kind;
use crate::slots::canary;
use crate::slots::secret::keyed;
use crate::slots::word::Entry;

/// What lies in front of a dynamic entry.
#[repr(C)]
pub(super) struct Block {
    pub(super) next: *mut Block,
    pub(super) previous: *mut Block, // null: this is the list's first
    pub(super) size: usize,          // bytes of the class's entries
    pub(super) tail: u32,            // of these, those at the end that were not asked for
    pub(super) lead: u16,            // from what the heap or the backing gave to the entry
    pub(super) gap: u16,             // bytes past the entry that are nobody's
    pub(super) guard: usize,         // says that the five before were not overwritten
    pub(super) word: u64,            // see `slots/word.rs`
}

pub(super) const HEADER: usize = size_of::<Block>();

static_assertions::const_assert_eq!(HEADER, by_width(48, 32, 32));
static_assertions::const_assert!(HEADER.is_multiple_of(MIN_ALIGN));
static_assertions::const_assert_eq!(core::mem::offset_of!(Block, word), HEADER - 8);
static_assertions::const_assert!(MAX_ALIGN <= u16::MAX as usize && HEADER <= MAX_ALIGN);
/// Bytes of the links, which come first.
pub(super) const LINKS: usize = core::mem::offset_of!(Block, size);

/// What a pool does with its dynamic entries.
#[derive(Clone, Copy, Default)]
pub struct Care {
    /// Bytes after each entry that no holder may touch.
    pub gap: u16,
    /// Look for writes past an entry's end.
    pub hardened: bool,
    /// Tell the tools.
    pub watched: bool,
    /// Overwrite an entry with zeros when it is freed.
    pub zero_on_free: bool,
    /// Leak checkers must not find entries by the pool's list.
    pub unlisted: bool,
    /// Bytes in front of each entry's block that are for who obtains it, 0 at first.
    pub front: u16,
}

/// What was found wrong, and with which entry: not always the call's argument.
pub type Fault = (Kind, Entry);

impl Block {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Block: next, size, tail, lead, gap, word);

    /// What `guard` must be. Keyed, so that the program's data does not pass.
    pub(super) fn guard(&self) -> usize {
        // Each keyed, since in a plain XOR one overwritten field could make up for another.
        let place = u64::from(self.tail) << 32 | u64::from(self.lead) << 16 | u64::from(self.gap);
        [self.next as u64, self.previous as u64, self.size as u64, place]
            .iter()
            .fold(0, |mix: u64, field| keyed(mix.rotate_left(29) ^ field)) as usize
    }

    /// What the holder may touch ends that far from the entry's start.
    pub(super) fn border(&self) -> usize {
        self.size - self.tail as usize
    }

    /// What was had from the heap or the backing ends that far from the entry's start.
    pub(super) fn end(&self) -> usize {
        self.size + usize::from(self.gap)
    }

    /// The block, if its guard holds.
    ///
    /// # Safety
    /// The block is live.
    pub(super) unsafe fn intact<'a>(this: *mut Self) -> Result<&'a mut Self, Fault> {
        // SAFETY: by this function's contract. The list is locked, or its caller is alone.
        let block = unsafe { &mut *this };
        if block.guard == block.guard() {
            Ok(block)
        } else {
            Err((Kind::DynamicHeaderOverwritten, entry_of(this)))
        }
    }

    /// Changes a block's links, if its guard holds, and its guard with them.
    ///
    /// # Safety
    /// The block is live, and the list is locked.
    pub(super) unsafe fn relink(
        this: *mut Self,
        change: impl FnOnce(&mut Self),
    ) -> Result<(), Fault> {
        // SAFETY: by this function's contract.
        let block = unsafe { Self::intact(this) }?;
        change(block);
        block.guard = block.guard();
        Ok(())
    }
}

/// The tail of an entry of `whole` bytes of which `size` were asked for. What is more than has a number is
/// the holder's.
pub fn tail_of(whole: usize, size: usize) -> u32 {
    whole.saturating_sub(size).min(u32::MAX as usize) as u32
}

/// Whether nobody wrote past the border.
///
/// # Safety
/// The block is one of a hardened pool, and this call's, or its list is locked.
pub(super) unsafe fn holds_canary(block: &Block) -> bool {
    let start = (&raw const *block).cast::<u8>().wrapping_add(HEADER + block.border());
    // SAFETY: the bytes up to the end are the block's, by this function's contract.
    unsafe { canary::holds(start, block.end() - block.border()) }
}

/// Tells the tools that the block's owner may touch all of it, beside what the holder may touch anyway.
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

pub(super) fn block_of(entry: Entry) -> *mut Block {
    entry.payload().wrapping_sub(HEADER).cast()
}

pub(super) fn entry_of(block: *mut Block) -> Entry {
    // SAFETY: a block is followed by its payload, which is not at address 0.
    Entry::new(unsafe { NonNull::new_unchecked(block.add(1).cast()) })
}
