//! How do threads take turns, and how does a single thread skip that?
//!
//! A value behind a lock of three states. Taking a free lock is one compare-and-swap, releasing it one swap;
//! threads that wait sleep in the system. A value that only one thread uses has the same type with the lock
//! switched off: no atomic read-modify-write. Its tally, which other threads may read, is written whenever
//! the thread is done with the value.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::sync::AtomicU64;
use super::system::{self, ONE_THREAD};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and some thread may sleep until it is released.
const CONTENDED: u32 = 2;

/// How often a thread looks again before it sleeps: a holder needs some ten nanoseconds.
const SPINS: u32 = 64;

/// Figures of a value that any thread may read at any time.
pub trait Tallied {
    /// Their current values; nothing for a value that has none.
    fn tally(&self) -> Tally {
        [0; 2]
    }
}

/// Two figures of a value.
pub type Tally = [u32; 2];

/// How often to read a tally again if it changes meanwhile.
const TRIES: usize = 1000;

/// A value that one thread at a time may look at.
///
/// Invariant: a [`Guard`] exists => `state != FREE`, or `alone` is set and one thread alone
/// uses the value. With `alone`, `state` counts how often a guard came or went: it is odd while
/// there is one, and `tally` is the value's whenever it is even.
pub struct Locked<T: Tallied> {
    state: AtomicU32,
    alone: bool, // not shared, so that a static one that is takes no room in the file
    tally: AtomicU64, // both figures, so that they are always of one moment
    value: UnsafeCell<T>,
}

// SAFETY: `lock` hands out the value to one thread at a time. With `alone` set the creator
// promised that no two threads call at the same time.
unsafe impl<T: Tallied> Sync for Locked<T> {}

impl<T: Tallied> Locked<T> {
    /// Offsets of the value, the tally and the state, for a debugger.
    pub const PLACES: [usize; 3] =
        [offset_of!(Self, value), offset_of!(Self, tally), offset_of!(Self, state)];

    /// `shared` false takes no lock: the caller promises that calls never overlap. The tally is 0 at
    /// first.
    pub const fn new(value: T, shared: bool) -> Self {
        let (state, tally) = (AtomicU32::new(FREE), AtomicU64::new(0));
        Self { state, alone: !shared, tally, value: UnsafeCell::new(value) }
    }

    /// Waits for the value. One compare-and-swap when nobody holds it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        if self.alone || ONE_THREAD {
            self.begin();
        } else if !try_take(&self.state) {
            wait(&self.state);
        }
        Guard { of: self }
    }

    /// The value's tally, for any thread: under the lock, or of a moment ago.
    ///
    /// `beside` is called for what belongs to the same moment, and may be called again.
    pub fn tally<R>(&self, beside: impl Fn() -> R) -> (Tally, R) {
        if !(self.alone || ONE_THREAD) {
            let value = self.lock();
            return (value.tally(), beside());
        }
        let mut tries = 0;
        loop {
            // Acquire pairs with the Release in `end`: with an even count there is its tally.
            let before = self.state.load(Ordering::Acquire);
            let both = self.tally.load(Ordering::Relaxed);
            let figures = ([both as u32, (both >> 32) as u32], beside());
            // Pairs with the fence in `begin`: if a figure above is of a later guard's, so is the count.
            fence(Ordering::Acquire);
            let calm = before.is_multiple_of(2) && self.state.load(Ordering::Relaxed) == before;
            tries += 1;
            // The owner may be stopped in the middle of a call: then the tally is that from before the call.
            if calm || tries == TRIES {
                return figures;
            }
            core::hint::spin_loop();
        }
    }

    /// A guard is created, for a value that one thread alone uses.
    #[inline]
    fn begin(&self) {
        // Relaxed, and no read-modify-write: one thread alone writes it.
        let count = self.state.load(Ordering::Relaxed);
        self.state.store(count.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the fence in `tally`.
        fence(Ordering::Release);
    }

    /// It is dropped.
    #[inline]
    fn end(&self, [one, other]: Tally) {
        // Relaxed: ordered by the two stores to `state` around it.
        self.tally.store(u64::from(one) | u64::from(other) << 32, Ordering::Relaxed);
        let count = self.state.load(Ordering::Relaxed);
        // Release pairs with the Acquire in `tally`.
        self.state.store(count.wrapping_add(1), Ordering::Release);
    }

    /// The value, unless another thread holds the lock for longer than a short spin.
    ///
    /// For the abort path, which must not sleep: the holder may be the caller itself.
    pub fn lock_unless_held(&self) -> Option<Guard<'_, T>> {
        if self.alone || ONE_THREAD {
            self.begin();
        } else if !try_take(&self.state) && !spin(&self.state) {
            return None;
        }
        Some(Guard { of: self })
    }

    /// The guard of a lock that was taken and whose guard was forgotten.
    ///
    /// # Safety
    /// The calling thread took the lock and forgot its guard, or is the copy in a child of fork of
    /// the thread that did; no other guard of it exists.
    pub unsafe fn held(&self) -> Guard<'_, T> {
        Guard { of: self }
    }
}

