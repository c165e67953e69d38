//! Which tools watch the program's memory, and how do they learn which bytes are whose?
//!
//! AddressSanitizer and Valgrind know what malloc allocated and freed. Here they are told about a pool's
//! entries, so that they report the use of a freed one, or a write past an end, as they do for malloc's.
//! ThreadSanitizer is told that a free of an entry comes before its next alloc. The library finds the tools
//! at run time: the sanitizers by the names that a program built with them has, Valgrind by an instruction
//! sequence that does nothing elsewhere.
//!
//! The sanitizers do not check what this library itself reads and writes, except in calls of `memset` and its
//! like; Valgrind does.

use core::sync::atomic::{AtomicU32, Ordering};

use super::cpu::ask_valgrind;

const UNKNOWN: u32 = 0;
const NOBODY: u32 = 1;
const SANITIZER: u32 = 2;
const VALGRIND: u32 = 3;
const THREADS: u32 = 4;

static WHO: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Whether a tool watches. Every create function asks.
pub fn watches() -> bool {
    who() != NOBODY
}

#[inline(never)]
fn who() -> u32 {
    if cfg!(feature = "bare") {
        return NOBODY;
    }
    // Relaxed: whoever finds out finds the same.
    let known = WHO.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known;
    }
    let found = if sanitizer::poison().is_some() && sanitizer::unpoison().is_some() {
        SANITIZER
    } else if sanitizer::acquire().is_some() && sanitizer::release().is_some() {
        THREADS
    } else if request(RUNNING_ON_VALGRIND, 0, 0, 0) != 0 {
        VALGRIND
    } else {
        NOBODY
    };
    WHO.store(found, Ordering::Relaxed);
    found
}

// Valgrind knows blocks inside of malloc's, but not blocks inside of those: its leak check ends the process
// over them. Of a pool in another's memory, which has no name here, it is told of bytes alone.

/// A pool begins.
#[cold]
#[inline(never)]
pub fn opened(pool: *const u8) {
    if who() == VALGRIND && !pool.is_null() {
        // No red zones of Valgrind's: it would count the words among them.
        request(CREATE_MEMPOOL, pool as usize, 0, 0);
    }
}

/// A pool ends, with all its entries.
#[cold]
#[inline(never)]
pub fn retired(pool: *const u8) {
    if who() == VALGRIND && !pool.is_null() {
        request(DESTROY_MEMPOOL, pool as usize, 0, 0);
    }
}

/// This call gets an entry that another thread may have had before.
#[cold]
#[inline(never)]
pub fn received(entry: *mut u8) {
    if who() == THREADS {
        sanitizer::on_address(sanitizer::acquire(), entry);
    }
}

/// Another thread may have the entry next; this one is done with it.
#[cold]
#[inline(never)]
pub fn passed_on(entry: *mut u8) {
    if who() == THREADS {
        sanitizer::on_address(sanitizer::release(), entry);
    }
}

/// A caller gets an entry. Its bytes are open, and hold nothing yet.
#[cold]
#[inline(never)]
pub fn taken(pool: *const u8, entry: *mut u8, size: usize) {
    match who() {
        SANITIZER => open(entry, size),
        VALGRIND if pool.is_null() => open_new(entry, size),
        VALGRIND => _ = request(MEMPOOL_ALLOC, pool as usize, entry as usize, size),
        _ => {}
    }
}

/// A caller's entry has another size; its bytes are as they were.
#[cold]
#[inline(never)]
pub fn resized(pool: *const u8, entry: *mut u8, size: usize) {
    if who() == VALGRIND && !pool.is_null() {
        let entry = entry as usize;
        ask_valgrind([MEMPOOL_CHANGE, pool as usize, entry, entry, size, 0]);
    }
}

/// A caller freed an entry. Its bytes are closed.
#[cold]
#[inline(never)]
pub fn given(pool: *const u8, entry: *mut u8, size: usize) {
    match who() {
        SANITIZER => close(entry, size),
        VALGRIND if pool.is_null() => close(entry, size),
        VALGRIND => _ = request(MEMPOOL_FREE, pool as usize, entry as usize, 0),
        _ => {}
    }
}

/// No code may touch these bytes.
#[cold]
#[inline(never)]
pub fn close(bytes: *mut u8, len: usize) {
    match who() {
        SANITIZER => sanitizer::on_bytes(sanitizer::poison(), bytes, len),
        VALGRIND => _ = request(MAKE_MEM_NOACCESS, bytes as usize, len, 0),
        _ => {}
    }
}

