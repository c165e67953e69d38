//! Pools with options.

use core::ffi::{CStr, c_char, c_void};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::answer::answer;
use super::flags::*;
use super::ordinary::{self, mempool};
use super::ranged::{self, RawPolicy, r_mempool};
use crate::collection::body::{Collection, Policy};
use crate::collection::making::Request;
use crate::memory::backing::Backing;
pub use crate::memory::backing::mempool_backing;
use crate::memory::layout::{self, Class, Classes, Layout};
use crate::os::cpu::by_width;
use crate::os::error::Error;
use crate::os::set_errno;
use crate::pool::traits::Traits;

/// # Make a pool with options
///
/// Options of an ordinary pool. Start from `MEMPOOL_OPTIONS_INIT`, which sets `struct_size` and leaves the rest
/// 0. Where 0 is allowed, it means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mempool_options {
    /// `sizeof(mempool_options)`: tells the library which version of this struct it got. Programs
    /// compiled when it ended with `flags` say 64.
    pub struct_size: usize,
    /// How many entries, 1 to 4294967295.
    pub elem_count: usize,
    /// Usable bytes of each entry, at least 1.
    pub elem_size: usize,
    /// Alignment of every entry in bytes: a power of two up to 4096. 0, or less than 16, means 16,
    /// that of `max_align_t`. It rounds the size of a slot up: see `mempool_create`.
    pub alignment: usize,
    /// Shown in reports, or NULL. The first 63 bytes are copied, or up to three less, so that no UTF-8
    /// character is cut. Lines for people show a question mark instead of each control character (C0, DEL, C1)
    /// and of each byte that is no UTF-8.
    pub name: *const c_char,
    /// Memory of the caller's for the pool and all it needs, or NULL. It must be aligned to 16 bytes and belong
    /// to the pool until that is destroyed. The library then asks neither the heap nor the kernel for memory,
    /// except for entries that fall back to the heap, for the records of `MEMPOOL_RECORD_HOLDERS`, and to lock the
    /// buffer. A pool stores addresses in 48 bits: the pointer must have no tag in its upper bits (Arm's MTE, HWAddressSanitizer), and the buffer
    /// must end at 2^48 or below.
    pub buffer: *mut c_void,
    /// Bytes of the buffer, at least `mempool_buffer_size` of these options; 0 without a buffer.
    pub buffer_size: usize,
    /// `MEMPOOL_…` flags, or-ed together.
    pub flags: u64,
    /// Where the pool's memory comes from: see `mempool_backing`. NULL means the kernel, or the heap for a pool
    /// of less than a page. With a buffer, the backing serves only the entries that would come from the heap.
    pub backing: *const mempool_backing,
}

/// One class of a ranged pool.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct r_mempool_class {
    /// Usable bytes of each entry, at least 1.
    pub elem_size: usize,
    /// How many entries, 1 to 4294967295.
    pub elem_count: usize,
}

/// Options of a ranged pool. Start from `R_MEMPOOL_OPTIONS_INIT`, which sets `struct_size` and leaves the rest
/// 0. Where 0 is allowed, it means the default.
///
/// The classes are either powers of two (`smallest_size`, `largest_size` and `smallest_count`, as
/// for `r_mempool_create`) or an explicit list (`classes` and `class_count`); the fields of the
/// other way are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct r_mempool_options {
    /// `sizeof(r_mempool_options)`: tells the library which version of this struct it got. Programs
    /// compiled when it ended with `reserved` say 96.
    pub struct_size: usize,
    /// Usable bytes of the smallest class's entries.
    pub smallest_size: usize,
    /// Usable bytes of the largest class's entries.
    pub largest_size: usize,
    /// Entries of the smallest class.
    pub smallest_count: usize,
    /// An explicit list of classes in ascending order of their sizes, all different; or NULL. It is copied.
    pub classes: *const r_mempool_class,
    /// Length of the list, up to 256.
    pub class_count: usize,
    /// As for `mempool_options`.
    pub alignment: usize,
    /// As for `mempool_options`.
    pub name: *const c_char,
    /// As for `mempool_options`.
    pub buffer: *mut c_void,
    /// As for `mempool_options`, with `r_mempool_buffer_size`.
    pub buffer_size: usize,
    /// `MEMPOOL_…` flags, or-ed together; not `MEMPOOL_FALL_BACK`.
    pub flags: u64,
    /// What to do when the class that fits a request is empty.
    pub policy: RawPolicy,
    /// 0.
    pub reserved: u32,
    /// As for `mempool_options`.
    pub backing: *const mempool_backing,
}

