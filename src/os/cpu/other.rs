//! What does the compiler do on most processors?

use core::sync::atomic::{AtomicUsize, Ordering};

/// `number` minus the value there.
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

/// Makes a request to Valgrind: none here, as Valgrind is not there or its sequence is not known.
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86")))]
pub fn ask_valgrind(_request: [usize; 6]) -> usize {
    0
}
