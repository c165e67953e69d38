//! What says whose an entry is, and which slots are free?

pub mod canary;
pub mod depot;
pub mod inlined;
pub mod likely_owner;
pub mod secret;
pub mod word;
pub mod work;
