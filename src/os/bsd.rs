//! What do FreeBSD and macOS share?

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;

use super::outcome::Written;
use super::posix::{keep_errno, string, without_cancellation, written};

/// A random word.
pub fn random() -> Option<u64> {
    let mut word = 0u64;
    // SAFETY: the length is that of the word.
    unsafe { libc::arc4random_buf((&raw mut word).cast(), size_of::<u64>()) };
    Some(word)
}

/// The system always has random words.
pub fn random_at_start() -> [u64; 2] {
    [0; 2]
}

/// A variable of the environment; none in a set-user-ID program.
///
/// As with every reader of the environment, no other thread may change it meanwhile.
pub fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: the name is a string, and so is the result.
    unsafe { if libc::issetugid() == 0 { string(libc::getenv(name.as_ptr())) } else { None } }
}

/// Writes to stderr. `errno` stays as it was, and no thread ends here.
pub fn write_stderr(bytes: &[u8]) -> Written {
    // SAFETY: the bytes are there.
    let write = || unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    keep_errno(|| without_cancellation(|| written(write())))
}

/// Marks the module that contains this library as never to be unloaded: threads will call its functions when
/// they end.
#[inline(never)]
pub fn stay_loaded() {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `info` is a place for the result; its strings live as long as the module. The module is found
    // by its name among the loaded ones.
    unsafe {
        if libc::dladdr(stay_loaded as *const c_void, info.as_mut_ptr()) != 0 {
            let how = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen((*info.as_ptr()).dli_fname, how);
        }
    }
}
