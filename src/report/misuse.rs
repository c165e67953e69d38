//! What went wrong, in one line, and then the end.
//!
//! The line is composed on the stack: no heap, no format string, no lock. The program's handler gets it;
//! without one it is written to stderr. Then the process aborts, also when the handler returns: a damaged
//! pool may hand out the same memory twice. Only a leak damages nothing.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::os::probe::{self, Traced};
use crate::os::{SMALL, abort, thread_number};
use crate::report::deed::{Deed, Last};
use crate::report::handler::{self, mempool_misuse, mempool_misuse_kind as Public};
use crate::report::line::Line;

/// Bytes of a pool's name that are kept.
pub const NAME_MAX: usize = 63;

/// The call that was wrong, as its line begins.
pub type Call = &'static [u8];

// Each stands for all functions that do this, of both sorts of pool.
pub const ALLOC: Call = b"alloc";
pub const FREE: Call = b"free";
pub const REALLOC: Call = b"realloc";
pub const RESET: Call = b"reset";
pub const DESTROY: Call = b"destroy";

/// What the caller did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The entry is free already.
    DoubleFree,
    /// The same, found by another call than a free.
    Freed,
    /// The dynamic entry was already freed to the heap.
    DoubleFreeDynamic,
    /// The address is that many bytes into an entry.
    Interior { offset: usize },
    /// The slot exists, but no entry was ever handed out there.
    NeverOut,
    /// The address is that of an entry, but the word in front of it is not what was written.
    HeaderOverwritten,
    /// The bookkeeping in front of a dynamic entry is not what was written.
    DynamicHeaderOverwritten,
    /// No pool has an entry there.
    Foreign,
    /// An entry of one ranged pool was given to another one's realloc.
    WrongPool,
    /// The call's argument is no live pool of that sort.
    NotAPool,
    /// The call's argument was a pool, which is destroyed.
    FormerPool,
    /// The address lies where a pool was that is destroyed.
    Destroyed,
    /// A free entry was written to; at this byte first.
    WriteAfterFree { offset: usize },
    /// The bytes past an entry's end were written to.
    Overflow,
    /// A pool is destroyed while that many of its entries are out; `first` are some of them, or 0, and `takers`
    /// who took most, and how many, if that is known.
    Leak { count: usize, first: [usize; LEAKS_NAMED], takers: Option<Takers> },
}

/// Callers, and how many entries each has; 0 for none.
pub type Takers = [(usize, usize); TAKERS_NAMED];

/// How many callers that have entries a report names.
pub const TAKERS_NAMED: usize = if SMALL { 0 } else { LEAKS_NAMED };

/// How many leaked entries a report shows by address.
pub const LEAKS_NAMED: usize = 4;

/// The pool that the line names.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// As given at create; may be empty.
    pub name: &'a [u8],
    /// The pool as its user knows it: for a class, the ranged pool's.
    pub address: usize,
    /// Usable bytes of its entries; 0 if it has several sizes, and which is not known.
    pub elem_size: usize,
    /// What was done last with the entry that the line is about, if that is known.
    pub last: Option<Last>,
}

/// All that a report says, in memory of its own.
pub struct Misuse {
    kind: Public,
    pointer: usize,
    pool: usize,
    entry_size: usize,
    name: [u8; NAME_MAX + 1], // 0 after its end
    line: Line,
}

/// The thread that reported a misuse last, and is about to abort.
static ENDING: AtomicUsize = AtomicUsize::new(0);

/// Whether the calling thread is on its way to abort. It may hold locks, and a handler that it calls
/// may fork.
pub fn is_ending() -> bool {
    // Relaxed: the thread asks itself.
    ENDING.load(Ordering::Relaxed) == thread_number()
}

/// Reports what `call` got with `pointer`, to the handler or on stderr, and aborts.
#[cold]
#[inline(never)]
pub fn stop(call: Call, kind: Kind, pointer: usize, subject: Option<Subject<'_>>) -> ! {
    Misuse::new(call, kind, pointer, subject).stop()
}

/// Reports that a pool is destroyed while entries of it are out.
#[cold]
pub fn tell_of_leak(
    count: usize,
    first: [usize; LEAKS_NAMED],
    takers: Option<Takers>,
    subject: Subject<'_>,
) {
    let kind = Kind::Leak { count, first, takers };
    Misuse::new(DESTROY, kind, first[0], Some(subject)).tell();
}

/// A bug in this library. (Test builds have `std` say where.)
#[cfg(all(panic = "abort", not(test)))]
#[cold]
pub fn internal_error() -> ! {
    let mut line = Line::new();
    line.text(b"internal error, please report it");
    line.write();
    abort()
}

impl Misuse {
    /// Copies what it needs of the subject, so that the locks that keep the subject alive can be released.
    pub fn new(call: Call, kind: Kind, pointer: usize, subject: Option<Subject<'_>>) -> Self {
        let mut line = Line::new();
        describe(&mut line, call, kind, pointer, subject);
        let Subject { name, address, elem_size, .. } =
            subject.unwrap_or(Subject { name: b"", address: 0, elem_size: 0, last: None });
        let mut copy = [0; NAME_MAX + 1];
        let len = name.len().min(NAME_MAX);
        copy[..len].copy_from_slice(&name[..len]);
        Self {
            kind: kind.public(),
            pointer,
            pool: address,
            entry_size: elem_size,
            name: copy,
            line,
        }
    }

