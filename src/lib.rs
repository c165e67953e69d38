//! cmempool: memory pools with a C ABI. Blocks are allocated up front, handed out and taken back in
//! O(1); a ranged pool is a collection of pools, one per size class.
//!
//! The rooms. Each imports those above it in this list alone, and within a room no two files import each
//! other (`tests/layers.rs` reads the `use` lines):
//!
//! | room          | the question it answers                                                       |
//! |---------------|-------------------------------------------------------------------------------|
//! | `os/`         | what do the machine and the system give?                                      |
//! | `report/`     | what went wrong, in one line, and who hears of it?                            |
//! | `memory/`     | where does a pool's memory come from, and what lies where in it?              |
//! | `slots/`      | what says whose an entry is, and which slots are free?                        |
//! | `caches/`     | what does a thread keep of a pool, and how do others get it back?             |
//! | `pool/`       | how does a pool of equal slots hand out and take back?                        |
//! | `collection/` | which pools belong together, which exist, and which one serves a request?     |
//! | `dump/`       | how is a pool shown to a person, to a program, or to a debugger?              |
//! | `capi/`       | the C face: checks arguments, calls the rooms above, nothing else             |
//!
//! Each file begins with its own question.
//!
//! The words: a *slot* is memory in a pool: a *word* (the header) and a payload. An *entry* is what
//! the caller holds, a pointer to the payload. A *class* is one pool of a ranged pool. A *cache*
//! keeps free slots for one thread, the *depot* for all threads. A *magazine* is an array of
//! entries that is exchanged between them; the *rack* has the magazines that are in no cache. A
//! *dynamic entry* came from the heap because its pool was empty.
//!
//! The way of a call (`->` is the usual way, `~>` the rare one):
//!
//! ```text
//! mempool_alloc_entry -> Pool::alloc_fast -> Cache::pop (inlined: the same in cmempool.h)
//!                     ~> Pool::alloc_slow (cache empty, closed or none)
//!                          -> alloc_through -> refill -> Rack::take_filled for the empty magazine
//!                                                     ~> Depot::take_many into the cache
//!                          ~> take_one (no cache) -> Depot::take
//!                                ~> take_back_from_caches (depot empty: closes all caches)
//!                     ~> dynamic::alloc (all out, may fall back)
//! mempool_free_entry  -> Pool::free_slot -> Cache::push
//!                                   ~> settle_push (cache full or closed)
//!                                        -> make_room -> Rack::take_empty for the full magazine
//!                                   ~> free_slow (no cache) -> Depot::give
//!                                   ~> free_dynamic -> dynamic::free
//!                     ~> refuse (no entry that is out) -> misuse::stop
//! r_mempool_alloc_entry -> Collection::pool_for -> Pool::alloc_fast of the fitting class
//!                       ~> Collection::alloc_missed -> Pool::alloc_slow
//!                                                 ~> alloc_elsewhere (cascade, heap)
//! ```
//!
//! # Safety
//!
//! The words the functions of the C face use in their `# Safety` sections:
//!
//! * *a live pool*: a pointer that a create function returned and that was not destroyed since;
//!   NULL where the text allows it.
//! * *a live entry*: a pointer that an alloc, calloc or realloc function returned and that has not
//!   been freed since, by the caller or with its pool. A pointer that is not one is caught as the
//!   header says, as long as the 8 bytes before it can be read.

#![cfg_attr(all(panic = "abort", not(test)), no_std)]
#![cfg_attr(
    feature = "bare",
    allow(dead_code, reason = "a small library does not use all of each room")
)]

mod caches;
mod capi;
mod collection;
#[cfg(not(feature = "bare"))]
mod dump;
mod memory;
mod os;
mod pool;
mod report;
mod slots;

pub use capi::*;

/// A C program has no Rust runtime that could unwind or print: a panic in the library ends in
/// `abort`.
///
/// Test builds link `std`, which brings its own handler; they are built with `panic = "unwind"`.
#[cfg(all(panic = "abort", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    report::misuse::internal_error()
}
