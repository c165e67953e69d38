//! What went wrong, in one line, and who hears of it?

pub mod handler;
pub mod line;
pub mod misuse;
