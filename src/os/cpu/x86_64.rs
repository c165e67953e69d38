//! What does an x86-64 processor give?

use core::arch::asm;
use core::sync::atomic::AtomicUsize;

/// `number` minus the value there: compilers fold no atomic load into a subtraction.
#[inline(always)]
pub fn subtract(mut number: usize, place: &AtomicUsize) -> usize {
    // SAFETY: a relaxed load, in effect.
    unsafe {
        asm!(
            "sub {0}, qword ptr [{1}]",
            inout(reg) number,
            in(reg) place.as_ptr(),
            options(pure, readonly, nostack)
        );
    }
    number
}

/// `a + b + AT`, once: compilers would add anew for each access.
#[inline(always)]
pub fn sum<const AT: usize>(a: usize, b: usize) -> usize {
    let sum: usize;
    // SAFETY: adds.
    unsafe {
        asm!(
            "lea {0}, [{1} + {2} + {at}]",
            lateout(reg) sum,
            in(reg) a,
            in(reg) b,
            at = const AT,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// The calling thread's words.
#[cfg(elf)]
pub mod thread_block {
    use core::arch::asm;

    /// The word `AT` bytes into the block. Two loads: thread-local data of the initial-exec model, which an
    /// executable's linker turns into one.
    #[cfg(not(target_env = "musl"))]
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        let value;
        // SAFETY: reads the calling thread's own block.
        unsafe {
            asm!(
                "mov {0}, qword ptr [rip + cmempool_thread_own@GOTTPOFF]",
                "mov {0}, qword ptr fs:[{0} + {at}]",
                out(reg) value,
                at = const AT,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        value
    }

    /// Writes that word, and the one after it first.
    #[cfg(not(target_env = "musl"))]
    pub fn set<const AT: usize>(value: usize, after: usize) {
        // SAFETY: writes the calling thread's own block.
        unsafe {
            asm!(
                "mov {0}, qword ptr [rip + cmempool_thread_own@GOTTPOFF]",
                "mov qword ptr fs:[{0} + {at} + 8], {2}",
                "mov qword ptr fs:[{0} + {at}], {1}",
                out(reg) _,
                in(reg) value,
                in(reg) after,
                at = const AT,
                options(nostack, preserves_flags)
            );
        }
    }

    // musl opens a library at run time only if that takes its thread-local data by descriptor: a call, which
    // leaves all registers but one as they were, and which an executable's linker turns into a load.

    /// As above.
    #[cfg(target_env = "musl")]
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        let value;
        // SAFETY: reads the calling thread's own block.
        unsafe {
            asm!(
                "lea rax, [rip + cmempool_thread_own@TLSDESC]",
                "call [rax + cmempool_thread_own@TLSCALL]",
                "mov rax, qword ptr fs:[rax + {at}]",
                out("rax") value,
                at = const AT,
                options(pure, readonly)
            );
        }
        value
    }

    /// As above.
    #[cfg(target_env = "musl")]
    pub fn set<const AT: usize>(value: usize, after: usize) {
        // SAFETY: writes the calling thread's own block.
        unsafe {
            asm!(
                "lea rax, [rip + cmempool_thread_own@TLSDESC]",
                "call [rax + cmempool_thread_own@TLSCALL]",
                "mov qword ptr fs:[rax + {at} + 8], {1}",
                "mov qword ptr fs:[rax + {at}], {0}",
                in(reg) value,
                in(reg) after,
                out("rax") _,
                at = const AT,
            );
        }
    }
}

/// Makes a request to Valgrind; 0 without Valgrind.
#[inline(never)]
pub fn ask_valgrind(request: [usize; 6]) -> usize {
    let mut answer = 0usize;
    // SAFETY: four rotations that together do nothing, and an exchange of a register with itself: the
    // sequence that Valgrind recognises. Valgrind reads the six numbers.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &raw const request,
            inout("rdx") answer,
            options(nostack)
        );
    }
    answer
}
