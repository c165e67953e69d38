//! Ranged pools: entries of many sizes.

use core::ffi::{c_uint, c_void};
use core::ptr::NonNull;

use super::answer::{answer, answer_entry, free_entry, noted, noted_move, refuse};
use crate::collection::body::{Collection, Policy};
use crate::collection::making::Request;
use crate::memory::layout::{Classes, Layout};
use crate::memory::zero::zero;
use crate::os::{SMALL, error::Error};
use crate::pool::body::Pool;
use crate::pool::fast::Missed;
use crate::pool::traits::Traits;
use crate::report::misuse::Call;
use crate::slots::word::{Entry, State};

/// A collection of pools, called classes, each with entries of one size. Its members are the library's.
pub struct r_mempool {
    _opaque: Collection,
}

/// # Make a pool
///
/// What a ranged pool does when the class that fits a request is empty.
#[repr(C)]
pub enum r_memory_fallback_policy_t {
    /// Tries the larger classes in turn, then returns NULL.
    fallback_disabled = 0,
    /// Takes from the heap at once.
    fallback_at_first_exhaustion,
    /// Tries the larger classes in turn, then takes from the heap.
    fallback_at_last_exhaustion,
    /// Not a policy: one more than the last.
    __fallback_end_place_holder,
}

/// A policy as it arrives from C, where an enum can hold any number.
pub type RawPolicy = c_uint;

pub(super) fn policy(raw: RawPolicy) -> Result<Policy, Error> {
    use r_memory_fallback_policy_t as raw_policy;
    const DISABLED: RawPolicy = raw_policy::fallback_disabled as RawPolicy;
    const AT_FIRST: RawPolicy = raw_policy::fallback_at_first_exhaustion as RawPolicy;
    const AT_LAST: RawPolicy = raw_policy::fallback_at_last_exhaustion as RawPolicy;
    match raw {
        DISABLED => Ok(Policy::Disabled),
        AT_FIRST => Ok(Policy::AtFirstExhaustion),
        AT_LAST => Ok(Policy::AtLastExhaustion),
        _ => Err(Error::Invalid),
    }
}

/// The collection behind a handle that a caller gave; none for NULL.
///
/// # Safety
/// NULL or a live ranged pool.
#[inline(always)]
pub(super) unsafe fn collection<'a>(rmp: *const r_mempool) -> Option<&'a Collection> {
    // SAFETY: a live ranged pool's handle is its collection's address.
    unsafe { rmp.cast::<Collection>().as_ref() }
}

/// The live ranged pool with this handle, found without reading anything there; none for NULL. Aborts
/// for anything else.
pub(super) fn live<'a>(call: Call, rmp: *const r_mempool) -> Option<&'a Collection> {
    (!rmp.is_null()).then(|| Collection::live(call, rmp as usize, true))
}

/// # Make a pool
///
/// Creates a ranged pool: one class for each power of two from `smallest_size` to `largest_size`.
///
/// The smallest class has `smallest_count` entries, and each larger class half as many as the one before. Sizes
/// and the count are rounded up to powers of two, and the smallest size to at least 16. So (32, 256, 64, ..)
/// makes classes of 32, 64, 128 and 256 bytes with 64, 32, 16 and 8 entries. All classes share one mapping;
/// memory and alignment are as for `mempool_create`.
///
/// Also a macro of the same name, which accepts the five arguments of the original's newer release: see
/// `mempool_create_from_preallocated_buffer`.
///
/// @param smallest_size   usable bytes of the smallest class's entries, at least 1
/// @param largest_size    usable bytes of the largest class's entries; after rounding, more than
///                        the smallest
/// @param smallest_count  entries of the smallest class, enough for the largest class to have one
/// @param policy          what to do when the class that fits is empty
/// @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  an argument breaks a rule above, or `policy` is unknown
/// @errno ENOMEM  memory is not available, or there are more entries than a pool can count
///
/// Threads: any number may use the pool at once. Cost: grows with the memory, page by page.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub extern "C" fn r_mempool_create(
    smallest_size: usize,
    largest_size: usize,
    smallest_count: usize,
    policy: RawPolicy,
) -> *mut r_mempool {
    let create = || {
        let policy = self::policy(policy)?;
        let classes = Classes::powers_of_two(smallest_size, largest_size, smallest_count)?;
        let request = Request::new(Layout::new(classes, 0)?, policy, Traits::default());
        // SAFETY: there is no buffer.
        unsafe { Collection::create(&request) }
    };
    answer(create().map(NonNull::cast))
}

