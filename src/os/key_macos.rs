//! Where does macOS keep a value for each thread?

use super::posix::{drop_end_key, tell_when_ends};

/// A place for a value of each thread.
pub fn make_slot() -> Option<usize> {
    let mut key = 0;
    // SAFETY: `key` is a place for the result.
    (unsafe { libc::pthread_key_create(&mut key, None) } == 0).then_some(key as usize)
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