    /// Reports, and ends the process.
    pub fn stop(self) -> ! {
        // Relaxed: the thread asks itself.
        ENDING.store(thread_number(), Ordering::Relaxed);
        self.tell();
        abort()
    }

    fn tell(self) {
        let report = mempool_misuse {
            struct_size: size_of::<mempool_misuse>(),
            kind: self.kind as u32,
            reserved: 0,
            pointer: core::ptr::with_exposed_provenance(self.pointer),
            pool: core::ptr::with_exposed_provenance(self.pool),
            pool_name: self.name.as_ptr().cast(),
            entry_size: self.entry_size,
            text: self.line.c_string(),
        };
        let traced =
            Traced { pool: self.pool, name: self.name.as_ptr(), entry_size: self.entry_size };
        probe::misuse(traced, report.kind as usize, self.pointer, report.text as usize);
        if !handler::deliver(&report) {
            self.line.write();
        }
    }
}

impl Kind {
    /// What a handler gets.
    fn public(self) -> Public {
        match self {
            Kind::DoubleFree | Kind::DoubleFreeDynamic => Public::MEMPOOL_MISUSE_DOUBLE_FREE,
            Kind::Freed => Public::MEMPOOL_MISUSE_USE_AFTER_FREE,
            Kind::Interior { .. } => Public::MEMPOOL_MISUSE_INTERIOR_POINTER,
            Kind::NeverOut => Public::MEMPOOL_MISUSE_NEVER_HANDED_OUT,
            Kind::HeaderOverwritten | Kind::DynamicHeaderOverwritten => {
                Public::MEMPOOL_MISUSE_HEADER_OVERWRITTEN
            }
            Kind::Foreign => Public::MEMPOOL_MISUSE_FOREIGN_POINTER,
            Kind::WrongPool => Public::MEMPOOL_MISUSE_WRONG_POOL,
            Kind::NotAPool | Kind::FormerPool => Public::MEMPOOL_MISUSE_NOT_A_POOL,
            Kind::Destroyed => Public::MEMPOOL_MISUSE_POOL_DESTROYED,
            Kind::WriteAfterFree { .. } => Public::MEMPOOL_MISUSE_WRITE_AFTER_FREE,
            Kind::Overflow => Public::MEMPOOL_MISUSE_OVERFLOW,
            Kind::Leak { .. } => Public::MEMPOOL_MISUSE_LEAK,
        }
    }
}

fn describe(line: &mut Line, call: Call, kind: Kind, pointer: usize, subject: Option<Subject<'_>>) {
    match kind {
        Kind::Leak { count, first, .. } => describe_leak(line, count, first),
        _ => describe_deed(line, call, kind, pointer),
    }
    if let Some(subject) = subject {
        line.text(b" (pool ");
        if subject.name.is_empty() {
            line.hex(subject.address);
        } else {
            line.text(b"\"");
            line.text(subject.name);
            line.text(b"\"");
        }
        if subject.elem_size != 0 {
            line.text(b", ");
            line.decimal(subject.elem_size);
            line.text(b"-byte entries");
        }
        line.text(b")");
        if !SMALL && let Some(last) = subject.last {
            describe_last(line, last);
        }
    }
    if !SMALL && let Kind::Leak { takers: Some(takers), .. } = kind {
        describe_takers(line, &takers);
    }
}

fn describe_takers(line: &mut Line, takers: &Takers) {
    for (i, &(caller, count)) in takers.iter().take_while(|taker| taker.1 > 0).enumerate() {
        line.text(if i == 0 { b"; taken at " } else { b", " });
        line.caller(caller);
        line.text(b": ");
        line.decimal(count);
    }
}

/// Who has the entry, or had it.
fn describe_last(line: &mut Line, last: Last) {
    let (verb, deed): (&[u8], Deed) = match last {
        Last::Taken(deed) => (b"; taken at ", deed),
        Last::Freed(deed) => (b"; freed at ", deed),
    };
    line.text(verb);
    line.caller(deed.caller);
    line.text(b", by thread ");
    line.hex(deed.thread);
    line.text(b", call ");
    line.decimal(deed.number as usize);
}

