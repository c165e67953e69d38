//! Pools as programs for the original's newer release make them. The header's macros add to it.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::answer::answer;
use super::flags::{MEMPOOL_FALL_BACK, MEMPOOL_SINGLE_THREAD};
use super::options::{mempool_options, r_mempool_options};
use super::ordinary::{self, mempool};
use super::ranged::{RawPolicy, r_mempool};
use crate::collection::body::Collection;
use crate::memory::layout::{SMALLEST_CLASS, largest_count};
use crate::os::error::Error;

fn flag(value: u64, set: bool) -> u64 {
    if set { value } else { 0 }
}

/// As in the original's newer release.
const LEAST_SMALLEST_EXPONENT: usize = 4;
const LEAST_EXPONENT: usize = 1;

static_assertions::const_assert_eq!(SMALLEST_CLASS, 1 << LEAST_SMALLEST_EXPONENT);

/// 2 to the power of `exponent`; for one below `least` 0, which is refused, and for one that no size has room
/// for the largest size, which no pool can have.
fn power_of_two(exponent: usize, least: usize) -> usize {
    if exponent < least {
        return 0;
    }
    u32::try_from(exponent).ok().and_then(|e| 1_usize.checked_shl(e)).unwrap_or(usize::MAX)
}

/// # Make a pool as the original's newer release does
///
/// Creates a pool in a buffer, with as many entries as fit: `elem_count`, if `DECLARE_STATIC_MEMPOOL_BUFFER`
/// declared the buffer for that many of this size.
///
/// Programs for the original's newer release compile unchanged. There `mempool_create` and `r_mempool_create`
/// take one argument more, and the latter takes exponents instead of sizes and a count. This creates a pool of
/// 1000 sessions for one thread at a time, and a ranged pool of 2^4 to 2^16 bytes with 2^17 entries in the
/// smallest class:
///
/// ```c
/// mempool *mp = mempool_create(1000, sizeof(struct session), false, true);
/// r_mempool *rmp = r_mempool_create(4, 16, 17, fallback_disabled, false);
/// ```
///
/// Both names are macros as well as functions; the number of arguments decides which form is meant. A program
/// may use both. An argument with a comma outside of parentheses, as in `f<1, 2>()`, needs parentheses around
/// it. The functions themselves, as in `(mempool_create)(1000, 8, false)`, and their addresses have the older
/// form.
///
/// With exponents, as in the original, create fails with EINVAL if the smallest class's exponent is below 4 or
/// another one is 0. The older form, in contrast, makes a smallest class of 16 bytes of any smaller size.
///
/// @param buffer       memory of the caller's, aligned to 16 bytes, that belongs to the pool until
///                     that is destroyed
/// @param buffer_size  its bytes
/// @param elem_size    usable bytes of each entry, at least 1
/// @param fallback_to_dynamic_memory  as for `mempool_create`
/// @param will_be_accessed_by_only_one_thread  true: as `MEMPOOL_SINGLE_THREAD`
/// @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  a size of 0; no buffer, or one that is misaligned, too small for one entry, has a tagged
///                pointer or ends above 2^48
/// @errno ENOMEM  other memory that the pool needs is not available
///
/// Threads and cost: as `mempool_create`.
///
/// # Safety
/// `buffer` is NULL or that many bytes, the pool's alone.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_create_from_preallocated_buffer(
    buffer: *mut c_void,
    buffer_size: usize,
    elem_size: usize,
    fallback_to_dynamic_memory: bool,
    will_be_accessed_by_only_one_thread: bool,
) -> *mut mempool {
    let options = mempool_options {
        struct_size: size_of::<mempool_options>(),
        elem_count: largest_count(elem_size, buffer_size),
        elem_size,
        alignment: 0,
        name: core::ptr::null(),
        buffer,
        buffer_size,
        flags: flag(MEMPOOL_FALL_BACK, fallback_to_dynamic_memory)
            | flag(MEMPOOL_SINGLE_THREAD, will_be_accessed_by_only_one_thread),
        backing: core::ptr::null(),
    };
    // No buffer of no bytes, which options may have, would have room for no entry.
    // SAFETY: by this function's contract; there is no name.
    let create = || unsafe { Collection::create(&options.request()?) };
    answer(create().map(ordinary::handle))
}

/// Creates a ranged pool in a buffer, with exponents as for the newer form of `r_mempool_create`.
///
/// `DECLARE_STATIC_RMEMPOOL_BUFFER` declares such a buffer. What `r_mempool_create` says of sizes
/// and counts holds here, except that a smallest class of less than 2^4 bytes is refused.
///
/// @param buffer       memory of the caller's, aligned to 16 bytes, that belongs to the ranged pool
///                     until it is destroyed
/// @param buffer_size  its bytes
/// @param smallest_exponent  the smallest class's entries have 2 to the power of this usable bytes; at
///                           least 4
/// @param largest_exponent   and the largest class's 2 to the power of that
/// @param count_exponent     the smallest class has 2 to the power of this entries; at least 1
/// @param policy       what to do when the class that fits is empty
/// @param will_be_accessed_by_only_one_thread  true: as `MEMPOOL_SINGLE_THREAD`
/// @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  a smallest exponent below 4, another one of 0; sizes, a count or a policy that
///                `r_mempool_create` refuses; no buffer, or one that is too small, misaligned, has a tagged
///                pointer or ends above 2^48
/// @errno ENOMEM  so much can't be counted, or the pool can't be made for want of memory elsewhere
///
/// Threads and cost: as `r_mempool_create`.
///
/// # Safety
/// `buffer` is NULL or that many bytes, the ranged pool's alone.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_create_from_preallocated_buffer(
    buffer: *mut c_void,
    buffer_size: usize,
    smallest_exponent: usize,
    largest_exponent: usize,
    count_exponent: usize,
    policy: RawPolicy,
    will_be_accessed_by_only_one_thread: bool,
) -> *mut r_mempool {
    let options = r_mempool_options {
        struct_size: size_of::<r_mempool_options>(),
        smallest_size: power_of_two(smallest_exponent, LEAST_SMALLEST_EXPONENT),
        largest_size: power_of_two(largest_exponent, LEAST_EXPONENT),
        smallest_count: power_of_two(count_exponent, LEAST_EXPONENT),
        classes: core::ptr::null(),
        class_count: 0,
        alignment: 0,
        name: core::ptr::null(),
        buffer,
        buffer_size,
        flags: flag(MEMPOOL_SINGLE_THREAD, will_be_accessed_by_only_one_thread),
        policy,
        reserved: 0,
        backing: core::ptr::null(),
    };
    let create = || {
        // Options without a buffer are those of a pool that finds memory of its own.
        if buffer.is_null() {
            return Err(Error::Invalid);
        }
        // SAFETY: by this function's contract; there is no name and no list of classes.
        unsafe { Collection::create(&options.request()?) }
    };
    answer(create().map(NonNull::cast))
}
