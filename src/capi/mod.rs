//! The C face: checks arguments, calls the rooms below, nothing else.
//!
//! The comments on public items become the header, `include/cmempool.h`, and that the man pages;
//! `cbindgen.toml` holds the header's macros. Names are C's.
//!
//! A comment starts with a sentence that says what the item is for. A title before that, `# Allocate an entry`,
//! opens a section of the header; all that stands under the same title is one man page, named after the first
//! function there. `@param name  text`, `@return text` and, for each value of `errno`, `@errno NAME  text` have
//! their places in a page, and so has a paragraph that starts with `Threads`. Code stands between fences, or
//! indented by four. `# Safety` is for Rust alone.

#![allow(non_camel_case_types)]

mod answer;
mod bulk;
#[cfg(not(feature = "bare"))]
mod dumps;
mod flags;
mod inlined;
mod inspect;
mod load;
mod misuse;
mod newer;
mod options;
mod ordinary;
mod ranged;
mod walk;

pub use bulk::*;
#[cfg(not(feature = "bare"))]
pub use dumps::*;
pub use flags::*;
pub use inlined::*;
pub use inspect::*;
pub use misuse::*;
pub use newer::*;
pub use options::*;
pub use ordinary::*;
pub use ranged::*;
pub use walk::*;
