//! Who watches the program's memory, and how is it told which bytes are whose?
//!
//! AddressSanitizer and Valgrind know what malloc gave out and got back. Of a pool's entries they are
//! told here, so that they report the use of a freed one, or a write past an end, as they do for
//! malloc's. Both find out at run time whether there is anything to do: the sanitizer by the names that a
//! program built with it has, Valgrind by an instruction sequence that does nothing elsewhere.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = 0;
const NOBODY: u32 = 1;
const SANITIZER: u32 = 2;
const VALGRIND: u32 = 3;

static WHO: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Whether somebody watches. Every create function asks.
pub fn watches() -> bool {
    who() != NOBODY
}

#[inline(never)]
fn who() -> u32 {
    // Relaxed: whoever finds out finds the same.
    let known = WHO.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known;
    }
    let found = if sanitizer::poison().is_some() && sanitizer::unpoison().is_some() {
        SANITIZER
    } else if request(RUNNING_ON_VALGRIND, 0, 0, 0) != 0 {
        VALGRIND
    } else {
        NOBODY
    };
    WHO.store(found, Ordering::Relaxed);
    found
}

/// A pool begins.
#[cold]
#[inline(never)]
pub fn opened(pool: *const u8) {
    if who() == VALGRIND {
        // No red zones of Valgrind's: it would count the words among them.
        request(CREATE_MEMPOOL, pool as usize, 0, 0);
    }
}

/// A pool ends, with all its entries.
#[cold]
#[inline(never)]
pub fn retired(pool: *const u8) {
    if who() == VALGRIND {
        request(DESTROY_MEMPOOL, pool as usize, 0, 0);
    }
}

/// A caller gets an entry.
#[cold]
#[inline(never)]
pub fn taken(pool: *const u8, entry: *mut u8, size: usize) {
    match who() {
        SANITIZER => open_to_all(entry, size),
        VALGRIND => _ = request(MEMPOOL_ALLOC, pool as usize, entry as usize, size),
        _ => {}
    }
}

/// A caller gave an entry back.
#[cold]
#[inline(never)]
pub fn given(pool: *const u8, entry: *mut u8, size: usize) {
    match who() {
        SANITIZER => closed_to_all(entry, size),
        VALGRIND => _ = request(MEMPOOL_FREE, pool as usize, entry as usize, 0),
        _ => {}
    }
}

/// Nobody may touch these bytes.
#[cold]
#[inline(never)]
pub fn closed_to_all(bytes: *mut u8, len: usize) {
    match who() {
        SANITIZER => sanitizer::call(sanitizer::poison(), bytes, len),
        VALGRIND => _ = request(MAKE_MEM_NOACCESS, bytes as usize, len, 0),
        _ => {}
    }
}

/// Whoever owns the memory may touch these bytes.
#[cold]
#[inline(never)]
pub fn open_to_all(bytes: *mut u8, len: usize) {
    match who() {
        SANITIZER => sanitizer::call(sanitizer::unpoison(), bytes, len),
        VALGRIND => _ = request(MAKE_MEM_DEFINED, bytes as usize, len, 0),
        _ => {}
    }
}

/// A mapping that may hold the only pointers to blocks of malloc's. A leak checker looks there, as it
/// does in malloc's own memory.
#[cold]
#[inline(never)]
pub fn mapped(base: *mut u8, len: usize) {
    sanitizer::call(sanitizer::add_root(), base, len);
}

/// The mapping goes.
#[cold]
#[inline(never)]
pub fn unmapped(base: *mut u8, len: usize) {
    sanitizer::call(sanitizer::remove_root(), base, len);
}

/// The sanitizer's functions: in a program built with it, else not there. Stable Rust has no weak
/// names.
mod sanitizer {
    use core::ffi::c_void;

    type OnBytes = unsafe extern "C" fn(*const c_void, usize);

    macro_rules! weak {
        ($function:ident, $name:literal) => {
            pub fn $function() -> Option<OnBytes> {
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
                unsafe { core::mem::transmute::<usize, Option<OnBytes>>(address) }
            }
        };
    }

    weak!(poison, "__asan_poison_memory_region");
    weak!(unpoison, "__asan_unpoison_memory_region");
    weak!(add_root, "__lsan_register_root_region");
    weak!(remove_root, "__lsan_unregister_root_region");

    pub fn call(function: Option<OnBytes>, bytes: *mut u8, len: usize) {
        if let Some(function) = function {
            // SAFETY: the function takes any range of the program's memory.
            unsafe { function(bytes.cast(), len) }
        }
    }
}

// Valgrind's requests, as valgrind.h and memcheck.h number them.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const CREATE_MEMPOOL: usize = 0x1303;
const DESTROY_MEMPOOL: usize = 0x1304;
const MEMPOOL_ALLOC: usize = 0x1305;
const MEMPOOL_FREE: usize = 0x1306;
const MAKE_MEM_NOACCESS: usize = 0x4D43_0000;
const MAKE_MEM_DEFINED: usize = 0x4D43_0002;

/// Asks Valgrind for something; 0 where there is none.
#[inline(never)]
fn request(what: usize, a: usize, b: usize, c: usize) -> usize {
    let request = [what, a, b, c, 0, 0];
    let mut answer = 0usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: four rotations that together do nothing, and an exchange of a register with itself:
    // Valgrind's sign. It reads the six numbers.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &raw const request,
            inout("rdx") answer,
            options(nostack)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
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
