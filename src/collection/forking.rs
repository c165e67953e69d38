//! How does a child of fork get every pool in order?
//!
//! A child has a copy of the memory and of the one thread that called fork. What the other threads
//! were doing stays as it was: a lock that one of them held would be held for good, and a cache in
//! the middle of a call can't be told from one that is not. So the forking thread sees to it before
//! that nothing of the kind is copied:
//!
//! ```text
//! before   take the registry's lock and that of who sets a misuse handler, then of each pool the
//!          depot's and the dynamic entries';
//!          close every cache; one heavy fence; bring what is in the caches to the depots
//! parent   give the locks back; owners settle what they were doing, as after a shortage
//! child    the caches and the thread indices of the threads that are gone start anew, and hardened
//!          pools draw other slots than the parent's;
//!          give the locks back: nobody waits for them
//! ```
//!
//! A pool of huge pages is not there in a child (see `memory/region.rs`), which forgets it first.
//!
//! An entry that a vanished thread held, or was taking or giving back, counts as out in the child.
//!
//! That is the order of locks, of a ranged pool's classes the smaller first. Whoever waits for one of them
//! while it has another keeps to it: a report of all pools has the registry's and takes a pool's, a bulk
//! call takes the same lock of several classes. No thread waits for the heap's locks while it holds one that
//! a fork waits for (`destroy` takes each dynamic entry out of the list before it frees it), and none but
//! these locks exist. Two threads that fork take turns by the registry's lock. A pool that another thread is
//! making at that moment is not in the registry, and one that it is destroying is or is not: in either case
//! its memory is lost to the child, no more.
//!
//! Cost: O(pools + caches) before the fork, and again after it.
//!
//! A thread that found a misuse may hold locks of these, and what it calls before it aborts may fork:
//! such a fork takes none, and its child may use no pool.
//!
//! The handlers run where fork is called. `vfork`, `posix_spawn` and a bare `clone` don't call them:
//! a child of those may use pools only if it shares nothing, and no other thread existed.

use core::mem::forget;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::caches::thread_index;
use crate::collection::registry::{self, Registry};
use crate::os::error::Error;
use crate::os::{self, fence};
use crate::pool::body::Pool;
use crate::pool::draw::begin_anew;
use crate::report::handler::{self, SETTING};
use crate::report::misuse::is_ending;

/// The thread that is in a fork and holds the locks; 0 for none.
static HOLDER: AtomicUsize = AtomicUsize::new(0);

static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Has fork call the handlers. Every create function calls this first; most likely it was done when
/// the library was loaded (`capi/load.rs`).
pub fn prepare() -> Result<(), Error> {
    // Relaxed: nothing is published with it. Whoever swaps first registers; once is enough, and twice
    // would have a fork wait for itself.
    if !REGISTERED.load(Ordering::Relaxed)
        && !REGISTERED.swap(true, Ordering::Relaxed)
        && !os::at_fork(before, parent, child)
    {
        REGISTERED.store(false, Ordering::Relaxed);
        return Err(Error::NoMemory);
    }
    Ok(())
}

unsafe extern "C" fn before() {
    if is_ending() {
        return;
    }
    let all = registry::lock();
    forget(SETTING.lock());
    shared_pools(&all).for_each(Pool::hold);
    let cached = || shared_pools(&all).filter(|pool| pool.has_caches());
    // If the fence is refused, the caches stay as they are, and what is in others' is lost to the child.
    let heavy = || !cached().any(Pool::needs_heavy_fence) || fence::heavy();
    if cached().next().is_some() && heavy() {
        // SAFETY: all are held, and closed before the fence, which worked just now.
        unsafe {
            cached().for_each(|pool| pool.close_caches());
            fence::full();
            let known = heavy();
            cached().for_each(|pool| pool.collect(known));
        }
    }
    thread_index::before_fork();
    // Relaxed, all three: the thread asks itself.
    HOLDER.store(os::thread_number(), Ordering::Relaxed);
    forget(all);
}

