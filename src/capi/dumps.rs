//! Reports of pools, to a stream.

use super::ordinary::{self, mempool};
use super::ranged::{self, r_mempool};
use crate::collection::body::Collection;
use crate::dump::{self, Form, Stream};
use crate::os::File as FILE;

/// # Reports
///
/// Writes a report for a person: the pool's name, how full it is and was, a bar, how much memory it takes, and
/// advice where it was exhausted or never used.
///
/// ```text
/// pool "sessions" at 0x7f12a4c00080: 88 KiB; hands out its own, ..
///       size  capacity      used      peak  0%      used, peak  ..
///       64 B      1000       412       871  [##########---------..
/// ```
///
/// Behind the bar it shows how often the pool or class was exhausted, how many entries from the heap are out,
/// and how many were out at most.
///
/// If writing to the stream fails, `ferror` says so.
///
/// @param mp   a live pool; NULL writes nothing
/// @param out  a `FILE` that is open for writing
///
/// Threads: safe; as exact as `mempool_get_stats`. If other threads write to the same stream meanwhile, their
/// text may come in between, even inside a line, unless you lock the stream with `flockfile`. Cost: writing
/// some lines.
///
/// # Safety
/// `mp` is NULL or a live pool, `out` a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dump(mp: *const mempool, out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe {
        dump_of(ordinary::live(b"mempool_dump", mp).map(Collection::of_pool), out, Form::Text)
    }
}

/// As `mempool_dump`, with a line and a bar for each class of a ranged pool.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool, `out` a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_dump(rmp: *const r_mempool, out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe { dump_of(ranged::live(b"r_mempool_dump", rmp), out, Form::Text) }
}

/// As `mempool_dump` and `r_mempool_dump`, for all pools of the process.
///
/// The pools come in the reverse order of their creation.
///
/// Threads: safe from any thread at any time; as exact as `mempool_get_stats`. A pool that is created meanwhile
/// is not in the report; one that is destroyed meanwhile is in it as a whole, in part or not at all. No lock of
/// the library is held while the stream is written to: a slow stream holds up no other thread. Cost: O(log
/// pools) for each pool, beside the writing.
///
/// # Safety
/// `out` is a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dump_all(out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe { dump_all(out, Form::Text) }
}

/// Writes the same as one line of JSON, for programs: an object with `kind` (`"ordinary"` or
/// `"ranged"`), `name`, `address`, `policy`, `bytes_reserved`, and in `classes` one object for each
/// class, an ordinary pool's only one included, with the members of `mempool_stats` by name.
///
/// # Safety
/// `mp` is NULL or a live pool, `out` a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dump_json(mp: *const mempool, out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe {
        dump_of(ordinary::live(b"mempool_dump_json", mp).map(Collection::of_pool), out, Form::Json)
    }
}

/// As `mempool_dump_json`, of a ranged pool.
///
/// # Safety
/// `rmp` is NULL or a live ranged pool, `out` a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn r_mempool_dump_json(rmp: *const r_mempool, out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe { dump_of(ranged::live(b"r_mempool_dump_json", rmp), out, Form::Json) }
}

/// As `mempool_dump_all`, a line of JSON for each pool.
///
/// # Safety
/// `out` is a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dump_all_json(out: *mut FILE) {
    // SAFETY: by this function's contract.
    unsafe { dump_all(out, Form::Json) }
}

/// Writes the figures of all pools of the process as OpenMetrics text, for Prometheus and its like.
///
/// A family for each figure of `mempool_stats`: `cmempool_used`, `cmempool_peak_used`, `cmempool_exhausted_total` and
/// so on. Each sample has the labels `pool`, the name; `class`, the usable bytes of an entry; and `address`, by
/// which pools of one name are told apart. `exhausted` and `failed` are counters: they only grow. Content type:
/// `application/openmetrics-text; version=1.0.0; charset=utf-8`. `c-examples/metrics.c` serves it.
///
/// @param out  where to; a `FILE` that is open for writing
///
/// Threads: as `mempool_dump_all`. Cost: that of writing, and O(log pools) for each pool and figure.
///
/// # Safety
/// `out` is a stream.
#[cfg(not(feature = "bare"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_dump_all_openmetrics(out: *mut FILE) {
    // SAFETY: by this function's contract.
    if let Some(out) = unsafe { Stream::new(out) } {
        dump::metrics(out);
    }
}

/// # Safety
/// `out` is a stream or NULL.
unsafe fn dump_of(collection: Option<&Collection>, out: *mut FILE, form: Form) {
    // SAFETY: by this function's contract.
    if let (Some(collection), Some(out)) = (collection, unsafe { Stream::new(out) }) {
        dump::one(collection, out, form);
    }
}

/// # Safety
/// `out` is a stream or NULL.
unsafe fn dump_all(out: *mut FILE, form: Form) {
    // SAFETY: by this function's contract.
    if let Some(out) = unsafe { Stream::new(out) } {
        dump::all(out, form);
    }
}
