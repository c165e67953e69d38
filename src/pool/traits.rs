//! What does a pool do beside handing out and taking back?

use crate::memory::fields::{Field, fields};
use crate::os::SMALL;

/// What a caller chose beside sizes and counts.
#[derive(Clone, Copy, Default)]
pub struct Traits {
    /// Calls on the pool never overlap: take no lock.
    pub single_thread: bool,
    /// Overwrite an entry with zeros when it is freed.
    pub zero_on_free: bool,
    /// An ordinary pool that is empty takes from the heap.
    pub fall_back: bool,
    /// Look for writes where no code may write.
    pub hardened: bool,
    /// Take every entry from the heap.
    pub bypass: bool,
    /// Tell the sanitizers or Valgrind about every entry.
    pub watched: bool,
    /// Record who took each entry, and who freed it.
    pub recorded: bool,
    /// Its memory is in another pool's.
    pub nested: bool,
}

impl Traits {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Traits: single_thread, fall_back, zero_on_free, hardened, bypass, watched, recorded);

    /// Whether `pool/guard.rs` has its calls.
    #[inline]
    pub fn guarded(&self) -> bool {
        !SMALL && (self.hardened || self.bypass || self.watched || self.recorded)
    }

    /// Whether what lies between its entries, and in those that are free, is looked after.
    #[inline]
    pub fn guards_slots(&self) -> bool {
        !SMALL && (self.hardened || self.watched) && !self.bypass
    }
}
