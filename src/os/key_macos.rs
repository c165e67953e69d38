//! Where does macOS keep a value for each thread?

use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::posix::{drop_end_key, tell_when_ends};

/// The only slot, for `keep`.
static SLOT: AtomicUsize = AtomicUsize::new(0);

/// A place for a value of each thread.
pub fn make_slot() -> Option<usize> {
    let mut key = 0;
    // SAFETY: `key` is a place for the result; the function stays loaded.
    let made = unsafe { libc::pthread_key_create(&mut key, Some(keep)) } == 0;
    made.then_some(key as usize)
}

/// This is the slot that is used.
pub fn choose_slot(slot: usize) {
    // Relaxed: a thread that ends with a value set it after it had learnt the slot.
    SLOT.store(slot, Ordering::Relaxed);
}

/// The system clears the value of a thread that ends, but the thread may still make calls. So set it again,
/// as often as the system asks.
unsafe extern "C" fn keep(value: *mut c_void) {
    set_slot_value(SLOT.load(Ordering::Relaxed), value as usize);
}

/// Takes it back, before any thread has a value.
pub fn drop_slot(slot: usize) {
    drop_end_key(slot);
}

/// The calling thread's value, at first 0.
#[inline(always)]
pub fn slot_value(slot: usize) -> usize {
    // SAFETY: the key exists.
    unsafe { libc::pthread_getspecific(slot as libc::pthread_key_t) as usize }
}

/// Sets it.
pub fn set_slot_value(slot: usize, value: usize) {
    // Without memory for it, it stays 0.
    tell_when_ends(slot, value);
}
