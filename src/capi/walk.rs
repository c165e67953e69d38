//! Which pools are there, and which library is it?

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use super::ordinary::mempool;
use super::ranged::r_mempool;
use crate::collection::body::Collection;
use crate::collection::registry;
use crate::os::cpu::by_width;
use crate::report::line::cut;
use crate::report::misuse::NAME_MAX;

/// # Find pools
///
/// A pool, as `mempool_for_each_pool` shows it.
#[repr(C)]
pub struct mempool_pool_info {
    /// `sizeof(mempool_pool_info)` of the library: a later version may have more members.
    pub struct_size: usize,
    /// The pool, if it is an ordinary one; else NULL.
    pub mp: *mut mempool,
    /// The pool, if it is a ranged one; else NULL.
    pub rmp: *mut r_mempool,
    /// Its name as given at create, cut to its length there; "" without one. Valid until the visitor returns.
    pub name: *const c_char,
}

static_assertions::const_assert_eq!(size_of::<mempool_pool_info>(), by_width(32, 16, 16));

/// Called with a pool and the context. Returns true to go on, false to end the walk.
pub type mempool_pool_visitor =
    Option<unsafe extern "C" fn(pool: *const mempool_pool_info, context: *mut c_void) -> bool>;

/// A name in memory of its own, with a 0 after it.
struct Name([u8; NAME_MAX + 1]);

impl Name {
    fn of(collection: &Collection) -> Self {
        let mut name = [0; NAME_MAX + 1];
        name[..collection.name().len()].copy_from_slice(collection.name());
        Self(name)
    }
}

/// # Find pools
///
/// Calls `visit` with every pool of the process, the newest first, until it returns false.
///
/// `visit` may use the pool that it gets, create pools, and destroy any pool.
///
/// @param visit    called for each; NULL only counts
/// @param context  passed to `visit`; the library does not look at it
/// @return how many pools `visit` was called with
///
/// Threads: safe from any thread at any time. A pool that is created meanwhile is not visited. A pool that
/// another thread destroys may still be visited: use it in `visit` only if you know that it stays. Cost: O(log
/// pools) for each pool, with no lock held while `visit` runs.
///
/// # Safety
/// `visit` can be called with `context` and does as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_for_each_pool(
    visit: mempool_pool_visitor,
    context: *mut c_void,
) -> usize {
    let mut count = 0;
    let mut walk = registry::lock().walk();
    loop {
        // The lock goes with each of these statements.
        let Some(place) = registry::lock().step(&mut walk) else { return count };
        let seen = registry::lock()
            .at(place)
            .map(|collection| (collection.handle(), collection.is_ranged(), Name::of(collection)));
        let Some((handle, ranged, name)) = seen else { continue };
        count += 1;
        let Some(visit) = visit else { continue };
        let pool: *mut c_void = ptr::with_exposed_provenance_mut(handle);
        let info = mempool_pool_info {
            struct_size: size_of::<mempool_pool_info>(),
            mp: if ranged { ptr::null_mut() } else { pool.cast() },
            rmp: if ranged { pool.cast() } else { ptr::null_mut() },
            name: name.0.as_ptr().cast(),
        };
        // SAFETY: by this function's contract.
        if !unsafe { visit(&info, context) } {
            return count;
        }
    }
}

/// The ordinary pool with this name; the newest, if there are several.
///
/// @param name  as given at create: a long name is cut here as it was there. No pool has the name NULL or ""
/// @return the pool; NULL if there is none. `errno` is not changed
///
/// Threads: safe from any thread at any time; use the pool only if you know that nobody destroys it. Cost:
/// O(pools), with the lock of the list of pools.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_find(name: *const c_char) -> *mut mempool {
    // SAFETY: by this function's contract.
    unsafe { find(name, false) }.cast()
}

/// As `mempool_find`, for ranged pools.
///
/// # Safety
/// As [`mempool_find`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_find(name: *const c_char) -> *mut r_mempool {
    // SAFETY: by this function's contract.
    unsafe { find(name, true) }.cast()
}

/// # Safety
/// NULL or a string.
unsafe fn find(name: *const c_char, ranged: bool) -> *mut c_void {
    // SAFETY: by this function's contract.
    let name = if name.is_null() { c"" } else { unsafe { CStr::from_ptr(name) } };
    let name = cut(name.to_bytes(), NAME_MAX);
    let all = registry::lock();
    let is_it = |found: &&Collection| found.is_ranged() == ranged && found.name() == name;
    match all.iter().find(is_it) {
        Some(found) if !name.is_empty() => ptr::with_exposed_provenance_mut(found.handle()),
        _ => ptr::null_mut(),
    }
}

/// The version of the library that the program runs with, such as "1.0.0". Constant. Threads: safe. Cost: O(1).
///
/// `CMEMPOOL_VERSION_MAJOR` and its like say the version of the header that it was compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn cmempool_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
