//! How is a pool shown to a debugger, which can call nothing and may have no symbols?
//!
//! By a table of where things lie. `gdb/cmempool-gdb.py` finds it by its first bytes, also in a stripped
//! library, in a static program and in a core: the loader writes the addresses in it, so that a core has its
//! page. The script lists the same names in the same order, and compares a hash of them.

use crate::caches::cache::{Cache, GRAIN};
use crate::caches::magazine::{BESIDE_ROOM, Rack, SIZES, UNIT};
use crate::caches::thread_index::{self, CACHE_DISTANCE, Life};
use crate::collection::body::{Collection, LEAD, Policy};
use crate::collection::registry;
use crate::memory::fields::Field;
use crate::memory::layout::WORD;
use crate::memory::region::{self, Region};
use crate::os::OwnerLock;
use crate::pool::body::Pool;
use crate::pool::common::Common;
use crate::pool::fields;
use crate::slots::depot::Depot;
use crate::slots::inlined::{PROCESS, Process};
use crate::slots::word::{STATE_BITS, STATES};

/// Counts changes of what the names below mean. New names, and fields of another size, change the hash.
const VERSION: u32 = 1;

/// What there is no field for.
const NUMBERS: &[Field] = &[
    Field::number("Collection.LEAD", LEAD),
    Field::number("Policy.Ordinary", Policy::Ordinary as usize),
    Field::number("Policy.Disabled", Policy::Disabled as usize),
    Field::number("Policy.AtFirstExhaustion", Policy::AtFirstExhaustion as usize),
    Field::number("Policy.AtLastExhaustion", Policy::AtLastExhaustion as usize),
    Field::number("Region.NOTE_HUGE_PAGES", region::NOTE_HUGE_PAGES as usize),
    Field::number("Region.NOTE_LOCKED", region::NOTE_LOCKED as usize),
    Field::number("Pool.BYTES", size_of::<Pool>()),
    Field::number("Slot.WORD", WORD),
    Field::number("Cache.BYTES", CACHE_DISTANCE),
    Field::number("Cache.GRAIN", GRAIN),
    Field::number("Rack.UNIT", UNIT),
    Field::number("Rack.BESIDE_ROOM", BESIDE_ROOM),
    Field::number("Rack.SIZES", SIZES),
    Field::number("Life.BYTES", size_of::<Life>()),
    Field::number(
        "Life.HOLDER_AT",
        match OwnerLock::HOLDER_AT {
            Some(at) => at,
            None => NOWHERE as usize,
        },
    ),
];
/// In the place of an offset that is not known.
const NOWHERE: u16 = u16::MAX;

const PARTS: &[&[&[Field]]] = &[
    &[NUMBERS, Process::FIELDS],
    &registry::FIELDS,
    &[Common::FIELDS, Collection::FIELDS, Region::FIELDS],
    &fields::FIELDS,
    &[Depot::FIELDS, Rack::FIELDS, Cache::FIELDS, Life::FIELDS],
];

/// One of all fields, in their order.
const fn field(mut index: usize) -> Option<&'static Field> {
    let (mut part, mut list) = (0, 0);
    while part < PARTS.len() {
        if list == PARTS[part].len() {
            (part, list) = (part + 1, 0);
        } else if index < PARTS[part][list].len() {
            return Some(&PARTS[part][list][index]);
        } else {
            index -= PARTS[part][list].len();
            list += 1;
        }
    }
    None
}

const COUNT: usize = {
    let mut count = 0;
    while field(count).is_some() {
        count += 1;
    }
    count
};

/// Every offset and number, and a hash of their names and of the sizes of what is no struct (FNV-1a).
const OFFSETS: ([u16; COUNT], u32) = {
    let (mut offsets, mut hash) = ([0; COUNT], 0x811C_9DC5 ^ VERSION);
    let mut index = 0;
    while let Some(&Field { name, at, size }) = field(index) {
        assert!(at <= NOWHERE as usize);
        let mut byte = 0;
        while byte < name.len() {
            hash = (hash ^ name.as_bytes()[byte] as u32).wrapping_mul(0x0100_0193);
            byte += 1;
        }
        let read_whole = matches!(size, 1 | 2 | 4 | 8);
        hash = (hash ^ if read_whole { size as u32 } else { 0 }).wrapping_mul(0x0100_0193);
        offsets[index] = at as u16;
        index += 1;
    }
    (offsets, hash)
};

#[repr(C)]
struct Table {
    magic: [u8; 16],
    states: [u64; STATES.len() + 1], // in their order; last, the bits in which they are told apart
    this: *const Table, // says that this is no copy, how wide an address is, and its byte order
    names: u32,         // the hash
    version: [u8; 4],   // of the library: major, minor, patch
    roots: [*const (); 5],
    offsets: [u16; COUNT],
}

// SAFETY: nobody writes it, nor what it points to by way of it.
unsafe impl Sync for Table {}

static TABLE: Table = Table {
    magic: *b"cmempool for gdb",
    states: {
        let mut states = [STATE_BITS; STATES.len() + 1];
        let mut at = 0;
        while at < STATES.len() {
            states[at] = STATES[at] as u64;
            at += 1;
        }
        states
    },
    this: &raw const TABLE,
    names: OFFSETS.1,
    version: [
        number(env!("CARGO_PKG_VERSION_MAJOR")),
        number(env!("CARGO_PKG_VERSION_MINOR")),
        number(env!("CARGO_PKG_VERSION_PATCH")),
        0,
    ],
    roots: [
        registry::ROOT,
        (&raw const PROCESS).cast(),
        thread_index::ROOTS[0],
        thread_index::ROOTS[1],
        thread_index::ROOTS[2],
    ],
    offsets: OFFSETS.0,
};

/// What a part of the version says.
const fn number(digits: &str) -> u8 {
    match u8::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("a part of the version is a small number"),
    }
}

/// Refers to the table: linkers drop what nothing refers to.
pub fn keep() {
    core::hint::black_box(&raw const TABLE);
}
