//! How does a library in ELF begin?

/// Runs a function when the library is loaded, before most functions of the program.
macro_rules! at_load {
    ($function:path) => {
        #[used]
        #[unsafe(link_section = ".init_array.00101")]
        static AT_LOAD: extern "C" fn() = $function;
    };
}
pub(crate) use at_load;

// The precompiled `core` refers to an unwinder that `panic = "abort"` never calls. Builds without
// link-time optimisation, such as `cargo build`'s with an rlib beside, keep the reference. Weak: a
// program that has Rust's `std` has the real one.
#[cfg(all(panic = "abort", not(test)))]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",%progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, %function",
    "rust_eh_personality: .long 0",
    ".popsection",
);
