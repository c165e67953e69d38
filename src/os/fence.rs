//! How does the common path order a store before a load without paying for it?
//!
//! By having the rare path pay for both. The common path keeps the compiler from moving its load
//! up ([`light`]); the rare path has the system run a full barrier on every core that runs a thread
//! of this process ([`heavy`]). Then of two threads, one that stores X and, after `light`, loads Y,
//! and one that stores Y and, after `heavy`, loads X, at least one sees the other's store: as if
//! both had run a full barrier in between.
//!
//! Where the system has no such call, or a filter refuses it, `light` is not enough,
//! and [`available`] says so: pools that are made then keep every thread off the common path, and both
//! sides run a [`full`] barrier. A filter that comes later makes [`heavy`] fail.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::sync::fence;
use super::system;

const UNKNOWN: u32 = 0;
const AVAILABLE: u32 = 1;
const ABSENT: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Whether `heavy` can make up for `light`, in a pool that is being made. Asks the system once, and the
/// first time that a pool needs to know: where other threads run, the system takes some milliseconds.
pub fn available() -> bool {
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let available = system::begin_barriers();
        // Relaxed: the registration is the system's, and all who ask get the same answer.
        STATE.store(if available { AVAILABLE } else { ABSENT }, Ordering::Relaxed);
    }
    STATE.load(Ordering::Relaxed) == AVAILABLE
}

/// The common path's side: free.
#[inline(always)]
pub fn light() {
    if cfg!(loom) {
        // No system there to do it from the other side.
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// Either side where `heavy` is not available.
pub fn full() {
    fence(Ordering::SeqCst);
}

/// The rare path's side: a full barrier on every core that runs a thread of this process. Some
/// hundred nanoseconds, microseconds where it has to interrupt other cores.
///
/// False if the system refuses what it granted, and nothing can be said of other threads: a filter of
/// system calls came. A process image that was restored lacks the registration alone, and gets it again.
#[must_use]
pub fn heavy() -> bool {
    fence(Ordering::SeqCst);
    let done = cfg!(loom) || system::barrier_everywhere();
    if !done {
        // Pools that are made from now on do without. Relaxed, as above.
        STATE.store(ABSENT, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
    done
}
