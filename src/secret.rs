//! What does this process know that nobody can guess?
//!
//! Two random words, drawn from the kernel when the first pool is made. What they make of an address
//! is mixed into every slot word and every pool's seal, so that data of the program's can't pass for
//! one of ours.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::inlined::PROCESS;

/// A number that follows from `x` and nobody can tell who does not know the secret. Four instructions
/// and a multiplication.
///
/// The two halves of the double product on each other: unlike a sum or a XOR, which whoever reads a
/// word and knows the addresses in it could undo, and have the secret, it can't be taken apart into
/// its factors. (It is no cryptography either, which would take longer than the call it protects.)
#[inline(always)]
pub fn keyed(x: usize) -> usize {
    // SAFETY: `draw` alone writes them, once, and a thread that holds a pool or an entry got it, directly or
    // not, from a thread that ran it. (Compilers fold no atomic load into the multiplication.)
    let (added, factor) = unsafe { (*PROCESS.added.as_ptr(), *PROCESS.factor.as_ptr()) };
    let product = u128::from((x ^ added) as u64) * u128::from(factor as u64);
    (product as u64 ^ (product >> 64) as u64) as usize
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

/// A word that nobody can foresee. One call to the system; leaves `errno` alone.
#[cold]
pub fn random() -> usize {
    // SAFETY: it is the calling thread's own.
    let (errno, before) = unsafe { (libc::__errno_location(), *libc::__errno_location()) };
    let mut word = 0usize;
    let size = size_of::<usize>();
    // SAFETY: the kernel writes at most `size` bytes into `word`, and `errno` is as above.
    let got = unsafe {
        // By number: libc's function may be a point of cancellation.
        let got = libc::syscall(libc::SYS_getrandom, &raw mut word, size, libc::GRND_NONBLOCK);
        *errno = before;
        got
    };
    if usize::try_from(got) == Ok(size) { word } else { without_getrandom() }
}

/// There is no getrandom: an old kernel, a sandbox, early boot.
///
/// The 16 random bytes that the kernel hands to every process, stirred so that they are not on show in
/// a slot, and with them what differs from call to call and from a process to its children: the moment, by
/// the processor's counter.
fn without_getrandom() -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: AT_RANDOM is 0 or the address of 16 readable bytes that live as long as the process.
    let bytes = unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const [usize; 2];
        if bytes.is_null() { [&raw const bytes as usize, 0] } else { bytes.read_unaligned() }
    };
    // Relaxed: a count, and nothing is published with it.
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    [bytes[1], moment(), call].iter().fold(bytes[0], |mix, part| {
        (mix ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    })
}

fn moment() -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this sort has the instruction.
    unsafe {
        core::arch::x86_64::_rdtsc() as usize
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a counter that Linux lets every program read.
    unsafe {
        let count: usize;
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack));
        count
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
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
            (0..1000).flat_map(|_| [random(), without_getrandom()]).collect();
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