// Not of the value's type: once for all locks.

#[inline]
fn try_take(state: &AtomicU32) -> bool {
    // Acquire pairs with the Release in `Guard::drop`: what the last holder wrote is seen.
    state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

#[cold]
fn spin(state: &AtomicU32) -> bool {
    for _ in 0..SPINS {
        if state.load(Ordering::Relaxed) == FREE && try_take(state) {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

#[cold]
#[inline(never)]
fn wait(state: &AtomicU32) {
    if spin(state) {
        return;
    }
    // From here on the lock is taken as CONTENDED, since other threads may sleep as well.
    // Acquire as in `try_take`.
    while state.swap(CONTENDED, Ordering::Acquire) != FREE {
        system::sleep_while(state, CONTENDED);
    }
}

#[cold]
#[inline(never)]
fn wake_one(state: &AtomicU32) {
    system::wake_one(state);
}

/// The right to use the value, given back on drop.
pub struct Guard<'a, T: Tallied> {
    of: &'a Locked<T>,
}

impl<T: Tallied> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard exists for one thread at a time (invariant of `Locked`).
        unsafe { &*self.of.value.get() }
    }
}

impl<T: Tallied> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` rules out a second reference through this guard.
        unsafe { &mut *self.of.value.get() }
    }
}

impl<T: Tallied> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release, of the swap, pairs with the Acquire of whoever takes the lock next.
        if self.of.alone || ONE_THREAD {
            self.of.end(self.tally());
        } else if self.of.state.swap(FREE, Ordering::Release) == CONTENDED {
            wake_one(&self.of.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tallied for u64 {
        fn tally(&self) -> Tally {
            [*self as u32, !*self as u32]
        }
    }

    #[test]
    fn eight_threads_take_turns() {
        let counter = Locked::new(0u64, true);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| (0..20_000).for_each(|_| *counter.lock() += 1));
            }
        });
        assert_eq!(*counter.lock(), 160_000);
    }

    #[test]
    fn a_held_lock_is_refused_without_sleeping() {
        let value = Locked::new(0, true);
        let held = value.lock();
        assert!(value.lock_unless_held().is_none());
        drop(held);
        assert!(value.lock_unless_held().is_some());
    }

    #[test]
    fn unshared_takes_no_lock() {
        let value = Locked::new(7, false);
        let guard = value.lock();
        // With a lock, the second guard would wait for ever.
        assert_eq!((*guard, *value.lock()), (7, 7));
    }

    #[test]
    fn the_tally_is_of_one_moment_though_another_thread_is_at_it() {
        let value = Locked::new(0u64, false);
        *value.lock() = 1;
        std::thread::scope(|s| {
            s.spawn(|| (2..200_000).for_each(|number| *value.lock() = number));
            let mut last = 0;
            while last < 199_999 {
                let ([one, other], ()) = value.tally(|| ());
                assert!(one == !other && one >= last);
                last = one;
            }
        });
    }
}
