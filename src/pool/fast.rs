//! How does a pool hand out and take back in a few instructions?

use super::body::Pool;
use super::heap::NotOut;
use crate::caches::cache::{Cache, Unsettled};
use crate::os::{ONE_THREAD, fence};
use crate::slots::word::Entry;

/// The fast path took no entry back.
pub enum Rest<'a> {
    /// The entry is out, in a slot of this pool's, and has no cache to go to: [`Pool::free_slow`] goes on.
    NoCache(&'a Pool),
    /// It is none that is out in a slot: [`Pool::free_dynamic`] goes on.
    NotOut,
}

/// The fast path had no entry. Goes to [`Pool::alloc_slow`], at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// There is no cache for it.
    NoCache,
    /// The pop was stopped, and is unsettled.
    Stopped,
}

impl Pool {
    /// Takes an entry of a slot from the thread's cache, or says why not: then
    /// [`alloc_slow`](Self::alloc_slow) goes on.
    ///
    /// About 20 instructions and no lock, and no call where thread-local data needs none; written are one line of
    /// the thread's own and the slot's word.
    #[inline(always)]
    pub fn alloc_fast(&self) -> Result<Entry, Missed> {
        let Some(cache) = self.fast_cache() else {
            unlikely();
            return Err(Missed::NoCache);
        };
        // SAFETY: the cache is the thread's own.
        let Ok(entry) = (unsafe { cache.pop(fence::light) }) else {
            unlikely();
            return Err(Missed::Stopped);
        };
        // SAFETY: the slot was in a cache, so it is marked as free, and now this call's.
        unsafe { entry.mark_out() };
        Ok(entry)
    }

    /// Takes an entry of a slot, or none if all are out. O(1), or O(caches) in a shortage.
    pub fn alloc(&self) -> Option<Entry> {
        self.alloc_fast().or_else(|missed| self.alloc_slow(missed).ok_or(missed)).ok()
    }

    /// Takes back an entry of any pool that is in a slot, into the thread's cache, or says why not. O(1): about 30
    /// instructions, no lock, one line of the thread's own and the slot's word written.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    #[inline(always)]
    pub unsafe fn free_fast<'a>(entry: Entry) -> Result<(), Rest<'a>> {
        // SAFETY: by this function's contract.
        let decoded = unsafe { entry.decode() };
        let (out, owner) = match decoded.if_out_and_likely() {
            Some(out) => out,
            None => match decoded.if_out() {
                Some(out) => (out, out.owner()),
                None => return Err(Rest::NotOut),
            },
        };
        // SAFETY: the word was written by this process for an entry of the pool it names, which
        // lives as long as its slots.
        let pool = unsafe { Self::at(owner) };
        let Some((cache, top)) = pool.fast_cache().and_then(|cache| Some((cache, cache.top()?)))
        else {
            return Err(Rest::NoCache(pool));
        };
        // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
        unsafe { out.mark_free() };
        // SAFETY: as above, and the cache is the thread's own.
        if unsafe { cache.push(top, entry, fence::light) } == Err(Unsettled) {
            pool.settle_push(cache);
        }
        Ok(())
    }

    /// Takes back an entry of any pool. Fails if it is none that is out.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    pub unsafe fn free(entry: Entry) -> Result<(), NotOut> {
        // SAFETY: by this function's contract.
        unsafe {
            match Self::free_fast(entry) {
                Ok(()) => Ok(()),
                Err(Rest::NoCache(pool)) => {
                    pool.free_slow(entry);
                    Ok(())
                }
                Err(Rest::NotOut) => Self::free_dynamic(entry),
            }
        }
    }

    /// Settles a push of code in a program.
    pub fn settle_inlined_push(&self) {
        if let Some(cache) = self.fast_cache() {
            self.settle_push(cache);
        }
    }

    /// The thread's cache, if it is for the fast path. A subtraction, a comparison and a predictable branch:
    /// the address does not wait for what is compared.
    #[inline(always)]
    fn fast_cache(&self) -> Option<&Cache> {
        let distance = self.own_distance();
        (!ONE_THREAD && distance < self.fast_end).then(|| self.cache_at(distance))
    }
}

/// Has the compiler lay out the path that this is on after the others.
#[cold]
#[inline(always)]
fn unlikely() {}