/// Only this library may touch these bytes. Valgrind has no request for that.
#[cold]
#[inline(never)]
pub fn close_to_others(bytes: *mut u8, len: usize) {
    // A library that is instrumented itself, as for its own tests, is one of the others.
    if who() == SANITIZER && !cfg!(instrumented) {
        sanitizer::on_bytes(sanitizer::poison(), bytes, len);
    }
}

/// Takes back [`close_to_others`].
#[cold]
#[inline(never)]
pub fn open_to_others(bytes: *mut u8, len: usize) {
    if who() == SANITIZER {
        sanitizer::on_bytes(sanitizer::unpoison(), bytes, len);
    }
}

/// Whoever owns the memory may touch these bytes.
#[cold]
#[inline(never)]
pub fn open(bytes: *mut u8, len: usize) {
    match who() {
        SANITIZER => sanitizer::on_bytes(sanitizer::unpoison(), bytes, len),
        VALGRIND => _ = request(MAKE_MEM_DEFINED, bytes as usize, len, 0),
        _ => {}
    }
}

/// As [`open`], of bytes that hold nothing yet.
#[cold]
#[inline(never)]
pub fn open_new(bytes: *mut u8, len: usize) {
    match who() {
        VALGRIND => _ = request(MAKE_MEM_UNDEFINED, bytes as usize, len, 0),
        _ => open(bytes, len),
    }
}

/// A mapping that may hold the only pointers to blocks of malloc's. Leak checkers search it, as they search
/// malloc's own memory.
#[cold]
#[inline(never)]
pub fn mapped(base: *mut u8, len: usize) {
    sanitizer::on_bytes(sanitizer::add_root(), base, len);
}

/// The mapping goes.
#[cold]
#[inline(never)]
pub fn unmapped(base: *mut u8, len: usize) {
    sanitizer::on_bytes(sanitizer::remove_root(), base, len);
}

/// The sanitizers' functions: in a program built with one, else not there.
mod sanitizer {
    use core::ffi::c_void;

    #[cfg(elf)]
    use crate::os::weak::weak;

    type OnBytes = unsafe extern "C" fn(*const c_void, usize);
    type OnAddress = unsafe extern "C" fn(*mut c_void);

    /// Functions by their names, as each system finds them.
    macro_rules! functions {
        ($($function:ident, $word:ident, $name:literal, $type:ty;)*) => {$(
            #[cfg(elf)]
            weak!(pub $function, $word, $name, $type);

            #[cfg(all(target_os = "macos", not(feature = "bare")))]
            pub fn $function() -> Option<$type> {
                static FUNCTION: crate::os::Named = crate::os::Named::new(
                    match core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name ends"),
                    }
                );
                let address = FUNCTION.address()?.as_ptr();
                // SAFETY: it is a function of this type.
                Some(unsafe { core::mem::transmute::<*mut c_void, $type>(address) })
            }

            #[cfg(any(windows, feature = "bare"))]
            pub fn $function() -> Option<$type> {
                None
            }
        )*};
    }

    functions! {
        poison, cmempool_poison, "__asan_poison_memory_region", OnBytes;
        unpoison, cmempool_unpoison, "__asan_unpoison_memory_region", OnBytes;
        add_root, cmempool_add_root, "__lsan_register_root_region", OnBytes;
        remove_root, cmempool_remove_root, "__lsan_unregister_root_region", OnBytes;
        acquire, cmempool_acquire, "__tsan_acquire", OnAddress;
        release, cmempool_release, "__tsan_release", OnAddress;
    }

    pub fn on_bytes(function: Option<OnBytes>, bytes: *mut u8, len: usize) {
        if let Some(function) = function {
            // SAFETY: the function takes any range of the program's memory.
            unsafe { function(bytes.cast(), len) }
        }
    }

    pub fn on_address(function: Option<OnAddress>, address: *mut u8) {
        if let Some(function) = function {
            // SAFETY: the function takes any address.
            unsafe { function(address.cast()) }
        }
    }
}

// Valgrind's requests, as valgrind.h and memcheck.h number them.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const CREATE_MEMPOOL: usize = 0x1303;
const DESTROY_MEMPOOL: usize = 0x1304;
const MEMPOOL_ALLOC: usize = 0x1305;
const MEMPOOL_FREE: usize = 0x1306;
const MEMPOOL_CHANGE: usize = 0x1309;
const MAKE_MEM_NOACCESS: usize = 0x4D43_0000;
const MAKE_MEM_UNDEFINED: usize = 0x4D43_0001;
const MAKE_MEM_DEFINED: usize = 0x4D43_0002;

fn request(what: usize, a: usize, b: usize, c: usize) -> usize {
    ask_valgrind([what, a, b, c, 0, 0])
}
