//! How is a pool shown to a person, or to a program as JSON?
//!
//! By the C library's `fprintf`, to a stream of the caller's. No lock of ours is held meanwhile: whoever
//! has the stream's may wait for one of ours. So what is written of a pool among all is fetched piece by
//! piece, and a pool that goes in the middle ends its report.

use core::ffi::{CStr, c_char, c_int, c_ulonglong};
use core::ptr::NonNull;

use libc::FILE;

use crate::cancellation;
use crate::collection::{Collection, NAME_MAX, Policy};
use crate::line::{character, printable};
use crate::region;
use crate::registry;
use crate::stats::mempool_stats;

/// Characters of a bar.
const BAR: usize = 24;

/// What a report looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for a person.
    Text,
    /// One line for a program.
    Json,
}

/// A C stream.
#[derive(Clone, Copy)]
pub struct Stream(NonNull<FILE>);

/// What there is to say of all classes together.
struct Head {
    name: [u8; NAME_MAX],
    name_len: usize,
    address: usize,
    policy: Policy,
    falls_back: bool,
    bytes: usize,
    notes: u64,
}

/// Reports one pool.
pub fn one(collection: &Collection, out: Stream, form: Form) {
    let head = Head::of(collection);
    cancellation::disabled(|| report(&head, |class| collection.class_figures(class), out, form));
}

/// Reports every pool there is, the newest first. O(pools log pools).
pub fn all(out: Stream, form: Form) {
    let mut walk = registry::lock().walk();
    loop {
        // The lock goes with each of these statements.
        let Some(at) = registry::lock().step(&mut walk) else { return };
        let head = registry::lock().at(at).map(Head::of);
        let figures = |class| registry::lock().at(at)?.class_figures(class);
        if let Some(head) = head {
            cancellation::disabled(|| report(&head, figures, out, form));
        }
    }
}

impl Head {
    fn of(collection: &Collection) -> Self {
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

    fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }

    fn is_ranged(&self) -> bool {
        self.policy != Policy::Ordinary
    }

    /// What happens when it is empty, for a person and for a program.
    fn policy(&self) -> (&'static CStr, &'static CStr) {
        match self.policy {
            Policy::Ordinary if self.falls_back => (c"then takes from the heap", c"heap"),
            Policy::Ordinary => (c"then returns NULL", c"null"),
            Policy::Disabled => {
                (c"then takes larger entries, then returns NULL", c"fallback_disabled")
            }
            Policy::AtFirstExhaustion => {
                (c"then takes from the heap", c"fallback_at_first_exhaustion")
            }
            Policy::AtLastExhaustion => {
                (c"then takes larger entries, then from the heap", c"fallback_at_last_exhaustion")
            }
        }
    }
}

fn report(head: &Head, figures: impl Fn(usize) -> Option<mempool_stats>, out: Stream, form: Form) {
    let classes = || (0..).map_while(&figures);
    match form {
        Form::Text => {
            write_head(head, out);
            classes().for_each(|class| write_row(&class, out));
            classes().for_each(|class| write_advice(&class, out));
        }
        Form::Json => {
            write_json_head(head, out);
            for (i, class) in classes().enumerate() {
                write_json_class(&class, i > 0, out);
            }
            out.text(c"]}\n");
        }
    }
}

// ---- For a person ----------------------------------------------------------------------------------

fn write_head(head: &Head, out: Stream) {
    out.text(if head.is_ranged() { c"ranged pool" } else { c"pool" });
    if head.name_len > 0 {
        out.text(c" \"");
        for character in printable(head.name()) {
            character.iter().for_each(|&byte| out.byte(byte));
        }
        out.text(c"\"");
    }
    let (bytes, unit) = scaled(head.bytes);
    let (policy, _) = head.policy();
    let has = |note| head.notes & note != 0;
    let pages = if has(region::NOTE_HUGE_PAGES) {
        c" in huge pages"
    } else if has(region::NOTE_HUGE_PAGES_REFUSED) {
        c" (huge pages were refused)"
    } else {
        c""
    };
    let locked = if has(region::NOTE_LOCKED) { c", locked" } else { c"" };
    // SAFETY: the arguments are what the format says.
    unsafe {
        libc::fprintf(
            out.0.as_ptr(),
            c" at 0x%zx: %zu %s%s%s; hands out its own, %s\n".as_ptr(),
            head.address,
            bytes,
            unit.as_ptr(),
            pages.as_ptr(),
            locked.as_ptr(),
            policy.as_ptr(),
        );
    }
    out.text(c"      size  capacity      used      peak  0%      used, peak      100%  ");
    out.text(c"exhausted  heap used heap peak\n");
}

fn write_row(class: &mempool_stats, out: Stream) {
    let mut bar = [b' '; BAR + 1];
    bar[BAR] = 0;
    bar[..bar_length(class.peak_used, class.capacity)].fill(b'-');
    bar[..bar_length(class.used, class.capacity)].fill(b'#');
    // SAFETY: the arguments are what the format says, and the bar ends with 0.
    unsafe {
        libc::fprintf(
            out.0.as_ptr(),
            c"%8zu B %9zu %9zu %9zu  [%s] %10llu %10zu %9zu\n".as_ptr(),
            class.elem_size,
            class.capacity,
            class.used,
            class.peak_used,
            bar.as_ptr(),
            class.exhausted as c_ulonglong,
            class.dynamic_used,
            class.dynamic_peak,
        );
    }
}