static_assertions::const_assert_eq!(size_of::<mempool_options>(), by_width(72, 48, 40));
static_assertions::const_assert_eq!(
    core::mem::offset_of!(mempool_options, flags),
    by_width(56, 32, 28)
);
static_assertions::const_assert_eq!(size_of::<r_mempool_options>(), by_width(104, 64, 60));
static_assertions::const_assert_eq!(
    core::mem::offset_of!(r_mempool_options, flags),
    by_width(80, 40, 40)
);
static_assertions::const_assert_eq!(
    core::mem::offset_of!(r_mempool_options, policy),
    by_width(88, 48, 48)
);
// The caller's list of classes is read as the core's.
static_assertions::assert_eq_size!(r_mempool_class, Class);
static_assertions::assert_eq_align!(r_mempool_class, Class);

/// Options that grew. What is not said in an older version is 0, the default.
///
/// # Safety
/// Plain data that starts with its size, and may be all zero.
unsafe trait Options: Copy {
    /// Bytes of the older version.
    const OLDER: usize;
}

// SAFETY: numbers and pointers.
unsafe impl Options for mempool_options {
    const OLDER: usize = core::mem::offset_of!(Self, backing);
}

// SAFETY: as above.
unsafe impl Options for r_mempool_options {
    const OLDER: usize = core::mem::offset_of!(Self, backing);
}

static_assertions::const_assert_eq!(<mempool_options as Options>::OLDER, by_width(64, 40, 36));
static_assertions::const_assert_eq!(<r_mempool_options as Options>::OLDER, by_width(96, 56, 56));

/// What both kinds of options say in the same way.
struct Common {
    flags: u64,
    name: *const c_char,
    buffer: *mut c_void,
    buffer_size: usize,
    backing: *const mempool_backing,
}

impl Common {
    /// # Safety
    /// The name is NULL or a string; the buffer is NULL or the pool's alone; the backing is NULL or a
    /// struct that starts with its size.
    unsafe fn request<'a>(&self, layout: Layout<'a>, policy: Policy) -> Result<Request<'a>, Error> {
        if self.flags & !FLAGS != 0 || (self.buffer.is_null() && self.buffer_size != 0) {
            return Err(Error::Invalid);
        }
        let has = |flag| self.flags & flag != 0;
        let backing = match NonNull::new(self.backing.cast_mut()) {
            // SAFETY: by this function's contract.
            Some(given) => Some(unsafe { Backing::of(given) }?),
            None => None,
        };
        // The memory is what whoever gives it wants it to be.
        if has(MEMPOOL_HUGE_PAGES) && (backing.is_some() || !self.buffer.is_null()) {
            return Err(Error::Invalid);
        }
        Ok(Request {
            layout,
            policy,
            traits: Traits {
                single_thread: has(MEMPOOL_SINGLE_THREAD),
                zero_on_free: has(MEMPOOL_ZERO_ON_FREE),
                fall_back: has(MEMPOOL_FALL_BACK),
                hardened: has(MEMPOOL_HARDENED),
                recorded: has(MEMPOOL_RECORD_HOLDERS),
                ..Traits::default()
            },
            prefault: !has(MEMPOOL_NO_PREFAULT),
            locked: has(MEMPOOL_LOCKED),
            huge_pages: has(MEMPOOL_HUGE_PAGES),
            report_leaks: has(MEMPOOL_REPORT_LEAKS),
            // SAFETY: by this function's contract.
            name: (!self.name.is_null()).then(|| unsafe { CStr::from_ptr(self.name) }),
            buffer: NonNull::new(self.buffer.cast()).map(|buffer| (buffer, self.buffer_size)),
            backing,
        })
    }
}

impl mempool_options {
    fn layout(&self) -> Result<Layout<'static>, Error> {
        let class = Class { elem_size: self.elem_size, elem_count: self.elem_count };
        Layout::new(Classes::One(class), self.alignment)
    }

    /// # Safety
    /// As `mempool_create_with` says of its options.
    pub(super) unsafe fn request(&self) -> Result<Request<'static>, Error> {
        let Self { flags, name, buffer, buffer_size, backing, .. } = *self;
        let common = Common { flags, name, buffer, buffer_size, backing };
        // SAFETY: by this function's contract.
        unsafe { common.request(self.layout()?, Policy::Ordinary) }
    }
}

impl r_mempool_options {
    /// # Safety
    /// `classes` is NULL or `class_count` classes.
    unsafe fn layout<'a>(&self) -> Result<Layout<'a>, Error> {
        let classes = if self.classes.is_null() {
            if self.class_count != 0 {
                return Err(Error::Invalid);
            }
            Classes::powers_of_two(self.smallest_size, self.largest_size, self.smallest_count)?
        } else {
            if (self.smallest_size, self.largest_size, self.smallest_count) != (0, 0, 0)
                || self.class_count > layout::MAX_CLASSES
            {
                return Err(Error::Invalid);
            }
            // SAFETY: by this function's contract; both structs are two sizes in the same order.
            Classes::List(unsafe {
                core::slice::from_raw_parts(self.classes.cast::<Class>(), self.class_count)
            })
        };
        Layout::new(classes, self.alignment)
    }

