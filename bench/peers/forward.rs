// How does a bundled allocator become a library that can be preloaded?
//
// Each package here links one allocator and exports the names of the C library's, each of which is
// one jump to the allocator's own function: what a call costs beyond the allocator is that jump.

/// Exports `name` as a jump to `target`, for each pair.
macro_rules! forward {
    ($($name:ident => $target:ident),* $(,)?) => {
        unsafe extern "C" {
            $(fn $target();)*
        }
        $(
            /// # Safety
            ///
            /// As the C library's function of the same name.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!("jmp {}", sym $target);
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!("b {}", sym $target);
            }
        )*
    };
}
