//! What if no lock can tell that its owner is dead?
//!
//! Then no thread inherits the cache of one that died without running its destructors.

use super::outcome::Taken;

/// No lock says that its owner is dead.
pub struct OwnerLock;

impl OwnerLock {
    /// There is none.
    pub const HOLDER_AT: Option<usize> = None;

    /// To be made before it is used.
    pub const fn new() -> Self {
        Self
    }

    /// It can't be.
    ///
    /// # Safety
    /// None is needed.
    pub unsafe fn make(&self) -> bool {
        false
    }

    /// It was not made.
    ///
    /// # Safety
    /// As above.
    pub unsafe fn try_take(&self) -> Taken {
        Taken::No
    }

    /// As above.
    ///
    /// # Safety
    /// As above.
    pub unsafe fn give_back(&self) {}
}