    /// # Safety
    /// As `r_mempool_create_with` says of its options.
    pub(super) unsafe fn request<'a>(&self) -> Result<Request<'a>, Error> {
        let Self { flags, name, buffer, buffer_size, backing, .. } = *self;
        if self.reserved != 0 || flags & MEMPOOL_FALL_BACK != 0 {
            return Err(Error::Invalid);
        }
        let policy = ranged::policy(self.policy)?;
        let common = Common { flags, name, buffer, buffer_size, backing };
        // SAFETY: by this function's contract.
        unsafe { common.request(self.layout()?, policy) }
    }
}

/// A copy of the caller's options, once their size says that they are of a version known here.
///
/// # Safety
/// NULL, or a struct that starts with its size in bytes.
unsafe fn known<T: Options>(options: *const T) -> Result<T, Error> {
    if options.is_null() || !options.is_aligned() {
        return Err(Error::Invalid);
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: by this function's contract and that of `Options`.
    unsafe {
        let size = options.cast::<usize>().read();
        if size != size_of::<T>() && size != T::OLDER {
            return Err(Error::Invalid);
        }
        core::ptr::copy_nonoverlapping(options.cast::<u8>(), copy.as_mut_ptr().cast(), size);
        Ok(copy.assume_init())
    }
}

/// # Make a pool with options
///
/// Creates a pool with options.
///
/// @param options  the options; read only during the call
/// @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  NULL; a struct of an unknown size; an unknown flag; a count, size or alignment that breaks a
///                rule; a buffer that is too small or misaligned; a backing that lacks a function or returns
///                misaligned memory; either with a tagged pointer or an end above 2^48; huge pages together
///                with either
/// @errno ENOMEM  memory is not available, or may not be locked (`RLIMIT_MEMLOCK`), or there are more entries
///                than a pool can count
/// @errno EPERM   the process may not lock memory
/// @errno EAGAIN  not all of the memory could be locked
///
/// Threads and cost: as `mempool_create`.
///
/// # Safety
/// `options` is NULL or a struct that starts with its size, its `name` NULL or a string, its buffer
/// NULL or the pool's alone, its backing NULL or a struct that starts with its size and whose functions
/// do what `mempool_backing` says.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_create_with(options: *const mempool_options) -> *mut mempool {
    // SAFETY: by this function's contract.
    let create = || unsafe { Collection::create(&known(options)?.request()?) };
    answer(create().map(ordinary::handle))
}

/// Creates a ranged pool with options.
///
/// @param options  the options; read only during the call
/// @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  NULL; a struct of an unknown size; an unknown flag or policy; classes or an alignment that
///                break a rule; a buffer that is too small or misaligned; a backing that lacks a function or
///                returns misaligned memory; either with a tagged pointer or an end above 2^48; huge pages
///                together with either
/// @errno ENOMEM  memory is not available, or may not be locked (`RLIMIT_MEMLOCK`), or there are more entries
///                than a pool can count
/// @errno EPERM   the process may not lock memory
/// @errno EAGAIN  not all of the memory could be locked
///
/// Threads and cost: as `r_mempool_create`.
///
/// # Safety
/// `options` is NULL or a struct that starts with its size, its `name` NULL or a string, its
/// `classes` NULL or that many classes, its buffer NULL or the pool's alone, its backing NULL or a
/// struct that starts with its size and whose functions do what `mempool_backing` says.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_create_with(
    options: *const r_mempool_options,
) -> *mut r_mempool {
    // SAFETY: by this function's contract.
    let create = || unsafe { Collection::create(&known(options)?.request()?) };
    answer(create().map(NonNull::cast))
}

fn bytes(layout: Result<Layout<'_>, Error>) -> usize {
    match layout {
        Ok(layout) => layout.bytes(),
        Err(error) => {
            set_errno(error);
            0
        }
    }
}

/// # Measure or declare a buffer
///
/// How many bytes a buffer needs for a pool with these options. Buffer, name, flags and backing in the options
/// don't matter.
///
/// @return bytes; 0 with `errno` as `mempool_create_with` would set it
///
/// `MEMPOOL_BUFFER_SIZE` gives the same number at compile time.
///
/// Threads: safe. Cost: O(1).
///
/// # Safety
/// `options` is NULL or a struct that starts with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_buffer_size(options: *const mempool_options) -> usize {
    // SAFETY: by this function's contract.
    bytes(unsafe { known(options) }.and_then(|options| options.layout()))
}

/// How many bytes a buffer needs for a ranged pool with these options. Buffer, name, flags, policy and backing
/// in the options don't matter.
///
/// @return bytes; 0 with `errno` as `r_mempool_create_with` would set it
///
/// `R_MEMPOOL_BUFFER_SIZE` gives the same number at compile time.
///
/// Threads: safe. Cost: O(classes).
///
/// # Safety
/// `options` is NULL or a struct that starts with its size, its `classes` NULL or that many classes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_buffer_size(options: *const r_mempool_options) -> usize {
    // SAFETY: by this function's contract.
    bytes(unsafe { known(options).and_then(|options| options.layout()) })
}
