//! cmempool: memory pools with a C ABI. Blocks are allocated up front, handed out and taken back in
//! O(1); a ranged pool is a collection of pools, one per size class.
//!
//! The rooms, those that others stand on first:
//!
//! | file            | the question it answers                                              |
//! |-----------------|----------------------------------------------------------------------|
//! | `error.rs`      | what can a caller's request be refused for?                          |
//! | `line.rs`       | how is a line for stderr put together without heap or lock?          |
//! | `settings.rs`   | what does the environment ask of all pools?                          |
//! | `lock.rs`       | how do threads take turns, and how does a single thread skip that?   |
//! | `cancellation.rs` | how does a call keep its thread from being cancelled inside of it? |
//! | `secret.rs`     | what does this process know that nobody can guess?                   |
//! | `region.rs`     | where does a pool's memory come from?                                |
//! | `region/presence.rs` | is a region's memory really there, and does it stay?            |
//! | `backing.rs`    | who gives a block of memory: the heap, or the caller's functions?    |
//! | `layout.rs`     | what lies where in that memory, and how much of it is needed?        |
//! | `slot.rs`       | what does the word in front of an entry say?                         |
//! | `likely_owner.rs` | whose is an entry, before its word has come from memory?            |
//! | `sync.rs`       | whose atomics: the machine's or the model checker's?                 |
//! | `fence.rs`      | how does the common path order a store and a load for nothing?       |
//! | `inlined.rs`    | what may code that is inlined into programs read of the library?     |
//! | `thread_index.rs` | which cache is the calling thread's?                               |
//! | `work.rs`       | how much does a call do?                                             |
//! | `magazine.rs`   | what changes hands whole between caches and the depot?               |
//! | `cache.rs`      | what does a thread keep, and how do others get it back?              |
//! | `cache/claim.rs` | how does a thief count what is in all caches before it takes any?   |
//! | `cache_plan.rs` | how many threads have a cache, and what memory is there for it?      |
//! | `watcher.rs`    | who watches the memory, and how is it told which bytes are whose?    |
//! | `zero.rs`       | how is an entry made all zero?                                       |
//! | `canary.rs`     | what lies behind the end of a hardened pool's entry?                 |
//! | `depot.rs`      | which slots are free, beside those in caches?                        |
//! | `depot/random.rs` | which free slot do random numbers stand for?                       |
//! | `dynamic.rs`    | what about entries that came from the heap?                          |
//! | `dynamic/border.rs` | what of a dynamic entry's block is nobody's?                     |
//! | `pool.rs`       | how does a pool of equal slots hand out and take back?               |
//! | `pool/making.rs` | how does a pool begin, and how does it end?                         |
//! | `pool/shared.rs` | what do threads share behind a pool's lock?                         |
//! | `pool/trade.rs` | how do caches and the depot trade?                                   |
//! | `pool/opening.rs` | when is a cache open, and how much may it have?                    |
//! | `pool/shortage.rs` | what when the depot is empty, and others' caches are not?         |
//! | `pool/bulk.rs`  | how do many entries go out or come back at once?                     |
//! | `pool/promise.rs` | how does a call take from several pools, or leave all as it was?    |
//! | `pool/guard.rs` | what more does a guarded pool do with an entry?                       |
//! | `pool/hardened.rs` | what does a hardened pool look at?                                 |
//! | `pool/draw.rs`  | which slot does a hardened pool hand out next?                        |
//! | `pool/quarantine.rs` | which slots does a guarded pool keep back?                       |
//! | `pool/refuse.rs` | what is an address that was freed and may not be?                   |
//! | `pool/leaks.rs` | which entries are out when a pool goes?                              |
//! | `pool/inspect.rs` | what does a pool say of itself and of its entries?                 |
//! | `collection.rs` | which pools share a region, and how are they made and destroyed?     |
//! | `collection/handle.rs` | which live collection does a caller mean?                     |
//! | `ranged.rs`     | which class serves a size, and what when it is empty?                |
//! | `pool/fork.rs`  | what does a fork do to one pool?                                     |
//! | `forking.rs`    | how does a child of fork get every pool in order?                    |
//! | `weak.rs`       | does the program have a function of this name?                       |
//! | `load.rs`       | what is done when the library is loaded?                             |
//! | `registry.rs`   | which pools exist, and which one holds this address?                 |
//! | `registry/tree.rs` | which live pool has this handle?                                  |
//! | `registry/former.rs` | where were pools that are destroyed?                            |
//! | `stats.rs`      | what does a pool tell of how full it is?                             |
//! | `dump.rs`       | how is a pool shown to a person, or to a program as JSON?            |
//! | `report.rs`     | what does a handler of misuse get, and which handler is it?          |
//! | `misuse.rs`     | what went wrong, in one line, and then the end                       |
//! | `capi/`         | the C face: checks arguments, calls the rooms above, nothing else    |
//!
//! The words: a *slot* is memory in a pool, a *word* and a payload; an *entry* is what the caller
//! holds, a pointer to the payload; a *class* is one pool of a ranged pool; a *cache* keeps free
//! slots for one thread, the *depot* those for all; a *magazine* is an array of entries that changes hands
//! between them, and the *rack* has those that are in no cache; a *dynamic entry* came from the heap because
//! its pool was empty.
//!
//! A call, all the way down (`->` the usual way, `~>` the rare one):
//!
//! ```text
//! mempool_alloc_entry -> Pool::alloc_fast -> Cache::pop (inlined: the same in cmempool.h)
//!                     ~> Pool::alloc_slow (cache empty, closed or none)
//!                          -> alloc_through -> refill -> Rack::take_filled for the empty magazine
//!                                                     ~> Depot::take_many into the cache
//!                          ~> take_one (no cache) -> Depot::take
//!                                ~> take_back_from_caches (depot empty: closes all caches)
//!                     ~> dynamic::alloc (all out, may fall back)
//! mempool_free_entry  -> Pool::free -> Cache::push
//!                                   ~> settle_push (cache full or closed)
//!                                        -> make_room -> Rack::take_empty for the full magazine
//!                                   ~> free_slow (no cache) -> Depot::give
//!                                   ~> free_unusual -> dynamic::free
//!                                                   ~> refuse -> misuse::stop
//! r_mempool_alloc_entry -> Collection::pool_for -> Pool::alloc_fast of the fitting class
//!                       ~> Collection::alloc_missed -> Pool::alloc_slow
//!                                                 ~> alloc_elsewhere (cascade, heap)
//! ```
//!
//! # Safety
//!
//! The words the functions of the C face use in their `# Safety` sections:
//!
//! * *a live pool*: a pointer that a create function returned and that no destroy function has
//!   been called with since; NULL where the text allows it.
//! * *a live entry*: a pointer that an alloc, calloc or realloc function returned and that has not
//!   been freed since, by the caller or with its pool. A pointer that is not one is caught as the
//!   header says, as long as the 8 bytes before it can be read.