/// Whether `before` took the locks in this thread, or, in a child, its original. They are about to go.
fn held() -> bool {
    let held = HOLDER.load(Ordering::Relaxed) == os::thread_number();
    if held {
        HOLDER.store(0, Ordering::Relaxed);
    }
    held
}

unsafe extern "C" fn parent() {
    if !held() {
        return;
    }
    // SAFETY: `before` ran in this thread.
    unsafe {
        thread_index::after_fork();
        let all = registry::held();
        drop(SETTING.held());
        shared_pools(&all).for_each(|pool| pool.let_go());
    }
}

unsafe extern "C" fn child() {
    begin_anew();
    handler::keep_own_alone();
    if !held() {
        return;
    }
    // SAFETY: `before` ran in this thread's original, and there is no other thread.
    unsafe {
        let mut all = registry::held();
        all.forget_absent();
        drop(SETTING.held());
        thread_index::keep_own_alone();
        for pool in shared_pools(&all) {
            pool.abandon_caches();
            pool.let_go();
        }
    }
}

fn shared_pools(all: &Registry) -> impl Iterator<Item = &Pool> {
    all.iter().flat_map(|collection| collection.pools().iter().copied()).filter(|p| p.is_shared())
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;
    use crate::capi;

    /// Runs in a child; true if it did what it should.
    fn in_child(run: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child calls nothing that may wait for a thread that is gone.
        unsafe {
            match libc::fork() {
                0 => {
                    // Or the child would go on as this test's thread, and end well.
                    let well = catch_unwind(AssertUnwindSafe(run)).unwrap_or(false);
                    libc::_exit(i32::from(!well))
                }
                pid => {
                    let mut status = -1;
                    libc::waitpid(pid, &mut status, 0) == pid && status == 0
                }
            }
        }
    }

    /// Calls `test` while another thread has a cache, too, that is open.
    fn with_two_caches(test: impl FnOnce(&Pool) -> bool) {
        // A fork in one test closes the caches of the other's pool.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock();
        let handle = capi::mempool_create(1000, 8, false);
        // SAFETY: the pool is live until the destroy below.
        let pool = unsafe { Pool::at(handle as usize) };
        one_of(pool);
        let barrier = std::sync::Barrier::new(2);
        // Nothing is asserted while the other thread waits: it would do so for ever.
        let well = std::thread::scope(|s| {
            s.spawn(|| {
                one_of(pool);
                barrier.wait();
                barrier.wait();
            });
            barrier.wait();
            let well = catch_unwind(AssertUnwindSafe(|| test(pool))).unwrap_or(false);
            barrier.wait();
            well
        });
        assert!(well);
        // SAFETY: nobody uses the pool any more.
        unsafe { capi::mempool_destroy(handle) };
    }

    fn one_of(pool: &Pool) {
        // SAFETY: the entry is live.
        unsafe { Pool::free(pool.alloc().unwrap()) }.unwrap();
    }

    #[test]
    fn a_child_has_its_own_index_alone_and_pools_in_order() {
        with_two_caches(|pool| {
            (0..3).all(|_| {
                let well = in_child(|| {
                    pool.check();
                    one_of(pool);
                    pool.check();
                    thread_index::taken() == 1
                });
                pool.check();
                one_of(pool);
                pool.check();
                well
            })
        });
    }

    /// As in a child of a fork before which the heavy fence was refused.
    #[test]
    fn caches_that_stayed_open_start_anew_but_for_the_own() {
        with_two_caches(|pool| {
            let [before, thought_before] = pool.open_caches();
            // SAFETY: the pool is held meanwhile; the other thread uses it no more.
            unsafe {
                pool.hold();
                pool.abandon_caches();
                pool.let_go();
            }
            let [after, thought_after] = pool.open_caches();
            assert_eq!((thought_before, thought_after), (before, after));
            before.0 == 2 && after.0 == 1 && 0 < after.1 && after.1 < before.1
        });
    }
}