fn describe_deed(line: &mut Line, call: Call, kind: Kind, pointer: usize) {
    let (deed, after): (&[u8], &[u8]) = match kind {
        Kind::DoubleFree => (b"double free", b""),
        Kind::DoubleFreeDynamic => (b"double free", b", a dynamic entry"),
        Kind::Freed => (call, b", an entry that was freed"),
        Kind::Interior { .. } => (call, b", a pointer into the middle of an entry"),
        Kind::NeverOut => (call, b", an entry that was never handed out"),
        Kind::HeaderOverwritten | Kind::DynamicHeaderOverwritten => (
            call,
            b", whose header was overwritten, most likely by a write past the end of the entry before it",
        ),
        Kind::Foreign => (call, b", which is not an entry of any pool"),
        Kind::WrongPool => (call, b", an entry of another pool"),
        Kind::NotAPool => (call, b", which is not a live pool of this kind"),
        Kind::FormerPool => (call, b", a pool that was destroyed"),
        Kind::Destroyed => (call, b", in memory of a pool that was destroyed"),
        Kind::WriteAfterFree { .. } => (b"write", b" after it was freed"),
        Kind::Overflow => (b"overflow", b", which was written past its end"),
        Kind::Leak { .. } => (b"leak", b""),
    };
    line.text(deed);
    line.text(if let Kind::WriteAfterFree { .. } = kind { b" to " } else { b" of " });
    line.hex(pointer);
    line.text(after);
    if let Kind::Interior { offset } | Kind::WriteAfterFree { offset } = kind {
        line.text(b", ");
        line.decimal(offset);
        line.text(b" bytes past its start");
    }
}

fn describe_leak(line: &mut Line, count: usize, first: [usize; LEAKS_NAMED]) {
    line.text(b"leak of ");
    line.decimal(count);
    line.text(if count == 1 { b" entry" } else { b" entries" });
    let named = first.iter().take_while(|&&address| address != 0).count();
    for (i, &address) in first[..named].iter().enumerate() {
        line.text(if i == 0 { b": " } else { b", " });
        line.hex(address);
    }
    if named < count {
        line.text(b" and ");
        line.decimal(count - named);
        line.text(b" more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Kind, subject: Option<Subject<'_>>) -> String {
        line_of(FREE, kind, subject)
    }

    fn line_of(call: Call, kind: Kind, subject: Option<Subject<'_>>) -> String {
        let mut line = Line::new();
        describe(&mut line, call, kind, 0x7f00_dead_beef, subject);
        line.as_str().to_string()
    }

    const SUBJECT: Subject<'_> =
        Subject { name: b"sessions", address: 0x1000, elem_size: 64, last: None };

    #[test]
    fn names_pointer_and_pool() {
        assert_eq!(
            line(Kind::DoubleFree, Some(SUBJECT)),
            "cmempool: double free of 0x7f00deadbeef (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            line(Kind::Interior { offset: 0 }, Some(Subject { name: b"", ..SUBJECT })),
            "cmempool: free of 0x7f00deadbeef, a pointer into the middle of an entry, \
             0 bytes past its start (pool 0x1000, 64-byte entries)"
        );
        assert_eq!(
            line(Kind::Foreign, None),
            "cmempool: free of 0x7f00deadbeef, which is not an entry of any pool"
        );
        assert_eq!(
            line(Kind::Destroyed, Some(Subject { elem_size: 0, ..SUBJECT })),
            "cmempool: free of 0x7f00deadbeef, in memory of a pool that was destroyed \
             (pool \"sessions\")"
        );
        assert_eq!(
            line_of(b"mempool_owner", Kind::Freed, Some(SUBJECT)),
            "cmempool: mempool_owner of 0x7f00deadbeef, an entry that was freed \
             (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            line_of(DESTROY, Kind::FormerPool, Some(SUBJECT)),
            "cmempool: destroy of 0x7f00deadbeef, a pool that was destroyed \
             (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            line(Kind::WriteAfterFree { offset: 12 }, Some(SUBJECT)),
            "cmempool: write to 0x7f00deadbeef after it was freed, 12 bytes past its start \
             (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            line(Kind::Overflow, Some(SUBJECT)),
            "cmempool: overflow of 0x7f00deadbeef, which was written past its end \
             (pool \"sessions\", 64-byte entries)"
        );
    }

    #[test]
    fn names_the_first_leaks() {
        let leak = |count, first| line(Kind::Leak { count, first, takers: None }, Some(SUBJECT));
        assert_eq!(
            leak(1, [0x10, 0, 0, 0]),
            "cmempool: leak of 1 entry: 0x10 (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            leak(4, [0x10, 0x20, 0x30, 0x40]),
            "cmempool: leak of 4 entries: 0x10, 0x20, 0x30, 0x40 \
             (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            leak(6, [0x10, 0x20, 0x30, 0x40]),
            "cmempool: leak of 6 entries: 0x10, 0x20, 0x30, 0x40 and 2 more \
             (pool \"sessions\", 64-byte entries)"
        );
    }

    #[test]
    fn the_longest_line_is_not_cut() {
        let subject = Subject { name: &[b'n'; NAME_MAX], elem_size: usize::MAX, ..SUBJECT };
        let leak = Kind::Leak { count: usize::MAX, first: [usize::MAX; LEAKS_NAMED], takers: None };
        for kind in [Kind::HeaderOverwritten, Kind::Interior { offset: usize::MAX }, leak] {
            let longest = b"r_mempool_dynamic_allocs_count";
            assert!(line_of(longest, kind, Some(subject)).ends_with("-byte entries)"));
        }
    }
}
