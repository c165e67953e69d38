//! Which live collection does a handle name, and what if there is none?
//!
//! A handle is looked up in the registry before anything is read there. The calls on the fast path have
//! no time for that: they look at the seal where a call goes another way.

use core::ptr::NonNull;

use super::body::{Collection, seal_of};
use super::registry;
use crate::pool::body::Pool;
use crate::report::misuse::{Call, DESTROY, Kind, Misuse};

impl Collection {
    /// The live ordinary collection, or ranged one, with this handle. Aborts if there is none, without
    /// reading anything there. O(log pools).
    ///
    /// It stays as long as nobody destroys it.
    pub fn live<'a>(call: Call, handle: usize, ranged: bool) -> &'a Self {
        // SAFETY: live, and until it is destroyed, which nobody does while somebody uses it.
        let found = registry::find(handle).map(|collection| unsafe { collection.as_ref() });
        match found {
            Some(collection) if collection.is_ranged() == ranged => collection,
            _ => Self::stop_not_a_pool(call, handle),
        }
    }

    /// As [`destroy`](Self::destroy), by its handle. Aborts if that is no live pool of this sort, or one
    /// that is being destroyed, without reading anything there.
    ///
    /// # Safety
    /// If it is live, nobody uses it or its entries any more.
    pub unsafe fn destroy_by_handle(handle: usize, ranged: bool) {
        match registry::find_to_destroy(handle, |found| found.is_ranged() == ranged) {
            // SAFETY: by this function's contract.
            Some(collection) => unsafe { Self::destroy(collection) },
            None => Self::stop_not_a_pool(DESTROY, handle),
        }
    }

    /// Reports that `call` got this handle, which is no live pool, and aborts.
    #[cold]
    #[inline(never)]
    pub fn stop_not_a_pool(call: Call, handle: usize) -> ! {
        let all = registry::lock();
        let misuse = match all.former_with(handle) {
            Some(former) => Misuse::new(call, Kind::FormerPool, handle, Some(former.subject())),
            None => Misuse::new(call, Kind::NotAPool, handle, None),
        };
        // A handler may make pools and destroy them.
        drop(all);
        misuse.stop()
    }

    /// Aborts if it was destroyed and its memory still says so.
    pub fn expect_live(&self, call: Call) {
        if self.seal != seal_of(NonNull::from(self)) {
            Self::stop_not_a_pool(call, &raw const *self as usize)
        }
    }
}

/// Aborts if a pool was destroyed and its memory still says so.
#[inline]
pub fn expect_live(pool: &Pool, call: Call) {
    if let Some(handle) = pool.former_handle() {
        Collection::stop_not_a_pool(call, handle)
    }
}
