//! Is the thread that has an index alive?

use core::sync::atomic::{AtomicU32, Ordering};

use crate::memory::fields::{Field, fields};
use crate::os::{OwnerLock, Taken};

/// How many threads at once can have an index.
pub const MAX_THREADS: usize = 4096;

/// A child of fork has its parent's number plus one. Locks that another process made don't count here, so the
/// child need not go through all of them.
pub static GENERATION: AtomicU32 = AtomicU32::new(1);

/// In a child of fork: the holders of locks were threads of the parent's.
pub fn begin_anew() {
    // Relaxed: there is one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Says whether the owner of an index is alive.
///
/// Invariant: `ready` is this process's [`GENERATION`] => the lock is one. A thread has the index => it
/// holds the lock; and whoever finds that the holder is dead holds it from then on, and has the index: to one
/// thread alone does the lock say so.
pub struct Life {
    ready: AtomicU32,
    lock: OwnerLock,
}

/// Of each index.
pub static LIVES: [Life; MAX_THREADS] =
    [const { Life { ready: AtomicU32::new(0), lock: OwnerLock::new() } }; MAX_THREADS];

/// How often the new owner of an index tries to take its lock, while others may be looking at it.
const TRIES: usize = 1000;

impl Life {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Life: ready, lock);

    /// Whether its lock is one, in this process.
    pub fn is_ready(&self, order: Ordering) -> bool {
        // Relaxed: the number changes while there is one thread.
        self.ready.load(order) == GENERATION.load(Ordering::Relaxed)
    }

    /// Takes the lock, for a thread that has just taken the bit. False if that fails: then the thread must
    /// not have the index.
    pub fn hold(&self) -> bool {
        // Relaxed: who had the bit before has written it, and the bit came with an Acquire.
        if !self.is_ready(Ordering::Relaxed) {
            // SAFETY: it is the caller's, who has the bit.
            if !unsafe { self.lock.make() } {
                // No such locks here: then no thread inherits.
                return true;
            }
            // Release pairs with the Acquire in `inherit`.
            self.ready.store(GENERATION.load(Ordering::Relaxed), Ordering::Release);
        }
        for _ in 0..TRIES {
            // SAFETY: it was made, just now or by an earlier owner.
            if unsafe { self.lock.try_take() } != Taken::No {
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }

    /// Takes the lock if its holder is dead.
    pub fn inherit(&self) -> bool {
        // Acquire: see `hold`.
        if !self.is_ready(Ordering::Acquire) {
            return false;
        }
        // SAFETY: it was made: the Acquire above saw that.
        match unsafe { self.lock.try_take() } {
            Taken::FromDead => true,
            Taken::Free => {
                // No thread has the index, or its owner is about to take the lock, or just released it.
                self.let_go();
                false
            }
            Taken::No => false,
        }
    }

    /// Releases the lock, which the calling thread holds.
    pub fn let_go(&self) {
        // Relaxed: the thread has the bit, or has seen it.
        if self.is_ready(Ordering::Relaxed) {
            // SAFETY: it is ready, so it was made.
            unsafe { self.lock.give_back() };
        }
    }
}
