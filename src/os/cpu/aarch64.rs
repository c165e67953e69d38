//! What does a 64-bit ARM processor give?

use core::arch::asm;

/// The calling thread's words.
pub mod thread_block {
    use core::arch::asm;

    #[inline(always)]
    fn place<const AT: usize>() -> *mut usize {
        let offset: usize;
        let thread: usize;
        // SAFETY: reads the thread register and a constant of the loader's.
        unsafe {
            asm!(
                "mrs {1}, tpidr_el0",
                "adrp {0}, :gottprel:cmempool_thread",
                "ldr {0}, [{0}, :gottprel_lo12:cmempool_thread]",
                out(reg) offset,
                out(reg) thread,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset).wrapping_add(AT))
    }

    /// The word `AT` bytes into the block.
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        // SAFETY: the calling thread's own block.
        unsafe { place::<AT>().read() }
    }

    /// Writes that word, and the one behind it first.
    pub fn set<const AT: usize>(value: usize, behind: usize) {
        // SAFETY: as above.
        unsafe {
            place::<AT>().add(1).write(behind);
            place::<AT>().write(value);
        }
    }
}

/// Asks Valgrind for something; 0 where there is none.
#[inline(never)]
pub fn ask_valgrind(request: [usize; 6]) -> usize {
    let mut answer = 0usize;
    // SAFETY: four rotations that together do nothing, and a register that is or-ed with itself: Valgrind's
    // sign. It reads the six numbers.
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
