//! Why can a caller's request be refused?

/// Why a call returned NULL. The C face turns it into `errno`.
#[allow(dead_code, reason = "not all systems have each")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The arguments are invalid, whatever the state of the machine: `EINVAL`.
    Invalid,
    /// The arguments are valid, but memory is not available: `ENOMEM`.
    NoMemory,
    /// The memory may not be locked: `EPERM`.
    NotPermitted,
    /// Not all of the memory could be locked just now: `EAGAIN`.
    NotNow,
}
