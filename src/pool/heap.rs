//! What does a pool do with entries that are not in a slot?

use super::body::Pool;
use super::dynamic;
use crate::os::{SMALL, probe};
use crate::report::misuse::{ALLOC, Call};
use crate::slots::word::{Entry, State};

/// A call's argument is no entry that is out; the caller finds out what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotOut;

impl Pool {
    /// Takes back a dynamic entry of any pool. Fails if it is none that is out.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    #[cold]
    pub unsafe fn free_dynamic(entry: Entry) -> Result<(), NotOut> {
        // SAFETY: by this function's contract.
        if let Some((owner, State::Dynamic)) = unsafe { entry.decode() }.owner_and_state()
            && !SMALL
        {
            // SAFETY: a word of ours names a live pool, which releases its dynamic entries before it goes.
            let pool = unsafe { Self::at(owner) };
            // SAFETY: the word says that the entry is dynamic, out and of this pool.
            let freed =
                unsafe { dynamic::free(&pool.dynamic, pool.backing(), owner, entry, pool.care()) };
            freed.unwrap_or_else(|fault| pool.stop(fault));
            return Ok(());
        }
        Err(NotOut)
    }

    /// An entry from the heap or the backing, owned by this pool. None if the memory is not available.
    #[cold]
    pub fn alloc_dynamic(&self) -> Option<Entry> {
        if SMALL {
            return None;
        }
        let entry = self.obtain_dynamic()?;
        self.enter_dynamic(entry);
        Some(entry)
    }

    /// As [`alloc_dynamic`](Self::alloc_dynamic), but not counted yet.
    pub(super) fn obtain_dynamic(&self) -> Option<Entry> {
        let shape = (self.elem_size, self.align());
        dynamic::obtain(self.backing(), self.address(), shape, self.care())
    }

    /// Counts it.
    pub(super) fn enter_dynamic(&self, entry: Entry) {
        let count = dynamic::enter(&self.dynamic, entry, self.care())
            .unwrap_or_else(|fault| self.stop_in(ALLOC, fault));
        probe::fall_back(self.traced(), count);
    }

    /// Usable bytes of one of its dynamic entries.
    ///
    /// # Safety
    /// The entry's word says that it is dynamic, out, and of this pool.
    pub unsafe fn dynamic_size(&self, call: Call, entry: Entry) -> usize {
        // SAFETY: by this function's contract.
        unsafe { dynamic::size(&self.dynamic, entry) }
            .unwrap_or_else(|fault| self.stop_in(call, fault))
    }
}
