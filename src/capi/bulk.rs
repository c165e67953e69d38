//! Many entries at once.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::answer::all_noted;
use super::ordinary::{self, mempool};
use super::ranged::{self, r_mempool};
use crate::collection::body::Collection;
use crate::collection::handle::expect_live;
use crate::collection::refuse::refuse;
use crate::os::cpu::with_caller;
use crate::os::error::Error;
use crate::os::set_errno;
use crate::pool::body::Pool;
use crate::pool::bulk::Sources;
use crate::pool::holders;
use crate::slots::word::Entry;

/// Fills an array with entries by means of `alloc`, or with NULL.
///
/// # Safety
/// `entries` is NULL or has `n` places.
unsafe fn fill(
    entries: *mut *mut c_void,
    n: usize,
    alloc: impl FnOnce(&mut [*mut u8]) -> Result<(), Error>,
) -> bool {
    if n == 0 {
        return true;
    }
    let result = if entries.is_null() {
        Err(Error::Invalid)
    } else {
        // SAFETY: by this function's contract; places for pointers are places for pointers.
        let places = unsafe { core::slice::from_raw_parts_mut(entries.cast::<*mut u8>(), n) };
        let result = alloc(places);
        if result.is_err() {
            places.fill(core::ptr::null_mut());
        }
        result
    };
    result.map_err(set_errno).is_ok()
}

/// # Allocate and free many entries
///
/// Allocates `n` entries at once: all of them, or none.
///
/// As `n` calls of `mempool_alloc_entry`, and faster: the entries that the thread's cache lacks come from the
/// pool at once, under one lock. If the pool may take from the heap, missing entries come from there.
///
/// A call that fails changes nothing and disturbs no other: no high-water mark moves, no other call finds the
/// pool emptier, and `exhausted` and `failed` count it once.
///
/// ```c
/// void *packets[32];
/// if (mempool_alloc_bulk(mp, packets, 32)) {
///     ...
///     mempool_free_bulk(packets, 32);
/// }
/// ```
///
/// @param mp       a live pool
/// @param entries  filled in with `n` entries; with NULL, if there are not so many
/// @param n        how many; 0 does nothing and succeeds
/// @return true if there were so many; else `errno` is set, and none is taken
/// @errno EINVAL  `mp` or `entries` is NULL
/// @errno ENOMEM  fewer than `n` entries are left (and the heap, if the pool may use it, has no memory for the
///                others)
///
/// Threads: safe. Cost: O(n), one uncontended lock; O(caches) more in a shortage.
///
/// # Safety
/// `mp` is NULL or a live pool, `entries` NULL or an array of `n` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_alloc_bulk(
    mp: *mut mempool,
    entries: *mut *mut c_void,
    n: usize,
) -> bool {
    // SAFETY: by this function's contract.
    let pool = unsafe { ordinary::pool(mp) };
    // SAFETY: as above.
    let filled = unsafe {
        fill(entries, n, |places| {
            let pool = pool.ok_or(Error::Invalid)?;
            expect_live(pool, b"mempool_alloc_bulk");
            let sources = Sources { class: pool, larger_too: false, heap_too: pool.falls_back() };
            sources.fill(places).then_some(()).ok_or(Error::NoMemory)
        })
    };
    if filled && n > 0 && pool.is_some_and(Pool::records) {
        // SAFETY: they are new.
        return unsafe { all_noted(entries, n) };
    }
    filled
}

/// As `mempool_alloc_bulk`, for entries of `size` bytes of a ranged pool. If the class that fits has too few,
/// the others come from where the pool's policy says.
///
/// @param rmp      a live ranged pool
/// @param size     bytes of each, 1 to the largest class's size
/// @param entries  filled in with `n` entries; with NULL, if there are not so many
/// @param n        how many; 0 does nothing and succeeds
/// @return true if there were so many; else `errno` is set, and none is taken
/// @errno EINVAL  `rmp` or `entries` is NULL, or a size of 0 or above the largest class's
/// @errno ENOMEM  there are not so many entries
///
/// # Safety
/// `rmp` is NULL or a live ranged pool, `entries` NULL or an array of `n` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_alloc_bulk(
    rmp: *mut r_mempool,
    size: usize,
    entries: *mut *mut c_void,
    n: usize,
) -> bool {
    // SAFETY: by this function's contract.
    let collection = unsafe { ranged::collection(rmp) };
    // SAFETY: as above.
    let filled = unsafe {
        fill(entries, n, |places| {
            let collection = collection.ok_or(Error::Invalid)?;
            collection.expect_live(b"r_mempool_alloc_bulk");
            let class = collection.pool_for(size).ok_or(Error::Invalid)?;
            if !collection.sources(class).fill(places) {
                return Err(Error::NoMemory);
            }
            class.fit_many(places, size).unwrap_or_else(|entry| refuse(entry));
            Ok(())
        })
    };
    if filled && n > 0 && collection.is_some_and(|collection| collection.pools()[0].records()) {
        // SAFETY: they are new.
        return unsafe { all_noted(entries, n) };
    }
    filled
}

