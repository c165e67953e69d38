//! What went wrong, in one line, and who hears of it?

pub mod deed;
pub mod handler;
pub mod line;
pub mod misuse;
