//! Where does a block of memory come from: the heap, or functions of the caller's?
//!
//! No lock of the library is held while one of these runs: it may take long, fork, or use another pool.

#![allow(non_camel_case_types)]

use core::ffi::c_void;
use core::ptr::NonNull;

use crate::os::cpu::by_width;
use crate::os::{self, error::Error};

/// # Make a pool with options
///
/// Where a pool's memory comes from, instead of the kernel and `malloc`. Start from `MEMPOOL_BACKING_INIT`, and
/// set both functions.
///
/// `alloc` is called once by create (not for a pool in a buffer), and once for each entry that would
/// come from the heap. `free` gets each block back, with the size that was asked for: the block of an entry
/// when the entry is freed; the pool's own block, and those of entries that were never freed, in
/// `mempool_destroy` or `r_mempool_destroy`, in any order. The struct is copied; what `context` points to must
/// live as long as the pool.
///
/// Both run in the thread that called the library, so in several at once unless the pool is for a single
/// thread. No lock is held meanwhile: they may use, create and destroy other pools, and fork. They must not use
/// the pool they work for, and must return (no `longjmp`, no C++ exception).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mempool_backing {
    /// `sizeof(mempool_backing)`.
    pub struct_size: usize,
    /// Returns `size` bytes, whatever they contain, aligned to `alignment`, or NULL; then create, or the alloc
    /// of an entry, fails with ENOMEM. `alignment` is 16 for the pool's own memory, and the pool's alignment
    /// for an entry: without an alignment of the pool's own, what `malloc` returns will do. Misaligned memory
    /// is given back at once, and create fails with EINVAL, an alloc with ENOMEM. So is a pool's own memory
    /// that has a tagged pointer or ends above 2^48. No other process may share the memory.
    pub alloc: Option<
        unsafe extern "C" fn(size: usize, alignment: usize, context: *mut c_void) -> *mut c_void,
    >,
    /// Gets back what `alloc` returned, with the same size. It may unmap the memory.
    pub free: Option<unsafe extern "C" fn(memory: *mut c_void, size: usize, context: *mut c_void)>,
    /// The last argument of both.
    pub context: *mut c_void,
}

static_assertions::const_assert_eq!(size_of::<mempool_backing>(), by_width(32, 16, 16));
static_assertions::const_assert_eq!(
    core::mem::offset_of!(mempool_backing, context),
    by_width(24, 12, 12)
);

/// A caller's functions that allocate and free memory.
#[derive(Clone, Copy)]
pub struct Backing {
    alloc: unsafe extern "C" fn(usize, usize, *mut c_void) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, usize, *mut c_void),
    context: *mut c_void,
}

impl Backing {
    /// The functions in a C struct, if its size says that this library knows the version.
    ///
    /// # Safety
    /// The struct starts with its size in bytes, and its functions do what `mempool_backing` says.
    pub unsafe fn of(given: NonNull<mempool_backing>) -> Result<Self, Error> {
        if !given.is_aligned() {
            return Err(Error::Invalid);
        }
        // SAFETY: by this function's contract.
        unsafe {
            if given.cast::<usize>().read() != size_of::<mempool_backing>() {
                return Err(Error::Invalid);
            }
            match given.read() {
                mempool_backing { alloc: Some(alloc), free: Some(free), context, .. } => {
                    Ok(Self { alloc, free, context })
                }
                _ => Err(Error::Invalid),
            }
        }
    }
}

/// `bytes` at a multiple of `align`, with any content: from the backing, or without one from the heap.
pub fn obtain(backing: Option<&Backing>, bytes: usize, align: usize) -> Result<NonNull<u8>, Error> {
    let Some(backing) = backing else { return os::heap_take(bytes, align).ok_or(Error::NoMemory) };
    // SAFETY: the caller of create promised that the function can be called so.
    let memory = unsafe { (backing.alloc)(bytes, align, backing.context) };
    let memory = NonNull::new(memory.cast::<u8>()).ok_or(Error::NoMemory)?;
    if !(memory.as_ptr() as usize).is_multiple_of(align) {
        // SAFETY: it was obtained just now, and nobody uses it.
        unsafe { give_back(Some(backing), memory, bytes) };
        return Err(Error::Invalid);
    }
    Ok(memory)
}

/// Frees a block of the heap that was never used.
///
/// # Safety
/// It was obtained there.
pub unsafe fn return_unused(memory: NonNull<u8>) {
    // SAFETY: by this function's contract.
    unsafe { os::heap_return(memory) }
}

/// Frees what was obtained.
///
/// # Safety
/// `bytes` were obtained there with the same backing, and nobody uses them any more.
pub unsafe fn give_back(backing: Option<&Backing>, memory: NonNull<u8>, bytes: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        match backing {
            Some(backing) => (backing.free)(memory.as_ptr().cast(), bytes, backing.context),
            None => os::heap_give(memory, bytes),
        }
    }
}