/// # Allocate an entry
///
/// Allocates an entry of `size` bytes.
///
/// It comes from the smallest class whose entries are large enough; if that is empty, from where the policy
/// says. The entry may have more bytes than `size`; they become the caller's by `r_mempool_realloc_entry`: see
/// `mempool_usable_size`. A pool that was destroyed hands out nothing: see `mempool_alloc_entry`.
///
/// @param rmp   a live ranged pool
/// @param size  bytes, 1 to the largest class's size
/// @return the entry, aligned like `max_align_t` or as chosen at create; NULL with `errno` set
/// @errno EINVAL  `rmp` is NULL, or the size is 0 or above the largest class's
/// @errno ENOMEM  no entry is available
///
/// Threads: safe. Cost: O(1), as `mempool_alloc_entry`; O(classes) if the class that fits is empty. With an
/// explicit list, one step more for each class between the same two powers of two.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
///
/// cbindgen:postfix=CMEMPOOL_ENTRY CMEMPOOL_ALLOC_SIZE(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_alloc_entry(rmp: *mut r_mempool, size: usize) -> *mut c_void {
    // SAFETY: by this function's contract.
    unsafe { alloc(rmp, size) }
}

/// # Safety
/// As [`r_mempool_alloc_entry`].
#[inline(always)]
unsafe fn alloc(rmp: *mut r_mempool, size: usize) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(collection) = (unsafe { collection(rmp) }) else { return refuse(Error::Invalid) };
    let Some(class) = collection.pool_for(size) else { return refuse(Error::Invalid) };
    match class.alloc_fast() {
        Ok(entry) => entry.payload().cast(),
        Err(missed) => alloc_missed(collection, class, size, missed),
    }
}

/// The thread's cache of the class that fits had none.
#[inline(never)]
pub(super) fn alloc_missed(
    collection: &Collection,
    class: &Pool,
    size: usize,
    missed: Missed,
) -> *mut c_void {
    let entry = answer_entry(collection.alloc_missed(class, size, missed));
    if class.records() {
        // SAFETY: it is new, if it is one.
        return unsafe { noted(entry) };
    }
    entry
}

/// Allocates an entry of `size` bytes, all zero.
///
/// As `r_mempool_alloc_entry`; the cost grows with the size.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
///
/// cbindgen:postfix=CMEMPOOL_ENTRY CMEMPOOL_ALLOC_SIZE(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_calloc_entry(rmp: *mut r_mempool, size: usize) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(collection) = (unsafe { collection(rmp) }) else { return refuse(Error::Invalid) };
    let Some(class) = collection.pool_for(size) else { return refuse(Error::Invalid) };
    match class.alloc_fast() {
        Ok(entry) => {
            // SAFETY: the entry is new and has that many bytes.
            unsafe { zero(entry.payload(), size) };
            entry.payload().cast()
        }
        Err(missed) => calloc_missed(collection, class, size, missed),
    }
}

/// The thread's cache had none.
#[cold]
#[inline(never)]
fn calloc_missed(
    collection: &Collection,
    class: &Pool,
    size: usize,
    missed: Missed,
) -> *mut c_void {
    let entry = answer_entry(collection.alloc_missed(class, size, missed));
    if !entry.is_null() {
        // SAFETY: the entry is new and has that many bytes.
        unsafe { zero(entry.cast(), size) };
    }
    if class.records() {
        // SAFETY: it is new, if it is one.
        return unsafe { noted(entry) };
    }
    entry
}

/// # Make an entry larger or smaller
///
/// Makes an entry larger or smaller, as `realloc` does.
///
/// If the size fits the entry's own class, the entry stays where it is, and `size` of its bytes are the
/// caller's from then on. Otherwise it moves: as many bytes as both sizes have are copied to an entry of the
/// class that fits, and the old entry is freed. Entries from the heap move into the pool and back in the same
/// way.
///
/// An entry that shrinks moves to the class that fits. If that is empty, it counts as `exhausted` there (see
/// `mempool_stats`), and the entry moves to the next class that has an entry and is smaller than its own, or
/// stays where it is; `mempool_usable_size` says which.
///
/// @param rmp    a live ranged pool
/// @param entry  a live entry of this ranged pool; NULL makes this `r_mempool_alloc_entry`. Anything
///               else is misuse: see `mempool_free_entry`. On a pool that was destroyed, as
///               `mempool_alloc_entry`
/// @param size   bytes, 1 to the largest class's size
/// @return the entry, at its old address or a new one; NULL with `errno` set: then the old entry is unchanged,
///         and still out
/// @errno EINVAL  `rmp` is NULL, or the size is 0 or above the largest class's
/// @errno ENOMEM  no entry is available
///
/// Threads: safe, as long as one thread at a time uses the entry. Cost: an alloc, a copy and a free if it
/// moves; else O(1).
///
/// # Safety
/// `rmp` is NULL or a live ranged pool, `entry` NULL or a live entry of it.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE CMEMPOOL_ALLOC_SIZE(3)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_realloc_entry(
    rmp: *mut r_mempool,
    entry: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(collection) = (unsafe { collection(rmp) }) else { return refuse(Error::Invalid) };
    let Some(payload) = NonNull::new(entry.cast()) else {
        // SAFETY: as above.
        return unsafe { alloc(rmp, size) };
    };
    // SAFETY: as above; what is not a live entry can be read at least.
    if unsafe { collection.keeps_place(Entry::new(payload), size) } {
        return entry;
    }
    // SAFETY: as above.
    unsafe { realloc_slow(collection, Entry::new(payload), size) }
}

