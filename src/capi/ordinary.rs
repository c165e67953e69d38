//! Ordinary pools: entries of one size.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::answer::{answer, answer_entry, free_entry, noted, refuse};
use crate::collection::body::{Collection, Policy};
use crate::collection::handle::expect_live;
use crate::collection::making::Request;
use crate::memory::layout::{Class, Classes, Layout};
use crate::memory::zero::zero;
use crate::os::error::Error;
use crate::pool::body::Pool;
use crate::pool::fast::Missed;
use crate::pool::traits::Traits;
use crate::report::misuse::{ALLOC, Call};

/// # Make a pool
///
/// A pool of entries of one size. Its members are the library's.
pub struct mempool {
    _opaque: Pool,
}

/// The pool behind a handle that a caller gave; none for NULL.
///
/// # Safety
/// NULL or a live pool.
#[inline(always)]
pub(super) unsafe fn pool<'a>(mp: *const mempool) -> Option<&'a Pool> {
    // SAFETY: a live pool's handle is its address.
    unsafe { mp.cast::<Pool>().as_ref() }
}

/// The live pool with this handle, found without reading anything there; none for NULL. Aborts for
/// anything else.
pub(super) fn live<'a>(call: Call, mp: *const mempool) -> Option<&'a Pool> {
    (!mp.is_null()).then(|| Collection::live(call, mp as usize, false).pools()[0])
}

/// The handle of the only pool of a new collection.
pub(super) fn handle(collection: NonNull<Collection>) -> NonNull<mempool> {
    // SAFETY: the collection is live and has at least one pool.
    NonNull::from(unsafe { collection.as_ref() }.pools()[0]).cast()
}

/// # Make a pool
///
/// Creates a pool of `elem_count` entries of `elem_size` bytes each.
///
/// All memory is allocated, and provided by the system, before this returns. So using the entries can't run out
/// of memory later, even if the system overcommits. Every entry is aligned like `max_align_t` (16 bytes). A
/// slot takes `elem_size` plus 8 bytes, rounded up to a multiple of 16 (an `int` takes 16), and at most 8 bytes
/// of bookkeeping beside it, thread caches included. A pool takes at most 1 KiB more.
///
/// Also a macro of the same name, which accepts the fourth argument of the original's newer release: see
/// `mempool_create_from_preallocated_buffer`.
///
/// @param elem_count  how many entries, 1 to 4294967295
/// @param elem_size   usable bytes of each, at least 1
/// @param fallback_to_dynamic_memory  when all entries are out: true takes from the heap
///                    (`malloc`'s memory), false makes `mempool_alloc_entry` return NULL
/// @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
/// @errno EINVAL  a count or size of 0
/// @errno ENOMEM  memory is not available, or there are more entries than a pool can count
///
/// Threads: any number may use the pool at once. One for each 64 entries, and up to 4096, keep a cache of up to
/// 2042 free entries; in a pool of 12 to 127 entries one thread does. The others take a lock at each call.
/// Cost: grows with the memory, page by page.
///
/// cbindgen:postfix=CMEMPOOL_MUST_USE
#[unsafe(no_mangle)]
pub extern "C" fn mempool_create(
    elem_count: usize,
    elem_size: usize,
    fallback_to_dynamic_memory: bool,
) -> *mut mempool {
    let classes = Classes::One(Class { elem_size, elem_count });
    answer(Layout::new(classes, 0).and_then(|layout| {
        let traits = Traits { fall_back: fallback_to_dynamic_memory, ..Traits::default() };
        let request = Request::new(layout, Policy::Ordinary, traits);
        // SAFETY: there is no buffer.
        unsafe { Collection::create(&request) }.map(handle)
    }))
}

/// The thread's cache had none.
#[inline(never)]
pub(super) fn alloc_missed(pool: &Pool, missed: Missed) -> *mut c_void {
    let entry = take_missed(pool, missed);
    if pool.records() {
        // SAFETY: it is new, if it is one.
        return unsafe { noted(entry) };
    }
    entry
}

/// The same, without a note of who has it.
fn take_missed(pool: &Pool, missed: Missed) -> *mut c_void {
    expect_live(pool, ALLOC);
    match pool.alloc_slow(missed) {
        Some(entry) => entry.payload().cast(),
        None => alloc_exhausted(pool),
    }
}

