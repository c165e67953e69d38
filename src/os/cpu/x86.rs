//! What does a 32-bit x86 processor give?

use core::arch::asm;

/// Where the calling thread's block is.
#[cfg(elf)]
#[inline(always)]
pub fn place() -> *mut usize {
    let offset: usize;
    let thread: usize;
    // SAFETY: reads the thread's own address and a constant of the loader's. The call is for the program
    // counter, and leaves the stack as it was.
    unsafe {
        asm!(
            "call 2f",
            "2: popl {0}",
            "addl $_GLOBAL_OFFSET_TABLE_+(. - 2b), {0}",
            "movl cmempool_thread_own@GOTNTPOFF({0}), {0}",
            "movl %gs:0, {1}",
            out(reg) offset,
            out(reg) thread,
            options(att_syntax)
        );
    }
    core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset))
}

/// Makes a request to Valgrind; 0 without Valgrind.
#[inline(never)]
pub fn ask_valgrind(request: [usize; 6]) -> usize {
    let mut answer = 0usize;
    // SAFETY: four rotations that together do nothing, and an exchange of a register with itself: the
    // sequence that Valgrind recognises. Valgrind reads the six numbers.
    unsafe {
        asm!(
            "rol edi, 3",
            "rol edi, 13",
            "rol edi, 29",
            "rol edi, 19",
            "xchg ebx, ebx",
            in("eax") &raw const request,
            inout("edx") answer,
            options(nostack)
        );
    }
    answer
}
