//! How does an outcome become what C expects?

use core::ffi::c_void;
use core::ptr::NonNull;

use crate::collection::refuse;
use crate::os::error::Error;
use crate::os::set_errno;
use crate::pool::body::Pool;
use crate::pool::heap::NotOut;
use crate::slots::word::Entry;

/// NULL with `errno` set, or the pointer.
#[inline(always)]
pub(super) fn answer<T>(result: Result<NonNull<T>, Error>) -> *mut T {
    match result {
        Ok(pointer) => pointer.as_ptr(),
        Err(error) => {
            set_errno(error);
            core::ptr::null_mut()
        }
    }
}

/// As [`answer`], for entries. Cold: the fast paths have theirs in hand.
#[cold]
pub(super) fn answer_entry(result: Result<Entry, Error>) -> *mut c_void {
    match result {
        Ok(entry) => entry.payload().cast(),
        Err(error) => refuse(error),
    }
}

/// NULL with `errno` set.
#[cold]
#[inline(never)]
pub(super) fn refuse(error: Error) -> *mut c_void {
    set_errno(error);
    // The optimiser is not to know that this is NULL: with the result at hand it would have its
    // callers come back from here, and save registers for that on their fast path.
    core::hint::black_box(core::ptr::null_mut())
}

/// What the names for freeing an entry do.
///
/// The compiler merges functions with the same code, and debuggers and profilers then show either name.
/// A function in a section of its own is not merged. The `link_section` of such a function is the one that
/// the compiler gives it anyway.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[inline(always)]
pub(super) unsafe fn free_entry(entry: *mut c_void) {
    if let Some(entry) = NonNull::new(entry.cast()) {
        let entry = Entry::new(entry);
        // SAFETY: by this function's contract; what is not a live entry can be read at least.
        if unsafe { Pool::free_slot(entry) }.is_err() {
            // SAFETY: as above.
            unsafe { free_unusual(entry) }
        }
    }
}

/// A dynamic entry, or something that may not be freed.
///
/// # Safety
/// The 8 bytes before the entry can be read.
#[cold]
#[inline(never)]
unsafe fn free_unusual(entry: Entry) {
    // SAFETY: by this function's contract.
    unsafe { Pool::free_dynamic(entry).unwrap_or_else(|NotOut| refuse::refuse(entry)) };
}
