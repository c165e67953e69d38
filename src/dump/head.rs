//! What is there to say of a pool, all its classes together?

use crate::collection::body::{Collection, Policy};
use crate::report::misuse::NAME_MAX;

/// What there is to say of all classes together.
pub struct Head {
    name: [u8; NAME_MAX],
    name_len: usize,
    pub address: usize,
    policy: Policy,
    falls_back: bool,
    pub bytes: usize,
    pub notes: u64,
}

impl Head {
    /// Of a live collection.
    pub fn of(collection: &Collection) -> Self {
        let pool = collection.pools()[0];
        let mut name = [0; NAME_MAX];
        let name_len = collection.name().len();
        name[..name_len].copy_from_slice(collection.name());
        Self {
            name,
            name_len,
            address: pool.subject().address,
            policy: collection.policy(),
            falls_back: pool.falls_back(),
            bytes: collection.region_range().len(),
            notes: collection.notes(),
        }
    }

    /// As given at create; may be empty.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }

    /// Whether it has classes.
    pub fn is_ranged(&self) -> bool {
        self.policy != Policy::Ordinary
    }

    /// What happens when it is empty, for a person and for a program.
    #[inline(never)]
    pub fn policy(&self) -> (&'static [u8], &'static [u8]) {
        match self.policy {
            Policy::Ordinary if self.falls_back => (b"then takes from the heap", b"heap"),
            Policy::Ordinary => (b"then returns NULL", b"null"),
            Policy::Disabled => {
                (b"then takes larger entries, then returns NULL", b"fallback_disabled")
            }
            Policy::AtFirstExhaustion => {
                (b"then takes from the heap", b"fallback_at_first_exhaustion")
            }
            Policy::AtLastExhaustion => {
                (b"then takes larger entries, then from the heap", b"fallback_at_last_exhaustion")
            }
        }
    }
}
