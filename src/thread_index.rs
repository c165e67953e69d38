//! Which cache is the calling thread's?
//!
//! A thread takes the lowest free index on its first slow path and gives it back when it ends; the
//! next thread with that index inherits its caches. What a thread keeps is not the index but its
//! cache's distance from the first, so that finding a cache is one addition.
//!
//! A key of thread-specific data tells that a thread ends. It does not if the thread's first call comes in
//! the very last round of such data's destructors, and it is not used where that would call the heap. So
//! each index has a robust mutex that its owner holds, and the kernel marks the mutex of an owner that is
//! dead. A thread that claims an index looks for such a mutex first.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// How many threads at once can have an index. Those beyond work without a cache.
pub const MAX_THREADS: usize = 4096;

/// Bytes from one thread's cache to the next one's.
pub const CACHE_DISTANCE: usize = 64;

/// The thread gave its index back and must not take another: nobody would give that back.
///
/// Above every distance, as is -1, what a thread starts with.
const ENDED: usize = usize::MAX - 1;

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Bit `i`, counted through all words, is set while a thread has index `i`, also when that thread is dead.
static TAKEN: [AtomicU64; MAX_THREADS / BITS] = [const { AtomicU64::new(0) }; MAX_THREADS / BITS];

/// A child of fork has its parent's number plus one. A mutex that another process made does not count here: so
/// the child has no need to go through all of them.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A thread that takes an index first looks at so many, the lowest, for one whose thread is dead.
const LOWEST: usize = 64;
/// Then it looks at so many of the others, in turn.
const LOOKS: usize = 16;

/// The key whose destructor gives an index back, plus one; 0 while there is none.
static KEY: AtomicU32 = AtomicU32::new(0);

/// So many keys, the first, have room for a value in each thread. For others, glibc calls the heap when a
/// thread sets its first, and a pool in a caller's buffer must not.
const KEYS_WITH_ROOM: u32 = 32;

/// The distance of the calling thread's cache, or a number above all distances.
///
/// Two loads: thread-local data of the initial-exec model, which an executable's linker turns into
/// one. Stable Rust without `std` has no other way to it than assembly.
#[inline(always)]
pub fn distance() -> usize {
    local::get()
}

/// Sets up what gives indices back. Every create function calls this first; most likely it was done when
/// the library was loaded, early enough for a key with room.
pub fn prepare() {
    // Acquire pairs with the Release below: the key exists.
    if KEY.load(Ordering::Acquire) != 0 {
        return;
    }
    let mut key = 0;
    // SAFETY: `key` is a place for the result; the destructor is a function that stays loaded
    // (see `load.rs`).
    if unsafe { libc::pthread_key_create(&mut key, Some(thread_ends)) } != 0 {
        return;
    }
    // No lock, which a child of fork could find held: of two that make a key, one deletes it.
    // Release pairs with the Acquire loads of whoever uses the key.
    if KEY.compare_exchange(0, key + 1, Ordering::Release, Ordering::Relaxed).is_err() {
        // SAFETY: the key exists, and no thread has a value for it.
        unsafe { libc::pthread_key_delete(key) };
    }
}

/// Takes an index for the calling thread. False if it has none and gets none: all are taken, or
/// nothing would give it back.
#[cold]
pub fn claim() -> bool {
    if local::get() < ENDED {
        return true;
    }
    if local::get() == ENDED {
        return false;
    }
    let Some(index) = inherit().or_else(take_bit_and_hold) else { return false };
    if !comes_back(index) {
        give_back(index);
        return false;
    }
    local::set(index * CACHE_DISTANCE);
    true
}

