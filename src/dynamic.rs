//! What about entries that came from the heap?
//!
//! ```text
//! [ next | previous | size | base | guard | word | payload ..
//!                                                  ^ the entry
//! ```
//!
//! Each knows its size, so realloc knows how much to copy, and its place in its pool's list, so
//! destroy releases what the caller never freed. O(1) beside the heap's own cost.

use core::ptr::{self, NonNull};

use crate::lock::Locked;
use crate::misuse::Kind;
use crate::slot::{Entry, MIN_ALIGN, State};

/// What lies in front of a dynamic entry.
#[repr(C)]
struct Block {
    next: *mut Block,
    previous: *mut Block,    // null: this is the list's first
    size: usize,             // usable bytes
    base: *mut libc::c_void, // what the heap gave
    guard: usize,            // size and base once more, so that an overwrite shows
    word: usize,             // see `slot.rs`
}

const HEADER: usize = size_of::<Block>();

static_assertions::const_assert_eq!(HEADER, 48);
static_assertions::const_assert!(HEADER.is_multiple_of(MIN_ALIGN));
static_assertions::const_assert_eq!(core::mem::offset_of!(Block, word), HEADER - 8);

/// A pool's dynamic entries.
///
/// Invariant: `count` blocks are reachable from `first` by `next`; `b.next.previous == b`, and the
/// word of each says that it is this pool's and out.
pub struct DynamicEntries {
    first: *mut Block,
    count: usize,
}

impl DynamicEntries {
    /// None yet.
    pub const fn new() -> Self {
        Self { first: ptr::null_mut(), count: 0 }
    }

    /// How many are with callers.
    pub fn count(&self) -> usize {
        self.count
    }

    fn insert(&mut self, block: *mut Block) {
        // SAFETY: the new block is ours alone; `first` is live by the invariant.
        unsafe {
            (*block).next = self.first;
            (*block).previous = ptr::null_mut();
            if !self.first.is_null() {
                (*self.first).previous = block;
            }
        }
        self.first = block;
        self.count += 1;
    }

    /// Takes a block out of the list; false if its neighbours don't know it.
    fn remove(&mut self, block: *mut Block) -> bool {
        // SAFETY: the block's word said that it is live, and its guard that its header was not
        // overwritten, so its links are those of the invariant; they are compared all the same.
        unsafe {
            let Block { next, previous, .. } = *block;
            let from_previous =
                if previous.is_null() { &mut self.first } else { &mut (*previous).next };
            if *from_previous != block || (!next.is_null() && (*next).previous != block) {
                return false;
            }
            *from_previous = next;
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
        self.count -= 1;
        true
    }

    /// Gives every block back to the heap.
    pub fn release_all(&mut self) {
        while let Some(block) = NonNull::new(self.first) {
            // SAFETY: live by the invariant, and out of the list before it goes.
            unsafe {
                self.first = block.as_ref().next;
                entry_of(block.as_ptr()).wipe();
                libc::free(block.as_ref().base);
            }
        }
        self.count = 0;
    }

    /// Proves the invariant, in O(count).
    #[cfg(test)]
    pub fn check(&self) {
        let (mut block, mut previous, mut count) = (self.first, ptr::null_mut(), 0);
        while !block.is_null() {
            // SAFETY: live by the invariant that is being proven.
            unsafe {
                assert_eq!((*block).previous, previous);
                assert_eq!((*block).guard, guard(&*block));
                assert!(matches!(
                    entry_of(block).decode_shared().owner_and_state(),
                    Some((_, State::Dynamic))
                ));
                (previous, block) = (block, (*block).next);
            }
            count += 1;
        }
        assert_eq!(count, self.count);
    }
}

/// A new entry of `size` bytes from the heap, for the pool at `owner`. None if the heap has none.
#[cold]
pub fn alloc(
    list: &Locked<DynamicEntries>,
    owner: usize,
    size: usize,
    align: usize,
) -> Option<Entry> {
    let lead = HEADER.next_multiple_of(align);
    let mut base = ptr::null_mut();
    // SAFETY: `base` is a place for the result; `align` is a power of two of at least 16.
    if unsafe { libc::posix_memalign(&mut base, align, lead.checked_add(size)?) } != 0 {
        return None;
    }
    let payload = NonNull::new(base.cast::<u8>())?;
    // SAFETY: `lead + size` bytes are there, and `lead` has room for the block in front.
    unsafe {
        let entry = Entry::new(payload.add(lead));
        let block = block_of(entry);
        block.write(Block {
            next: ptr::null_mut(),
            previous: ptr::null_mut(),
            size,
            base,
            guard: 0,
            word: 0,
        });
        (*block).guard = guard(&*block);
        entry.mark(owner, State::Dynamic);
        list.lock().insert(block);
        Some(entry)
    }
}

/// Usable bytes of a dynamic entry.
///
/// # Safety
/// The entry's word says that it is dynamic and out.
pub unsafe fn size(entry: Entry) -> Result<usize, Kind> {
    // SAFETY: the block lies in front of the word.
    let block = unsafe { &*block_of(entry) };
    if block.guard == guard(block) { Ok(block.size) } else { Err(Kind::DynamicHeaderOverwritten) }
}

/// Gives a dynamic entry of the pool at `owner` back to the heap, zeroed first if `zero`.
///
/// # Safety
/// The entry's word said that it is dynamic, out, and of the pool whose list this is.
#[cold]
pub unsafe fn free(
    list: &Locked<DynamicEntries>,
    owner: usize,
    entry: Entry,
    zero: bool,
) -> Result<(), Kind> {
    // SAFETY: by this contract the block is there. Of two threads that free it at once, the second
    // finds it freed, unless the heap had the memory unmapped by then.
    unsafe {
        let block = block_of(entry);
        let mut entries = list.lock();
        match entry.decode_shared().owner_and_state() {
            Some((_, State::Dynamic)) => {}
            _ => return Err(Kind::DoubleFreeDynamic),
        }
        if (*block).guard != guard(&*block) || !entries.remove(block) {
            return Err(Kind::DynamicHeaderOverwritten);
        }
        entry.mark(owner, State::DynamicFreed);
        drop(entries);
        if zero {
            entry.payload().write_bytes(0, (*block).size);
        }
        libc::free((*block).base);
        Ok(())
    }
}

fn guard(block: &Block) -> usize {
    !(block.size ^ (block.base as usize).rotate_left(32)) ^ crate::secret::secret()
}

fn block_of(entry: Entry) -> *mut Block {
    entry.payload().wrapping_sub(HEADER).cast()
}

fn entry_of(block: *mut Block) -> Entry {
    // SAFETY: a block is followed by its payload, which is not at address 0.
    Entry::new(unsafe { NonNull::new_unchecked(block.add(1).cast()) })
}
