//! Which cache is the calling thread's?
//!
//! A thread takes the lowest free index on its first slow path and releases it when it ends; the next thread
//! with that index inherits its caches. A thread stores not the index but its cache's distance from the
//! first, so that finding a cache is one addition.
//!
//! The destructor of a thread-specific key tells that a thread ends. That fails if the thread's first call
//! comes in the very last round of such destructors, and the key is not used where it would call the heap. So
//! each index also has a lock that its owner holds. If the system has such locks, it says whether its owner
//! is dead. A thread that claims an index looks for such a lock first.

use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::life::{self, GENERATION, LIVES};
use crate::os::sync::AtomicU64;
use crate::os::{self, FORK_KEEPS_LOCKS, thread_block};
use crate::slots::inlined::{PROCESS, THREAD_AT};

/// How many threads at once can have an index. Those beyond work without a cache.
#[cfg(not(feature = "bare"))]
pub use super::life::Life;
pub use super::life::MAX_THREADS;

/// Bytes from one thread's cache to the next one's.
pub const CACHE_DISTANCE: usize = 64;

/// The thread released its index and must not take another, which nothing would release.
///
/// Above every distance, as is -1, what a thread starts with.
const ENDED: usize = usize::MAX - 1;

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Bit `i`, counted through all words, is set while a thread has index `i`, also when that thread is dead.
static TAKEN: [AtomicU64; MAX_THREADS / BITS] = [const { AtomicU64::new(0) }; MAX_THREADS / BITS];

/// A thread that takes an index first looks at so many, the lowest, for one whose thread is dead.
const LOWEST: usize = 64;
/// Then it looks at so many of the others, in turn.
const LOOKS: usize = 16;

/// The key whose destructor gives an index back, plus one; 0 while there is none.
static KEY: AtomicUsize = AtomicUsize::new(0);

/// Where a debugger finds which indices are taken, and who lives.
pub const ROOTS: [*const (); 3] =
    [(&raw const TAKEN).cast(), (&raw const LIVES).cast(), (&raw const GENERATION).cast()];

/// The distance of the calling thread's cache, or a number above all distances.
///
/// A few instructions, by the system.
#[inline(always)]
pub fn distance() -> usize {
    thread_block::get::<THREAD_AT>()
}

fn set_distance(distance: usize) {
    // Whoever reads the distance reads the other word next.
    thread_block::set::<THREAD_AT>(distance, &raw const PROCESS as usize);
}

/// Sets up the release of indices. Every create function calls this first; usually it was done when the
/// library was loaded, early enough for a key with room.
pub fn prepare() {
    // Acquire pairs with the Release below: the key exists.
    if KEY.load(Ordering::Acquire) != 0 {
        return;
    }
    let Some(key) = os::make_end_key(thread_ends) else { return };
    // No lock, which a child of fork could find held: of two that make a key, one deletes it.
    // Release pairs with the Acquire loads of whoever uses the key.
    if KEY.compare_exchange(0, key + 1, Ordering::Release, Ordering::Relaxed).is_err() {
        os::drop_end_key(key);
    }
}

/// Takes an index for the calling thread. False if it has none and gets none: all are taken, or
/// nothing would give it back.
#[cold]
pub fn claim() -> bool {
    if distance() < ENDED {
        return true;
    }
    if distance() == ENDED {
        return false;
    }
    let Some(index) = inherit().or_else(take_bit_and_hold) else { return false };
    if !comes_back(index) {
        give_back(index);
        return false;
    }
    set_distance(index * CACHE_DISTANCE);
    if distance() < ENDED {
        return true;
    }
    // The system had no memory for it.
    give_back(index);
    false
}

/// Makes the calling thread's index be released when the thread ends. False if nothing would release it.
fn comes_back(index: usize) -> bool {
    // Acquire: see `prepare`.
    match KEY.load(Ordering::Acquire) {
        key if key > 0 && os::end_key_has_room(key - 1) => os::tell_when_ends(key - 1, index + 1),
        // Without a key, its mutex will do: whoever claims one next finds that the owner is dead.
        // Relaxed: the thread has the bit, or has seen it.
        _ => LIVES[index].is_ready(Ordering::Relaxed),
    }
}

/// An index of a thread that died without giving it back, if that is lower than the lowest free one.
///
/// Looks at the lowest ones, which have a cache in smaller pools, too, and at a few of the others, in turn: once
/// for each thread. While no index is free, at one for each call: then many threads may ask all the time.
fn inherit() -> Option<usize> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed, in `lowest_free`, too: what an owner left is seen through its mutex.
    let end = lowest_free();
    let lowest = if end < MAX_THREADS { end.min(LOWEST) } else { 0 };
    let in_turn = if end < MAX_THREADS { (end - lowest).min(LOOKS) } else { 1 };
    // Relaxed: it does not matter which ones are looked at.
    let next = NEXT.load(Ordering::Relaxed);
    NEXT.store(next.wrapping_add(in_turn), Ordering::Relaxed);
    let others = (next..next.wrapping_add(in_turn)).map(|at| lowest + at % (end - lowest));
    (0..lowest).chain(others).find(|&index| LIVES[index].inherit())
}

