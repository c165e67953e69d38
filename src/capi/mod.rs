//! The C face: checks arguments, calls the rooms below, nothing else.
//!
//! The comments on public items become the header, `include/cmempool.h`, and that the man pages;
//! `cbindgen.toml` holds the header's macros. Names are C's.
//!
//! A comment starts with a sentence that says what the item is for. A title before that, `# Take an
//! entry`, opens a section of the header; all that stands under the same title is one man page, named
//! after the first function there. `@param name  text`, `@return text` and, for each value of `errno`,
//! `@errno NAME  text` have their places in a page, and so has a paragraph that starts with `Threads`.
//! Code stands between fences, or indented by four.
//! `# Safety` is for Rust alone.

#![allow(non_camel_case_types)]

mod bulk;
mod inlined;
mod inspect;
mod misuse;
mod newer;
mod options;
mod ordinary;
mod ranged;

pub use bulk::*;
pub use inlined::*;
pub use inspect::*;
pub use misuse::*;
pub use newer::*;
pub use options::*;
pub use ordinary::*;
pub use ranged::*;

use core::ffi::c_void;
use core::ptr::NonNull;

use crate::error::Error;
use crate::pool::Pool;
use crate::slot::Entry;

/// NULL with `errno` set, or the pointer.
#[inline(always)]
fn answer<T>(result: Result<NonNull<T>, Error>) -> *mut T {
    match result {
        Ok(pointer) => pointer.as_ptr(),
        Err(error) => {
            error.set_errno();
            core::ptr::null_mut()
        }
    }
}

/// As [`answer`], for entries. Cold: the fast paths have theirs in hand.
#[cold]
fn answer_entry(result: Result<Entry, Error>) -> *mut c_void {
    match result {
        Ok(entry) => entry.payload().cast(),
        Err(error) => refuse(error),
    }
}

/// NULL with `errno` set.
#[cold]
#[inline(never)]
fn refuse(error: Error) -> *mut c_void {
    error.set_errno();
    // The optimiser is not to know that this is NULL: with the result at hand it would have its
    // callers come back from here, and save registers for that on their fast path.
    core::hint::black_box(core::ptr::null_mut())
}

/// What the names for freeing an entry do.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[inline(always)]
unsafe fn free_entry(entry: *mut c_void) {
    if let Some(entry) = NonNull::new(entry.cast()) {
        // SAFETY: by this function's contract; what is not a live entry can be read at least.
        unsafe { Pool::free(Entry::new(entry)) };
    }
}
