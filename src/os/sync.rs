//! Whose atomics are used?
//!
//! Those of the thread protocol are the machine's, or those of loom, which tries every order.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU16, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU16, fence};

pub use core::sync::atomic::AtomicU64;