fn lowest_free() -> usize {
    let ones = |word: &AtomicU64| word.load(Ordering::Relaxed).trailing_ones() as usize;
    let word = TAKEN.iter().position(|word| ones(word) < BITS);
    word.map_or(MAX_THREADS, |word| word * BITS + ones(&TAKEN[word]).min(BITS - 1))
}

fn take_bit_and_hold() -> Option<usize> {
    let index = take_bit()?;
    if LIVES[index].hold() {
        return Some(index);
    }
    give_bit(index);
    None
}

fn give_back(index: usize) {
    LIVES[index].let_go();
    give_bit(index);
}

/// The lowest free index. At most a look at each word, and more when others take bits at this moment.
fn take_bit() -> Option<usize> {
    for (number, word) in TAKEN.iter().enumerate() {
        let mut taken = word.load(Ordering::Relaxed);
        while taken != u64::MAX {
            let bit = !taken & taken.wrapping_add(1);
            // Acquire pairs with the Release in `give_bit`: the new owner of a cache sees all that the
            // last one did to it.
            match word.compare_exchange_weak(
                taken,
                taken | bit,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(number * BITS + bit.trailing_zeros() as usize),
                Err(now) => taken = now,
            }
        }
    }
    None
}

fn give_bit(index: usize) {
    let (word, bit) = bit_of(index);
    // Release pairs with the Acquire in `take_bit`.
    word.fetch_and(!bit, Ordering::Release);
}

fn bit_of(index: usize) -> (&'static AtomicU64, u64) {
    (&TAKEN[index / BITS], 1 << (index % BITS))
}

/// Runs `inside` as the owner of an index, unless a thread that lives has it.
pub fn stand_in(index: usize, inside: &mut dyn FnMut()) {
    let (word, bit) = bit_of(index);
    // Acquire, as in `take_bit`.
    if word.fetch_or(bit, Ordering::Acquire) & bit == 0 {
        inside();
        give_bit(index);
    } else if LIVES[index].inherit() {
        inside();
        give_back(index);
    }
}

/// Before a fork: a child must not have a lock that it can't release.
pub fn before_fork() {
    if FORK_KEEPS_LOCKS && let Some(index) = own_index() {
        LIVES[index].let_go();
    }
}

/// After it, in the parent.
pub fn after_fork() {
    if FORK_KEEPS_LOCKS && let Some(index) = own_index() {
        // If others look at it all the time, the lock is not taken, and no thread will notice the thread's
        // death.
        LIVES[index].hold();
    }
}

/// Gives back the indices of all threads but the calling one.
///
/// # Safety
/// No other thread exists: this is a child of fork.
pub unsafe fn keep_own_alone() {
    // Relaxed, all: threads started from here on see it.
    TAKEN.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    life::begin_anew();
    if let Some(index) = own_index() {
        let (word, bit) = bit_of(index);
        word.store(bit, Ordering::Relaxed);
        LIVES[index].hold();
    }
}

/// The calling thread's index, if it has one.
pub fn own_index() -> Option<usize> {
    let distance = distance();
    (distance < ENDED).then_some(distance / CACHE_DISTANCE)
}

/// How many threads have an index.
#[cfg(test)]
pub fn taken() -> u32 {
    TAKEN.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
}

/// Runs when a thread ends, and is the last use of its index.
unsafe extern "C" fn thread_ends(value: *mut c_void) {
    let index = value as usize - 1;
    // Windows calls this for fibers, too, in whichever thread deletes one.
    if own_index() == Some(index) {
        set_distance(ENDED);
        give_back(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_dense_and_come_back() {
        prepare();
        let one = || (claim() && claim()).then(|| distance() / CACHE_DISTANCE);
        // Other tests' threads have indices too, for a short time: of more threads than there are
        // indices, one after the other, some find the lowest free again.
        let indices = (0..200).map(|_| std::thread::spawn(one).join().unwrap());
        let low = indices.flatten().inspect(|&i| assert!(i < MAX_THREADS)).filter(|&i| i < 16);
        assert!(low.count() > 32, "a low index is taken once and not given back");
    }

    #[test]
    fn two_threads_never_share_an_index() {
        prepare();
        let held = std::sync::Mutex::new(std::collections::HashSet::new());
        std::thread::scope(|s| {
            for _ in 0..200 {
                s.spawn(|| {
                    if claim() {
                        assert!(held.lock().unwrap().insert(own_index()));
                        std::thread::yield_now();
                        held.lock().unwrap().remove(&own_index());
                    }
                });
            }
        });
    }
}
