//! Where does a pool's memory come from?
//!
//! From one mapping, from the heap when it is less than a page, from the caller's buffer or by the
//! caller's functions. All a pool needs is in that one region.

use core::ops::Range;
use core::ptr::NonNull;

use crate::memory::backing::{self, Backing};
use crate::memory::fields::{Field, fields};
use crate::memory::layout::{ADDRESS_END, MIN_ALIGN, OWNER_ALIGN};
use crate::os::error::Error;
use crate::os::watcher;
use crate::os::{self, HUGE_PAGE, page_size};

const SMALLEST_PAGE: usize = 4096;

/// More bytes than a colour has: a region of a few pages uses what is left of its last page.
pub const COLOURS: usize = 32 * OWNER_ALIGN;
static_assertions::const_assert_eq!(COLOURS, SMALLEST_PAGE);

/// Huge pages are in use.
pub const NOTE_HUGE_PAGES: u64 = 1;
/// Huge pages were asked for and are not in use.
pub const NOTE_HUGE_PAGES_REFUSED: u64 = 2;
/// The memory is locked.
pub const NOTE_LOCKED: u64 = 4;

/// What is asked of a region.
#[derive(Clone, Copy, Default)]
pub struct Wish {
    /// Make sure that the memory is really there: for huge pages at once, for others by [`Region::provide`].
    pub prefault: bool,
    /// Make sure of all of it at once, before anything lies there.
    pub at_once: bool,
    /// Lock the memory, which also provides it.
    pub locked: bool,
    /// Try the huge pages that the system reserves. Not with `guarded`, which begins and ends at small pages,
    /// nor with `idle`.
    pub huge_pages: bool,
    /// Most of it will never be used.
    pub idle: bool,
    /// Between two inaccessible pages. It ends less than a page before the second one.
    pub guarded: bool,
}

/// The memory of a pool or of a collection of pools.
///
/// Invariant: `base..base + len` is readable, writable and used by this region alone until
/// [`release`](Region::release). It ends at [`ADDRESS_END`] or below.
pub struct Region {
    pub(super) base: NonNull<u8>,
    pub(super) len: usize,
    pub(super) source: Source,
    notes: u8,
}

#[derive(Clone, Copy)]
pub(super) enum Source {
    Mapped,
    /// Between two inaccessible pages.
    Guarded,
    Heap,
    Caller,
    Backed,
}

