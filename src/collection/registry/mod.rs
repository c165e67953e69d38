//! Which pools exist, and which one holds this address?
//!
//! Two structures through the collections themselves, which need no memory of their own: a list, in
//! which entering and leaving are O(1), and a tree by handle, which tells in O(log pools) whether a
//! pointer that a caller gave is a live pool, without reading anything there.

mod former;
mod link;
mod tree;

use core::ptr::NonNull;

pub use self::former::Former;
use self::former::Formers;
use self::link::{Branches, Link};
use self::tree::Tree;
use crate::collection::body::Collection;
use crate::memory::fields::{Field, fields};
use crate::os::lock::{Guard, Locked, Tallied};

/// Invariant: every live collection's link is reachable from its list's first once, and from its tree's
/// root once, and nothing else is; serials fall along each list, and all are below `entered`. The second
/// list and tree are of those that are not there in a child of fork: nothing in the first may lead to
/// them.
pub struct Registry {
    first: [Option<NonNull<Link>>; 2],
    tree: [Tree; 2],
    entered: u64,
    former: Formers,
}

// SAFETY: the pointers are followed by the holder of the lock alone, and a collection leaves the
// list before its memory goes.
unsafe impl Send for Registry {}

static ALL: Locked<Registry> = Locked::new(
    Registry {
        first: [None; 2],
        tree: [Tree::EMPTY, Tree::EMPTY],
        entered: 0,
        former: Formers::NONE,
    },
    true,
);

impl Tallied for Registry {}

/// What a debugger reads.
pub const FIELDS: [&[Field]; 5] = [
    fields!(Registry: first, former),
    &[
        Field::number("Registry.AT", Locked::<Registry>::PLACES[0]),
        Field::number("Former.BYTES", Formers::NUMBERS[0]),
        Field::number("Former.COUNT", Formers::NUMBERS[1]),
    ],
    Link::FIELDS,
    Formers::FIELDS[0],
    Formers::FIELDS[1],
];
/// Where a debugger begins.
pub const ROOT: *const () = (&raw const ALL).cast();

/// Enters a collection.
///
/// # Safety
/// It stays where it is until [`leave`].
pub unsafe fn enter(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: all in the list are live (invariant), and links are touched under the lock alone.
    unsafe {
        let link = Link::of(collection);
        let which = which_of(collection);
        link.write(Link {
            next: all.first[which],
            previous: None,
            serial: all.entered,
            handle: collection.as_ref().handle(),
            branches: Branches::NONE,
            going: false,
        });
        if let Some(next) = all.first[which] {
            (*next.as_ptr()).previous = Some(link);
        }
        all.first[which] = Some(link);
        all.tree[which].insert(link);
        all.entered += 1;
        all.former.forget(collection.as_ref());
    }
}

/// Takes a collection out.
///
/// # Safety
/// It was entered and did not leave yet.
pub unsafe fn leave(collection: NonNull<Collection>) {
    let mut all = ALL.lock();
    // SAFETY: as in `enter`.
    unsafe {
        let link = Link::of(collection);
        let which = which_of(collection);
        let (next, previous) = (link.as_ref().next, link.as_ref().previous);
        match previous {
            Some(previous) => (*previous.as_ptr()).next = next,
            None => all.first[which] = next,
        }
        if let Some(next) = next {
            (*next.as_ptr()).previous = previous;
        }
        all.tree[which].remove(link);
        all.former.remember(collection.as_ref());
    }
}

/// The live collection whose user holds this handle, whatever the handle points to. O(log pools).
///
/// It stays live as long as nobody destroys it: who holds a live pool knows that.
pub fn find(handle: usize) -> Option<NonNull<Collection>> {
    ALL.lock().link_at(handle).map(|link| {
        // SAFETY: a link that is in the tree is a live collection's.
        unsafe { Link::collection(link) }
    })
}

/// As [`find`], for a destroy: succeeds for one of all threads that try, if `fits` accepts the collection.
pub fn find_to_destroy(
    handle: usize,
    fits: impl FnOnce(&Collection) -> bool,
) -> Option<NonNull<Collection>> {
    let all = ALL.lock();
    let mut link = all.link_at(handle)?;
    // SAFETY: as in `find`. Links are touched under the lock alone.
    unsafe {
        let collection = Link::collection(link);
        let link = link.as_mut();
        if link.going || !fits(collection.as_ref()) {
            return None;
        }
        link.going = true;
        Some(collection)
    }
}

/// The list. It is the first of the locks that a fork takes (`../forking.rs`): whoever has it
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

/// The list, for the abort path: never sleeps. None if another thread holds the lock.
pub fn glance() -> Option<Guard<'static, Registry>> {
    ALL.lock_unless_held()
}

