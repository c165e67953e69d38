//! Which flags, notes and sizes have names in C?

use crate::memory::{layout, region};
use crate::os::SMALL;

/// # Make a pool with options
///
/// Flag: when all entries are out, take from the heap, or from the pool's backing. Ordinary pools only;
/// a ranged pool has a policy.
pub const MEMPOOL_FALL_BACK: u64 = 1;
/// Flag: calls on the pool and frees of its entries never overlap, so it takes no lock. One thread may use it,
/// or several that take turns by a lock of their own.
pub const MEMPOOL_SINGLE_THREAD: u64 = 2;
/// Flag: don't have the system provide the memory at create. Create is fast; the first use of each page costs a
/// page fault, and may end the process where memory is overcommitted. A hardened pool writes every entry's
/// header at create, and so uses most pages anyway.
pub const MEMPOOL_NO_PREFAULT: u64 = 4;
/// Flag: overwrite an entry with zeros when it is freed. Costs the writes, and the pool's calls take the slow
/// path.
pub const MEMPOOL_ZERO_ON_FREE: u64 = 8;
/// Flag: when the pool is destroyed while entries of it are out, report them, one report for each
/// class: how many, and the addresses of the first four. The report goes to the handler of
/// `mempool_set_misuse_handler`, or to stderr in one line; then destroy goes on. Costs nothing until destroy,
/// and there a look at each slot if there is something to report. `CMEMPOOL_OPTIONS=leaks` in the environment
/// does the same for all pools.
pub const MEMPOOL_REPORT_LEAKS: u64 = 16;
/// Flag: look for misuse more closely. A hardened pool also catches:
///
/// - two threads that free the same entry at the same moment;
/// - a write into an entry that is free, when it is handed out again;
/// - a write past the end of an entry, that is, past the size that was asked for, when the entry is freed or
///   given to realloc. Behind the end lie bytes that nobody may write: up to the class's size, then 16 (in a
///   caller's buffer only padding), then the next entry's header. Entries from the heap have 16;
/// - both, in every entry, when the pool is destroyed or reset.
///
/// The order of entries is random, another one in each pool and in each child of fork. The entries freed last
/// are held back. The memory lies between two inaccessible pages (not in a caller's buffer or a backing's
/// memory). Every call takes the lock, and time in proportion to the entry's size; destroy and reset take time
/// in proportion to the pool's size. An entry takes 16 bytes more (not in a caller's buffer).
pub const MEMPOOL_HARDENED: u64 = 32;
/// Flag: put the pool into huge pages of 2 MiB that the system reserves (`vm.nr_hugepages`): fewer TLB misses,
/// and memory that is never swapped out. The pool's memory is rounded up to a multiple of 2 MiB. If the system
/// has too few of them, the pool has ordinary pages, as without the flag: for 2 MiB and more it asks the kernel
/// for transparent huge pages. EINVAL with a buffer or a backing; hardened pools have ordinary pages. A child
/// of fork does not have a pool in huge pages: a call on it, or a free of its entries, ends in SIGSEGV there.
/// (The kernel reserves no huge pages for a child, and would kill it at its first write.)
pub const MEMPOOL_HUGE_PAGES: u64 = 64;
/// Flag: lock the pool's memory (`mlock`): it is never swapped out. If the system refuses, create fails with
/// `mlock`'s EPERM, ENOMEM or EAGAIN. Locking provides every page, `MEMPOOL_NO_PREFAULT` or not. Whole pages
/// are locked, and unlocked when the pool is destroyed. Locks don't add up: destroy also unlocks what else lies
/// in the first and last page of a buffer or a backing's memory, even if your program had locked it. Two things
/// are not locked: entries from the heap or the backing (with `CMEMPOOL_OPTIONS=bypass` these are all entries),
/// and, as always, the memory of a child of fork.
pub const MEMPOOL_LOCKED: u64 = 128;
/// Flag: record for each entry who took it and who freed it last: the address that the call returns to, the
/// thread, and a number that rises with each such call of the process.
///
/// `mempool_dump` then counts what is out by caller, a leak report names callers, and a report of misuse says who
/// has the entry, or freed it.
///
/// - Callers are shown as function and place, if the loader knows the function (link a program with `-rdynamic`),
///   and as the file and place that `addr2line -ife` takes.
/// - If the header inlined the call, the caller is the program's function. Code that is compiled with `-O1` may
///   show one of the header's instead. On 32-bit x86 callers are not known, only threads and numbers.
/// - It takes 48 bytes for each entry (32 if addresses have 32 bits), in a mapping beside the pool, also if the pool
///   lies in a buffer or a backing's memory; those of an entry from the heap are in its block.
/// - The pool has no caches: each call takes its lock, also with `MEMPOOL_SINGLE_THREAD`.
///
/// Not in the feature `bare`.
pub const MEMPOOL_RECORD_HOLDERS: u64 = 256;

