//! Where does a pool's memory come from?
//!
//! From one mapping, from the heap when it is less than a page, from the caller's buffer or by the
//! caller's functions. All a pool needs is in that one region.

mod presence;

use core::ops::Range;
use core::ptr::{self, NonNull};

use crate::backing::{self, Backing};
use crate::error::Error;
use crate::slot::{ADDRESS_END, MIN_ALIGN, OWNER_ALIGN};
use crate::watcher;

const HUGE_PAGE: usize = 2 << 20;
const SMALLEST_PAGE: usize = 4096;

/// More bytes than a colour has: a region of a few pages does with what its last one has left over.
pub const COLOURS: usize = 32 * OWNER_ALIGN;
static_assertions::const_assert_eq!(COLOURS, SMALLEST_PAGE);

/// Huge pages are in use.
pub const NOTE_HUGE_PAGES: u64 = 1;
/// Huge pages were asked for and are not in use.
pub const NOTE_HUGE_PAGES_REFUSED: u64 = 2;
/// The memory is locked.
pub const NOTE_LOCKED: u64 = 4;

/// What a region is to be.
#[derive(Clone, Copy, Default)]
pub struct Wish {
    /// Make sure that the memory is really there: of huge pages at once, of others by [`Region::provide`].
    pub prefault: bool,
    /// Make sure of all of it at once, before anything lies there.
    pub at_once: bool,
    /// Have the memory stay there, which provides it, too.
    pub locked: bool,
    /// Try those that the system keeps ready. Not with `guarded`, which begins and ends at small ones,
    /// nor with `idle`.
    pub huge_pages: bool,
    /// Most of it will never be used.
    pub idle: bool,
    /// Between two pages that can't be read or written. It ends where the second one begins, but for
    /// less than a page.
    pub guarded: bool,
}

/// The memory of a pool or of a collection of pools.
///
/// Invariant: `base..base + len` is readable, writable and used by this region alone until
/// [`release`](Region::release). It ends at [`ADDRESS_END`] or below.
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    source: Source,
    notes: u8,
}

#[derive(Clone, Copy)]
enum Source {
    Mapped,
    /// Between two pages that nobody may touch.
    Guarded,
    Heap,
    Caller,
    Backed,
}

impl Region {
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
            // Locked pages are never the heap's: whoever unlocks one does so for all that is in it.
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
        let start = map_pages(wide, 0)?;
        // SAFETY: the mapping is new and `wide` bytes long.
        let (base, end) = unsafe { (start.add(page), start.add(page + len)) };
        let region = Self::new(base, len, Source::Guarded);
        for guard in [start, end] {
            // SAFETY: a page of the new mapping, outside the region.
            if unsafe { libc::mprotect(guard.as_ptr().cast(), page, libc::PROT_NONE) } != 0 {
                // SAFETY: nobody has seen the mapping yet.
                unsafe { libc::munmap(start.as_ptr().cast(), wide) };
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

    /// What was had of what was wished for: `NOTE_` bits.
    pub fn notes(&self) -> u64 {
        self.notes.into()
    }

    fn note(&mut self, bit: u64) {
        self.notes |= bit as u8;
    }

    /// Whether a child of fork has a copy of it.
    pub fn is_copied_by_fork(&self) -> bool {
        self.notes() & NOTE_HUGE_PAGES == 0
    }

    /// Whether the memory becomes somebody else's as it is, so that what the pool wrote must be wiped.
    pub fn is_handed_on(&self) -> bool {
        !matches!(self.source, Source::Mapped | Source::Guarded)
    }

    /// At how many bytes from its start a collection of so many is to lie. Mappings begin at pages, and the lines
    /// of many pools at the same place of their pages would crowd each other out of the processor's caches.
    pub fn colour(&self, bytes: usize) -> usize {
        match self.source {
            Source::Mapped => {
                // By the address, so that a pool in the place of another is so to the byte.
                let page = self.base.as_ptr() as u64 / SMALLEST_PAGE as u64;
                let random =
                    page.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (usize::BITS - 16);
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

    /// Gives the memory back to where it came from: that is the backing, for one that was made with it.
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
                Source::Mapped => _ = libc::munmap(self.base.as_ptr().cast(), self.len),
                Source::Guarded => {
                    let page = page_size();
                    _ = libc::munmap(self.base.sub(page).as_ptr().cast(), self.len + 2 * page);
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
            // A heap that tags its pointers. The kernel does not.
            // SAFETY: it was obtained just now, and nobody uses it.
            unsafe { backing::give_back(None, base, len) };
            return Self::map(len, wish);
        }
        // SAFETY: the memory is new and `len` bytes long.
        unsafe { base.write_bytes(0, len) };
        Ok(Self::new(base, len, Source::Heap))
    }

    fn map(len: usize, wish: Wish) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(Error::NoMemory)?;
        let base = if len >= HUGE_PAGE { map_for_huge_pages(len)? } else { map_pages(len, 0)? };
        Self::new(base, len, Source::Mapped).begin(wish, None)
    }

    /// Of huge pages that the system keeps ready, and sets aside for this mapping.
    #[cold]
    #[inline(never)]
    fn map_huge(len: usize, wish: Wish) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(HUGE_PAGE).ok_or(Error::NoMemory)?;
        let base = map_pages(len, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB)?;
        // For a child of fork none are set aside: it would be killed at its first write, which may be the
        // library's own inside of fork, before it comes to exec.
        // SAFETY: the mapping is new and `len` bytes long; nobody has seen it yet.
        unsafe {
            if libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTFORK) != 0 {
                libc::munmap(base.as_ptr().cast(), len);
                return Err(Error::NoMemory);
            }
        }
        let mut region = Self::new(base, len, Source::Mapped);
        region.note(NOTE_HUGE_PAGES);
        region.begin(Wish { at_once: wish.prefault, ..wish }, None)
    }

    /// What is done first with new memory. If that fails, gives it back.
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
    (base.as_ptr() as usize).checked_add(len).is_some_and(|end| end <= ADDRESS_END)
}

fn page_size() -> usize {
    // SAFETY: a plain query; the kernel tells every process its page size.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(SMALLEST_PAGE)
}

fn map_pages(len: usize, more_flags: i32) -> Result<NonNull<u8>, Error> {
    // SAFETY: a new private mapping at an address of the kernel's choice touches nothing of ours.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more_flags,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        Err(Error::NoMemory)
    } else {
        NonNull::new(base.cast()).ok_or(Error::NoMemory)
    }
}