/// Frees many entries at once, of whatever pools, ordinary or ranged, or from the heap.
///
/// As `mempool_free_entry` for each, and faster if entries of the same pool follow each other: they share one
/// lock. The array is not changed. It must not lie in one of the entries: once that is freed, its content may
/// be gone before the next pointer is read.
///
/// @param entries  `n` live entries, each once; NULLs among them are skipped. Anything else is misuse: see
///                 `mempool_free_entry`. NULL instead of the array does nothing
/// @param n        how many
///
/// Threads: safe. Cost: O(n), and an uncontended lock for each run of entries of the same pool.
///
/// # Safety
/// `entries` is NULL or an array of `n` pointers, each NULL or a live entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_free_bulk(entries: *const *mut c_void, n: usize) {
    if entries.is_null() || n == 0 {
        return;
    }
    if holders::any() {
        // SAFETY: by this function's contract.
        return unsafe { free_all_noted(entries, n) };
    }
    // SAFETY: by this function's contract.
    unsafe { free_all(entries, n) }
}

/// # Safety
/// As [`mempool_free_bulk`]; what is not a live entry can be read at least.
#[inline(never)]
unsafe fn free_all(entries: *const *mut c_void, n: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        let entries = core::slice::from_raw_parts(entries.cast(), n);
        Pool::free_bulk(entries).unwrap_or_else(|entry| refuse(entry));
    }
}

with_caller! {
    /// As [`free_all`], where a pool may record.
    ///
    /// # Safety
    /// As [`free_all`].
    unsafe fn free_all_noted(entries: *const *mut c_void, n: usize) => free_all_for
}

unsafe extern "C" fn free_all_for(entries: *const *mut c_void, n: usize, caller: usize) {
    // SAFETY: by the contract of the function above.
    unsafe {
        for payload in core::slice::from_raw_parts(entries, n).iter().map(|entry| entry.cast()) {
            if let Some(payload) = NonNull::new(payload) {
                holders::note_freed(Entry::new(payload), caller);
            }
        }
        free_all(entries, n);
    }
}

/// Frees all entries of a pool at once, including those from the heap, as if their holders had freed them. Then
/// all entries are free, as at create.
///
/// To free one of them afterwards is a double free, caught until the entry is handed out again or, if it came
/// from the heap, while the heap has not reused its memory. Resetting a pool of which nothing is out changes
/// nothing. The high-water marks stay: see `mempool_reset_peak`.
///
/// @param mp  a live pool; NULL does nothing
///
/// Threads: no other thread may be inside a call on the pool or use its entries meanwhile, or use those entries
/// later. Other threads may use the pool again once they know that this call has returned. Cost: O(entries that
/// were ever out), much less than freeing each.
///
/// # Safety
/// `mp` is NULL or a live pool that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_reset(mp: *mut mempool) {
    // SAFETY: by this function's contract.
    unsafe {
        if let Some(pool) = ordinary::live(b"mempool_reset", mp) {
            reset_all(pool);
        }
    }
}

with_caller! {
    /// Takes back all entries of a pool, or of all classes of its collection.
    ///
    /// # Safety
    /// Nobody else uses it meanwhile.
    unsafe fn reset_all(pool: &Pool) => reset_all_for
}

unsafe extern "C" fn reset_all_for(pool: &Pool, caller: usize) {
    for pool in Collection::of_pool(pool).pools() {
        pool.note_reset(caller);
        // SAFETY: by the contract of the function above.
        unsafe { pool.reset() };
    }
}

/// As `mempool_reset`, for all classes of a ranged pool.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_reset(rmp: *mut r_mempool) {
    // SAFETY: by this function's contract.
    unsafe {
        if let Some(collection) = ranged::live(b"r_mempool_reset", rmp) {
            reset_all(collection.pools()[0]);
        }
    }
}
