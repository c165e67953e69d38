//! How does a call keep its thread from being cancelled inside of it?
//!
//! What the library calls may be a cancellation point: a thread that ended there would leave a stream
//! locked, a process alive that is to abort, or a pool half destroyed.

use core::ffi::c_int;

unsafe extern "C" {
    // Not in the libc crate. cbindgen.toml keeps it out of the header.
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Runs `inside` with cancellation off; afterwards it is what it was. O(1), no lock.
pub fn disabled<R>(inside: impl FnOnce() -> R) -> R {
    let mut before = 0;
    // SAFETY: the state is the calling thread's own.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
    let result = inside();
    // SAFETY: as above.
    unsafe { pthread_setcancelstate(before, &mut before) };
    result
}
