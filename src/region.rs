//! Where does a pool's memory come from?
//!
//! From one mapping, from the heap when it is less than a page, or from the caller's buffer. All a
//! pool needs is in that one region.

use core::ops::Range;
use core::ptr::{self, NonNull};

use crate::error::Error;
use crate::slot::OWNER_ALIGN;
use crate::watcher;

const HUGE_PAGE: usize = 2 << 20;
const SMALLEST_PAGE: usize = 4096;

/// The memory of a pool or of a collection of pools.
///
/// Invariant: `base..base + len` is readable, writable and used by this region alone until
/// [`release`](Region::release).
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Mapped,
    /// Between two pages that nobody may touch.
    Guarded,
    Heap,
    Caller,
}

impl Region {
    /// `len` zero bytes from the system; `prefault` makes sure that they are really there.
    pub fn obtain(len: usize, prefault: bool) -> Result<Self, Error> {
        if len < page_size() { Self::from_heap(len) } else { Self::map(len, prefault) }
    }

    /// As [`obtain`](Self::obtain), between two pages that can't be read or written. It ends where the
    /// second one begins, but for less than a page.
    pub fn obtain_guarded(len: usize, prefault: bool) -> Result<Self, Error> {
        let page = page_size();
        let len = len.checked_next_multiple_of(page).ok_or(Error::NoMemory)?;
        let wide = len.checked_add(2 * page).ok_or(Error::NoMemory)?;
        let start = map_pages(wide)?;
        // SAFETY: the mapping is new and `wide` bytes long.
        let (base, end) = unsafe { (start.add(page), start.add(page + len)) };
        let region = Self { base, len, source: Source::Guarded };
        for guard in [start, end] {
            // SAFETY: a page of the new mapping, outside the region.
            if unsafe { libc::mprotect(guard.as_ptr().cast(), page, libc::PROT_NONE) } != 0 {
                // SAFETY: nobody has seen the mapping yet.
                unsafe { libc::munmap(start.as_ptr().cast(), wide) };
                return Err(Error::NoMemory);
            }
        }
        region.begin(prefault)
    }

    /// The caller's buffer, whatever it contains. No heap and no kernel memory call.
    ///
    /// # Safety
    /// The buffer is `len` bytes that nobody else uses until the region is released.
    pub unsafe fn of_caller(base: NonNull<u8>, len: usize, prefault: bool) -> Self {
        let region = Self { base, len, source: Source::Caller };
        if prefault {
            region.touch();
        }
        region
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

    /// Whether the memory outlives the pool, as the caller's or the heap's, so that what the pool wrote
    /// must be wiped.
    pub fn outlives_pool(&self) -> bool {
        self.source != Source::Mapped
    }

    /// Gives the memory back to where it came from.
    ///
    /// # Safety
    /// Nobody uses the region's memory any more.
    pub unsafe fn release(self) {
        if matches!(self.source, Source::Mapped | Source::Guarded) {
            watcher::unmapped(self.base.as_ptr(), self.len);
        }
        // SAFETY: `base` and `len` are what the heap or the kernel gave; unused by this contract.
        unsafe {
            match self.source {
                Source::Mapped => _ = libc::munmap(self.base.as_ptr().cast(), self.len),
                Source::Guarded => {
                    let page = page_size();
                    _ = libc::munmap(self.base.sub(page).as_ptr().cast(), self.len + 2 * page);
                }
                Source::Heap => libc::free(self.base.as_ptr().cast()),
                Source::Caller => {}
            }
        }
    }

    fn from_heap(len: usize) -> Result<Self, Error> {
        let mut base = ptr::null_mut();
        // SAFETY: `base` is a place for the result; the memory, once there, is `len` bytes.
        unsafe {
            if libc::posix_memalign(&mut base, OWNER_ALIGN, len) != 0 {
                return Err(Error::NoMemory);
            }
            ptr::write_bytes(base.cast::<u8>(), 0, len);
        }
        let base = NonNull::new(base.cast()).ok_or(Error::NoMemory)?;
        Ok(Self { base, len, source: Source::Heap })
    }

    fn map(len: usize, prefault: bool) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(Error::NoMemory)?;
        let base = if len >= HUGE_PAGE { map_for_huge_pages(len)? } else { map_pages(len)? };
        Self { base, len, source: Source::Mapped }.begin(prefault)
    }

