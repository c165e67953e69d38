//! What does a thread keep of a pool, and how do others get it back?

pub mod cache;
mod claim;
mod life;
pub mod magazine;
#[cfg(all(test, loom))]
mod model;
mod thief;
pub mod thread_index;
