//! How are entries from the heap, or from the pool's backing, kept?
//!
//! ```text
//! [ next | previous | size | where | guard | word | payload .. | gap ]
//!                                                   ^ the entry
//! ```
//!
//! Each knows its size, so realloc knows how much to copy, and its place in its pool's list, so
//! destroy releases what the caller never freed. O(1) beside the heap's own cost. Nothing is locked
//! while the heap or the backing is at work.
//!
//! In hardened pools a canary lies from the size asked for to the end of the gap. The tools are told that no
//! code may touch that, nor what lies before the entry.

mod block;
mod border;
mod exchange;
mod list;

use crate::memory::fields::Field;

/// What a debugger reads.
pub const FIELDS: [&[Field]; 2] = [DynamicEntries::FIELDS, block::Block::FIELDS];

pub use self::block::{Care, Fault, tail_of};
pub use self::border::{border, close_start, fit, look_at_all, open_start};
pub use self::exchange::{
    close_around, enter, enter_below, forgo, free, next, obtain, release_all, set_next,
};
pub use self::list::{DynamicEntries, size, start, starts};
