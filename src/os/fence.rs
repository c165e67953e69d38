//! How does the common path order a store before a load without paying for it?
//!
//! The rare path pays for both. The common path keeps the compiler from moving its load up ([`light`]); the
//! rare path has the system run a full barrier on every core that runs a thread of this process ([`heavy`]).
//! Then of two threads, one that stores X and, after `light`, loads Y, and one that stores Y and, after
//! `heavy`, loads X, at least one sees the other's store: as if both had run a full barrier in between.
//!
//! If the system has no such call, or a filter denies it, `light` is not enough, and [`available`] says so:
//! pools that are created then keep every thread off the common path, and both sides run a [`full`] barrier.
//! If a filter is installed later, [`heavy`] fails.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::sync::fence;
use super::system;

const UNKNOWN: u32 = 0;
const AVAILABLE: u32 = 1;
const ABSENT: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Whether `heavy` can make up for `light`, for a pool that is being created. Asks the system once, when the
/// first pool needs to know: the call takes some milliseconds if other threads run.
pub fn available() -> bool {
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let available = system::begin_barriers();
        // Relaxed: the registration is the system's, and all who ask get the same answer.
        STATE.store(if available { AVAILABLE } else { ABSENT }, Ordering::Relaxed);
    }
    STATE.load(Ordering::Relaxed) == AVAILABLE
}

/// The common path's side; costs nothing.
#[inline(always)]
pub fn light() {
    if cfg!(loom) {
        // Without a system call for the other side.
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// Either side, if `heavy` is not available.
pub fn full() {
    fence(Ordering::SeqCst);
}

/// The rare path's side: a full barrier on every core that runs a thread of this process. Some
/// hundred nanoseconds, microseconds where it has to interrupt other cores.
///
/// False if the system now refuses what it granted before, because of a new seccomp filter: then nothing is
/// known about other threads. A restored process image lacks only the registration, and registers again.
#[must_use]
pub fn heavy() -> bool {
    fence(Ordering::SeqCst);
    let done = cfg!(loom) || system::barrier_everywhere();
    if !done {
        // Pools that are created from now on use full barriers. Relaxed, as above.
        STATE.store(ABSENT, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
    done
}
