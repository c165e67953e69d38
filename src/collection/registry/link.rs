//! How does a collection hang in the list and in the tree?

use core::ptr::NonNull;

use crate::collection::body::{Collection, LEAD};
use crate::memory::fields::{Field, fields};
use crate::memory::layout::OWNER_ALIGN;

/// A collection's place in the list and in the tree.
pub struct Link {
    pub(super) next: Option<NonNull<Link>>,
    pub(super) previous: Option<NonNull<Link>>,
    pub(super) serial: u64,
    pub(super) handle: usize, // what the pool's user holds
    pub(super) branches: Branches,
    pub(super) going: bool, // a destroy has begun
}

/// The subtrees below a link: of smaller handles, and of larger ones.
pub struct Branches {
    pub(super) smaller: Option<NonNull<Link>>,
    pub(super) larger: Option<NonNull<Link>>,
}

impl Branches {
    pub const NONE: Self = Self { smaller: None, larger: None };
}

static_assertions::const_assert!(size_of::<Link>() <= LEAD && align_of::<Link>() <= OWNER_ALIGN);

impl Link {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Link: next, serial, handle, going);

    /// Where a collection's link is.
    ///
    /// # Safety
    /// The collection is live.
    pub unsafe fn of(collection: NonNull<Collection>) -> NonNull<Self> {
        // SAFETY: create left that much room.
        unsafe { collection.byte_sub(LEAD) }.cast()
    }

    /// The collection that a link is of.
    ///
    /// # Safety
    /// It is what [`of`](Self::of) gave, and the collection is live.
    pub unsafe fn collection(this: NonNull<Self>) -> NonNull<Collection> {
        // SAFETY: by this function's contract.
        unsafe { this.byte_add(LEAD) }.cast()
    }
}
