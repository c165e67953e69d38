//! What went wrong, in one line, and then the end.
//!
//! The line is put together on the stack and written with one system call: no heap, no format
//! string, no lock. Then the process aborts; going on with a damaged pool would be worse.

/// What the caller did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The entry is free already.
    DoubleFree,
    /// The dynamic entry went back to the heap already.
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
    /// What was to be destroyed is no live pool of that sort.
    NotAPool,
    /// The byte at this offset of a free entry was written. Hardened pools only.
    WriteAfterFree { offset: usize },
    /// Bytes behind an entry were written. Hardened pools only.
    Overflow,
}

/// The pool that the line names.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// As given at create; may be empty.
    pub name: &'a [u8],
    /// The pool as its user knows it: for a class, the ranged pool's.
    pub address: usize,
    /// Usable bytes of its entries.
    pub elem_size: usize,
}

/// Says what was done with `pointer` on stderr and aborts.
#[cold]
#[inline(never)]
pub fn stop(kind: Kind, pointer: usize, subject: Option<Subject<'_>>) -> ! {
    let mut line = Line::new();
    describe(&mut line, kind, pointer, subject);
    line.write_and_abort()
}

/// A bug in this library. (Test builds have `std` say where.)
#[cfg(all(panic = "abort", not(test)))]
#[cold]
pub fn internal_error() -> ! {
    let mut line = Line::new();
    line.text(b"internal error, please report it");
    line.write_and_abort()
}

/// The kernel refuses what it granted when the first pool was made, and what other threads hold can't
/// be told without.
#[cold]
pub fn membarrier_refused() -> ! {
    let mut line = Line::new();
    line.text(b"membarrier is refused since the first pool was made; install filters of system calls before");
    line.write_and_abort()
}

fn describe(line: &mut Line, kind: Kind, pointer: usize, subject: Option<Subject<'_>>) {
    let (before, after): (&[u8], &[u8]) = match kind {
        Kind::DoubleFree => (b"double free of ", b""),
        Kind::DoubleFreeDynamic => (b"double free of ", b", a dynamic entry"),
        Kind::Interior { .. } => (b"free of ", b", a pointer into the middle of an entry"),
        Kind::NeverOut => (b"free of ", b", an entry that was never handed out"),
        Kind::HeaderOverwritten | Kind::DynamicHeaderOverwritten => (
            b"free of ",
            b", whose header was overwritten, most likely by a write past the end of the entry before it",
        ),
        Kind::Foreign => (b"free of ", b", which is not an entry of any pool"),
        Kind::WrongPool => (b"realloc of ", b", an entry of another pool"),
        Kind::WriteAfterFree { .. } => (b"write to ", b" after it was freed"),
        Kind::Overflow => (b"free of ", b", an entry with a write past its end"),
        Kind::NotAPool => (b"destroy of ", b", which is not a live pool of this kind"),
    };
    line.text(before);
    line.hex(pointer);
    line.text(after);
    if let Kind::Interior { offset } = kind {
        line.text(b", ");
        line.decimal(offset);
        line.text(b" bytes behind its start");
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
        line.text(b", ");
        line.decimal(subject.elem_size);
        line.text(b"-byte entries)");
    }
}

/// A line of bounded length; what does not fit is cut.
struct Line {
    bytes: [u8; 320],
    len: usize,
}

impl Line {
    fn new() -> Self {
        let mut line = Self { bytes: [0; 320], len: 0 };
        line.text(b"cmempool: ");
        line
    }

    fn text(&mut self, text: &[u8]) {
        // One byte stays free for the line's end. A name must not break the line.
        for &byte in text.iter().take(self.bytes.len() - 1 - self.len) {
            self.bytes[self.len] = if byte < b' ' { b'?' } else { byte };
            self.len += 1;
        }
    }

    fn hex(&mut self, value: usize) {
        self.text(b"0x");
        self.number(value, 16);
    }

    fn decimal(&mut self, value: usize) {
        self.number(value, 10);
    }

    fn number(&mut self, mut value: usize, base: usize) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[value % base];
            value /= base;
            if value == 0 {
                break;
            }
        }
        self.text(&digits[at..]);
    }

    fn write_and_abort(mut self) -> ! {
        self.bytes[self.len] = b'\n';
        // SAFETY: the bytes are this function's own. If stderr can't be written, the abort still
        // tells.
        unsafe {
            libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len + 1);
            libc::abort()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Kind, subject: Option<Subject<'_>>) -> String {
        let mut line = Line::new();
        describe(&mut line, kind, 0x7f00_dead_beef, subject);
        String::from_utf8(line.bytes[..line.len].to_vec()).unwrap()
    }

    #[test]
    fn names_pointer_and_pool() {
        let subject = Subject { name: b"sessions", address: 0x1000, elem_size: 64 };
        assert_eq!(
            line(Kind::DoubleFree, Some(subject)),
            "cmempool: double free of 0x7f00deadbeef (pool \"sessions\", 64-byte entries)"
        );
        assert_eq!(
            line(Kind::Interior { offset: 0 }, Some(Subject { name: b"", ..subject })),
            "cmempool: free of 0x7f00deadbeef, a pointer into the middle of an entry, \
             0 bytes behind its start (pool 0x1000, 64-byte entries)"
        );
        assert_eq!(
            line(Kind::Foreign, None),
            "cmempool: free of 0x7f00deadbeef, which is not an entry of any pool"
        );
    }

    #[test]
    fn long_and_odd_names_stay_one_line() {
        let name = [b'\n'; 500];
        let line = line(Kind::DoubleFree, Some(Subject { name: &name, address: 0, elem_size: 1 }));
        assert_eq!(line.len(), 319);
        assert!(!line.contains('\n'));
    }
}