/// Has the index, which the calling thread holds, come back when the thread ends. False if nothing would
/// give it back.
fn comes_back(index: usize) -> bool {
    // Acquire: see `prepare`.
    match KEY.load(Ordering::Acquire) {
        key @ 1..=KEYS_WITH_ROOM => {
            let value = ptr::without_provenance(index + 1);
            // SAFETY: the key exists. The value says no more than that the destructor is to run.
            unsafe { libc::pthread_setspecific(key - 1, value) == 0 }
        }
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
    // Relaxed: which ones are looked at matters to nobody.
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

/// Says whether the owner of an index lives.
///
/// Invariant: `ready` is this process's [`GENERATION`] => the mutex is one, robust. A thread has the index => it
/// holds the mutex; and whoever finds that the holder is dead holds it from then on, and has the index: to one
/// thread alone does the mutex say so.
struct Life {
    ready: AtomicU32,
    mutex: UnsafeCell<libc::pthread_mutex_t>,
}

// SAFETY: a mutex is there for many threads. It is made by a thread that has the bit of its index, and
// before it is ready.
unsafe impl Sync for Life {}

static LIVES: [Life; MAX_THREADS] = [const {
    Life { ready: AtomicU32::new(0), mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER) }
}; MAX_THREADS];

/// Of whom the mutex was taken.
#[derive(PartialEq, Eq)]
enum Taken {
    Free,
    FromDead,
    No,
}

/// How often the new owner of an index tries to have its mutex, at which others may be looking.
const TRIES: usize = 1000;

const PTHREAD_MUTEX_ROBUST: c_int = 1; // not in the libc crate

impl Life {
    fn is_ready(&self, order: Ordering) -> bool {
        // Relaxed: the number changes while there is one thread.
        self.ready.load(order) == GENERATION.load(Ordering::Relaxed)
    }

    /// Holds the mutex from now on, for a thread that has just taken the bit. False if it can't be had:
    /// then the thread must not have the index.
    fn hold(&self) -> bool {
        // Relaxed: who had the bit before has written it, and the bit came with an Acquire.
        if !self.is_ready(Ordering::Relaxed) {
            if !self.make() {
                // No robust mutexes here: then nobody inherits.
                return true;
            }
            // Release pairs with the Acquire in `inherit`.
            self.ready.store(GENERATION.load(Ordering::Relaxed), Ordering::Release);
        }
        for _ in 0..TRIES {
            if self.try_take() != Taken::No {
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }

    /// Holds the mutex from now on if its holder is dead.
    fn inherit(&self) -> bool {
        // Acquire: see `hold`.
        if !self.is_ready(Ordering::Acquire) {
            return false;
        }
        match self.try_take() {
            Taken::FromDead => true,
            Taken::Free => {
                // Nobody has the index, or its owner is about to hold it, or just gave it back.
                self.let_go();
                false
            }
            Taken::No => false,
        }
    }

    /// All that a dead thread did is seen: the kernel marks its mutex after that, and this takes the
    /// mutex with an Acquire.
    fn try_take(&self) -> Taken {
        // SAFETY: the mutex is one.
        unsafe {
            match libc::pthread_mutex_trylock(self.mutex.get()) {
                0 => Taken::Free,
                libc::EOWNERDEAD => {
                    libc::pthread_mutex_consistent(self.mutex.get());
                    Taken::FromDead
                }
                _ => Taken::No,
            }
        }
    }

    /// Gives the mutex back, which the calling thread holds.
    fn let_go(&self) {
        // Relaxed: the thread has the bit, or has seen it.
        if self.is_ready(Ordering::Relaxed) {
            // SAFETY: the mutex is one.
            unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
        }
    }

    fn make(&self) -> bool {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: a plain sequence of calls; the attributes are there after the first. The mutex is the
        // caller's alone.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr()) == 0
                && libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), PTHREAD_MUTEX_ROBUST)
                    == 0
                && libc::pthread_mutex_init(self.mutex.get(), attributes.as_ptr()) == 0
        }
    }
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

/// Gives back the indices of all threads but the calling one.
///
/// # Safety
/// No other thread exists: this is a child of fork.
pub unsafe fn keep_own_alone() {
    // Relaxed, all: threads started from here on see it.
    TAKEN.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    // The holders of mutexes were threads of the parent's.
    GENERATION.fetch_add(1, Ordering::Relaxed);
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

/// The destructor of the key: the last thing the thread's index sees of it.
unsafe extern "C" fn thread_ends(value: *mut c_void) {
    local::set(ENDED);
    give_back(value as usize - 1);
}

// The thread block (see `inlined.rs`), with a distance of -1 in a thread that is new. Protected: programs see
// it, and each module that has the library in it uses its own.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .tdata,\"awT\",@progbits",
    ".p2align 6",
    ".globl cmempool_thread",
    ".protected cmempool_thread",
    ".type cmempool_thread, @object",
    ".size cmempool_thread, 64",
    "cmempool_thread: .quad -1, 0, -1, 0, -1, 0, -1, 0",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
mod local {
    use core::arch::asm;

    use crate::inlined::{self, THREAD_AT};

    #[inline(always)]
    pub fn get() -> usize {
        let value;
        // SAFETY: reads the calling thread's own block.
        unsafe {
            asm!(
                "mov {0}, qword ptr [rip + cmempool_thread@GOTTPOFF]",
                "mov {0}, qword ptr fs:[{0} + {at}]",
                out(reg) value,
                at = const THREAD_AT,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        value
    }

    pub fn set(value: usize) {
        // SAFETY: writes the calling thread's own block.
        unsafe {
            asm!(
                "mov {0}, qword ptr [rip + cmempool_thread@GOTTPOFF]",
                "mov qword ptr fs:[{0} + {process_at}], {2}",
                "mov qword ptr fs:[{0} + {at}], {1}",
                out(reg) _,
                in(reg) value,
                in(reg) &raw const inlined::PROCESS,
                at = const THREAD_AT,
                process_at = const THREAD_AT + 8,
                options(nostack, preserves_flags)
            );
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod local {
    use core::arch::asm;

    use crate::inlined::{self, THREAD_AT};

    #[inline(always)]
    fn place() -> *mut usize {
        let offset: usize;
        let thread: usize;
        // SAFETY: reads the thread register and a constant of the loader's.
        unsafe {
            asm!(
                "mrs {1}, tpidr_el0",
                "adrp {0}, :gottprel:cmempool_thread",
                "ldr {0}, [{0}, :gottprel_lo12:cmempool_thread]",
                out(reg) offset,
                out(reg) thread,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        core::ptr::with_exposed_provenance_mut(thread.wrapping_add(offset).wrapping_add(THREAD_AT))
    }

    #[inline(always)]
    pub fn get() -> usize {
        // SAFETY: the calling thread's own block.
        unsafe { place().read() }
    }

    pub fn set(value: usize) {
        // SAFETY: as above.
        unsafe {
            place().add(1).write(&raw const inlined::PROCESS as usize);
            place().write(value);
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("cmempool knows thread-local data on x86_64 and aarch64 only");

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
