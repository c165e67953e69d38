//! Does the program have a function of this name? Stable Rust has no weak names.

/// Declares a function that returns the function with a name, or None if the program has none.
///
/// The loader, or the linker of a static program, puts the address into a word of ours: 0 if there is no
/// such function.
macro_rules! weak {
    ($visible:vis $function:ident, $word:ident, $name:literal, $type:ty) => {
        #[cfg(target_pointer_width = "64")]
        weak!(@word $word, $name, "8", ".quad ");
        #[cfg(target_pointer_width = "32")]
        weak!(@word $word, $name, "4", ".long ");

        $visible fn $function() -> Option<$type> {
            unsafe extern "C" {
                static $word: Option<$type>;
            }
            // SAFETY: the word is there, and constant once the program runs. Volatile: the compiler knows
            // no function that may be missing.
            unsafe { core::ptr::read_volatile(&raw const $word) }
        }
    };
    (@word $word:ident, $name:literal, $size:literal, $directive:literal) => {
        core::arch::global_asm!(
            concat!(".weak ", $name),
            concat!(".pushsection .data.rel.ro.", stringify!($word), ",\"aw\",%progbits"),
            concat!(".balign ", $size),
            concat!(".globl ", stringify!($word)),
            concat!(".hidden ", stringify!($word)),
            concat!(".type ", stringify!($word), ", %object"),
            concat!(".size ", stringify!($word), ", ", $size),
            concat!(stringify!($word), ": ", $directive, $name),
            ".popsection",
        );
    };
}

pub(crate) use weak;
