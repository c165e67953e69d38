//! What does an IBM Z processor give?

/// Where the calling thread's block is.
#[cfg(elf)]
#[inline(always)]
pub fn place() -> *mut usize {
    let offset: usize;
    let thread: usize;
    // SAFETY: reads the two halves of the thread register and a constant of the loader's.
    unsafe {
        core::arch::asm!(
            "ear {1}, %a0",
            "sllg {1}, {1}, 32",
            "ear {1}, %a1",
            "larl {0}, cmempool_thread_own@INDNTPOFF",
            "lg {0}, 0({0})",
            out(reg_addr) offset,
            out(reg_addr) thread,
            options(pure, readonly, nostack)
        );
    }
    core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset))
}
