//! What do POSIX systems share?

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{self, NonNull};

use super::error::Error;
use super::outcome::Written;

/// A C stream.
pub use libc::FILE as File;

/// Bytes of a page.
pub fn page_size() -> usize {
    // SAFETY: a plain query; the kernel tells every process its page size.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// A new private mapping of `len` bytes, all 0.
pub(super) fn map_with(len: usize, more_flags: c_int) -> Option<NonNull<u8>> {
    // SAFETY: a mapping at an address of the kernel's choice touches nothing of ours.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | more_flags,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

/// `len` bytes of zeros, whole pages.
pub fn map(len: usize) -> Option<NonNull<u8>> {
    map_with(len, 0)
}

/// Gives a mapping back.
///
/// # Safety
/// It is one, of `len` bytes, and nobody uses it any more.
pub unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: by this function's contract.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

/// Makes pages of a mapping ones that nobody may touch.
///
/// # Safety
/// They are the caller's, and unused.
pub unsafe fn forbid(base: NonNull<u8>, len: usize) -> bool {
    // SAFETY: by this function's contract.
    unsafe { libc::mprotect(base.as_ptr().cast(), len, libc::PROT_NONE) == 0 }
}

/// Locks the memory. What a failed call has locked may stay locked.
pub fn lock_pages(base: NonNull<u8>, len: usize) -> Result<(), Error> {
    // SAFETY: locking changes no content; what is no memory of the process's is refused.
    if unsafe { libc::mlock(base.as_ptr().cast(), len) } == 0 {
        return Ok(());
    }
    Err(match errno() {
        libc::EPERM => Error::NotPermitted,
        libc::EAGAIN => Error::NotNow,
        _ => Error::NoMemory,
    })
}

/// Unlocks it. If that fails, there is nothing to do.
pub fn unlock_pages(base: NonNull<u8>, len: usize) {
    // SAFETY: as in `lock_pages`.
    unsafe { libc::munlock(base.as_ptr().cast(), len) };
}

/// A block of the program's heap; `align` is a power of two of at least 16.
pub fn heap_take(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let mut memory = ptr::null_mut();
    // SAFETY: `memory` is a place for the result.
    if unsafe { libc::posix_memalign(&mut memory, align, bytes) } != 0 {
        return None;
    }
    NonNull::new(memory.cast())
}

/// Gives a block to the heap.
///
/// # Safety
/// It is from [`heap_take`], and nobody uses it any more.
pub(super) unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: by this function's contract.
    unsafe { libc::free(memory.as_ptr().cast()) };
}

/// Stores an error in the calling thread's `errno`.
pub fn set_errno(error: Error) {
    let code = match error {
        Error::Invalid => libc::EINVAL,
        Error::NoMemory => libc::ENOMEM,
        Error::NotPermitted => libc::EPERM,
        Error::NotNow => libc::EAGAIN,
    };
    // SAFETY: libc returns the address of the calling thread's own `errno`.
    unsafe { *errno_place() = code };
}

pub(super) fn errno() -> c_int {
    // SAFETY: as in `set_errno`.
    unsafe { *errno_place() }
}

/// Runs `inside`, and restores `errno`.
pub fn keep_errno<R>(inside: impl FnOnce() -> R) -> R {
    let before = errno();
    let result = inside();
    // SAFETY: as in `set_errno`.
    unsafe { *errno_place() = before };
    result
}

fn errno_place() -> *mut c_int {
    // SAFETY: it can be called anywhere.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::__errno_location()
    }
    // SAFETY: as above.
    #[cfg(not(target_os = "linux"))]
    unsafe {
        libc::__error()
    }
}

/// The calling thread's number: no other thread's, not 0, and in a child of fork the same.
pub fn thread_number() -> usize {
    // SAFETY: a plain query.
    unsafe { libc::pthread_self() as usize }
}

/// Makes `ends` run when a thread ends that has a value, from [`tell_when_ends`]. Calls no heap.
///
/// None if there is no such key left.
pub fn make_end_key(ends: unsafe extern "C" fn(*mut c_void)) -> Option<usize> {
    let mut key = 0;
    // SAFETY: `key` is a place for the result; the function stays loaded (see `stay_loaded`).
    (unsafe { libc::pthread_key_create(&mut key, Some(ends)) } == 0).then_some(key as usize)
}

/// Takes it back, before any thread has a value.
pub fn drop_end_key(key: usize) {
    // SAFETY: the key exists, and no thread has a value for it.
    unsafe { libc::pthread_key_delete(key as libc::pthread_key_t) };
}

/// Makes the key's function run with this value, which is not 0, when the calling thread ends.
pub fn tell_when_ends(key: usize, value: usize) -> bool {
    let value = ptr::without_provenance(value);
    // SAFETY: the key exists. The value says no more than that the function is to run.
    unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, value) == 0 }
}

/// Makes these run around each fork. False without memory for it.
pub fn at_fork(
    before: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    // SAFETY: the functions stay loaded (see `stay_loaded`).
    unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) == 0 }
}

unsafe extern "C" {
    // Not in the libc crate.
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// Runs `inside` with cancellation off; afterwards it is what it was. O(1), no lock.
///
/// What the library calls may be a cancellation point: a thread that ended there would leave a stream
/// locked, a process alive that is to abort, or a pool half destroyed.
pub fn without_cancellation<R>(inside: impl FnOnce() -> R) -> R {
    const DISABLE: c_int = if cfg!(any(target_os = "macos")) { 0 } else { 1 };
    let before = set_cancellation(DISABLE);
    let result = inside();
    set_cancellation(before);
    result
}

/// Says what it was before.
#[inline(never)]
fn set_cancellation(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the state is the calling thread's own.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}

/// The string behind a pointer of the environment's.
///
/// # Safety
/// NULL or a string that stays.
pub(super) unsafe fn string<'a>(value: *const c_char) -> Option<&'a CStr> {
    // SAFETY: by this function's contract.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })
}

/// The outcome, from what `write` returned.
pub(super) fn written(result: isize) -> Written {
    match usize::try_from(result) {
        Ok(0) => Written::Not,
        Ok(count) => Written::Part(count),
        Err(_) if errno() == libc::EINTR => Written::Again,
        Err(_) => Written::Not,
    }
}

/// Ends the process.
pub fn abort() -> ! {
    // SAFETY: it can be called anywhere.
    unsafe { libc::abort() }
}

/// Writes to a stream of the caller's. `ferror` reports failures.
///
/// # Safety
/// The stream is open.
pub unsafe fn write_file(file: NonNull<File>, bytes: &[u8]) {
    // SAFETY: by this function's contract.
    unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), file.as_ptr()) };
}

/// Nanoseconds since some time in the past.
pub fn moment() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}