/// Note: the pool is in huge pages that the system reserved.
pub const MEMPOOL_NOTE_HUGE_PAGES: u64 = 1;
/// Note: `MEMPOOL_HUGE_PAGES` was asked for, and the pool has ordinary pages.
pub const MEMPOOL_NOTE_HUGE_PAGES_REFUSED: u64 = 2;
/// Note: the pool's memory was locked at create.
pub const MEMPOOL_NOTE_LOCKED: u64 = 4;

static_assertions::const_assert!(MEMPOOL_NOTE_HUGE_PAGES == region::NOTE_HUGE_PAGES);
static_assertions::const_assert!(
    MEMPOOL_NOTE_HUGE_PAGES_REFUSED == region::NOTE_HUGE_PAGES_REFUSED
);
static_assertions::const_assert!(MEMPOOL_NOTE_LOCKED == region::NOTE_LOCKED);

/// # Measure or declare a buffer
///
/// Bytes of a buffer that every pool needs once.
pub const CMEMPOOL_PER_REGION: usize = 448;
/// Bytes of a buffer that a ranged pool needs besides, once.
pub const CMEMPOOL_PER_RANGED: usize = 576;
/// Bytes of a buffer for each class; an ordinary pool is one class.
pub const CMEMPOOL_PER_CLASS: usize = 576;
/// Bytes of a buffer for each slot, beside the slot itself.
pub const CMEMPOOL_PER_SLOT: usize = 8;

static_assertions::const_assert_eq!(CMEMPOOL_PER_REGION, layout::REGION_RESERVE);
static_assertions::const_assert_eq!(CMEMPOOL_PER_RANGED, layout::RANGED_RESERVE);
static_assertions::const_assert_eq!(CMEMPOOL_PER_CLASS, layout::CLASS_RESERVE);
static_assertions::const_assert_eq!(CMEMPOOL_PER_SLOT, layout::SLOT_RESERVE);

/// Those that are known here.
pub(super) const FLAGS: u64 = if SMALL { ALL & !OF_SYSTEMS } else { ALL };

/// Those that need memory of a system's, or more of the library than a small one has.
const OF_SYSTEMS: u64 = MEMPOOL_FALL_BACK
    | MEMPOOL_HARDENED
    | MEMPOOL_HUGE_PAGES
    | MEMPOOL_LOCKED
    | MEMPOOL_RECORD_HOLDERS;

const ALL: u64 = MEMPOOL_FALL_BACK
    | MEMPOOL_SINGLE_THREAD
    | MEMPOOL_NO_PREFAULT
    | MEMPOOL_ZERO_ON_FREE
    | MEMPOOL_REPORT_LEAKS
    | MEMPOOL_HARDENED
    | MEMPOOL_HUGE_PAGES
    | MEMPOOL_LOCKED
    | MEMPOOL_RECORD_HOLDERS;
