//! What is left to the compiler on most processors?

use core::sync::atomic::{AtomicUsize, Ordering};

/// `number` less what is there.
#[inline(always)]
pub fn subtract(number: usize, place: &AtomicUsize) -> usize {
    // Relaxed: as the caller says.
    number.wrapping_sub(place.load(Ordering::Relaxed))
}

/// `a + b + AT`.
#[inline(always)]
pub fn sum<const AT: usize>(a: usize, b: usize) -> usize {
    a + b + AT
}

/// Asks Valgrind for something. It is not there, or has no sign that is known here.
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86")))]
pub fn ask_valgrind(_request: [usize; 6]) -> usize {
    0
}
