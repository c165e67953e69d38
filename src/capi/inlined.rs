//! Where code that is inlined into programs goes on when its thread's cache stopped it: see
//! `../inlined.rs`. The header declares these itself, beside that code.

use core::ffi::c_void;

use super::answer::refuse;
use super::ordinary::{alloc_stopped, mempool, pool};
use super::ranged::{alloc_missed as sized_missed, collection, r_mempool};
use crate::os::error::Error;
use crate::pool::body::Pool;
use crate::pool::fast::Missed;

/// What `mempool_alloc_entry` does when a pop was stopped.
///
/// # Safety
/// `mp` is a live pool, and the calling thread's last call on its cache such a pop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _mempool_alloc_missed(mp: *mut mempool) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(pool) = (unsafe { pool(mp) }) else { return refuse(Error::Invalid) };
    alloc_stopped(pool)
}

/// What `r_mempool_alloc_entry` does when a pop was stopped.
///
/// # Safety
/// `rmp` is a live ranged pool, `class` its pool for entries of `size` bytes, and the calling thread's last
/// call on the class's cache such a pop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _r_mempool_alloc_missed(
    rmp: *mut r_mempool,
    class: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(collection) = (unsafe { collection(rmp) }) else { return refuse(Error::Invalid) };
    // SAFETY: as above.
    let class = unsafe { Pool::at(class as usize) };
    sized_missed(collection, class, size, Missed::Stopped)
}

/// What `mempool_free_entry` does when a push was stopped.
///
/// # Safety
/// `class` is a live pool or a class of one, and the calling thread's last call on its cache such a push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _mempool_free_missed(class: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { Pool::at(class as usize) }.settle_inlined_push();
}
