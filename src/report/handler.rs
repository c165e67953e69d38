//! What does a handler of misuse get, and which handler is it?
//!
//! A misuse may happen in any thread at any moment, also while a handler is being set. The report finds a
//! function and the context that was set with it, without a lock.

#![allow(non_camel_case_types)] // they are C's

use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::os;
use crate::os::cpu::by_width;
use crate::os::lock::{Locked, Tallied};

/// What kind of misuse a report is about. These numbers never change; later versions may add kinds.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mempool_misuse_kind {
    /// The entry that was freed is already free.
    MEMPOOL_MISUSE_DOUBLE_FREE = 1,
    /// The pointer that was freed is no entry of any pool.
    MEMPOOL_MISUSE_FOREIGN_POINTER = 2,
    /// The pointer that was freed leads into an entry, not to its start.
    MEMPOOL_MISUSE_INTERIOR_POINTER = 3,
    /// The library's bytes before an entry were overwritten.
    MEMPOOL_MISUSE_HEADER_OVERWRITTEN = 4,
    /// An entry could be where the freed pointer leads, but none was ever handed out there.
    MEMPOOL_MISUSE_NEVER_HANDED_OUT = 5,
    /// A ranged pool's realloc got an entry of another pool.
    MEMPOOL_MISUSE_WRONG_POOL = 6,
    /// A function that takes a pool got a pointer to no live pool of that sort: it was destroyed, or never was
    /// one.
    MEMPOOL_MISUSE_NOT_A_POOL = 7,
    /// The entry that was freed lies in memory of a pool that was destroyed.
    MEMPOOL_MISUSE_POOL_DESTROYED = 8,
    /// An entry was written to after it was freed.
    MEMPOOL_MISUSE_WRITE_AFTER_FREE = 9,
    /// An entry was written past its end.
    MEMPOOL_MISUSE_OVERFLOW = 10,
    /// A pool that reports leaks is being destroyed while entries of it are out. The only kind after which the
    /// program goes on.
    MEMPOOL_MISUSE_LEAK = 11,
    /// A function other than free, which needs a live entry, got one that was freed.
    MEMPOOL_MISUSE_USE_AFTER_FREE = 12,
}

/// # Report misuse
///
/// What went wrong. It, and what it points to, is valid until the handler returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mempool_misuse {
    /// The size of this struct in the library that runs. A later version may have more members at the end:
    /// check the size before you use one of these.
    pub struct_size: usize,
    /// A `mempool_misuse_kind`, or a number that a later version added.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The pointer that the call was about, an entry or a pool; for a leak the first entry that is out;
    /// for a damaged header, a write after free and an overflow the entry that was found damaged.
    pub pointer: *const c_void,
    /// The pool, a `mempool *` or `r_mempool *` as its create function returned it; NULL if no pool is
    /// concerned. With `MEMPOOL_MISUSE_POOL_DESTROYED` and `MEMPOOL_MISUSE_NOT_A_POOL` it is only a number:
    /// don't use the pool.
    pub pool: *const c_void,
    /// The pool's name; "" without a name or a pool. Control characters in it are as given; in `text` they are
    /// question marks.
    pub pool_name: *const c_char,
    /// Usable bytes of the pool's entries, in a ranged pool of the class's; 0 if no pool is concerned.
    pub entry_size: usize,
    /// All of it in one line, without a newline: what is written to stderr if there is no handler.
    pub text: *const c_char,
}

static_assertions::const_assert_eq!(size_of::<mempool_misuse>(), by_width(56, 32, 32));
static_assertions::const_assert_eq!(
    core::mem::offset_of!(mempool_misuse, text),
    by_width(48, 28, 28)
);

/// Gets a report of misuse, and the context that was given to `mempool_set_misuse_handler`.
pub type mempool_misuse_handler =
    Option<unsafe extern "C" fn(report: *const mempool_misuse, context: *mut c_void)>;

/// A handler and its context.
struct Pair {
    function: AtomicPtr<()>,
    context: AtomicPtr<c_void>,
}

const PLACES: usize = 4;

/// The pair that was set as number `n` is at `n % PLACES`; at first there is none.
static PAIRS: [Pair; PLACES] = [const {
    Pair {
        function: AtomicPtr::new(core::ptr::null_mut()),
        context: AtomicPtr::new(core::ptr::null_mut()),
    }
}; PLACES];
/// The number of the current pair.
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// Threads that set a handler take turns; readers don't take this lock.
pub static SETTING: Locked<Turn> = Locked::new(Turn, true);

