//! What does Linux give?

use core::ffi::{CStr, c_char, c_int, c_long};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

use super::error::Error;
use super::kept::keep;
use super::outcome::Written;
use super::posix::{errno, free, map_with, string, written};

pub use super::cpu::thread_block;
pub use super::owner_lock::OwnerLock;
pub use super::posix::{
    File, abort, at_fork, drop_end_key, forbid, heap_take, keep_errno, lock_pages, make_end_key,
    map, moment, page_size, set_errno, tell_when_ends, thread_number, unlock_pages, unmap,
    without_cancellation, write_file,
};

pub use super::stay_glibc::stay_loaded;

/// Whether a key of [`make_end_key`] has room for a value in each thread: for later ones than the first 32, the
/// GNU C library calls the heap when a thread sets its first. musl has room for all of its keys.
pub fn end_key_has_room(key: usize) -> bool {
    key < 32
}

/// Whether a child of fork still holds the locks of [`OwnerLock`] that its thread held: it can neither
/// release nor recreate them.
pub const FORK_KEEPS_LOCKS: bool = cfg!(target_env = "musl");

/// Bytes of a huge page, the kernel's own choice and the kind that it keeps ready.
pub const HUGE_PAGE: usize = 2 << 20;

/// As [`map`], at a multiple of [`HUGE_PAGE`], with the kernel asked for huge pages: fewer faults at create,
/// fewer TLB misses later. What does not fill a huge page stays in small ones.
pub fn map_for_huge_pages(len: usize) -> Option<NonNull<u8>> {
    let start = map(len.checked_add(HUGE_PAGE)?)?;
    let head = start.as_ptr().align_offset(HUGE_PAGE);
    // SAFETY: `head < HUGE_PAGE`, so base and tail are inside the new mapping; what is unmapped
    // is not used. The advice is a hint, and its failure no error.
    unsafe {
        let base = start.add(head);
        if head > 0 {
            unmap(start, head);
        }
        unmap(base.add(len), HUGE_PAGE - head);
        libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE);
        Some(base)
    }
}

/// As [`map`], of huge pages that the system reserves for this mapping. `len` is a multiple of a huge page. A
/// child of fork has no copy.
pub fn map_huge_pages(len: usize) -> Option<NonNull<u8>> {
    let base = map_with(len, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB)?;
    // The kernel reserves none for a child of fork: it would be killed at its first write, perhaps the
    // library's own inside fork, before it comes to exec.
    // SAFETY: the mapping is new and `len` bytes long; nobody has seen it yet.
    unsafe {
        if libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTFORK) != 0 {
            unmap(base, len);
            return None;
        }
    }
    Some(base)
}

/// Makes the kernel provide pages of a mapping now: one call instead of a page fault each. False if it can't:
/// then the caller has to touch them.
pub fn populate(base: NonNull<u8>, len: usize) -> Result<bool, Error> {
    // SAFETY: populating changes no content; what is no memory of the process's is refused.
    let result = unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE) };
    match if result == 0 { 0 } else { errno() } {
        0 => Ok(true),
        // A kernel before 5.14, or an emulator, does not know the advice.
        libc::EINVAL | libc::ENOSYS => Ok(false),
        _ => Err(Error::NoMemory),
    }
}

/// Gives a block of so many bytes to the heap.
///
/// # Safety
/// It is from [`heap_take`], and nobody uses it any more.
pub unsafe fn heap_give(memory: NonNull<u8>, bytes: usize) {
    if cfg!(target_env = "musl") {
        // SAFETY: by this function's contract.
        unsafe { keep(memory, bytes) }
    } else {
        // SAFETY: as above.
        unsafe { free(memory) }
    }
}

/// Gives a block to the heap that nobody has used.
///
/// # Safety
/// It is from [`heap_take`].
pub unsafe fn heap_return(memory: NonNull<u8>) {
    // SAFETY: by this function's contract.
    unsafe { free(memory) }
}

/// Sleeps while the word has this value, or wakes up for no reason. `errno` stays as it was.
pub fn sleep_while(word: &AtomicU32, value: u32) {
    futex(word, libc::FUTEX_WAIT, value);
}

/// Wakes one of those that sleep. `errno` stays as it was.
pub fn wake_one(word: &AtomicU32) {
    futex(word, libc::FUTEX_WAKE, 1);
}

fn futex(word: &AtomicU32, operation: c_int, value: u32) {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let forever = core::ptr::null::<libc::timespec>();
    // SAFETY: `word` is live for the call; the kernel reads it and writes nothing.
    keep_errno(|| unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, forever);
    });
}

/// Prepares [`barrier_everywhere`]: where other threads run, the kernel takes some milliseconds. False if
/// the kernel has no such call (before 4.14), or a filter refuses it.
pub fn begin_barriers() -> bool {
    let query = membarrier(libc::MEMBARRIER_CMD_QUERY);
    let wanted =
        libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED | libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    query >= 0 && query as c_int & wanted == wanted && register()
}

/// Runs a full barrier on every core that runs a thread of this process. Some hundred nanoseconds,
/// microseconds where it has to interrupt other cores. False if the kernel refuses.
pub fn barrier_everywhere() -> bool {
    let run = || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
    // A process image that was restored lacks the registration alone, and gets it again.
    run() || (register() && run())
}

fn register() -> bool {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0
}

fn membarrier(command: c_int) -> c_long {
    // SAFETY: a system call without memory arguments.
    keep_errno(|| unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) })
}

/// A random word. One system call; leaves `errno` alone. None on an old kernel, in a sandbox, and in early
/// boot.
pub fn random() -> Option<u64> {
    let mut word = 0u64;
    let size = size_of::<u64>();
    // SAFETY: the kernel writes at most `size` bytes into `word`. By number: libc's function may be a point
    // of cancellation.
    let got = keep_errno(|| unsafe {
        libc::syscall(libc::SYS_getrandom, &raw mut word, size, libc::GRND_NONBLOCK)
    });
    (usize::try_from(got) == Ok(size)).then_some(word)
}

/// The 16 random bytes that the kernel hands to every process.
pub fn random_at_start() -> [u64; 2] {
    // SAFETY: AT_RANDOM is 0 or the address of 16 readable bytes that live as long as the process.
    unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const [u64; 2];
        if bytes.is_null() { [&raw const bytes as u64, 0] } else { bytes.read_unaligned() }
    }
}

unsafe extern "C" {
    // Not in the libc crate.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// A variable of the environment; none in a set-user-ID program.
///
/// As with every reader of the environment, no other thread may change it meanwhile.
pub fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: the name is a string, and so is the result.
    unsafe { string(secure_getenv(name.as_ptr())) }
}

/// Writes to stderr with one system call. `errno` stays as it was.
///
/// By number: libc's function is a point of cancellation, and a thread that is to report a misuse must not
/// end there and leave the process alive.
pub fn write_stderr(bytes: &[u8]) -> Written {
    let (start, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the kernel reads the bytes it is given.
    keep_errno(|| unsafe {
        written(libc::syscall(libc::SYS_write, libc::STDERR_FILENO, start, len) as isize)
    })
}
