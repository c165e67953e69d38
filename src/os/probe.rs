//! What does a tracer see?
//!
//! USDT probes, in the format of SystemTap's `sys/sdt.h`, version 3: a `nop`, and a note in the file that says
//! where the `nop` and the probe's arguments are. gdb, bpftrace and perf put a breakpoint there. Systems other
//! than Linux have none.

/// The first arguments of every probe.
#[derive(Clone, Copy)]
pub struct Traced {
    /// The pool as its user holds it; 0 if it is not known.
    pub pool: usize,
    /// The pool's name, with a 0 at its end; empty without one.
    pub name: *const u8,
    /// Usable bytes of the entries of the pool, or of its class; 0 if they are not known.
    pub entry_size: usize,
}

/// Puts a probe here.
///
/// A linker that drops the function must drop its note, which would lead nowhere, and no note may keep a function.
/// So the note is in a group that the `nop` refers to, and GNU's linker and LLVM's drop both or none; LLVM's only
/// if the group has a byte that is loaded. gold and mold never drop notes: by the name of its section they keep
/// that byte, and it keeps the function.
#[cfg(all(target_os = "linux", not(feature = "bare")))]
macro_rules! put {
    ($name:ident, $first:ident $(, $other:ident)*) => {
        // SAFETY: a `nop`. A tracer reads memory there, and writes none.
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".reloc 990b, BFD_RELOC_NONE, 991f",
                ".reloc 990b, BFD_RELOC_NONE, _.stapsdt.base",
                concat!(".pushsection .note.stapsdt,\"G\",%note,", group!($name)),
                ".p2align 2",
                "991: .long 993f - 992f, 995f - 994f, 3", // sizes of name and content; the version
                "992: .asciz \"stapsdt\"",
                "993: .p2align 2",
                "994: .{size}byte 990b, _.stapsdt.base, 0", // no semaphore
                concat!(".asciz \"cmempool\", \"", stringify!($name), "\""),
                concat!(".asciz \"", argument!($first), $(" ", argument!($other),)* "\""),
                "995: .p2align 2",
                ".popsection",
                concat!(".pushsection .init.cmempool,\"aG\",%progbits,", group!($name)),
                "996: .byte 0",
                ".reloc 996b, BFD_RELOC_NONE, 990b",
                ".popsection",
                size = const size_of::<usize>(),
                $first = in(reg) $first,
                $($other = in(reg) $other,)*
                options(readonly, nostack, preserves_flags)
            );
        }
    };
}

#[cfg(all(target_os = "linux", not(feature = "bare")))]
macro_rules! group {
    ($name:ident) => {
        concat!("cmempool.probe.", stringify!($name))
    };
}

#[cfg(not(all(target_os = "linux", not(feature = "bare"))))]
macro_rules! put {
    ($name:ident $(, $value:ident)*) => {
        _ = ($($value),*);
    };
}

/// A word in a register, as notes have it.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
macro_rules! argument {
    ($value:ident) => {
        concat!("{size}@%{", stringify!($value), "}")
    };
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
macro_rules! argument {
    ($value:ident) => {
        concat!("{size}@{", stringify!($value), "}")
    };
}

// By its place in a file tracers see whether the file's addresses were changed after it was linked. All
// libraries in a file have it together.
#[cfg(all(target_os = "linux", not(feature = "bare")))]
core::arch::global_asm!(
    ".pushsection .stapsdt.base,\"aG\",%progbits,.stapsdt.base,comdat",
    ".weak _.stapsdt.base",
    ".hidden _.stapsdt.base",
    "_.stapsdt.base: .space 1",
    ".size _.stapsdt.base, 1",
    ".popsection",
);

macro_rules! probes {
    ($($(#[$comment:meta])* $name:ident($($value:ident),*);)*) => {$(
        $(#[$comment])*
        #[inline(always)]
        pub fn $name(of: Traced, $($value: usize),*) {
            let Traced { pool, name, entry_size } = of;
            put!($name, pool, name, entry_size $(, $value)*);
        }
    )*};
}

// A probe with other arguments is another probe, and gets another name.
probes! {
    /// A pool was created; a ranged pool, once for each class.
    create(capacity);
    /// A pool is going to be destroyed; a ranged pool, once for each class.
    destroy(capacity);
    /// A call found no free slot in the pool, or in the class that fits.
    exhausted(capacity);
    /// Such a call found no entry elsewhere, and fails.
    failed(capacity);
    /// A thread's cache was empty, and took so many entries from the depot: 0 if its second magazine had some.
    refill(moved);
    /// A thread's cache was full, and gave so many entries to the depot: 0 if its second magazine had room.
    flush(moved);
    /// The depot was empty, and took so many entries out of the threads' caches.
    take_back(moved);
    /// An entry comes from the heap; so many of the pool's, or class's, are out with it.
    fall_back(dynamic);
    /// A misuse is reported: a `mempool_misuse_kind`, the pointer, and the line, with a 0 at its end.
    misuse(kind, pointer, text);
}