/// In characters; at least one for what is not 0.
fn bar_length(count: usize, capacity: usize) -> usize {
    // A capacity has 32 bits.
    (count.min(capacity) * BAR).div_ceil(capacity.max(1))
}

fn write_advice(class: &mempool_stats, out: Stream) {
    let stream = out.0.as_ptr();
    let size = class.elem_size;
    // SAFETY: in each, the arguments are what the format says.
    unsafe {
        if class.exhausted > 0 {
            let exhausted = class.exhausted as c_ulonglong;
            let failed = class.failed as c_ulonglong;
            let plural = if exhausted == 1 { c"".as_ptr() } else { c"s".as_ptr() };
            let text = c"  %zu B: exhausted %llu time%s".as_ptr();
            libc::fprintf(stream, text, size, exhausted, plural);
            if failed > 0 {
                libc::fprintf(stream, c", of which %llu got NULL".as_ptr(), failed);
            }
            if class.dynamic_peak > 0 {
                let enough = class.capacity + class.dynamic_peak;
                let text = c": %zu entries would have done\n".as_ptr();
                libc::fprintf(stream, text, enough);
            } else {
                let text = c": give it more than %zu entries\n".as_ptr();
                libc::fprintf(stream, text, class.capacity);
            }
        } else if class.peak_used == 0 {
            let text = c"  %zu B: never used: leave it out, or give it fewer entries\n".as_ptr();
            libc::fprintf(stream, text, size);
        }
    }
}

/// Bytes in a unit in which they have few digits, rounded up.
fn scaled(bytes: usize) -> (usize, &'static CStr) {
    match bytes {
        0..0x2000 => (bytes, c"B"),
        0x2000..0x80_0000 => (bytes.div_ceil(1 << 10), c"KiB"),
        _ => (bytes.div_ceil(1 << 20), c"MiB"),
    }
}

// ---- For a program ---------------------------------------------------------------------------------

fn write_json_head(head: &Head, out: Stream) {
    out.text(if head.is_ranged() { c"{\"kind\":\"ranged\"" } else { c"{\"kind\":\"ordinary\"" });
    out.text(c",\"name\":\"");
    let mut rest = head.name();
    while !rest.is_empty() {
        let len = character(rest);
        match rest[..len] {
            // What is no UTF-8 can't be said in JSON.
            [] => out.text(c"\\ufffd"),
            [byte @ (b'"' | b'\\')] => [b'\\', byte].into_iter().for_each(|byte| out.byte(byte)),
            // SAFETY: the argument is what the format says.
            [byte @ 0..b' '] => unsafe {
                libc::fprintf(out.0.as_ptr(), c"\\u%04x".as_ptr(), c_int::from(byte));
            },
            ref bytes => bytes.iter().for_each(|&byte| out.byte(byte)),
        }
        rest = &rest[len.max(1)..];
    }
    let (_, policy) = head.policy();
    // SAFETY: the arguments are what the format says.
    unsafe {
        libc::fprintf(
            out.0.as_ptr(),
            c"\",\"address\":\"0x%zx\",\"policy\":\"%s\",\"bytes_reserved\":%zu,\"classes\":["
                .as_ptr(),
            head.address,
            policy.as_ptr(),
            head.bytes,
        );
    }
}

fn write_json_class(class: &mempool_stats, follows: bool, out: Stream) {
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
    let members = [
        (c"elem_size", elem_size as u64),
        (c"capacity", capacity as u64),
        (c"used", used as u64),
        (c"peak_used", peak_used as u64),
        (c"cached", cached as u64),
        (c"dynamic_used", dynamic_used as u64),
        (c"dynamic_peak", dynamic_peak as u64),
        (c"exhausted", exhausted),
        (c"failed", failed),
        (c"bytes_reserved", bytes_reserved as u64),
        (c"bytes_per_entry", bytes_per_entry as u64),
        (c"cache_bytes", cache_bytes as u64),
        (c"notes", notes),
    ];
    out.text(if follows { c",{" } else { c"{" });
    for (i, (name, value)) in members.into_iter().enumerate() {
        let comma = if i > 0 { c",".as_ptr() } else { c"".as_ptr() };
        let value = value as c_ulonglong;
        // SAFETY: the arguments are what the format says.
        unsafe {
            libc::fprintf(out.0.as_ptr(), c"%s\"%s\":%llu".as_ptr(), comma, name.as_ptr(), value);
        }
    }
    out.text(c"}");
}

// ---- The stream ------------------------------------------------------------------------------------

impl Stream {
    /// None for NULL.
    pub fn new(file: *mut FILE) -> Option<Self> {
        NonNull::new(file).map(Self)
    }

    fn text(self, text: &CStr) {
        let text: *const c_char = text.as_ptr();
        // SAFETY: the stream is open while its caller's call lasts.
        unsafe { libc::fputs(text, self.0.as_ptr()) };
    }

    fn byte(self, byte: u8) {
        // SAFETY: as in `text`.
        unsafe { libc::fputc(c_int::from(byte), self.0.as_ptr()) };
    }
}