/// A pool that can be found again after the lock was released.
#[derive(Clone, Copy)]
pub struct Place {
    handle: usize,
    serial: u64,
    which: usize,
}

/// A walk over all pools, the newest first, that releases the lock on its way. It visits no pool that is
/// created after it began.
pub struct Walk {
    next: [Option<Place>; 2], // of each list
}

impl Registry {
    /// The collection whose region holds this address. O(pools).
    pub fn holder_of(&self, address: usize) -> Option<&Collection> {
        self.iter().find(|collection| collection.region_contains(address))
    }

    /// The collection at a place, if it is still there. O(log pools).
    #[inline(never)]
    pub fn at(&self, place: Place) -> Option<&Collection> {
        // SAFETY: a link that is in the tree is a live collection's.
        self.find_again(place).map(|link| unsafe { Link::collection(link).as_ref() })
    }

    /// Begins a walk.
    pub fn walk(&self) -> Walk {
        Walk {
            next: [0, 1].map(|which| {
                // SAFETY: all in the lists are live (invariant).
                self.first[which].map(|link| place_of(unsafe { link.as_ref() }, which))
            }),
        }
    }

    /// The next place of a walk. O(log pools), but O(pools) if the pool there was destroyed since the
    /// last step.
    #[inline(never)]
    pub fn step(&self, walk: &mut Walk) -> Option<Place> {
        // SAFETY: all in the lists are live (invariant), and this borrows the locked lists.
        let see = |link: NonNull<Link>| unsafe { &*link.as_ptr() };
        let next = walk.next.map(|place| {
            let place = place?;
            let older = || self.links(place.which).find(|&link| see(link).serial < place.serial);
            Some((see(self.find_again(place).or_else(older)?), place.which))
        });
        let (link, which) = next.into_iter().flatten().max_by_key(|(link, _)| link.serial)?;
        walk.next = next.map(|next| next.map(|(link, which)| place_of(link, which)));
        walk.next[which] = link.next.map(|link| place_of(see(link), which));
        Some(place_of(link, which))
    }

    /// Every live collection: the newest first, but those that a child of fork lacks last.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        (0..2).flat_map(|which| self.links(which)).map(|link| {
            // SAFETY: all in the lists are live (invariant), and this borrows the locked lists.
            unsafe { Link::collection(link).as_ref() }
        })
    }

    fn links(&self, which: usize) -> impl Iterator<Item = NonNull<Link>> {
        // SAFETY: all in the lists are live (invariant).
        core::iter::successors(self.first[which], |link| unsafe { link.as_ref() }.next)
    }

    fn link_at(&self, handle: usize) -> Option<NonNull<Link>> {
        // SAFETY: all in the trees are live (invariant).
        self.tree.iter().find_map(|tree| unsafe { tree.find(handle) })
    }

    fn find_again(&self, place: Place) -> Option<NonNull<Link>> {
        // SAFETY: as in `link_at`.
        let link = unsafe { self.tree[place.which].find(place.handle) }?;
        // SAFETY: as above. Another pool may have come to where one was.
        (unsafe { link.as_ref() }.serial == place.serial).then_some(link)
    }

    /// In a child of fork: forgets what has no copy there.
    pub fn forget_absent(&mut self) {
        self.first[1] = None;
        self.tree[1] = Tree::EMPTY;
    }

    /// The destroyed collection whose region held this address.
    pub fn former_at(&self, address: usize) -> Option<&Former> {
        self.former.at(address)
    }

    /// The destroyed collection that had this handle.
    pub fn former_with(&self, handle: usize) -> Option<&Former> {
        self.former.with(handle)
    }

    /// Proves the invariant, in O(pools log pools).
    #[cfg(test)]
    pub fn check(&self) {
        for which in 0..2 {
            let mut serial = self.entered;
            let mut previous = None;
            let mut count = 0;
            for link in self.links(which) {
                // SAFETY: live by the invariant that is being proven.
                let it = unsafe { link.as_ref() };
                assert!(it.serial < serial && it.previous == previous);
                // SAFETY: as above.
                assert_eq!(unsafe { self.tree[which].find(it.handle) }, Some(link));
                (serial, previous, count) = (it.serial, Some(link), count + 1);
            }
            // SAFETY: as above.
            assert_eq!(unsafe { self.tree[which].check() }, count);
        }
    }
}

fn place_of(link: &Link, which: usize) -> Place {
    Place { handle: link.handle, serial: link.serial, which }
}

/// Which list and tree a collection is in, or is to be in.
///
/// # Safety
/// The collection is live.
unsafe fn which_of(collection: NonNull<Collection>) -> usize {
    // SAFETY: by this function's contract.
    usize::from(!unsafe { collection.as_ref() }.is_copied_by_fork())
}
