//! How is a pool shown to a program, as JSON?

use super::head::Head;
use super::stream::Stream;
use crate::pool::holders::Callers;
use crate::pool::stats::mempool_stats;
use crate::report::line::character;

/// What is said of the whole pool.
#[cold]
#[inline(never)]
pub fn write_head(head: &Head, out: Stream) {
    out.text(b"{\"kind\":\"");
    out.text(if head.is_ranged() { &b"ranged\""[..] } else { b"ordinary\"" });
    out.text(b",\"name\":\"");
    let mut rest = head.name();
    while !rest.is_empty() {
        let len = character(rest);
        match rest[..len] {
            // What is no UTF-8 can't be said in JSON.
            [] => out.text(b"\\ufffd"),
            [byte @ (b'"' | b'\\')] => out.text(&[b'\\', byte]),
            [byte @ 0..b' '] => {
                out.text(if byte < 16 { &b"\\u000"[..] } else { b"\\u00" });
                out.hex(byte.into());
            }
            ref bytes => out.text(bytes),
        }
        rest = &rest[len.max(1)..];
    }
    let (_, policy) = head.policy();
    out.text(b"\",\"address\":\"0x");
    out.hex(head.address as u64);
    out.texts(&[b"\",\"policy\":\"", policy, b"\",\"bytes_reserved\":"]);
    out.decimal(head.bytes as u64);
    out.text(b",\"classes\":[");
}

/// What is said of a class, and who has its entries, if it records that.
#[cold]
#[inline(never)]
pub fn write_class(class: &mempool_stats, callers: Option<&Callers>, follows: bool, out: Stream) {
    // Taken apart, so that a new member is not forgotten.
    let &mempool_stats {
        struct_size: _,
        elem_size,
        capacity,
        used,
        peak_used,
        cached,
        dynamic_used,
        dynamic_peak,
        exhausted,
        failed,
        bytes_reserved,
        bytes_per_entry,
        cache_bytes,
        notes,
    } = class;
    out.text(if follows { &b",{"[..] } else { b"{" });
    member(b"\"elem_size\":", elem_size as u64, out);
    member(b",\"capacity\":", capacity as u64, out);
    member(b",\"used\":", used as u64, out);
    member(b",\"peak_used\":", peak_used as u64, out);
    member(b",\"cached\":", cached as u64, out);
    member(b",\"dynamic_used\":", dynamic_used as u64, out);
    member(b",\"dynamic_peak\":", dynamic_peak as u64, out);
    member(b",\"exhausted\":", exhausted, out);
    member(b",\"failed\":", failed, out);
    member(b",\"bytes_reserved\":", bytes_reserved as u64, out);
    member(b",\"bytes_per_entry\":", bytes_per_entry as u64, out);
    member(b",\"cache_bytes\":", cache_bytes as u64, out);
    member(b",\"notes\":", notes, out);
    if let Some(callers) = callers {
        out.text(b",\"holders\":[");
        for (i, &(caller, count)) in callers.rows().iter().enumerate() {
            out.text(if i > 0 { &b",{\"taken_at\":\""[..] } else { b"{\"taken_at\":\"" });
            out.caller(caller, true);
            out.text(b"\",\"address\":\"0x");
            out.hex(caller as u64);
            member(b"\",\"count\":", count as u64, out);
            out.text(b"}");
        }
        member(b"],\"taken_elsewhere\":", callers.others as u64, out);
    }
    out.text(b"}");
}

#[inline(never)]
fn member(name: &[u8], value: u64, out: Stream) {
    out.text(name);
    out.decimal(value);
}
