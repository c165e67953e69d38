//! How does an outcome become what C expects?

use core::ffi::c_void;
use core::ptr::NonNull;

use crate::collection::refuse;
use crate::os::cpu::with_caller;
use crate::os::error::Error;
use crate::os::set_errno;
use crate::pool::body::Pool;
use crate::pool::fast::Rest;
use crate::pool::heap::NotOut;
use crate::pool::holders;
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
/// # Safety
/// `entry` is NULL or a live entry.
#[inline(always)]
pub(super) unsafe fn free_entry(entry: *mut c_void) {
    if let Some(entry) = NonNull::new(entry.cast()) {
        let entry = Entry::new(entry);
        // SAFETY: by this function's contract; what is not a live entry can be read at least.
        match unsafe { Pool::free_fast(entry) } {
            Ok(()) => {}
            // SAFETY: as above.
            Err(Rest::NoCache(pool)) => unsafe { free_without_cache(pool, entry) },
            // SAFETY: as above.
            Err(Rest::NotOut) => unsafe { free_unusual(entry) },
        }
    }
}

with_caller! {
    /// An entry that is out in a slot of the pool's, and that the thread has no cache for.
    ///
    /// # Safety
    /// The fast path said so just now.
    unsafe fn free_without_cache(pool: &Pool, entry: Entry) => free_without_cache_for
}

unsafe extern "C" fn free_without_cache_for(pool: &Pool, entry: Entry, caller: usize) {
    if pool.records() {
        // SAFETY: the word in front of the entry was read just now.
        unsafe { holders::note_freed(entry, caller) };
    }
    pool.free_slow(entry);
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

with_caller! {
    /// Notes that `caller` has the entry, and returns it. NULL stays NULL.
    ///
    /// # Safety
    /// NULL or a new entry.
    pub(super) unsafe fn noted(entry: *mut c_void) -> *mut c_void => note
}

unsafe extern "C" fn note(entry: *mut c_void, caller: usize) -> *mut c_void {
    if let Some(payload) = NonNull::new(entry.cast()) {
        // SAFETY: by the contract of the function above.
        unsafe { holders::note_taken(Entry::new(payload), caller) };
    }
    entry
}

with_caller! {
    /// As [`noted`], of as many entries as a bulk call filled places with: true.
    ///
    /// # Safety
    /// They are new.
    pub(super) unsafe fn all_noted(entries: *const *mut c_void, n: usize) -> bool => note_all
}

with_caller! {
    /// Notes that `caller` has `new`, and has given `old` up for it, if that was a slot's entry.
    ///
    /// # Safety
    /// `new` is a new entry or `old`; `old` is NULL, or was out in a slot of a pool that is live.
    pub(super) unsafe fn noted_move(new: *mut c_void, old: *mut c_void) -> *mut c_void => note_move
}

unsafe extern "C" fn note_move(new: *mut c_void, old: *mut c_void, caller: usize) -> *mut c_void {
    // SAFETY: by the contract of the function above.
    unsafe {
        if let Some(payload) = NonNull::new(old.cast()).filter(|_| new != old) {
            holders::note_gone(Entry::new(payload), caller);
        }
        note(new, caller)
    }
}

unsafe extern "C" fn note_all(entries: *const *mut c_void, n: usize, caller: usize) -> bool {
    // SAFETY: by the contract of the function above.
    unsafe {
        for &entry in core::slice::from_raw_parts(entries, n) {
            note(entry, caller);
        }
    }
    true
}
