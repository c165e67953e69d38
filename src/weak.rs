//! Does the program have a function of this name? Stable Rust has no weak names.

/// Declares a function that returns the function with a name, or None if the program has none.
macro_rules! weak {
    ($visible:vis $function:ident, $name:literal, $type:ty) => {
        $visible fn $function() -> Option<$type> {
            let address: usize;
            #[cfg(target_arch = "x86_64")]
            // SAFETY: reads what the loader put there: 0 if there is no such function.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $name),
                    concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                    out(reg) address,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $name),
                    concat!("adrp {0}, :got:", $name),
                    concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                    out(reg) address,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            // SAFETY: 0 or the address of a function of this type; an Option of one is as large.
            unsafe { core::mem::transmute::<usize, Option<$type>>(address) }
        }
    };
}

pub(crate) use weak;
