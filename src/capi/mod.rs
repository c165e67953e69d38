//! The C face: checks arguments, calls the rooms below, nothing else.
//!
//! The comments on public items become the header, `include/cmempool.h`; `cbindgen.toml` holds its
//! macros. Names are C's.

#![allow(non_camel_case_types)]

mod options;
mod ordinary;
mod ranged;

pub use options::*;
pub use ordinary::*;
pub use ranged::*;

use core::ptr::NonNull;

use crate::error::Error;
use crate::misuse::{self, Kind};
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

/// As [`answer`], for entries.
#[inline(always)]
fn answer_entry(result: Result<Entry, Error>) -> *mut core::ffi::c_void {
    match result {
        Ok(entry) => entry.payload().cast(),
        Err(error) => {
            error.set_errno();
            core::ptr::null_mut()
        }
    }
}

#[cold]
fn stop_not_a_pool<T>(pool: NonNull<T>) -> ! {
    misuse::stop(Kind::NotAPool, pool.as_ptr() as usize, None)
}
