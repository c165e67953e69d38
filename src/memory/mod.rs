//! Where does a pool's memory come from, and what lies where in it?

pub mod backing;
pub mod fields;
pub mod layout;
mod presence;
pub mod region;
pub mod zero;
