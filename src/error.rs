//! What can a caller's request be refused for?

/// Why a call returned NULL. The C face turns it into `errno`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The arguments make no sense, whatever the state of the machine: `EINVAL`.
    Invalid,
    /// The arguments make sense, but the memory can't be had: `ENOMEM`.
    NoMemory,
    /// The memory may not be locked: `EPERM`.
    NotPermitted,
    /// Not all of the memory could be locked just now: `EAGAIN`.
    NotNow,
}

impl Error {
    /// Stores this error in the calling thread's `errno`.
    #[cold]
    pub fn set_errno(self) {
        let code = match self {
            Error::Invalid => libc::EINVAL,
            Error::NoMemory => libc::ENOMEM,
            Error::NotPermitted => libc::EPERM,
            Error::NotNow => libc::EAGAIN,
        };
        // SAFETY: libc returns the address of the calling thread's own `errno`.
        unsafe { *libc::__errno_location() = code };
    }
}