/// The entry moves, or more is to be found out.
///
/// # Safety
/// The 8 bytes before the entry can be read.
#[cold]
#[inline(never)]
unsafe fn realloc_slow(collection: &Collection, entry: Entry, size: usize) -> *mut c_void {
    // The entry first: the pool may be gone with it.
    // SAFETY: by this function's contract.
    let (records, is_slot) = match unsafe { entry.decode() }.owner_and_state() {
        _ if SMALL => (false, false),
        // SAFETY: a word of ours names a live pool.
        Some((owner, State::Out)) => (unsafe { Pool::at(owner) }.records(), true),
        // SAFETY: as above.
        Some((owner, State::Dynamic)) => (unsafe { Pool::at(owner) }.records(), false),
        _ => (false, false),
    };
    // SAFETY: as above.
    let new = answer_entry(unsafe { collection.realloc(entry, size) });
    if records && !new.is_null() {
        let old = if is_slot { entry.payload().cast() } else { core::ptr::null_mut() };
        // SAFETY: realloc checked that the entry is one of this pool's.
        return unsafe { noted_move(new, old) };
    }
    new
}

/// # Free an entry
///
/// Frees an entry, of whatever pool: the same as `mempool_free_entry`, and also a macro.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[unsafe(no_mangle)]
// In a section of its own: functions with the same code would be merged, and debuggers show either name.
#[cfg_attr(elf, unsafe(link_section = ".text.r_mempool_free_entry"))]
pub unsafe extern "C" fn r_mempool_free_entry(entry: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { free_entry(entry) }
}

/// # Destroy a pool
///
/// Destroys a ranged pool and everything in it: see `mempool_destroy`. Also a macro of the same
/// name, which sets the caller's variable to NULL.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_destroy(rmp: *mut r_mempool) {
    if !rmp.is_null() {
        // SAFETY: by this function's contract.
        unsafe { Collection::destroy_by_handle(rmp as usize, true) }
    }
}

/// The pool of the class that fits a size.
fn fitting<'a>(call: Call, rmp: *const r_mempool, size: usize) -> Option<&'a Pool> {
    live(call, rmp)?.pool_for(size)
}

/// # Count entries
///
/// How many entries, free or out, the class that fits `size` has. 0 for a size of 0 or above the largest
/// class's, and for NULL.
///
/// Threads: safe. Cost: as `mempool_total_capacity`, and for the class as in `r_mempool_alloc_entry`.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_total_capacity(rmp: *const r_mempool, size: usize) -> usize {
    fitting(b"r_mempool_total_capacity", rmp, size).map_or(0, Pool::capacity)
}

/// How many entries of the class that fits `size` are out, whatever size was asked for; dynamic ones don't
/// count. 0 for a size of 0 or above the largest class's, and for NULL.
///
/// Exact when no other thread is inside a call on the pool, and never above the capacity.
///
/// Threads: safe. Cost: as `mempool_used_count`.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_used_count(rmp: *const r_mempool, size: usize) -> usize {
    fitting(b"r_mempool_used_count", rmp, size).map_or(0, Pool::used)
}

/// How many entries from the heap are out.
///
/// Under `fallback_at_first_exhaustion` it counts those that the class fitting `size` should have served; under
/// `fallback_at_last_exhaustion` all, whatever the size. 0 for a size of 0 or above the largest class's, and
/// for NULL.
///
/// Threads: safe; under `fallback_at_last_exhaustion` exact when no other thread is inside a call
/// on the pool. Cost: as `mempool_dynamic_allocs_count`; under `fallback_at_last_exhaustion` O(classes)
/// more.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_dynamic_allocs_count(
    rmp: *const r_mempool,
    size: usize,
) -> usize {
    let Some(collection) = live(b"r_mempool_dynamic_allocs_count", rmp) else { return 0 };
    collection.pool_for(size).map_or(0, |class| collection.dynamic_count(class))
}

/// # Names that older binaries call
///
/// `r_mempool_destroy` under the name that programs compiled against the original library call.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool that nobody else uses.
#[unsafe(no_mangle)]
// In a section of its own: functions with the same code would be merged, and debuggers show either name.
#[cfg_attr(elf, unsafe(link_section = ".text._r_mempool_destroy"))]
pub unsafe extern "C" fn _r_mempool_destroy(rmp: *mut r_mempool) {
    // SAFETY: by this function's contract.
    unsafe { r_mempool_destroy(rmp) }
}
