//! What does a 32-bit ARM processor give? In ARM mode alone: there `pc` is 8 bytes ahead.

/// Where the calling thread's block is.
#[cfg(elf)]
#[inline(always)]
pub fn place() -> *mut usize {
    let offset: usize;
    let thread: usize;
    // SAFETY: reads the thread register and a constant of the loader's, which lies in the code.
    unsafe {
        core::arch::asm!(
            "mrc p15, 0, {1}, c13, c0, 3",
            "ldr {0}, 3f",
            "2: add {0}, pc, {0}",
            "ldr {0}, [{0}]",
            "b 4f",
            ".p2align 2",
            "3: .word cmempool_thread_own(GOTTPOFF)+(. - 2b - 8)",
            "4:",
            out(reg) offset,
            out(reg) thread,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset))
}
