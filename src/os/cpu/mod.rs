//! What does the processor give that Rust has no words for?
//!
//! A processor has a file here with its way to the thread block, and with whatever else is worth an
//! instruction; for the rest there are `other.rs` and the functions below.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(not(target_arch = "x86_64"))]
mod other;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use self::aarch64::{ask_valgrind, thread_block};
#[cfg(not(target_arch = "x86_64"))]
pub use self::other::{subtract, sum};
#[cfg(target_arch = "x86_64")]
pub use self::x86_64::{ask_valgrind, subtract, sum, thread_block};

// The thread block (see `slots/inlined.rs`): four pairs of words, of which the first is all ones in a thread
// that is new. Protected: programs see it, and each module that has the library in it uses its own.
#[cfg(all(unix, target_pointer_width = "64"))]
core::arch::global_asm!(
    ".pushsection .tdata,\"awT\",%progbits",
    ".p2align 6",
    ".globl cmempool_thread",
    ".protected cmempool_thread",
    ".type cmempool_thread, %object",
    ".size cmempool_thread, 64",
    "cmempool_thread: .quad -1, 0, -1, 0, -1, 0, -1, 0",
    ".popsection",
);

/// The same number, of which the compiler knows nothing.
#[inline(always)]
pub fn unseen(mut number: usize) -> usize {
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!(
            "/* {0} */",
            inlateout(reg) number,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    number
}

/// Keeps the compiler from making the branch that this is on a choice without one.
#[inline(always)]
pub fn stay_a_branch() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
}
