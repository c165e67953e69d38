//! Where were the pools that are destroyed?
//!
//! The last few are remembered, to tell a late free, or a second destroy, from a pointer that never was the
//! library's.

use crate::collection::body::{Collection, Policy};
use crate::memory::fields::{Field, fields};
use crate::report::misuse::{NAME_MAX, Subject};

/// How many destroyed collections are remembered.
#[cfg(not(feature = "bare"))]
const FORMERS: usize = 16;
/// As above.
#[cfg(feature = "bare")]
const FORMERS: usize = 2;

/// Where a collection was.
#[derive(Clone, Copy)]
pub struct Former {
    start: usize, // of memory that can still be read; `start == end` if that is gone
    end: usize,
    handle: usize,    // 0: nothing is remembered here
    elem_size: usize, // 0 for a ranged pool
    name: [u8; NAME_MAX],
    name_len: usize,
}

/// The last of them, in a ring.
pub struct Formers {
    ring: [Former; FORMERS],
    next: usize,
}

impl Former {
    const NONE: Self =
        Self { start: 0, end: 0, handle: 0, elem_size: 0, name: [0; NAME_MAX], name_len: 0 };

    /// What a report says about it.
    pub fn subject(&self) -> Subject<'_> {
        let name = &self.name[..self.name_len];
        Subject { name, address: self.handle, elem_size: self.elem_size, last: None }
    }
}

impl Formers {
    /// What a debugger reads of them, and of each.
    pub const FIELDS: [&[Field]; 2] =
        [fields!(Formers: ring), fields!(Former: start, end, handle, name, name_len)];
    /// Bytes from one to the next, and how many there are.
    pub const NUMBERS: [usize; 2] = [size_of::<Former>(), FORMERS];

    pub const NONE: Self = Self { ring: [Former::NONE; FORMERS], next: 0 };

    /// A collection is destroyed.
    pub fn remember(&mut self, collection: &Collection) {
        let range = collection.region_left_behind().unwrap_or(0..0);
        let Subject { name, address, elem_size, .. } = collection.pools()[0].subject();
        let mut former = Former {
            start: range.start,
            end: range.end,
            handle: address,
            elem_size: if collection.policy() == Policy::Ordinary { elem_size } else { 0 },
            name_len: name.len(),
            ..Former::NONE
        };
        former.name[..name.len()].copy_from_slice(name);
        self.ring[self.next] = former;
        self.next = (self.next + 1) % FORMERS;
    }

    /// A collection is created: what was at its place is forgotten.
    pub fn forget(&mut self, collection: &Collection) {
        let range = collection.region_range();
        for former in &mut self.ring {
            let overlaps = former.start < range.end && range.start < former.end;
            if overlaps || range.contains(&former.handle) {
                *former = Former::NONE;
            }
        }
    }

    /// The one whose memory, which can still be read, has this address.
    pub fn at(&self, address: usize) -> Option<&Former> {
        self.ring.iter().find(|former| (former.start..former.end).contains(&address))
    }

    /// The one that had this handle.
    pub fn with(&self, handle: usize) -> Option<&Former> {
        self.ring.iter().find(|former| former.handle == handle)
    }
}
