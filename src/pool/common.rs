//! What do the pools of a collection have in common?

use crate::memory::backing::Backing;
use crate::memory::fields::{Field, fields};
use crate::report::line::cut;
use crate::report::misuse::NAME_MAX;

/// Constant after create. A collection begins with it.
#[repr(C)]
pub struct Common {
    /// What the user holds.
    pub handle: usize,
    /// Where dynamic entries come from, if not from the heap, and the region, if it is backed.
    pub backing: Option<Backing>,
    name_len: usize,
    name: [u8; NAME_MAX + 1],
}

impl Common {
    /// What a debugger reads of it.
    pub const FIELDS: &[Field] = fields!(Common: handle, name_len, name);

    /// The name is cut to [`NAME_MAX`] bytes.
    pub fn new(handle: usize, backing: Option<Backing>, name: &[u8]) -> Self {
        let given = cut(name, NAME_MAX);
        let mut name = [0; NAME_MAX + 1];
        name[..given.len()].copy_from_slice(given);
        Self { handle, backing, name_len: given.len(), name }
    }

    /// The name with a 0 at its end.
    pub fn c_name(&self) -> *const u8 {
        self.name.as_ptr()
    }

    /// As given at create; empty without one.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }
}
