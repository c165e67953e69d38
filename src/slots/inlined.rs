//! What may inlined code in programs read of the library?
//!
//! The fast paths in `cmempool.h` are compiled into programs, of this age and of any other. What they read
//! is written down here, by the number of a *layout*; all else may change from one release to the next.
//!
//! ```text
//! thread block   cmempool_thread, thread-local, 64 bytes: a distance and a pointer to the process block
//!                for each of four layouts
//! process block  two words of the secret, and the table of likely owners
//! pool           first, end, elem_size; its caches lie CACHES_AT bytes from its start
//! cache          sp, floor, ceiling: addresses of elements, compared as signed numbers; sp not above 0: call
//! ranged pool    its table of sizes lies SIZES_AT bytes from its start
//! ```
//!
//! A thread that has no cache, or a library of another layout, leaves the layout's distance negative. Inlined
//! code looks at that first; then it calls the library, and reads nothing else. So a library may leave layout
//! 1, by never setting its distance, and programs that were compiled for it go on by calls.
//!
//! The pool's `end` is 0 if every call must come to the library: then, too, inlined code calls.

use core::sync::atomic::AtomicUsize;

use crate::memory::fields::{Field, fields};
use crate::os::sync::AtomicU64;

/// Places of the table of likely owners. With more the table would push other things out of the processor's
/// nearest cache.
#[cfg(not(feature = "bare"))]
pub const PLACES: usize = 1024;
/// A processor whose memory is as near as a table gains nothing.
#[cfg(feature = "bare")]
pub const PLACES: usize = 1;

/// What all threads share.
#[repr(C)]
pub struct Process {
    /// See `secret.rs`. Both 0 until the first pool is made.
    pub added: AtomicU64,
    /// As above.
    pub factor: AtomicU64,
    /// See `likely_owner.rs`. No pool's address, at first; zero, so that it takes no room in the file.
    pub likely: [AtomicUsize; PLACES],
}

impl Process {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Process: added, factor);
}

pub static PROCESS: Process = Process {
    added: AtomicU64::new(0),
    factor: AtomicU64::new(0),
    likely: [const { AtomicUsize::new(0) }; PLACES],
};

/// Bytes from a pool's start to its first cache.
#[cfg(all(target_pointer_width = "64", not(cmempool_other_layout)))]
pub const CACHES_AT: usize = 320;
/// Bytes from a ranged pool's start to its table of sizes.
pub const SIZES_AT: usize = 192;

/// Bytes from the start of the thread block to the distance of this library's layout. The process block's
/// address lies after it.
pub const THREAD_AT: usize = if cfg!(cmempool_other_layout) { 16 } else { 0 };
