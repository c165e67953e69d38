//! What does this process know that nobody can guess?
//!
//! One random word, drawn from the kernel when the first pool is made. It is mixed into every slot
//! word and every pool's seal, so that data of the program's can't pass for one of ours.

use core::sync::atomic::{AtomicUsize, Ordering};

static SECRET: AtomicUsize = AtomicUsize::new(0);

/// The secret; 0 before the first pool exists.
///
/// Relaxed: the value itself is all there is to see, and a thread that holds a pool or an entry got
/// it, directly or not, from the thread that ran [`draw`].
#[inline(always)]
pub fn secret() -> usize {
    SECRET.load(Ordering::Relaxed)
}

/// Draws the secret unless that was done already. Every create function calls this first.
pub fn draw() {
    if secret() == 0 {
        // Relaxed: nothing else is published with the value; the first writer wins.
        let _ =
            SECRET.compare_exchange(0, random() | 1 << 47, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cold]
fn random() -> usize {
    let mut word = 0usize;
    let size = size_of::<usize>();
    // SAFETY: the kernel writes at most `size` bytes into `word`.
    let got = unsafe { libc::getrandom((&raw mut word).cast(), size, libc::GRND_NONBLOCK) };
    if got == size as isize {
        return word;
    }
    // No getrandom (an old kernel, a sandbox, early boot): the 16 random bytes that the kernel
    // hands to every process, stirred so that they are not on show in a slot.
    // SAFETY: AT_RANDOM is 0 or the address of 16 readable bytes that live as long as the process.
    unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const [usize; 2];
        let seed =
            if bytes.is_null() { [&raw const word as usize, 0] } else { bytes.read_unaligned() };
        (seed[0] ^ seed[1].rotate_left(23)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn drawn_once() {
        super::draw();
        let first = super::secret();
        super::draw();
        assert_ne!(first, 0);
        assert_eq!(super::secret(), first);
    }
}
