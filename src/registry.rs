//! Which pools exist, and which one holds this address?
//!
//! A list through the collections themselves: entering and leaving are O(1) and need no memory.
//! It is read when a call went wrong, so that the line can say where the pointer points.

use core::ptr::NonNull;

use crate::collection::Collection;
use crate::lock::{Guard, Locked};

/// A collection's place in the list.
pub struct Link {
    next: Option<NonNull<Collection>>,
    previous: Option<NonNull<Collection>>,
}

impl Link {
    /// Of a collection that is not in the list.
    pub const fn new() -> Self {
        Self { next: None, previous: None }
    }
}

/// Invariant: every live collection is reachable from `first` once, and nothing else is.
pub struct Registry {
    first: Option<NonNull<Collection>>,
}

// SAFETY: the pointers are followed by the holder of the lock alone, and a collection leaves the
// list before its memory goes.
unsafe impl Send for Registry {}

static ALL: Locked<Registry> = Locked::new(Registry { first: None }, true);

/// Enters a collection.
///
/// # Safety
/// It stays where it is until [`leave`].
pub unsafe fn enter(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: all in the list are live (invariant), and links are touched under the lock alone.
    unsafe {
        let link = Collection::link(collection);
        (*link).next = all.first;
        (*link).previous = None;
        if let Some(next) = all.first {
            (*Collection::link(next)).previous = Some(collection);
        }
    }
    all.first = Some(collection);
}

/// Takes a collection out.
///
/// # Safety
/// It was entered and did not leave yet.
pub unsafe fn leave(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: as in `enter`.
    unsafe {
        let Link { next, previous } = *Collection::link(collection);
        match previous {
            Some(previous) => (*Collection::link(previous)).next = next,
            None => all.first = next,
        }
        if let Some(next) = next {
            (*Collection::link(next)).previous = previous;
        }
    }
}

/// The list. It is the first of the locks that [`forking`](crate::forking) takes: whoever has it
/// waits for another.
pub fn lock() -> Guard<'static, Registry> {
    ALL.lock()
}

/// The list again, for a thread that forgot the guard of [`lock`].
///
/// # Safety
/// As [`Locked::held`].
pub unsafe fn held() -> Guard<'static, Registry> {
    // SAFETY: by this function's contract.
    unsafe { ALL.held() }
}

/// The list, for the abort path: never sleeps. None if another thread keeps it.
pub fn glance() -> Option<Guard<'static, Registry>> {
    ALL.lock_unless_held()
}

impl Registry {
    /// The collection whose region holds this address.
    pub fn holder_of(&self, address: usize) -> Option<&Collection> {
        self.iter().find(|collection| collection.region_contains(address))
    }

    /// Every live collection.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            let collection = next?;
            // SAFETY: all in the list are live (invariant), and this borrows the locked list.
            unsafe {
                next = (*Collection::link(collection)).next;
                Some(collection.as_ref())
            }
        })
    }
}
