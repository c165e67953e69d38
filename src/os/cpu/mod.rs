//! What does the processor give that Rust can't express?
//!
//! Each processor has a file here with its way to the thread block (`place`), and with what else saves an
//! instruction. `other.rs` and the functions below are for the rest.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "arm")]
mod arm;
mod caller;
#[cfg(not(target_arch = "x86_64"))]
mod other;
#[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
mod riscv;
#[cfg(target_arch = "s390x")]
mod s390x;
#[cfg(target_arch = "x86")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use self::aarch64::ask_valgrind;
pub(crate) use self::caller::with_caller;
#[cfg(not(any(target_arch = "x86", feature = "bare")))]
pub(crate) use self::caller::{into_register, jump};
#[cfg(not(target_arch = "x86_64"))]
pub use self::other::*;
#[cfg(target_arch = "x86")]
pub use self::x86::ask_valgrind;
#[cfg(target_arch = "x86_64")]
pub use self::x86_64::{ask_valgrind, subtract, sum};

#[cfg(all(elf, target_arch = "aarch64"))]
use self::aarch64::place;
#[cfg(all(elf, target_arch = "arm"))]
use self::arm::place;
#[cfg(all(elf, any(target_arch = "riscv64", target_arch = "riscv32")))]
use self::riscv::place;
#[cfg(all(elf, target_arch = "s390x"))]
use self::s390x::place;
#[cfg(all(elf, target_arch = "x86"))]
use self::x86::place;
#[cfg(all(elf, target_arch = "x86_64"))]
pub use self::x86_64::thread_block;

#[cfg(all(
    elf,
    not(any(
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64",
        target_arch = "riscv32",
        target_arch = "s390x",
        target_arch = "x86",
        target_arch = "x86_64"
    ))
))]
compile_error!(
    "cmempool knows nothing of this processor: `src/os/cpu/mod.rs` says what one has to provide"
);

// The thread block (see `slots/inlined.rs`): four pairs of words, of which the first is all ones in a thread
// that is new. Programs use the first name. The library uses the second, which is hidden: so each module that
// contains the library uses its own block, whatever a loader does with a name that exists twice.
#[cfg(elf)]
core::arch::global_asm!(
    ".pushsection .tdata,\"awT\",%progbits",
    ".p2align 4", // some loaders align no further what is opened at run time
    ".globl cmempool_thread",
    ".protected cmempool_thread",
    ".type cmempool_thread, %object",
    ".size cmempool_thread, 8 * {word}",
    ".globl cmempool_thread_own",
    ".hidden cmempool_thread_own",
    ".type cmempool_thread_own, %object",
    "cmempool_thread:",
    "cmempool_thread_own:",
    ".rept 4",
    ".fill {word}, 1, 0xff",
    ".fill {word}, 1, 0",
    ".endr",
    ".popsection",
    word = const size_of::<usize>(),
);

/// The calling thread's words.
#[cfg(all(elf, not(target_arch = "x86_64")))]
pub mod thread_block {
    use super::place;

    /// The word `AT` bytes into the block.
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        // SAFETY: the calling thread's own block.
        unsafe { place().byte_add(AT).read() }
    }

    /// Writes that word, and the one after it first.
    pub fn set<const AT: usize>(value: usize, after: usize) {
        // SAFETY: as above.
        unsafe {
            place().byte_add(AT).add(1).write(after);
            place().byte_add(AT).write(value);
        }
    }
}

/// The same number, hidden from the compiler.
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

/// Keeps the compiler from replacing the branch that this is on by a conditional move.
#[inline(always)]
pub fn stay_a_branch() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
}

/// A size or place in a struct: where registers have 64 bits, where they have 32, and where they have 32 and
/// numbers of 64 bits are aligned to 4 bytes, as on 32-bit x86.
pub const fn by_width(of_64: usize, of_32: usize, of_32_packed: usize) -> usize {
    match (size_of::<usize>(), align_of::<u64>()) {
        (8, _) => of_64,
        (_, 8) => of_32,
        _ => of_32_packed,
    }
}
