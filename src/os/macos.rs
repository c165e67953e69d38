//! What does macOS give?
//!
//! Built, but never run by the authors. There is no call for a barrier on other cores: threads that own a
//! cache run a full one at each call. A lock that is not free is waited for by the system's call, from macOS
//! 14.4 on; before that, in short sleeps.

use core::ffi::{CStr, c_int, c_void};
use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::error::Error;
use super::posix::free;

pub use super::bsd::{random, random_at_start, stay_loaded, variable, write_stderr};
pub use super::keyed::thread_block;
pub use super::no_owner_lock::OwnerLock;
pub use super::posix::{
    File, abort, at_fork, drop_end_key, forbid, heap_take, keep_errno, lock_pages, make_end_key,
    map, moment, page_size, set_errno, tell_when_ends, thread_number, unlock_pages, unmap,
    without_cancellation, write_file,
};

/// All have room.
pub fn end_key_has_room(_key: usize) -> bool {
    true
}

/// A child of fork has none.
pub const FORK_KEEPS_LOCKS: bool = false;

/// Bytes of a large page: none are used.
pub const HUGE_PAGE: usize = 2 << 20;

/// There are no large pages for programs.
pub fn map_for_huge_pages(len: usize) -> Option<NonNull<u8>> {
    map(len)
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

type Wait = unsafe extern "C" fn(*mut c_void, u64, usize, u32) -> c_int;
type Wake = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;

/// Sleeps while the word has this value, or wakes up for no reason.
pub fn sleep_while(word: &AtomicU32, value: u32) {
    static WAIT: Named = Named::new(c"os_sync_wait_on_address");
    let sleep = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
    // SAFETY: the function is of this type; it reads the word, which is live for the call.
    keep_errno(|| unsafe {
        match WAIT.address() {
            Some(function) => {
                let wait = mem::transmute::<NonNull<c_void>, Wait>(function);
                wait(word.as_ptr().cast(), value.into(), size_of::<u32>(), 0);
            }
            None => _ = without_cancellation(|| libc::nanosleep(&sleep, ptr::null_mut())),
        }
    });
}

/// Wakes one of those that sleep.
pub fn wake_one(word: &AtomicU32) {
    static WAKE: Named = Named::new(c"os_sync_wake_by_address_any");
    if let Some(function) = WAKE.address() {
        // SAFETY: as above.
        keep_errno(|| unsafe {
            let wake = mem::transmute::<NonNull<c_void>, Wake>(function);
            wake(word.as_ptr().cast(), size_of::<u32>(), 0)
        });
    }
}

/// A function that not all versions of the system have, or not all programs.
pub struct Named {
    name: &'static CStr,
    found: AtomicPtr<c_void>, // NULL: not looked for yet; itself: not there
}

impl Named {
    /// To be looked for when it is wanted.
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Where it is.
    pub fn address(&self) -> Option<NonNull<c_void>> {
        let none = (&raw const *self).cast_mut().cast();
        // Relaxed: whoever looks for it finds the same.
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: the name is a string.
            let there = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
            found = if there.is_null() { none } else { there };
            self.found.store(found, Ordering::Relaxed);
        }
        NonNull::new(found).filter(|found| found.as_ptr() != none)
    }
}

/// Has a function run when the library is loaded.
macro_rules! at_load {
    ($function:path) => {
        #[used]
        #[unsafe(link_section = "__DATA,__mod_init_func")]
        static AT_LOAD: extern "C" fn() = $function;
    };
}
pub(crate) use at_load;

/// There is no such call.
pub fn begin_barriers() -> bool {
    false
}

/// As above.
pub fn barrier_everywhere() -> bool {
    false
}
