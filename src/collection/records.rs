//! Where are the records of who holds entries?
//!
//! In a mapping of their own, for all classes of a collection: a caller's buffer was measured without them.

use core::ptr::NonNull;

use super::body::Collection;
use crate::memory::layout::Classes;
use crate::os::error::Error;
use crate::os::{self, page_size};
use crate::pool::holders;

/// Records for all classes, all 0. What no slot's entry is recorded in takes no memory of the machine's.
pub fn obtain(classes: &Classes<'_>) -> Result<NonNull<u8>, Error> {
    holders::announce();
    let counts = (0..classes.count()).map(|i| classes.get(i).elem_count);
    let len = length(counts).ok_or(Error::NoMemory)?;
    os::map(len).ok_or(Error::NoMemory)
}

/// Gives them back.
///
/// # Safety
/// Nobody uses the collection any more.
pub unsafe fn give_back(collection: &Collection) {
    let Some(first) = collection.pools()[0].records_start() else { return };
    if let Some(len) = length(collection.pools().iter().map(|pool| pool.capacity())) {
        // SAFETY: the first class's records are where the mapping begins, which has that length.
        unsafe { os::unmap(first, len) };
    }
}

fn length(counts: impl Iterator<Item = usize>) -> Option<usize> {
    let all = counts.map(holders::bytes);
    let sum = all.reduce(|sum, bytes| sum?.checked_add(bytes?)).flatten()?;
    sum.checked_next_multiple_of(page_size())
}