    /// What is done first with a new mapping.
    fn begin(self, prefault: bool) -> Result<Self, Error> {
        watcher::mapped(self.base.as_ptr(), self.len);
        if prefault && let Err(error) = self.populate() {
            // SAFETY: nobody has seen the region yet.
            unsafe { self.release() };
            return Err(error);
        }
        Ok(self)
    }

    /// Has the kernel provide every page now. One call, and no page fault each.
    fn populate(&self) -> Result<(), Error> {
        // SAFETY: the range is this region's own mapping; populating changes no content.
        let result = unsafe {
            libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE)
        };
        // SAFETY: `errno` is the calling thread's own.
        match if result == 0 { 0 } else { unsafe { *libc::__errno_location() } } {
            0 => Ok(()),
            // A kernel before 5.14, or an emulator, does not know the advice.
            libc::EINVAL | libc::ENOSYS => {
                self.touch();
                Ok(())
            }
            _ => Err(Error::NoMemory),
        }
    }

    /// Writes to each page and leaves the content as it is.
    fn touch(&self) {
        let page = page_size();
        let last = self.len.saturating_sub(1);
        // A caller's buffer may start and end anywhere in a page.
        for offset in (0..last).step_by(page).chain([last]) {
            // SAFETY: inside the region. Volatile, since the writes are for their side effect.
            unsafe {
                let byte = self.base.add(offset).as_ptr();
                byte.write_volatile(byte.read_volatile());
            }
        }
    }
}

fn page_size() -> usize {
    // SAFETY: a plain query; the kernel tells every process its page size.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(SMALLEST_PAGE)
}

fn map_pages(len: usize) -> Result<NonNull<u8>, Error> {
    // SAFETY: a new private mapping at an address of the kernel's choice touches nothing of ours.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
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
    let start = map_pages(wide)?;
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

    #[test]
    fn obtained_memory_is_zero_and_writable() {
        for len in [100, 4096, 5000, HUGE_PAGE - 1, HUGE_PAGE, 2 * HUGE_PAGE + 12345] {
            for prefault in [false, true] {
                let region = Region::obtain(len, prefault).unwrap();
                assert!(region.len >= len);
                // SAFETY: the region is this test's own.
                unsafe {
                    for offset in [0, len / 2, len - 1] {
                        assert_eq!(region.base.add(offset).read(), 0);
                        region.base.add(offset).write(1);
                    }
                    region.release();
                }
            }
        }
    }

    #[test]
    fn guarded_memory_is_zero_and_writable() {
        for len in [1, 4096, 5000] {
            let region = Region::obtain_guarded(len, true).unwrap();
            // SAFETY: the region is this test's own.
            unsafe {
                assert_eq!(region.base.add(len - 1).read(), 0);
                region.base.add(len - 1).write(1);
                region.release();
            }
        }
        assert_eq!(Region::obtain_guarded(usize::MAX - 5000, true).err(), Some(Error::NoMemory));
    }

    #[test]
    fn more_than_there_is_fails() {
        assert_eq!(Region::obtain(1 << 60, true).err(), Some(Error::NoMemory));
        assert_eq!(Region::obtain(usize::MAX, true).err(), Some(Error::NoMemory));
    }

    #[test]
    fn a_callers_buffer_keeps_its_content() {
        let mut buffer = vec![7u8; 10_000];
        // SAFETY: the buffer outlives the region.
        let region = unsafe { Region::of_caller(NonNull::from(&mut buffer[0]), 10_000, true) };
        let last = region.base.as_ptr() as usize + 9_999;
        assert!(region.contains(last) && !region.contains(last + 1));
        // SAFETY: nobody uses it.
        unsafe { region.release() };
        assert!(buffer.iter().all(|&b| b == 7));
    }
}
