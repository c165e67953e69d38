//! Is a region's memory really there, and does it stay?

use core::ops::Range;
use core::ptr::NonNull;

use crate::memory::region::{NOTE_HUGE_PAGES, NOTE_LOCKED, Region, Source};
use crate::os::error::Error;
use crate::os::{self, page_size};

impl Region {
    /// Makes sure that the memory is really there, except for idle pages, which are given in ascending order.
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
        if let Err(error) = os::lock_pages(self.base, self.len) {
            // What a failed call has locked stays locked.
            self.unlock();
            return Err(error);
        }
        self.note(NOTE_LOCKED);
        Ok(())
    }

    pub(super) fn unlock(&self) {
        os::unlock_pages(self.base, self.len);
    }

    /// Has the system provide every page now, or touches each.
    fn populate(&self, part: Range<usize>) -> Result<(), Error> {
        // SAFETY: inside the region, which is not at address 0.
        let start = unsafe { NonNull::new_unchecked(self.at(part.start)) };
        if !os::populate(start, part.len())? {
            self.touch(part);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::region::Wish;

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
