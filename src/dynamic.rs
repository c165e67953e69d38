//! What about entries that came from the heap, or from the pool's backing?
//!
//! ```text
//! [ next | previous | size | where | guard | word | payload .. | gap ]
//!                                                   ^ the entry
//! ```
//!
//! Each knows its size, so realloc knows how much to copy, and its place in its pool's list, so
//! destroy releases what the caller never freed. O(1) beside the heap's own cost. Nothing is locked
//! while the heap or the backing is at work.
//!
//! In hardened pools a canary lies from the size asked for to the end of the gap. Who watches is told that
//! nobody may touch that, nor what lies in front of the entry.

mod border;

use core::ptr::{self, NonNull};

pub use self::border::{border, close_start, fit, look_at_all, open_start, tail_of};
use self::border::{holds_canary, open_all};
use crate::backing::{self, Backing};
use crate::canary;
use crate::layout::MAX_ALIGN;
use crate::lock::{Locked, Tallied, Tally};
use crate::misuse::Kind;
use crate::secret::keyed;
use crate::slot::{Entry, MIN_ALIGN, State};
use crate::watcher;

/// What lies in front of a dynamic entry.
#[repr(C)]
struct Block {
    next: *mut Block,
    previous: *mut Block, // null: this is the list's first
    size: usize,          // bytes of the class's entries
    tail: u32,            // of these, those at the end that were not asked for
    lead: u16,            // from what the heap or the backing gave to the entry
    gap: u16,             // bytes behind the entry that are nobody's
    guard: usize,         // says that the five before were not overwritten
    word: usize,          // see `slot.rs`
}

const HEADER: usize = size_of::<Block>();

static_assertions::const_assert_eq!(HEADER, 48);
static_assertions::const_assert!(HEADER.is_multiple_of(MIN_ALIGN));
static_assertions::const_assert_eq!(core::mem::offset_of!(Block, word), HEADER - 8);
static_assertions::const_assert!(MAX_ALIGN <= u16::MAX as usize && HEADER <= MAX_ALIGN);
/// Bytes of the links, which come first.
const LINKS: usize = core::mem::offset_of!(Block, size);

/// What a pool does with its dynamic entries beside to have them.
#[derive(Clone, Copy, Default)]
pub struct Care {
    /// Bytes behind each entry that are nobody's.
    pub gap: u16,
    /// Look for writes behind an entry's end.
    pub hardened: bool,
    /// Tell who watches.
    pub watched: bool,
    /// Overwrite an entry with zeros when it is freed.
    pub zero_on_free: bool,
    /// A leak checker is not to find entries by the pool's list.
    pub unlisted: bool,
}

/// What was found wrong, and with which entry: not always the one that a call is about.
pub type Fault = (Kind, Entry);

impl Block {
    /// What `guard` must be. Keyed, so that data of the program's does not pass.
    fn guard(&self) -> usize {
        // Each keyed, since in a plain XOR one overwritten field could make up for another.
        let place =
            (self.tail as usize) << 32 | usize::from(self.lead) << 16 | usize::from(self.gap);
        [self.next as usize, self.previous as usize, self.size, place]
            .iter()
            .fold(0, |mix: usize, field| keyed(mix.rotate_left(29) ^ field))
    }

    /// What the holder may touch ends that far from the entry's start.
    fn border(&self) -> usize {
        self.size - self.tail as usize
    }

    /// What was had from the heap or the backing ends that far from the entry's start.
    fn end(&self) -> usize {
        self.size + usize::from(self.gap)
    }

    /// The block, if its guard holds.
    ///
    /// # Safety
    /// The block is live.
    unsafe fn intact<'a>(this: *mut Self) -> Result<&'a mut Self, Fault> {
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
    unsafe fn relink(this: *mut Self, change: impl FnOnce(&mut Self)) -> Result<(), Fault> {
        // SAFETY: by this function's contract.
        let block = unsafe { Self::intact(this) }?;
        change(block);
        block.guard = block.guard();
        Ok(())
    }
}

/// A pool's dynamic entries.
///
/// Invariant: `count <= peak`; `count` blocks are reachable from `first` by `next`; `b.next.previous == b`; each guard
/// holds, and each word says that the entry is this pool's and out.
pub struct DynamicEntries {
    first: *mut Block,
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
    /// None yet.
    pub const fn new() -> Self {
        Self { first: ptr::null_mut(), count: 0, peak: 0 }
    }

    /// How many are with callers.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Starts anew with those that are there.
    pub fn forget_peak(&mut self) {
        self.peak = self.count;
    }

    /// The entries that are with callers; ends at a damaged one.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.from(self.first)
    }

    /// One of the entries, and those behind it.
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
    fn remove(&mut self, block: *mut Block) -> Result<(), Fault> {
        // SAFETY: the block's word said that it is live; a guard that holds says the same of the
        // links behind it.
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
    fn pop(&mut self, owner: Option<usize>) -> Result<Option<*mut Block>, Fault> {
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

/// A new entry of `size` bytes from the heap or the backing, for the pool at `owner`, that counts
/// nowhere before [`enter`]. None if the memory is not available.
#[cold]
pub fn obtain(
    backing: Option<&Backing>,
    owner: usize,
    (size, align): (usize, usize),
    care: Care,
) -> Option<Entry> {
    let lead = HEADER.next_multiple_of(align);
    let bytes = lead.checked_add(care.gap.into())?.checked_add(size)?;
    let base = backing::obtain(backing, bytes, align).ok()?;
    // SAFETY: `bytes` bytes are there, of which `lead` has room for the block, in front.
    unsafe {
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

/// Counts an entry from [`obtain`] as one that is out.
pub fn enter(list: &Locked<DynamicEntries>, entry: Entry, care: Care) -> Result<(), Fault> {
    list.lock().enter(entry)?;
    close_around(entry, care);
    Ok(())
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
        if entries.count >= limit {
            return Ok(false);
        }
        entries.enter(entry)?;
    }
    close_around(entry, care);
    Ok(true)
}

/// Tells who watches what of a new entry's block is nobody's.
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

/// Gives an entry back that was obtained and did not enter.
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

/// Usable bytes of a dynamic entry of the pool whose list this is.
///
/// # Safety
/// The entry's word says that it is dynamic, out, and of that pool.
pub unsafe fn size(list: &Locked<DynamicEntries>, entry: Entry) -> Result<usize, Fault> {
    // SAFETY: by this function's contract.
    unsafe { look(list, entry, |block| block.size) }
}

/// # Safety
/// As [`size`].
unsafe fn look<T>(
    list: &Locked<DynamicEntries>,
    entry: Entry,
    what: impl FnOnce(&Block) -> T,
) -> Result<T, Fault> {
    // The neighbours' calls change its links.
    let _entries = list.lock();
    // SAFETY: the block lies in front of the word.
    Ok(what(unsafe { Block::intact(block_of(entry)) }?))
}

/// Gives a dynamic entry of the pool at `owner` back to where it came from.
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

/// Gives every block back. Nobody uses the entries any more, and nobody the pool, or it goes on: then
/// `owner` is its address.
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

fn block_of(entry: Entry) -> *mut Block {
    entry.payload().wrapping_sub(HEADER).cast()
}

fn entry_of(block: *mut Block) -> Entry {
    // SAFETY: a block is followed by its payload, which is not at address 0.
    Entry::new(unsafe { NonNull::new_unchecked(block.add(1).cast()) })
}