#![cfg_attr(all(panic = "abort", not(test)), no_std)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("cmempool supports 64-bit Linux: it relies on futexes and 48-bit addresses");

mod backing;
mod cache;
mod cache_plan;
mod canary;
mod cancellation;
mod capi;
mod collection;
mod depot;
mod dump;
mod dynamic;
mod error;
mod fence;
mod forking;
mod inlined;
mod layout;
mod likely_owner;
mod line;
mod load;
mod lock;
mod magazine;
mod misuse;
mod pool;
mod ranged;
mod region;
mod registry;
mod report;
mod secret;
mod settings;
mod slot;
mod stats;
mod sync;
mod thread_index;
mod watcher;
mod weak;
mod work;
mod zero;

pub use capi::*;

/// A C program has no Rust runtime to unwind or print with: a bug in here ends in `abort`.
///
/// Test builds link `std`, which brings its own handler; they are built with `panic = "unwind"`.
#[cfg(all(panic = "abort", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    misuse::internal_error()
}

// The precompiled `core` refers to an unwinder that `panic = "abort"` never calls. Builds without
// link-time optimisation, such as `cargo build`'s with an rlib beside, keep the reference. Weak: a
// program that has Rust's `std` has the real one.
#[cfg(all(panic = "abort", not(test)))]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality: .long 0",
    ".popsection",
);
