//! How does a pool of equal slots hand out and take back?
//!
//! `body.rs` has what a pool is made of; the other files are what it does. The fast paths are in `fast.rs`;
//! `refill.rs` and `flush.rs` go on where they end, `shortage.rs` where the depot does.

pub mod body;
pub mod bulk;
#[cfg(test)]
mod check;
pub mod common;
pub mod draw;
mod dynamic;
pub mod fast;
pub mod fields;
mod flush;
mod fork;
mod guard;
pub mod guarding;
mod hardened;
pub mod heap;
pub mod holders;
mod inspect;
mod leaks;
mod limits;
mod lines;
mod making;
mod many;
mod opening;
pub mod plan;
mod promise;
mod quarantine;
mod refill;
pub mod shared;
mod shortage;
pub mod stats;
pub mod traits;
