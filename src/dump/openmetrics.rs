//! How are the figures of pools shown to a monitor, as OpenMetrics?
//!
//! Samples of a family follow each other, so all pools are gone through once for each family.

use super::head::Head;
use super::stream::Stream;
use crate::pool::stats::mempool_stats;
use crate::report::line::printable;

/// A figure, of all classes of all pools.
pub struct Family {
    name: &'static [u8],
    kind: Kind,
    help: &'static [u8],
    value: fn(&mempool_stats) -> u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It rises and falls.
    Gauge,
    /// The same, in bytes.
    Bytes,
    /// It only grows.
    Counter,
}

/// What there is.
pub const FAMILIES: [Family; 11] = [
    Family {
        name: b"cmempool_capacity",
        kind: Kind::Gauge,
        help: b"Entries that the pool or class was made for.",
        value: |class| class.capacity as u64,
    },
    Family {
        name: b"cmempool_used",
        kind: Kind::Gauge,
        help: b"Entries of its own that are out.",
        value: |class| class.used as u64,
    },
    Family {
        name: b"cmempool_peak_used",
        kind: Kind::Gauge,
        help: b"The most of these at once.",
        value: |class| class.peak_used as u64,
    },
    Family {
        name: b"cmempool_cached",
        kind: Kind::Gauge,
        help: b"Free entries in the caches of threads.",
        value: |class| class.cached as u64,
    },
    Family {
        name: b"cmempool_dynamic_used",
        kind: Kind::Gauge,
        help: b"Entries from the heap that are out.",
        value: |class| class.dynamic_used as u64,
    },
    Family {
        name: b"cmempool_dynamic_peak",
        kind: Kind::Gauge,
        help: b"The most of these at once.",
        value: |class| class.dynamic_peak as u64,
    },
    Family {
        name: b"cmempool_exhausted",
        kind: Kind::Counter,
        help: b"Calls that it should have served and had no entry for.",
        value: |class| class.exhausted,
    },
    Family {
        name: b"cmempool_failed",
        kind: Kind::Counter,
        help: b"Those of these calls that returned NULL.",
        value: |class| class.failed,
    },
    Family {
        name: b"cmempool_reserved_bytes",
        kind: Kind::Bytes,
        help: b"Memory that was set aside at create.",
        value: |class| class.bytes_reserved as u64,
    },
    Family {
        name: b"cmempool_cache_bytes",
        kind: Kind::Bytes,
        help: b"The part of it that is caches.",
        value: |class| class.cache_bytes as u64,
    },
    Family {
        name: b"cmempool_per_entry_bytes",
        kind: Kind::Bytes,
        help: b"From an entry to the next.",
        value: |class| class.bytes_per_entry as u64,
    },
];

impl Family {
    /// What is said of the family before its samples.
    #[cold]
    #[inline(never)]
    pub fn write_head(&self, out: Stream) {
        let kind: &[u8] = if self.kind == Kind::Counter { b" counter\n" } else { b" gauge\n" };
        out.texts(&[b"# TYPE ", self.name, kind]);
        if self.kind == Kind::Bytes {
            out.texts(&[b"# UNIT ", self.name, b" bytes\n"]);
        }
        out.texts(&[b"# HELP ", self.name, b" ", self.help, b"\n"]);
    }

    /// The figure of a class.
    #[cold]
    #[inline(never)]
    pub fn write_sample(&self, head: &Head, class: &mempool_stats, out: Stream) {
        let suffix: &[u8] = if self.kind == Kind::Counter { b"_total" } else { b"" };
        out.texts(&[self.name, suffix, b"{pool=\""]);
        for character in printable(head.name()) {
            if matches!(character, b"\"" | b"\\") {
                out.text(b"\\");
            }
            out.text(character);
        }
        out.text(b"\",class=\"");
        out.decimal(class.elem_size as u64);
        out.text(b"\",address=\"0x");
        out.hex(head.address as u64);
        out.text(b"\"} ");
        out.decimal((self.value)(class));
        out.text(b"\n");
    }
}
