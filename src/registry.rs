//! Which pools exist, and which one holds this address?
//!
//! A list through the collections themselves: entering and leaving are O(1) and need no memory.
//! It is read when a call went wrong, so that the line can say where the pointer points.

use core::ptr::NonNull;

use crate::collection::{Collection, NAME_MAX, Policy};
use crate::lock::{Guard, Locked};
use crate::misuse::Subject;

/// A collection's place in the list.
pub struct Link {
    next: Option<NonNull<Link>>,
    previous: Option<NonNull<Link>>,
    serial: u64,
}

/// Invariant: every live collection's link is reachable from its list's first once, and nothing else is;
/// their serials fall along each list, and all are below `entered`. The second list is of those that are
/// not there in a child of fork: nothing in the first may lead to them.
pub struct Registry {
    first: [Option<NonNull<Link>>; 2],
    entered: u64,
    former: Formers,
}

// SAFETY: the pointers are followed by the holder of the lock alone, and a collection leaves the
// list before its memory goes.
unsafe impl Send for Registry {}

static ALL: Locked<Registry> =
    Locked::new(Registry { first: [None; 2], entered: 0, former: Formers::NONE }, true);

/// Enters a collection.
///
/// # Safety
/// It stays where it is until [`leave`].
pub unsafe fn enter(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: all in the list are live (invariant), and links are touched under the lock alone.
    unsafe {
        let serial = all.entered;
        let first = all.first_of(collection);
        let link = Collection::link(collection);
        link.write(Link { next: *first, previous: None, serial });
        if let Some(next) = *first {
            (*next.as_ptr()).previous = Some(link);
        }
        *first = Some(link);
    }
    all.entered += 1;
    // SAFETY: as above.
    all.former.forget(unsafe { collection.as_ref() });
}

/// Takes a collection out.
///
/// # Safety
/// It was entered and did not leave yet.
pub unsafe fn leave(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: as in `enter`.
    unsafe {
        let Link { next, previous, .. } = Collection::link(collection).read();
        match previous {
            Some(previous) => (*previous.as_ptr()).next = next,
            None => *all.first_of(collection) = next,
        }
        if let Some(next) = next {
            (*next.as_ptr()).previous = previous;
        }
        all.former.remember(collection.as_ref());
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

    /// Of the collections that were entered before the one with that serial, the last: its serial, and
    /// what `tell` says of it.
    pub fn newest_before<T>(
        &self,
        serial: u64,
        tell: impl FnOnce(&Collection) -> T,
    ) -> Option<(u64, T)> {
        let (collection, serial) = self.with_serials().find(|&(_, its)| its < serial)?;
        Some((serial, tell(collection)))
    }

    /// What `tell` says of the collection with that serial, if it is still there.
    pub fn with<T>(&self, serial: u64, tell: impl FnOnce(&Collection) -> T) -> Option<T> {
        let (collection, _) = self.with_serials().find(|&(_, its)| its == serial)?;
        Some(tell(collection))
    }

    /// Every live collection, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        self.with_serials().map(|(collection, _)| collection)
    }

    fn with_serials(&self) -> impl Iterator<Item = (&Collection, u64)> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            // SAFETY: all in the lists are live (invariant), and this borrows the locked lists.
            unsafe {
                let newest = next.map(|first| first.map(|first| first.as_ref().serial));
                let first = &mut next[usize::from(newest[1] > newest[0])];
                let link = (*first)?;
                *first = link.as_ref().next;
                Some((Collection::of_link(link).as_ref(), link.as_ref().serial))
            }
        })
    }

    /// In a child of fork: forgets what has no copy there.
    pub fn forget_absent(&mut self) {
        self.first[1] = None;
    }

    /// The first of the list that a collection is in, or is to be in.
    ///
    /// # Safety
    /// The collection is live.
    unsafe fn first_of(&mut self, collection: NonNull<Collection>) -> &mut Option<NonNull<Link>> {
        // SAFETY: by this function's contract.
        let copied = unsafe { collection.as_ref() }.is_copied_by_fork();
        &mut self.first[usize::from(!copied)]
    }
}

// ---- Where pools were ------------------------------------------------------------------------------

/// How many destroyed collections are remembered.
const FORMERS: usize = 16;

/// Where a collection was, in memory that can still be read, so that a late free can be told from that
/// of a pointer that never was an entry.
#[derive(Clone, Copy)]
pub struct Former {
    start: usize,
    end: usize, // 0: nothing is remembered here
    handle: usize,
    elem_size: usize, // 0 for a ranged pool
    name: [u8; NAME_MAX],
    name_len: usize,
}

/// The last of them, in a ring.
struct Formers {
    ring: [Former; FORMERS],
    next: usize,
}

impl Former {
    const NONE: Self =
        Self { start: 0, end: 0, handle: 0, elem_size: 0, name: [0; NAME_MAX], name_len: 0 };

    /// What a report says about it.
    pub fn subject(&self) -> Subject<'_> {
        let name = &self.name[..self.name_len];
        Subject { name, address: self.handle, elem_size: self.elem_size }
    }
}

impl Formers {
    const NONE: Self = Self { ring: [Former::NONE; FORMERS], next: 0 };

    /// A collection goes.
    fn remember(&mut self, collection: &Collection) {
        let Some(range) = collection.region_left_behind() else { return };
        let Subject { name, address, elem_size } = collection.pools()[0].subject();
        let mut former = Former {
            start: range.start,
            end: range.end,
            handle: address,
            elem_size: if collection.policy() == Policy::Ordinary { elem_size } else { 0 },
            name_len: name.len(),
            ..Former::NONE
        };
        former.name[..name.len()].copy_from_slice(name);
        self.ring[self.next] = former;
        self.next = (self.next + 1) % FORMERS;
    }

    /// A collection comes: what was where it lies was something else.
    fn forget(&mut self, collection: &Collection) {
        let range = collection.region_range();
        for former in &mut self.ring {
            if former.start < range.end && range.start < former.end {
                *former = Former::NONE;
            }
        }
    }
}

impl Registry {
    /// The destroyed collection whose region held this address.
    pub fn former_at(&self, address: usize) -> Option<&Former> {
        self.former.ring.iter().find(|former| (former.start..former.end).contains(&address))
    }
}