/// The same, with a pop that is unsettled.
#[cold]
#[inline(never)]
pub(super) fn alloc_stopped(pool: &Pool) -> *mut c_void {
    alloc_missed(pool, Missed::Stopped)
}

#[cold]
#[inline(never)]
fn alloc_exhausted(pool: &Pool) -> *mut c_void {
    pool.note_exhausted();
    let entry = if pool.falls_back() { pool.alloc_dynamic() } else { None };
    if entry.is_none() {
        pool.note_failed();
    }
    answer_entry(entry.ok_or(Error::NoMemory))
}

/// # Allocate an entry
///
/// Allocates an entry.
///
/// Exactly as many entries as the pool was made for can be out at once, whichever threads hold them. Then the
/// pool takes from the heap, or returns NULL, as chosen at create. The content is whatever an earlier holder
/// left.
///
/// A pool that was destroyed hands out nothing. If it was in a buffer, the call is reported as misuse, as with
/// `mempool_destroy`, while the buffer still holds what the pool left there; if it was on the heap, where pools
/// of less than a page are, while the heap has not reused the memory. If the pool had a mapping of its own, the
/// call faults (SIGSEGV).
///
/// @param mp  a live pool
/// @return the entry, aligned like `max_align_t` or as chosen at create; NULL with `errno` set
/// @errno EINVAL  `mp` is NULL
/// @errno ENOMEM  all entries are out (and the heap, if the pool may use it, has no memory)
///
/// Threads: safe. Cost: O(1), some 20 instructions and no lock while the thread's cache has free entries of the
/// pool. Filling the cache takes a lock and moves at most 64 entries; it happens once in ten to a thousand
/// calls, by the thread's share of the pool. If all free entries are in other threads' caches, a call looks at
/// each of these: O(threads that used the pool), once per shortage. It waits for no other thread, except for
/// one that holds the pool's lock.
///
/// # Safety
/// `mp` is NULL or a live pool.
///
/// cbindgen:postfix=CMEMPOOL_ENTRY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_alloc_entry(mp: *mut mempool) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(pool) = (unsafe { pool(mp) }) else { return refuse(Error::Invalid) };
    match pool.alloc_fast() {
        Ok(entry) => entry.payload().cast(),
        // Two calls, so that the fast path need not say which.
        Err(Missed::NoCache) => alloc_missed(pool, Missed::NoCache),
        Err(Missed::Stopped) => alloc_stopped(pool),
    }
}

/// Allocates an entry whose bytes are all zero.
///
/// As `mempool_alloc_entry`; the cost grows with the size of an entry.
///
/// # Safety
/// `mp` is NULL or a live pool.
///
/// cbindgen:postfix=CMEMPOOL_ENTRY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_calloc_entry(mp: *mut mempool) -> *mut c_void {
    // SAFETY: by this function's contract.
    let Some(pool) = (unsafe { pool(mp) }) else { return refuse(Error::Invalid) };
    match pool.alloc_fast() {
        Ok(entry) => {
            // SAFETY: the entry is new and has that many bytes.
            unsafe { zero(entry.payload(), pool.elem_size()) };
            entry.payload().cast()
        }
        Err(missed) => calloc_missed(pool, missed),
    }
}

/// The thread's cache had none.
#[cold]
#[inline(never)]
fn calloc_missed(pool: &Pool, missed: Missed) -> *mut c_void {
    let entry = take_missed(pool, missed);
    if !entry.is_null() {
        // SAFETY: the entry is new and has that many bytes.
        unsafe { zero(entry.cast(), pool.elem_size()) };
    }
    if pool.records() {
        // SAFETY: it is new, if it is one.
        return unsafe { noted(entry) };
    }
    entry
}

