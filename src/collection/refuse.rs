//! What is wrong with an address that may not be freed?

use super::body::Collection;
use super::registry;
use crate::report::misuse::{Call, FREE, Kind, Misuse};
use crate::slots::word::{Entry, State};

/// Reports what is wrong with an address that was passed to free, and aborts.
///
/// # Safety
/// The 8 bytes before the entry can be read.
#[cold]
pub unsafe fn refuse(entry: Entry) -> ! {
    // SAFETY: by this function's contract.
    unsafe { refuse_in(FREE, entry) }
}

/// As [`refuse`], for an address that was passed to another call than a free.
///
/// # Safety
/// As [`refuse`].
#[cold]
pub unsafe fn refuse_in(call: Call, entry: Entry) -> ! {
    // SAFETY: by this function's contract.
    let misuse = unsafe { what_went_wrong(call, entry) };
    // Nothing is locked any more: a handler may take its time, and others go on.
    misuse.stop()
}

/// # Safety
/// As [`refuse`].
unsafe fn what_went_wrong(call: Call, entry: Entry) -> Misuse {
    let address = entry.address();
    // Walking the list needs its lock, or a pool could be destroyed while it is looked at. This can't hang:
    // after a short spin it goes on without the lock, and reports less.
    let all = registry::glance();
    let pool_at = |address: usize| {
        let collection = all.as_ref()?.holder_of(address)?;
        collection.pools().iter().copied().find(|&pool| &raw const *pool as usize == address)
    };
    // SAFETY: by this function's contract.
    if let Some((owner, state)) = unsafe { entry.decode() }.owner_and_state() {
        let pool = pool_at(owner);
        // A word that names no live pool is no word of ours, or of a pool that is gone.
        if pool.is_some() || all.is_none() {
            let kind = match state {
                State::Fresh => Kind::NeverOut,
                _ if call != FREE => Kind::Freed,
                State::Out | State::Free => Kind::DoubleFree,
                State::Dynamic | State::DynamicFreed => Kind::DoubleFreeDynamic,
            };
            return Misuse::new(call, kind, address, pool.map(|pool| pool.subject_of(entry)));
        }
    }
    let collection = all.as_ref().and_then(|all| all.holder_of(address));
    for pool in collection.map_or(&[][..], Collection::pools) {
        if let Some(kind) = pool.what_is_at(address) {
            return Misuse::new(call, kind, address, Some(pool.subject_of(entry)));
        }
    }
    if collection.is_none()
        && let Some(former) = all.as_ref().and_then(|all| all.former_at(address))
    {
        return Misuse::new(call, Kind::Destroyed, address, Some(former.subject()));
    }
    Misuse::new(call, Kind::Foreign, address, None)
}
