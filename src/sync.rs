//! The atomics of the thread protocol: the machine's, or those of loom, which tries every order.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicPtr, AtomicUsize, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicPtr, AtomicUsize, fence};