/// # Free an entry
///
/// Frees an entry: it goes back to whatever pool it came from, ordinary or ranged, or to the heap.
///
/// Also a macro of the same name, which sets the caller's variable to NULL, evaluates its argument once, and is
/// an expression. Its argument must be an lvalue. To call the function itself, put its name in parentheses:
/// `(mempool_free_entry)(p)`; its address is taken as usual.
///
/// @param entry  a live entry; NULL does nothing
///
/// Anything else is misuse: the process writes one line to stderr, or calls the handler of
/// `mempool_set_misuse_handler`, and aborts. Caught are:
///
/// - an entry that was freed before, while it is not out again; if it came from the heap, while the heap has
///   not reused its memory. An entry that `mempool_reset` took back counts as freed;
/// - a pointer into an entry, and a pointer that is no pool's;
/// - an entry with the 8 bytes before it overwritten;
/// - an entry whose pool was destroyed, while its memory can be read. If the pool had a mapping of its own, the
///   call faults (SIGSEGV).
///
/// For these checks the library reads the 8 bytes before the pointer. Two threads that free the same entry at the
/// same moment may go unseen, and so may data that looks like the library's: with a chance of 2^-23 for random
/// data. Other functions that need a live entry report a freed one as `MEMPOOL_MISUSE_USE_AFTER_FREE`.
///
/// Threads: safe, on any thread, also when the one that allocated the entry has ended. Cost: O(1), some 30
/// instructions and no lock while the thread's cache has room. Making room takes a lock and moves at most 64
/// entries; it happens once in ten to a thousand calls, by the thread's share of the pool.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_free_entry(entry: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { free_entry(entry) }
}

/// # Destroy a pool
///
/// Destroys a pool and everything in it, including entries that were never freed and those from the heap.
///
/// Also a macro of the same name, which sets the caller's variable to NULL: see
/// `mempool_free_entry`. A buffer of the caller's can be used again afterwards.
///
/// @param mp  a live pool; NULL does nothing
///
/// Anything else is misuse, reported as with `mempool_free_entry`: a pool that was destroyed before, even by
/// another thread at the same moment, a pool of the other sort, an entry, any other number. The library looks
/// the pointer up among the live pools, and reads nothing there. The last 16 pools that were destroyed are
/// reported by name. Counts, inspection and resets check a pool in the same way; for the functions that hand
/// out entries this would be too slow: see `mempool_alloc_entry`. Once another pool lies at the same address,
/// the pointer is that pool's.
///
/// Threads: no other thread may be inside a call on the pool or use its entries, now or later. Cost: giving the
/// memory back, O(dynamic entries) and O(log pools); O(entries) in a buffer, and if leaks are to be reported.
///
/// # Safety
/// `mp` is NULL or a live pool that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_destroy(mp: *mut mempool) {
    if !mp.is_null() {
        // SAFETY: by this function's contract.
        unsafe { Collection::destroy_by_handle(mp as usize, false) }
    }
}

/// # Count entries
///
/// How many entries the pool has, free or out. 0 for NULL.
///
/// Threads: safe. Cost: O(log pools), with the lock of the list of all pools.
///
/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_total_capacity(mp: *const mempool) -> usize {
    live(b"mempool_total_capacity", mp).map_or(0, Pool::capacity)
}

/// How many of the pool's own entries are out; dynamic ones don't count. 0 for NULL.
///
/// Exact when no other thread is inside a call on the pool, and never above the capacity.
///
/// Threads: safe. Cost: O(log pools), with the lock of the list of all pools, and O(threads that used the
/// pool), with the pool's.
///
/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_used_count(mp: *const mempool) -> usize {
    live(b"mempool_used_count", mp).map_or(0, Pool::used)
}

/// How many entries from the heap, handed out because the pool was empty, are out. 0 for NULL.
///
/// Threads: safe. Cost: O(log pools), with the lock of the list of all pools, and then the pool's.
///
/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dynamic_allocs_count(mp: *const mempool) -> usize {
    live(b"mempool_dynamic_allocs_count", mp).map_or(0, Pool::dynamic_count)
}

/// # Names that older binaries call
///
/// `mempool_free_entry` under the name that programs compiled against the original library call.
///
/// # Safety
/// `entry` is NULL or a live entry.
#[unsafe(no_mangle)]
// In a section of its own: functions with the same code would be merged, and debuggers show either name.
#[cfg_attr(elf, unsafe(link_section = ".text._mempool_free_entry"))]
pub unsafe extern "C" fn _mempool_free_entry(entry: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { free_entry(entry) }
}

/// `mempool_destroy` under the name that programs compiled against the original library call.
///
/// # Safety
/// `mp` is NULL or a live pool that nobody else uses.
#[unsafe(no_mangle)]
// In a section of its own: functions with the same code would be merged, and debuggers show either name.
#[cfg_attr(elf, unsafe(link_section = ".text._mempool_destroy"))]
pub unsafe extern "C" fn _mempool_destroy(mp: *mut mempool) {
    // SAFETY: by this function's contract.
    unsafe { mempool_destroy(mp) }
}
