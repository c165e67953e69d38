//! How is a pool shown to a person?

use super::head::Head;
use super::stream::Stream;
use crate::memory::region;
use crate::pool::holders::Callers;
use crate::pool::stats::mempool_stats;
use crate::report::line::printable;

/// Characters of a bar.
const BAR: usize = 24;

/// What is said of the whole pool, and the heads of its table.
#[cold]
#[inline(never)]
pub fn write_head(head: &Head, out: Stream) {
    out.text(if head.is_ranged() { &b"ranged pool"[..] } else { b"pool" });
    if !head.name().is_empty() {
        out.text(b" \"");
        for character in printable(head.name()) {
            out.text(character);
        }
        out.text(b"\"");
    }
    let (bytes, unit) = scaled(head.bytes);
    let (policy, _) = head.policy();
    let has = |note| head.notes & note != 0;
    let pages: &[u8] = if has(region::NOTE_HUGE_PAGES) {
        b" in huge pages"
    } else if has(region::NOTE_HUGE_PAGES_REFUSED) {
        b" (huge pages were refused)"
    } else {
        b""
    };
    let locked: &[u8] = if has(region::NOTE_LOCKED) { b", locked" } else { b"" };
    out.text(b" at 0x");
    out.hex(head.address as u64);
    out.text(b": ");
    out.decimal(bytes as u64);
    out.texts(&[b" ", unit, pages, locked, b"; hands out its own, ", policy, b"\n"]);
    out.texts(&[
        b"      size  capacity      used      peak  0%      used, peak      100%  ",
        b"exhausted  heap used heap peak\n",
    ]);
}

/// A class's row of the table.
#[cold]
#[inline(never)]
pub fn write_row(class: &mempool_stats, out: Stream) {
    let mut bar = [b' '; BAR];
    bar[..bar_length(class.peak_used, class.capacity)].fill(b'-');
    bar[..bar_length(class.used, class.capacity)].fill(b'#');
    out.padded(class.elem_size as u64, 8);
    out.text(b" B");
    for value in [class.capacity, class.used, class.peak_used] {
        out.padded(value as u64, 10);
    }
    out.texts(&[b"  [", &bar, b"]"]);
    out.padded(class.exhausted, 11);
    out.padded(class.dynamic_used as u64, 11);
    out.padded(class.dynamic_peak as u64, 10);
    out.text(b"\n");
}

/// In characters; at least one for what is not 0.
fn bar_length(count: usize, capacity: usize) -> usize {
    // No overflow: an entry takes 24 bytes or more of the address space.
    (count.min(capacity) * BAR).div_ceil(capacity.max(1))
}

/// What a person may do about a class.
#[cold]
#[inline(never)]
pub fn write_advice(class: &mempool_stats, out: Stream) {
    let begin = |text: &[u8]| {
        out.text(b"  ");
        out.decimal(class.elem_size as u64);
        out.text(text);
    };
    if class.exhausted > 0 {
        begin(b" B: exhausted ");
        out.decimal(class.exhausted);
        out.text(if class.exhausted == 1 { &b" time"[..] } else { b" times" });
        if class.failed > 0 {
            out.text(b", of which ");
            out.decimal(class.failed);
            out.text(b" got NULL");
        }
        if class.dynamic_peak > 0 {
            out.text(b": ");
            out.decimal((class.capacity + class.dynamic_peak) as u64);
            out.text(b" entries would have done\n");
        } else {
            out.text(b": give it more than ");
            out.decimal(class.capacity as u64);
            out.text(b" entries\n");
        }
    } else if class.peak_used == 0 {
        begin(b" B: never used: leave it out, or give it fewer entries\n");
    }
}

/// Callers that are named; the others are counted.
const CALLERS_NAMED: usize = 16;

/// Who has a class's entries.
#[cold]
#[inline(never)]
pub fn write_callers(elem_size: usize, callers: &Callers, out: Stream) {
    let (named, rest) = callers.rows().split_at(callers.rows().len().min(CALLERS_NAMED));
    let begin = |count: usize| {
        out.text(b"  ");
        out.decimal(elem_size as u64);
        out.text(b" B: ");
        out.padded(count as u64, 9);
    };
    for &(caller, count) in named {
        begin(count);
        out.text(b" taken at ");
        out.caller(caller, false);
        out.text(b"\n");
    }
    let others = callers.others + rest.iter().map(|&(_, count)| count).sum::<usize>();
    if others > 0 {
        begin(others);
        out.text(b" taken elsewhere\n");
    }
}

/// Bytes in a unit in which they have few digits, rounded up.
fn scaled(bytes: usize) -> (usize, &'static [u8]) {
    match bytes {
        0..0x2000 => (bytes, b"B"),
        0x2000..0x80_0000 => (bytes.div_ceil(1 << 10), b"KiB"),
        _ => (bytes.div_ceil(1 << 20), b"MiB"),
    }
}
