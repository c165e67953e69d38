//! Where does Windows keep a value for each thread?

use core::ffi::{c_int, c_void};
use core::ptr;

unsafe extern "system" {
    fn TlsAlloc() -> u32;
    fn TlsGetValue(index: u32) -> *mut c_void;
    fn TlsSetValue(index: u32, value: *mut c_void) -> c_int;
    fn TlsFree(index: u32) -> c_int;
    fn GetLastError() -> u32;
    fn SetLastError(error: u32);
}

/// No slot.
const NONE: u32 = u32::MAX;

/// Runs `inside`, and restores the calling thread's last error.
pub fn keep_last_error<R>(inside: impl FnOnce() -> R) -> R {
    // SAFETY: it is the calling thread's own.
    let before = unsafe { GetLastError() };
    let result = inside();
    // SAFETY: as above.
    unsafe { SetLastError(before) };
    result
}

/// A place for a value of each thread.
pub fn make_slot() -> Option<usize> {
    // SAFETY: it can be called anywhere.
    let slot = unsafe { TlsAlloc() };
    (slot != NONE).then_some(slot as usize)
}

/// This is the slot that is used.
pub fn choose_slot(_slot: usize) {}

/// Takes it back, before any thread has a value.
pub fn drop_slot(slot: usize) {
    // SAFETY: the slot exists.
    unsafe { TlsFree(slot as u32) };
}

/// The calling thread's value, at first 0.
#[inline(always)]
pub fn slot_value(slot: usize) -> usize {
    // SAFETY: the slot exists.
    keep_last_error(|| unsafe { TlsGetValue(slot as u32) as usize })
}

/// Sets it, if there is memory for that.
pub fn set_slot_value(slot: usize, value: usize) {
    // SAFETY: the slot exists.
    unsafe { TlsSetValue(slot as u32, ptr::without_provenance_mut(value)) };
}
