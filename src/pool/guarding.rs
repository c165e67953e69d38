//! What does a guarded pool have in place of caches?

use core::ptr::NonNull;

use super::draw::Generator;
use super::quarantine::Quarantine;
use crate::caches::thread_index::CACHE_DISTANCE;
use crate::memory::fields::{Field, fields};
use crate::memory::layout::WORD;

/// Bytes after each entry of a guarded pool in which a write past the end is noticed.
pub const GUARD_GAP: usize = 16;

/// What a guarded pool has behind the depot's lock, beside the depot.
pub(super) struct Guarding {
    pub(super) quarantine: Quarantine,
    pub(super) generator: Generator, // of a hardened pool, which slot is next
}

/// What lies after a guarded pool. Calls write only `guarding`.
pub(super) struct Beside {
    pub(super) tails: NonNull<u32>, // of each slot, if they are guarded: bytes that were not asked for
    pub(super) guarding: Guarding,
    pub(super) records: Option<NonNull<u8>>, // who took and freed each entry: see `holders.rs`
}

impl Beside {
    /// What a debugger reads of it, and of what is behind the lock.
    pub(super) const FIELDS: [&[Field]; 2] =
        [fields!(Beside: tails, records), fields!(Guarding: quarantine)];
}

// In place of an only cache's line: this, and the word after the last slot.
static_assertions::const_assert!(size_of::<Beside>() + WORD <= CACHE_DISTANCE);