/// A mapping that starts where a huge page can, with the kernel asked for huge pages: fewer faults
/// at create, fewer TLB misses later. What does not fill a huge page stays in small ones.
fn map_for_huge_pages(len: usize) -> Result<NonNull<u8>, Error> {
    let wide = len.checked_add(HUGE_PAGE).ok_or(Error::NoMemory)?;
    let start = map_pages(wide, 0)?;
    let head = start.as_ptr().align_offset(HUGE_PAGE);
    // SAFETY: `head < HUGE_PAGE`, so base and tail are inside the new mapping; what is unmapped
    // is not used. The advice is a hint, and its failure no error.
    unsafe {
        let base = start.add(head);
        if head > 0 {
            libc::munmap(start.as_ptr().cast(), head);
        }
        libc::munmap(base.add(len).as_ptr().cast(), HUGE_PAGE - head);
        libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE);
        Ok(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDINARY: Wish = Wish {
        prefault: false,
        at_once: false,
        locked: false,
        huge_pages: false,
        idle: false,
        guarded: false,
    };
    const GUARDED: Wish = Wish { guarded: true, ..ORDINARY };

    #[test]
    fn obtained_memory_is_zero_and_writable() {
        for len in [100, 4096, 5000, HUGE_PAGE - 1, HUGE_PAGE, 2 * HUGE_PAGE + 12345] {
            for prefault in [false, true] {
                let region = Region::obtain(len, ORDINARY).unwrap();
                assert!(region.len >= len);
                if prefault {
                    let start = region.range().start;
                    let idle = [start + 100..start + 4000, start + 5000..start + 30_000];
                    let inside = idle.into_iter().filter(|idle| idle.end <= start + len);
                    region.provide(inside).unwrap();
                }
                // SAFETY: the region is this test's own.
                unsafe {
                    for offset in [0, len / 2, len - 1] {
                        assert_eq!(region.base.add(offset).read(), 0);
                        region.base.add(offset).write(1);
                    }
                    region.release(None);
                }
            }
        }
    }

    #[test]
    fn guarded_memory_is_zero_and_writable() {
        for len in [1, 4096, 5000] {
            let region = Region::obtain(len, GUARDED).unwrap();
            // SAFETY: the region is this test's own.
            unsafe {
                assert_eq!(region.base.add(len - 1).read(), 0);
                region.base.add(len - 1).write(1);
                region.release(None);
            }
        }
        assert_eq!(Region::obtain(usize::MAX - 5000, GUARDED).err(), Some(Error::NoMemory));
    }

    #[test]
    fn notes_say_what_was_had() {
        const LOCKED: Wish = Wish { locked: true, ..ORDINARY };
        const HUGE: Wish = Wish { huge_pages: true, ..ORDINARY };
        let notes = |wish| {
            let region = Region::obtain(5000, wish).unwrap();
            let (notes, copied) = (region.notes(), region.is_copied_by_fork());
            assert_eq!(region.len.is_multiple_of(HUGE_PAGE), notes & NOTE_HUGE_PAGES != 0);
            assert_eq!(copied, notes & NOTE_HUGE_PAGES == 0);
            // SAFETY: the region is this test's own.
            unsafe { region.release(None) };
            notes
        };
        assert_eq!(notes(ORDINARY), 0);
        assert_eq!(notes(GUARDED), 0);
        // What the system keeps ready is not this test's to say.
        assert!([NOTE_HUGE_PAGES, NOTE_HUGE_PAGES_REFUSED].contains(&notes(HUGE)));
        assert_eq!(notes(Wish { guarded: true, ..HUGE }), NOTE_HUGE_PAGES_REFUSED);
        assert_eq!(notes(Wish { idle: true, ..HUGE }), NOTE_HUGE_PAGES_REFUSED);
        // Two pages of each: nobody has a limit below that.
        assert_eq!(notes(LOCKED), NOTE_LOCKED);
        assert_eq!(notes(Wish { guarded: true, ..LOCKED }), NOTE_LOCKED);
    }

    #[test]
    fn more_than_there_is_fails() {
        assert_eq!(Region::obtain(1 << 60, ORDINARY).err(), Some(Error::NoMemory));
        assert_eq!(Region::obtain(usize::MAX, ORDINARY).err(), Some(Error::NoMemory));
    }

    #[test]
    fn a_callers_buffer_keeps_its_content() {
        let mut buffer = vec![7u8; 10_000];
        // SAFETY: the buffer outlives the region.
        let region =
            unsafe { Region::of_caller(NonNull::from(&mut buffer[0]), 10_000, ORDINARY) }.unwrap();
        let last = region.base.as_ptr() as usize + 9_999;
        assert!(region.contains(last) && !region.contains(last + 1));
        // SAFETY: nobody uses it.
        unsafe { region.release(None) };
        assert!(buffer.iter().all(|&b| b == 7));
    }
}
