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
