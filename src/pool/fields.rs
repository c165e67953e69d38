//! What of a pool does a debugger read?

use super::body::Pool;
use super::dynamic::{self, DynamicEntries};
use super::guarding::Beside;
use super::holders;
use super::plan::CachePlan;
use super::quarantine::Quarantine;
use super::shared::Shared;
use super::traits::Traits;
use crate::memory::fields::Field;
use crate::os::lock::Locked;

/// The fields of a pool and of what it is made of.
pub const FIELDS: [&[Field]; 13] = [
    Pool::FIELDS,
    LOCKS,
    Traits::FIELDS,
    CachePlan::FIELDS,
    Shared::FIELDS,
    Beside::FIELDS[0],
    Beside::FIELDS[1],
    Quarantine::FIELDS,
    dynamic::FIELDS[0],
    dynamic::FIELDS[1],
    holders::FIELDS[0],
    holders::FIELDS[1],
    holders::FIELDS[2],
];

const SHARED: [usize; 3] = Locked::<Shared>::PLACES;
const DYNAMIC: [usize; 3] = Locked::<DynamicEntries>::PLACES;

/// Where in a lock the value lies, its tally, and the lock's state.
const LOCKS: &[Field] = &[
    Field::number("Shared.AT", SHARED[0]),
    Field::number("Shared.TALLY_AT", SHARED[1]),
    Field::number("Shared.STATE_AT", SHARED[2]),
    Field::number("DynamicEntries.AT", DYNAMIC[0]),
    Field::number("DynamicEntries.TALLY_AT", DYNAMIC[1]),
    Field::number("DynamicEntries.STATE_AT", DYNAMIC[2]),
];
