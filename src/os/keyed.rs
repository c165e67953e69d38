//! Where are a thread's words, if the system finds them by a key?

use core::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_os = "macos")]
use super::key_macos::{choose_slot, drop_slot, make_slot, set_slot_value, slot_value};
#[cfg(windows)]
use super::key_windows::{choose_slot, drop_slot, make_slot, set_slot_value, slot_value};

/// The key plus one; 0 while there is none.
static KEY: AtomicUsize = AtomicUsize::new(0);

fn key() -> Option<usize> {
    // Acquire pairs with the Release in `make`: the key exists.
    KEY.load(Ordering::Acquire).checked_sub(1)
}

#[cold]
fn make() -> Option<usize> {
    let key = make_slot()?;
    // No lock, which a child of fork could find held: of two that make a key, one deletes it.
    // Release pairs with the Acquire in `key`; Acquire, for the other, with that Release.
    match KEY.compare_exchange(0, key + 1, Ordering::Release, Ordering::Acquire) {
        Ok(_) => {
            choose_slot(key);
            Some(key)
        }
        Err(other) => {
            drop_slot(key);
            Some(other - 1)
        }
    }
}

/// The calling thread's distance. Its second word is for inlined code, which there is none of here.
pub mod thread_block {
    /// The key's value less one: a new thread's value is 0, and gives all ones.
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        super::key().map_or(usize::MAX, |key| super::slot_value(key).wrapping_sub(1))
    }

    /// Sets it, if there is memory for that.
    pub fn set<const AT: usize>(value: usize, _after: usize) {
        if let Some(key) = super::key().or_else(super::make) {
            super::set_slot_value(key, value.wrapping_add(1));
        }
    }
}