/// Nothing to look at but whose turn it is.
pub struct Turn;

impl Tallied for Turn {}

/// Sends reports to `function` from now on; none means the default.
pub fn set_handler(function: mempool_misuse_handler, context: *mut c_void) {
    let _turn = SETTING.lock();
    let number = CURRENT.load(Ordering::Relaxed).wrapping_add(1);
    let place = &PAIRS[number % PLACES];
    let function = function.map_or(core::ptr::null_mut(), |function| function as *mut ());
    // Release, both: a thread that reads one of them sees that CURRENT reached `number - 1` before.
    place.function.store(function, Ordering::Release);
    place.context.store(context, Ordering::Release);
    // Release pairs with the Acquire in `handler`: the pair is there.
    CURRENT.store(number, Ordering::Release);
}

/// The current handler and its context. Takes no lock; looks again only if as many handlers were set
/// meanwhile as there are other places.
fn handler() -> (mempool_misuse_handler, *mut c_void) {
    loop {
        // Acquire pairs with the last store of `set_handler`.
        if let Some(pair) = pair(CURRENT.load(Ordering::Acquire)) {
            return pair;
        }
    }
}

/// The pair that was set as that number, which was current; none if its place is needed again.
fn pair(number: usize) -> Option<(mempool_misuse_handler, *mut c_void)> {
    let place = &PAIRS[number % PLACES];
    // Acquire pairs with the first two stores of `set_handler`: had one of these values been written
    // for `number + PLACES`, the load below would see that CURRENT came to one before that.
    let function = place.function.load(Ordering::Acquire);
    let context = place.context.load(Ordering::Acquire);
    if CURRENT.load(Ordering::Relaxed).wrapping_sub(number) >= PLACES - 1 {
        return None;
    }
    // SAFETY: it was a handler when it was stored, or null, which is none.
    let function = unsafe { core::mem::transmute::<*mut (), mempool_misuse_handler>(function) };
    Some((function, context))
}

/// The numbers of the threads that are inside a handler, or 0. If all places are taken, the next thread calls
/// no handler.
static INSIDE: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// Calls the handler. False if there is none, or if this thread is inside it already: a handler that commits
/// a misuse is not called again.
pub fn deliver(report: &mempool_misuse) -> bool {
    let (Some(function), context) = handler() else { return false };
    let thread = os::thread_number();
    // Relaxed: of its own number a thread sees what it wrote itself, and other numbers mean nothing
    // to it.
    if INSIDE.iter().any(|inside| inside.load(Ordering::Relaxed) == thread) {
        return false;
    }
    let claim = |inside: &&AtomicUsize| {
        inside.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    };
    let Some(inside) = INSIDE.iter().find(claim) else { return false };
    // SAFETY: whoever set it promised that it can be called with such a report and its context.
    os::without_cancellation(|| unsafe { function(report, context) });
    inside.store(0, Ordering::Relaxed);
    true
}

/// In a child of fork: the threads that are gone are inside no more.
#[cold]
#[inline(never)]
pub fn keep_own_alone() {
    let own = os::thread_number();
    // Relaxed: there is no other thread.
    let all = core::hint::black_box(&INSIDE[..]); // no need to unroll this
    for inside in all.iter().filter(|inside| inside.load(Ordering::Relaxed) != own) {
        inside.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn odd(_: *const mempool_misuse, _: *mut c_void) {}
    unsafe extern "C" fn even(_: *const mempool_misuse, _: *mut c_void) {
        core::hint::black_box(1);
    }

    #[test]
    fn a_handler_and_its_context_stay_together() {
        let handlers = [Some(even as unsafe extern "C" fn(_, _)), Some(odd)];
        let set = |n: usize| {
            set_handler(handlers[n % 2], core::ptr::without_provenance_mut(n));
        };
        let rounds = 200_000;
        set(2);
        std::thread::scope(|scope| {
            for start in [2, 3] {
                scope.spawn(move || (start..rounds).step_by(2).for_each(set));
            }
            for _ in 0..rounds {
                let (function, context) = handler();
                let expected = handlers[context as usize % 2].unwrap() as *mut ();
                assert_eq!(function.unwrap() as *mut (), expected);
            }
        });
        // A reader that comes late.
        let number = CURRENT.load(Ordering::Relaxed);
        let old = handler();
        for n in 1..PLACES {
            assert_eq!(pair(number).map(|pair| pair.1), Some(old.1));
            set(n);
        }
        assert!(pair(number).is_none());
        set_handler(None, core::ptr::null_mut());
        assert!(handler().0.is_none());
    }
}
