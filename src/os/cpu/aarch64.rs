//! What does a 64-bit ARM processor give?

use core::arch::asm;

/// Where the calling thread's block is.
#[cfg(elf)]
#[inline(always)]
pub fn place() -> *mut usize {
    let offset: usize;
    let thread: usize;
    // SAFETY: reads the thread register and a constant of the loader's.
    unsafe {
        asm!(
            "mrs {1}, tpidr_el0",
            "adrp {0}, :gottprel:cmempool_thread_own",
            "ldr {0}, [{0}, :gottprel_lo12:cmempool_thread_own]",
            out(reg) offset,
            out(reg) thread,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset))
}

/// Makes a request to Valgrind; 0 without Valgrind.
#[inline(never)]
pub fn ask_valgrind(request: [usize; 6]) -> usize {
    let mut answer = 0usize;
    // SAFETY: four rotations that together do nothing, and a register or-ed with itself: the sequence that
    // Valgrind recognises. Valgrind reads the six numbers.
    unsafe {
        asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            inout("x3") answer,
            in("x4") &raw const request,
            options(nostack)
        );
    }
    answer
}
