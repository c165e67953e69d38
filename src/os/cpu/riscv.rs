//! What does a RISC-V processor give?

/// Where the calling thread's block is.
#[cfg(elf)]
#[inline(always)]
pub fn place() -> *mut usize {
    let place: usize;
    // SAFETY: reads the thread register and a constant of the loader's.
    unsafe {
        core::arch::asm!(
            "la.tls.ie {0}, cmempool_thread_own",
            "add {0}, {0}, tp",
            out(reg) place,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    core::ptr::with_exposed_provenance_mut(place)
}
