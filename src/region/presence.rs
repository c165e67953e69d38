//! Is a region's memory really there, and does it stay?

use core::ops::Range;

use super::{NOTE_HUGE_PAGES, NOTE_LOCKED, Region, Source, page_size};
use crate::error::Error;

impl Region {
    /// Makes sure that the memory is really there, but for pages that are idle: these ascend.
    pub fn provide(&self, idle: impl Iterator<Item = Range<usize>>) -> Result<(), Error> {
        if self.notes() & NOTE_HUGE_PAGES != 0 {
            return Ok(());
        }
        let (page, mut part) = (page_size(), self.range());
        for idle in idle {
            let (from, to) = (idle.start.next_multiple_of(page), idle.end / page * page);
            if from < to {
                self.provide_part(part.start..from)?;
                part.start = to;
            }
        }
        self.provide_part(part)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn provide_part(&self, part: Range<usize>) -> Result<(), Error> {
        match self.source {
            Source::Mapped | Source::Guarded => self.populate(part),
            Source::Caller | Source::Backed => {
                self.touch(part);
                Ok(())
            }
            // Written when it was obtained.
            Source::Heap => Ok(()),
        }
    }

    pub(super) fn lock(&mut self) -> Result<(), Error> {
        // SAFETY: the range is this region's own; locking changes no content.
        if unsafe { libc::mlock(self.base.as_ptr().cast(), self.len) } != 0 {
            let error = match errno() {
                libc::EPERM => Error::NotPermitted,
                libc::EAGAIN => Error::NotNow,
                _ => Error::NoMemory,
            };
            // What a call that failed has locked stays so.
            self.unlock();
            return Err(error);
        }
        self.note(NOTE_LOCKED);
        Ok(())
    }

    pub(super) fn unlock(&self) {
        // SAFETY: the range is this region's own. A failure leaves nothing to do.
        unsafe { libc::munlock(self.base.as_ptr().cast(), self.len) };
    }

    /// Has the kernel provide every page now. One call, and no page fault each.
    fn populate(&self, part: Range<usize>) -> Result<(), Error> {
        let start = self.at(part.start).cast();
        // SAFETY: a part of this region's own mapping; populating changes no content.
        let result = unsafe { libc::madvise(start, part.len(), libc::MADV_POPULATE_WRITE) };
        match if result == 0 { 0 } else { errno() } {
            0 => Ok(()),
            // A kernel before 5.14, or an emulator, does not know the advice.
            libc::EINVAL | libc::ENOSYS => {
                self.touch(part);
                Ok(())
            }
            _ => Err(Error::NoMemory),
        }
    }

    /// Writes to each page and leaves the content as it is.
    fn touch(&self, part: Range<usize>) {
        let page = page_size();
        let last = part.end.saturating_sub(1);
        // A caller's buffer may start and end anywhere in a page.
        for address in (part.start..last).step_by(page).chain([last]) {
            let byte = self.at(address);
            // SAFETY: inside the region. Volatile, since the writes are for their side effect.
            unsafe { byte.write_volatile(byte.read_volatile()) };
        }
    }

    fn at(&self, address: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(address - self.base.as_ptr() as usize)
    }
}

fn errno() -> i32 {
    // SAFETY: it is the calling thread's own.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::super::Wish;
    use super::*;

    #[test]
    fn idle_pages_are_not_provided() {
        let (page, pages) = (page_size(), 40);
        let region = Region::obtain(pages * page, Wish::default()).unwrap();
        let start = region.range().start;
        let idle = start + 3 * page + 1..start + 30 * page - 1;
        region.provide([idle].into_iter()).unwrap();
        let mut there = [0u8; 40];
        // SAFETY: a byte for each page of the mapping.
        let asked =
            unsafe { libc::mincore(region.base.as_ptr().cast(), pages * page, there.as_mut_ptr()) };
        assert_eq!(asked, 0);
        for (number, there) in there.iter().enumerate() {
            assert_eq!(there & 1 == 0, (4..29).contains(&number), "page {number}");
        }
        // SAFETY: nobody uses it.
        unsafe { region.release(None) };
    }
}
