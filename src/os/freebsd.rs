//! What does FreeBSD give?
//!
//! Built, but never run by the authors.

use core::ffi::{c_int, c_uint, c_ulong, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicU32;

use super::error::Error;
use super::posix::{free, map_with};
use super::weak::weak;

pub use super::bsd::{random, random_at_start, stay_loaded, variable, write_stderr};
pub use super::cpu::thread_block;
pub use super::owner_lock::OwnerLock;
pub use super::posix::{
    File, abort, at_fork, drop_end_key, forbid, heap_take, keep_errno, lock_pages, make_end_key,
    map, moment, page_size, set_errno, tell_when_ends, thread_number, unlock_pages, unmap,
    without_cancellation, write_file,
};

/// A thread's first value is allocated on the heap. So a thread's first call allocates, even on a pool in a
/// buffer.
pub fn end_key_has_room(_key: usize) -> bool {
    true
}

/// A child of fork makes others in their place.
pub const FORK_KEEPS_LOCKS: bool = false;

/// Bytes of a large page.
pub const HUGE_PAGE: usize = 2 << 20;

/// As [`map`], where the system may use large pages.
pub fn map_for_huge_pages(len: usize) -> Option<NonNull<u8>> {
    map_with(len, libc::MAP_ALIGNED_SUPER)
}

/// The system reserves none.
pub fn map_huge_pages(_len: usize) -> Option<NonNull<u8>> {
    None
}

/// The caller has to touch them.
pub fn populate(_base: NonNull<u8>, _len: usize) -> Result<bool, Error> {
    Ok(false)
}

/// Gives a block of so many bytes to the heap.
///
/// # Safety
/// It is from [`heap_take`], and nobody uses it any more.
pub unsafe fn heap_give(memory: NonNull<u8>, _bytes: usize) {
    // SAFETY: by this function's contract.
    unsafe { free(memory) }
}

/// As [`heap_give`], of one that nobody has used.
///
/// # Safety
/// It is from [`heap_take`].
pub unsafe fn heap_return(memory: NonNull<u8>) {
    // SAFETY: by this function's contract.
    unsafe { free(memory) }
}

/// Sleeps while the word has this value, or wakes up for no reason.
pub fn sleep_while(word: &AtomicU32, value: u32) {
    wait_or_wake(word, libc::UMTX_OP_WAIT_UINT_PRIVATE, value);
}

/// Wakes one of those that sleep.
pub fn wake_one(word: &AtomicU32) {
    wait_or_wake(word, libc::UMTX_OP_WAKE_PRIVATE, 1);
}

fn wait_or_wake(word: &AtomicU32, operation: c_int, value: u32) {
    let place = word.as_ptr().cast::<c_void>();
    let value = c_ulong::from(value);
    // SAFETY: `word` is live for the call; the kernel reads it and writes nothing.
    keep_errno(|| unsafe {
        libc::_umtx_op(place, operation, value, ptr::null_mut(), ptr::null_mut());
    });
}

type Membarrier = unsafe extern "C" fn(c_int, c_uint, c_int) -> c_int;

// From FreeBSD 14.1 on, with Linux's numbers.
weak!(membarrier, cmempool_membarrier, "membarrier", Membarrier);

const PRIVATE_EXPEDITED: c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

/// Prepares [`barrier_everywhere`]. False before FreeBSD 14.1.
pub fn begin_barriers() -> bool {
    run(REGISTER_PRIVATE_EXPEDITED)
}

/// Runs a full barrier on every core that runs a thread of this process. False if the kernel refuses.
pub fn barrier_everywhere() -> bool {
    run(PRIVATE_EXPEDITED)
}

fn run(command: c_int) -> bool {
    // SAFETY: a system call without memory arguments.
    let run = |function: Membarrier| keep_errno(|| unsafe { function(command, 0, 0) == 0 });
    membarrier().is_some_and(run)
}