impl Region {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Region: base, len, notes);

    /// `len` zero bytes from the system.
    pub fn obtain(len: usize, wish: Wish) -> Result<Self, Error> {
        if !wish.huge_pages {
            return Self::obtain_ordinary(len, wish);
        }
        if !(wish.guarded || wish.idle)
            && let Ok(region) = Self::map_huge(len, wish)
        {
            return Ok(region);
        }
        let mut region = Self::obtain_ordinary(len, wish)?;
        region.note(NOTE_HUGE_PAGES_REFUSED);
        Ok(region)
    }

    fn obtain_ordinary(len: usize, wish: Wish) -> Result<Self, Error> {
        if wish.guarded {
            Self::map_guarded(len, wish)
        } else if len < page_size() && !wish.locked {
            // Locked pages never come from the heap: unlocking a page unlocks all that lies in it.
            Self::from_heap(len, wish)
        } else {
            Self::map(len, wish)
        }
    }

    #[cold]
    #[inline(never)]
    fn map_guarded(len: usize, wish: Wish) -> Result<Self, Error> {
        let page = page_size();
        let len = len.checked_next_multiple_of(page).ok_or(Error::NoMemory)?;
        let wide = len.checked_add(2 * page).ok_or(Error::NoMemory)?;
        let start = os::map(wide).ok_or(Error::NoMemory)?;
        // SAFETY: the mapping is new and `wide` bytes long.
        let (base, end) = unsafe { (start.add(page), start.add(page + len)) };
        let region = Self::new(base, len, Source::Guarded);
        for guard in [start, end] {
            // SAFETY: a page of the new mapping, outside the region.
            if !unsafe { os::forbid(guard, page) } {
                // SAFETY: nobody has seen the mapping yet.
                unsafe { os::unmap(start, wide) };
                return Err(Error::NoMemory);
            }
        }
        region.begin(wish, None)
    }

    /// The caller's buffer, whatever it contains. No heap call and none for memory from the kernel.
    ///
    /// # Safety
    /// The buffer is `len` bytes that nobody else uses until the region is released.
    pub unsafe fn of_caller(base: NonNull<u8>, len: usize, wish: Wish) -> Result<Self, Error> {
        if !is_addressable(base, len) {
            return Err(Error::Invalid);
        }
        Self::new(base, len, Source::Caller).begin(wish, None)
    }

    /// `len` bytes by the caller's functions, whatever they contain.
    pub fn of_backing(backing: &Backing, len: usize, wish: Wish) -> Result<Self, Error> {
        let base = backing::obtain(Some(backing), len, MIN_ALIGN)?;
        if !is_addressable(base, len) {
            // SAFETY: it was obtained just now, and nobody uses it.
            unsafe { backing::give_back(Some(backing), base, len) };
            return Err(Error::Invalid);
        }
        Self::new(base, len, Source::Backed).begin(wish, Some(backing))
    }

    fn new(base: NonNull<u8>, len: usize, source: Source) -> Self {
        Self { base, len, source, notes: 0 }
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Whether an address lies inside.
    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.as_ptr() as usize) < self.len
    }

    /// Its addresses.
    pub fn range(&self) -> Range<usize> {
        let start = self.base.as_ptr() as usize;
        start..start + self.len
    }

    /// Which requests about the memory were fulfilled: `NOTE_` bits.
    pub fn notes(&self) -> u64 {
        self.notes.into()
    }

    pub(super) fn note(&mut self, bit: u64) {
        self.notes |= bit as u8;
    }

    /// Whether a child of fork has a copy of it.
    pub fn is_copied_by_fork(&self) -> bool {
        self.notes() & NOTE_HUGE_PAGES == 0
    }

    /// Whether the memory passes to another user with its content, so that the pool must wipe what it wrote.
    pub fn is_handed_on(&self) -> bool {
        !matches!(self.source, Source::Mapped | Source::Guarded)
    }

    /// How many bytes after its start a collection of so many bytes lies. Mappings begin at pages, and pools
    /// at the same place of their pages would displace each other's lines from the processor's caches.
    pub fn colour(&self, bytes: usize) -> usize {
        match self.source {
            Source::Mapped => {
                // By the address, so that a pool in the place of another is so to the byte.
                let page = self.base.as_ptr() as u64 / SMALLEST_PAGE as u64;
                let random = (page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
                let places = ((self.len - bytes) / OWNER_ALIGN + 1).min(COLOURS / OWNER_ALIGN);
                random % places * OWNER_ALIGN
            }
            _ => 0,
        }
    }

    /// Whether all of it is 0 at first.
    pub fn is_zero(&self) -> bool {
        !matches!(self.source, Source::Caller | Source::Backed)
    }

    /// Whether the memory can be read after the release, if only for a while.
    pub fn outlives_pool(&self) -> bool {
        matches!(self.source, Source::Heap | Source::Caller)
    }

    /// Gives the memory back to where it came from.
    ///
    /// # Safety
    /// Nobody uses the region's memory any more.
    pub unsafe fn release(self, backing: Option<&Backing>) {
        if self.is_mapped() {
            watcher::unmapped(self.base.as_ptr(), self.len);
        } else if self.notes() & NOTE_LOCKED != 0 {
            self.unlock();
        }
        // SAFETY: `base` and `len` are what whoever gave it was asked for; unused by this contract.
        unsafe {
            match self.source {
                Source::Mapped => os::unmap(self.base, self.len),
                Source::Guarded => {
                    let page = page_size();
                    os::unmap(self.base.sub(page), self.len + 2 * page);
                }
                Source::Heap => backing::give_back(None, self.base, self.len),
                Source::Backed => backing::give_back(backing, self.base, self.len),
                Source::Caller => {}
            }
        }
    }

    fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Mapped | Source::Guarded)
    }

    fn from_heap(len: usize, wish: Wish) -> Result<Self, Error> {
        let base = backing::obtain(None, len, OWNER_ALIGN)?;
        if !is_addressable(base, len) {
            // The heap may tag its pointers; the kernel does not.
            // SAFETY: it was obtained just now, and nobody uses it.
            unsafe { backing::return_unused(base) };
            return Self::map(len, wish);
        }
        // SAFETY: the memory is new and `len` bytes long.
        unsafe { base.write_bytes(0, len) };
        Ok(Self::new(base, len, Source::Heap))
    }

    fn map(len: usize, wish: Wish) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(Error::NoMemory)?;
        let base = if len >= HUGE_PAGE { os::map_for_huge_pages(len) } else { os::map(len) };
        Self::new(base.ok_or(Error::NoMemory)?, len, Source::Mapped).begin(wish, None)
    }

    /// Of huge pages that the system keeps ready, and sets aside for this mapping.
    #[cold]
    #[inline(never)]
    fn map_huge(len: usize, wish: Wish) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(HUGE_PAGE).ok_or(Error::NoMemory)?;
        let base = os::map_huge_pages(len).ok_or(Error::NoMemory)?;
        let mut region = Self::new(base, len, Source::Mapped);
        region.note(NOTE_HUGE_PAGES);
        region.begin(Wish { at_once: wish.prefault, ..wish }, None)
    }

    /// Prepares new memory. If that fails, gives it back.
    fn begin(mut self, wish: Wish, backing: Option<&Backing>) -> Result<Self, Error> {
        if self.is_mapped() {
            watcher::mapped(self.base.as_ptr(), self.len);
        }
        if let Err(error) = self.lock_and_provide(wish) {
            // SAFETY: nobody has seen the region yet.
            unsafe { self.release(backing) };
            return Err(error);
        }
        Ok(self)
    }

    fn lock_and_provide(&mut self, wish: Wish) -> Result<(), Error> {
        if wish.locked {
            // First, since it fails at once where it is not allowed.
            self.lock()?;
        }
        if wish.at_once { self.provide_part(self.range()) } else { Ok(()) }
    }
}

/// Whether a word can hold every address of these bytes: no tag, and no end above [`ADDRESS_END`].
fn is_addressable(base: NonNull<u8>, len: usize) -> bool {
    (base.as_ptr() as usize).checked_add(len).is_some_and(|end| end as u64 <= ADDRESS_END)
}

#[cfg(test)]
mod tests;
