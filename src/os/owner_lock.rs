//! How does the library learn that the thread that holds a lock is dead?
//!
//! By a robust mutex, if the system has one: the kernel marks the mutex when its owner dies.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::mem::MaybeUninit;

use super::outcome::Taken;

/// A lock that is nobody's while its owner is dead.
pub struct OwnerLock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is there for many threads. By the contracts below it is made by one, before others use it.
unsafe impl Sync for OwnerLock {}

unsafe extern "C" {
    // Not in the libc crate of all systems.
    fn pthread_mutexattr_setrobust(
        attributes: *mut libc::pthread_mutexattr_t,
        robust: c_int,
    ) -> c_int;
    fn pthread_mutex_consistent(mutex: *mut libc::pthread_mutex_t) -> c_int;
}

const PTHREAD_MUTEX_ROBUST: c_int = 1;

impl OwnerLock {
    /// Where in it the kernel's number of the thread that holds it lies, in the lower 30 bits of a word, for
    /// a debugger. None if that is not known of this system.
    pub const HOLDER_AT: Option<usize> = if cfg!(target_env = "gnu") {
        Some(0)
    } else if cfg!(target_env = "musl") {
        Some(size_of::<c_int>())
    } else {
        None
    };

    /// To be made before it is used.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }

    /// Makes it one that nobody holds. False if the system has no such lock.
    ///
    /// # Safety
    /// It is the caller's alone meanwhile.
    pub unsafe fn make(&self) -> bool {
        let mut attributes = MaybeUninit::uninit();
        let place = attributes.as_mut_ptr();
        // SAFETY: a plain sequence of calls; the attributes are there after the first. The mutex is the
        // caller's alone.
        unsafe {
            if libc::pthread_mutexattr_init(place) != 0 {
                return false;
            }
            let made = pthread_mutexattr_setrobust(place, PTHREAD_MUTEX_ROBUST) == 0
                && libc::pthread_mutex_init(self.0.get(), place) == 0;
            libc::pthread_mutexattr_destroy(place);
            made
        }
    }

    /// Takes it if that needs no waiting.
    ///
    /// All that a dead thread did is seen: the kernel marks its mutex after that, and this takes the
    /// mutex with an Acquire.
    ///
    /// # Safety
    /// It was made.
    pub unsafe fn try_take(&self) -> Taken {
        // SAFETY: by this function's contract.
        unsafe {
            match libc::pthread_mutex_trylock(self.0.get()) {
                0 => Taken::Free,
                libc::EOWNERDEAD => {
                    pthread_mutex_consistent(self.0.get());
                    Taken::FromDead
                }
                _ => Taken::No,
            }
        }
    }

    /// Gives it back. One that the calling thread does not have stays as it is: the system refuses.
    ///
    /// # Safety
    /// It was made.
    pub unsafe fn give_back(&self) {
        // SAFETY: by this function's contract.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_where_a_debugger_looks() {
        let Some(at) = OwnerLock::HOLDER_AT else { return };
        let lock = OwnerLock::new();
        let holder = || {
            // SAFETY: the word lies in the mutex, of which this test alone knows.
            let word = unsafe { lock.0.get().byte_add(at).cast::<u32>().read() };
            (word & 0x3FFF_FFFF) as libc::pid_t
        };
        // SAFETY: the lock is this test's own, and made first.
        unsafe {
            assert!(lock.make());
            assert_eq!(holder(), 0);
            assert!(lock.try_take() == Taken::Free);
            assert_eq!(holder(), libc::gettid());
            lock.give_back();
        }
        assert_eq!(holder(), 0);
    }
}
