//! Which system is it?

#[cfg(feature = "bare")]
pub use super::bare::*;
#[cfg(all(target_os = "freebsd", not(feature = "bare")))]
pub use super::freebsd::*;
#[cfg(all(target_os = "linux", not(feature = "bare")))]
pub use super::linux::*;
#[cfg(all(target_os = "macos", not(feature = "bare")))]
pub use super::macos::*;
#[cfg(all(windows, not(feature = "bare")))]
pub use super::windows::*;

#[cfg(not(any(
    feature = "bare",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "macos",
    windows
)))]
compile_error!(
    "cmempool knows nothing of this system: `src/os/mod.rs` says what one has to provide, and the feature \
     `bare` asks for none"
);

#[cfg(all(windows, not(target_pointer_width = "64"), not(feature = "bare")))]
compile_error!("on Windows cmempool is for 64-bit programs");

/// Whether there is one thread alone, so that nothing is locked and no thread has a cache.
pub const ONE_THREAD: bool = cfg!(feature = "bare");

/// Whether the library is to be small: without guarded pools, entries of the heap and reports of all pools.
pub const SMALL: bool = cfg!(feature = "bare");
