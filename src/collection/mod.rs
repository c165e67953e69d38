//! Which pools belong together, which exist, and which one serves a request?

pub mod body;
pub mod forking;
pub mod handle;
pub mod making;
pub mod ranged;
mod records;
pub mod refuse;
pub mod registry;
mod settings;
pub mod sizes;
#[cfg(test)]
mod tests;
