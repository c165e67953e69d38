//! What is in a pool: figures, entries, reports.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::ordinary::{self, mempool};
use super::ranged::{self, r_mempool};
use crate::collection::body::Collection;
use crate::collection::refuse::refuse_in;
use crate::os::error::Error;
use crate::os::set_errno;
use crate::pool::body::Pool;
use crate::pool::heap::NotOut;
pub use crate::pool::stats::mempool_stats;
use crate::report::misuse::Call;
use crate::slots::word::Entry;

/// Fills in the struct, if its size is that of a version known here: there is one.
///
/// # Safety
/// `stats` is NULL or a struct of as many bytes as its `struct_size` says.
unsafe fn fill(stats: *mut mempool_stats, figures: impl FnOnce() -> Option<mempool_stats>) -> bool {
    let size = match NonNull::new(stats) {
        // SAFETY: by this function's contract, it starts with its size.
        Some(stats) if stats.is_aligned() => unsafe { stats.cast::<usize>().read() },
        _ => 0,
    };
    let Some(figures) = (size == size_of::<mempool_stats>()).then(figures).flatten() else {
        set_errno(Error::Invalid);
        return false;
    };
    // SAFETY: the struct has that many bytes.
    unsafe { stats.write(figures) };
    true
}

/// # Figures of a pool
///
/// Returns a pool's figures: how full it is, how full it was, and how much memory it takes.
///
/// ```c
/// mempool_stats stats = MEMPOOL_STATS_INIT;
/// if (mempool_get_stats(mp, &stats))
///     printf("%zu of %zu, at most %zu\n", stats.used, stats.capacity, stats.peak_used);
/// ```
///
/// @param mp     a live pool
/// @param stats  filled in; its `struct_size` must be set
/// @return true if it was; else `errno` is set, and nothing changes
/// @errno EINVAL  `mp` or `stats` is NULL, or this library knows no version with that `struct_size`
///
/// Threads: safe; any thread may ask about a single-thread pool. Cost: O(log pools + threads that used the
/// pool), with the lock of the list of pools and then the pool's. The figures cost allocs and frees nothing,
/// except while several threads raise the high-water mark at the same time: then some of their allocs take the
/// pool's lock.
///
/// # Safety
/// `mp` is NULL or a live pool, `stats` NULL or as large as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_get_stats(mp: *const mempool, stats: *mut mempool_stats) -> bool {
    // SAFETY: by this function's contract.
    unsafe {
        let pool = ordinary::live(b"mempool_get_stats", mp);
        fill(stats, || Collection::of_pool(pool?).class_figures(0))
    }
}

/// How many classes a ranged pool has. 0 for NULL.
///
/// Threads: safe. Cost: as `mempool_total_capacity`.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_class_count(rmp: *const r_mempool) -> usize {
    ranged::live(b"r_mempool_class_count", rmp).map_or(0, |collection| collection.pools().len())
}

/// As `mempool_get_stats`, of one class of a ranged pool.
///
/// ```c
/// mempool_stats stats = MEMPOOL_STATS_INIT;
/// for (size_t i = 0; r_mempool_get_stats(rmp, i, &stats); i++)
///     printf("%zu bytes: at most %zu of %zu\n", stats.elem_size, stats.peak_used, stats.capacity);
/// ```
///
/// @param rmp    a live ranged pool
/// @param index  number of the class, from 0, the smallest, to `r_mempool_class_count(rmp) - 1`
/// @param stats  filled in; its `struct_size` must be set
/// @return true if it was; else `errno` is set, and nothing changes
/// @errno EINVAL  as for `mempool_get_stats`, or there is no such class
///
/// # Safety
/// `rmp` is NULL or a live ranged pool, `stats` NULL or as large as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_get_stats(
    rmp: *const r_mempool,
    index: usize,
    stats: *mut mempool_stats,
) -> bool {
    // SAFETY: by this function's contract.
    unsafe {
        let collection = ranged::live(b"r_mempool_get_stats", rmp);
        fill(stats, || collection?.class_figures(index))
    }
}

/// Restarts a pool's high-water marks from what is out now. The counts of exhausted and failed calls go on:
/// they only grow. NULL does nothing.
///
/// Threads: safe. A call under way in another thread counts as before or after it. Cost: O(log pools), with the
/// lock of the list of all pools, and O(threads that used the pool), with the pool's; threads then refill their
/// caches.
///
/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_reset_peak(mp: *mut mempool) {
    if let Some(pool) = ordinary::live(b"mempool_reset_peak", mp) {
        pool.reset_peak();
    }
}

/// As `mempool_reset_peak`, for all classes of a ranged pool.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_reset_peak(rmp: *mut r_mempool) {
    if let Some(collection) = ranged::live(b"r_mempool_reset_peak", rmp) {
        collection.pools().iter().for_each(|pool| pool.reset_peak());
    }
}

