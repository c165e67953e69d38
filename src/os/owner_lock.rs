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
