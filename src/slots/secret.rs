//! What does this process know that nobody can guess?
//!
//! Two random words, drawn from the system when the first pool is created. A number computed from them and an
//! address is mixed into every slot word and every pool's seal, so that the program's data can't pass for the
//! library's.

use core::sync::atomic::Ordering;

use crate::os::{self, sync::AtomicU64};
use crate::slots::inlined::PROCESS;

/// A number that follows from `x`, and that can't be computed without the secret. Four instructions and a
/// multiplication.
///
/// The two halves of the double product on each other: unlike a sum or a XOR, which whoever reads a
/// word and knows the addresses in it could undo, and have the secret, it can't be taken apart into
/// its factors. (It is no cryptography either, which would take longer than the call it protects.)
#[inline(always)]
pub fn keyed(x: u64) -> u64 {
    // SAFETY: `draw` alone writes them, once, and a thread that holds a pool or an entry got it, directly or
    // not, from a thread that ran it. (Compilers fold no atomic load into the multiplication.)
    let (added, factor) = unsafe { (*PROCESS.added.as_ptr(), *PROCESS.factor.as_ptr()) };
    mixed(x ^ added, factor)
}

#[cfg(target_pointer_width = "64")]
#[inline(always)]
fn mixed(x: u64, factor: u64) -> u64 {
    let product = u128::from(x) * u128::from(factor);
    product as u64 ^ (product >> 64) as u64
}

/// Where registers have 32 bits: two products of those, on each other in the same way.
#[cfg(target_pointer_width = "32")]
#[inline(always)]
fn mixed(x: u64, factor: u64) -> u64 {
    let low = x as u32;
    let high = (x >> 32) as u32 ^ low.rotate_left(16);
    let product = |part: u32, factor: u32| u64::from(part) * u64::from(factor | 1);
    product(low, factor as u32) ^ product(high, (factor >> 32) as u32).rotate_left(32)
}

/// Draws the secret unless that was done already. Every create function calls this first.
pub fn draw() {
    // Acquire pairs with the Release below: with the second there is the first.
    if PROCESS.factor.load(Ordering::Acquire) == 0 {
        // The first writer of each wins. Acquire, for who is not, pairs with the Release of who was: then
        // the second says that both are there.
        let added = random() | 1 << 62;
        let _ = PROCESS.added.compare_exchange(0, added, Ordering::Release, Ordering::Acquire);
        // Odd, so that it has no factor in common with the range; large, so that both halves say much.
        let factor = random() | 1 << 63 | 1;
        let _ = PROCESS.factor.compare_exchange(0, factor, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// A random word. One system call; leaves `errno` alone.
#[cold]
pub fn random() -> u64 {
    os::random().unwrap_or_else(without_system)
}

/// The system gives none: what it gave the process at its start, stirred so that it is not on show in a
/// slot, and with it what differs from call to call and from a process to its children: the moment.
fn without_system() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: a count, and nothing is published with it.
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let [first, second] = os::random_at_start();
    [second, os::moment(), call]
        .iter()
        .fold(first, |mix, part| (mix ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_once() {
        draw();
        let known =
            || (PROCESS.added.load(Ordering::Relaxed), PROCESS.factor.load(Ordering::Relaxed));
        let first = known();
        draw();
        assert!(first.0 != 0 && first.1 != 0 && first.0 != first.1);
        assert_eq!(known(), first);
    }

    #[test]
    fn no_word_is_drawn_twice() {
        let words: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| [random(), without_system()]).collect();
        assert_eq!(words.len(), 2000);
    }

    #[test]
    fn neighbours_have_nothing_in_common() {
        draw();
        let numbers: std::collections::HashSet<_> =
            (0..10_000).map(|i| keyed(0x7F00_0000_0000 + 16 * i) >> 32).collect();
        assert!(numbers.len() > 9_990);
        // Nor is what two addresses differ in what their numbers differ in, as with a XOR.
        let differences: std::collections::HashSet<_> =
            (0..1000).map(|i| keyed(32 * i) ^ keyed(32 * i + 16)).collect();
        assert!(differences.len() > 990);
    }
}
