//! What is there without an operating system?
//!
//! The program's own memory, and one thread. Of the C library: `abort`, `strlen`, and the functions that
//! compilers call (`memcpy`, `memmove`, `memset`, `memcmp`).

use core::convert::Infallible;
use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

use super::error::Error;
use super::outcome::Written;

pub use super::no_owner_lock::OwnerLock;

/// There are no streams.
pub type File = Infallible;

/// There is none.
pub fn end_key_has_room(_key: usize) -> bool {
    false
}

/// A child of fork has none.
pub const FORK_KEEPS_LOCKS: bool = false;

/// There are no pages.
pub const HUGE_PAGE: usize = 2 << 20;

/// As above.
pub fn page_size() -> usize {
    4096
}

/// As above.
pub fn map(_len: usize) -> Option<NonNull<u8>> {
    None
}

/// As above.
pub fn map_for_huge_pages(_len: usize) -> Option<NonNull<u8>> {
    None
}

/// As above.
pub fn map_huge_pages(_len: usize) -> Option<NonNull<u8>> {
    None
}

/// As above.
///
/// # Safety
/// None is needed.
pub unsafe fn unmap(_base: NonNull<u8>, _len: usize) {}

/// As above.
///
/// # Safety
/// None is needed.
pub unsafe fn forbid(_base: NonNull<u8>, _len: usize) -> bool {
    false
}

/// All memory is there from the start.
pub fn populate(_base: NonNull<u8>, _len: usize) -> Result<bool, Error> {
    Ok(true)
}

/// It stays there, too.
pub fn lock_pages(_base: NonNull<u8>, _len: usize) -> Result<(), Error> {
    Ok(())
}

/// As above.
pub fn unlock_pages(_base: NonNull<u8>, _len: usize) {}

/// There is no heap.
pub fn heap_take(_bytes: usize, _align: usize) -> Option<NonNull<u8>> {
    None
}

/// As above.
///
/// # Safety
/// None is needed.
pub unsafe fn heap_give(_memory: NonNull<u8>, _bytes: usize) {}

/// As above.
///
/// # Safety
/// None is needed.
pub unsafe fn heap_return(_memory: NonNull<u8>) {}

/// There may be no `errno`, so the reason of a failure is not reported.
pub fn set_errno(_error: Error) {}

/// There is nobody to wait for.
pub fn sleep_while(_word: &AtomicU32, _value: u32) {}

/// Nobody waits.
pub fn wake_one(_word: &AtomicU32) {}

/// There is one core.
pub fn begin_barriers() -> bool {
    false
}

/// As above.
pub fn barrier_everywhere() -> bool {
    false
}

/// There is one thread.
pub fn thread_number() -> usize {
    1
}

/// It does not end.
pub fn make_end_key(_ends: unsafe extern "C" fn(*mut c_void)) -> Option<usize> {
    None
}

/// As above.
pub fn drop_end_key(_key: usize) {}

/// As above.
pub fn tell_when_ends(_key: usize, _value: usize) -> bool {
    false
}

/// It has no cache, and needs no words.
pub mod thread_block {
    /// All ones, as in a thread that is new.
    #[inline(always)]
    pub fn get<const AT: usize>() -> usize {
        usize::MAX
    }

    /// Does nothing.
    pub fn set<const AT: usize>(_value: usize, _after: usize) {}
}

/// There is no fork.
pub fn at_fork(
    _before: unsafe extern "C" fn(),
    _parent: unsafe extern "C" fn(),
    _child: unsafe extern "C" fn(),
) -> bool {
    true
}

/// There is no cancellation.
pub fn without_cancellation<R>(inside: impl FnOnce() -> R) -> R {
    inside()
}

/// There are no random words: what depends on them guards only against accidents.
pub fn random() -> Option<u64> {
    None
}

/// As above.
pub fn random_at_start() -> [u64; 2] {
    let place = 0u64;
    [&raw const place as usize as u64, 0]
}

/// There is no clock.
pub fn moment() -> u64 {
    0
}

/// There is no environment.
pub fn variable(_name: &CStr) -> Option<&'static CStr> {
    None
}

/// There is nobody to read it but a handler of misuse.
pub fn write_stderr(_bytes: &[u8]) -> Written {
    Written::Not
}

/// Ends the program.
pub fn abort() -> ! {
    unsafe extern "C" {
        fn abort() -> !;
    }
    // SAFETY: compilers ask every program for such a function.
    unsafe { abort() }
}

/// There are no streams.
///
/// # Safety
/// None is needed.
pub unsafe fn write_file(_file: NonNull<File>, _bytes: &[u8]) {}

/// The first create does what there is to do.
macro_rules! at_load {
    ($function:path) => {
        #[allow(dead_code, reason = "where the system runs nothing at load")]
        static AT_LOAD: extern "C" fn() = $function;
    };
}
pub(crate) use at_load;

/// It stays where it is.
pub fn stay_loaded() {}
