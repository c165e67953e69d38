//! Which system is it?

#[cfg(target_os = "linux")]
pub use super::linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "cmempool knows nothing of this system: `src/os/mod.rs` says what one has to provide"
);