/// # Ask about entries
///
/// How many bytes an entry has. In an ordinary pool, its holder may use all of them.
///
/// In a ranged pool, the holder may use as many as it asked for, and the entry may have more. To use all of
/// them, ask `r_mempool_realloc_entry` for this size, and use the pointer that it returns: the entry stays
/// where it is, and nothing is copied. Before that, `_FORTIFY_SOURCE`, AddressSanitizer, Valgrind and hardened
/// pools may report a write there as an overflow.
///
/// ```c
/// size_t size = mempool_usable_size(entry);
/// entry = r_mempool_realloc_entry(rmp, entry, size);
/// memset(entry, 0, size);
/// ```
///
/// @param entry  a live entry of any pool; 0 for NULL. Anything else is misuse: see
///               `mempool_free_entry`
///
/// Threads: safe, as long as no thread frees the entry meanwhile. Cost: O(1); for an entry from the heap with
/// the pool's lock.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_usable_size(entry: *const c_void) -> usize {
    // SAFETY: by this function's contract.
    unsafe { out(b"mempool_usable_size", entry) }.map_or(0, |(_, size)| size)
}

/// The pool of an entry: a `mempool`, or an `r_mempool` if it came from a ranged pool.
///
/// @param entry  a live entry of any pool; NULL for NULL. Anything else is misuse: see
///               `mempool_free_entry`
///
/// Threads: as `mempool_usable_size`.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_owner(entry: *const c_void) -> *mut c_void {
    // SAFETY: by this function's contract.
    let found = unsafe { out(b"mempool_owner", entry) };
    found.map_or(core::ptr::null_mut(), |(pool, _)| pool.handle().as_ptr().cast())
}

/// The pool of an entry that is out, and how many bytes it has; none for NULL. Aborts if it is not out.
///
/// # Safety
/// NULL, or the 8 bytes before the entry can be read.
unsafe fn out<'a>(call: Call, entry: *const c_void) -> Option<(&'a Pool, usize)> {
    let entry = Entry::new(NonNull::new(entry.cast_mut().cast())?);
    // SAFETY: by this function's contract.
    Some(unsafe { Pool::of_entry(call, entry).unwrap_or_else(|NotOut| refuse_in(call, entry)) })
}

/// Whether a pointer is an entry of this pool that is out. Any pointer will do: it is not followed.
///
/// False for a pointer into the middle of an entry, for one that was freed, for NULL.
///
/// Threads: safe; if another thread frees the entry meanwhile, the answer may be either. Cost: as
/// `mempool_total_capacity`; for a pointer outside the pool's memory also a lock and O(entries of the pool from
/// the heap that are out).
///
/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_owns(mp: *const mempool, pointer: *const c_void) -> bool {
    ordinary::live(b"mempool_owns", mp)
        .is_some_and(|pool| Collection::of_pool(pool).owns(pointer as usize))
}

/// As `mempool_owns`, for a ranged pool: in its memory O(classes), elsewhere with a lock for each class.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_owns(rmp: *const r_mempool, pointer: *const c_void) -> bool {
    ranged::live(b"r_mempool_owns", rmp).is_some_and(|collection| collection.owns(pointer as usize))
}

/// Called with a live entry, its `mempool_usable_size`, and the context. Returns true to go on, false to end
/// the walk. In a ranged pool, only the bytes that the holder asked for are sure to be in use.
pub type mempool_visitor = Option<
    unsafe extern "C" fn(entry: *mut c_void, usable_size: usize, context: *mut c_void) -> bool,
>;

/// Calls `visit` with every entry of a pool that is out, those from the heap last, until it returns
/// false.
///
/// `visit` may free the entry that it gets. It may allocate new ones; they may be visited or not. It must not
/// free another entry that came from the heap, nor destroy the pool.
///
/// @param mp       a live pool; NULL does nothing
/// @param visit    called for each; NULL only counts
/// @param context  passed to `visit`; the library does not look at it
/// @return how many entries `visit` was called with
///
/// Threads: other threads may allocate and free the pool's own entries meanwhile; these may be visited or not.
/// They must not free the entry that is being visited, nor one from the heap. Cost: O(capacity), with no lock
/// held while `visit` runs.
///
/// # Safety
/// `mp` is NULL or a live pool; `visit` can be called with `context` and does as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_for_each_live(
    mp: *const mempool,
    visit: mempool_visitor,
    context: *mut c_void,
) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let pool = ordinary::live(b"mempool_for_each_live", mp);
        visit_all(pool.as_slice(), visit, context)
    }
}

/// As `mempool_for_each_live`, class by class, the smallest first.
///
/// # Safety
/// As `mempool_for_each_live`, with a ranged pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_for_each_live(
    rmp: *const r_mempool,
    visit: mempool_visitor,
    context: *mut c_void,
) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let collection = ranged::live(b"r_mempool_for_each_live", rmp);
        let pools = collection.map_or(&[][..], Collection::pools);
        visit_all(pools, visit, context)
    }
}

/// # Safety
/// As [`mempool_for_each_live`].
unsafe fn visit_all(pools: &[&Pool], visit: mempool_visitor, context: *mut c_void) -> usize {
    let mut count = 0;
    let mut call = |entry: Entry, size| {
        count += 1;
        // SAFETY: by this function's contract.
        visit.is_none_or(|visit| unsafe { visit(entry.payload().cast(), size, context) })
    };
    for pool in pools {
        // SAFETY: by this function's contract.
        if !unsafe { pool.for_each_out(&mut call) } {
            break;
        }
    }
    count
}
