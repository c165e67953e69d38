//! What did a system call do?

/// Of bytes that were to be written.
#[allow(dead_code, reason = "not all systems have each")]
pub enum Written {
    /// So many of them were.
    Part(usize),
    /// None yet: try again.
    Again,
    /// None, and none will be.
    Not,
}

/// Of a lock that was to be taken.
#[allow(dead_code, reason = "not all systems have each")]
#[derive(PartialEq, Eq)]
pub enum Taken {
    /// Nobody had it.
    Free,
    /// A thread that is dead had it.
    FromDead,
    /// Another thread has it.
    No,
}
