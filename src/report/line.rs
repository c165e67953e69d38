//! How is a line for stderr composed without the heap, a format string or a lock?

use super::deed::{Piece, say_caller};
use crate::os::{self, Written};

/// Bytes of a line, its end included.
const ROOM: usize = 512;
/// How often writing a line is started or continued, if signals or a slow reader interrupt it.
const ATTEMPTS: usize = 100;

/// A line of bounded length; what does not fit is cut.
///
/// Invariant: `len < ROOM`, and the bytes from `len` on are 0.
pub struct Line {
    bytes: [u8; ROOM],
    len: usize,
}

impl Line {
    /// With the library's name in front.
    pub fn new() -> Self {
        let mut line = Self { bytes: [0; ROOM], len: 0 };
        line.text(b"cmempool: ");
        line
    }

    /// Appends text as [`printable`] has it. A character that does not fit ends it.
    #[inline(never)] // called often, and in no hurry
    pub fn text(&mut self, text: &[u8]) {
        for character in printable(text) {
            // One byte stays free for the line's end.
            let end = self.len + character.len();
            let Some(room) = self.bytes[..ROOM - 1].get_mut(self.len..end) else { return };
            room.copy_from_slice(character);
            self.len = end;
        }
    }

    /// Appends a number as C writes addresses.
    #[inline(never)]
    pub fn hex(&mut self, value: usize) {
        self.text(b"0x");
        self.number(value, 16);
    }

    /// Appends a number.
    #[inline(never)]
    pub fn decimal(&mut self, value: usize) {
        self.number(value, 10);
    }

    /// Appends where a call was made.
    pub fn caller(&mut self, caller: usize) {
        say_caller(caller, &mut |piece| match piece {
            Piece::Text(text) => self.text(text),
            Piece::Hex(value) => self.hex(value),
        });
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

    /// What it says, with a 0 after it, and no newline.
    pub fn c_string(&self) -> *const core::ffi::c_char {
        self.bytes.as_ptr().cast()
    }

    /// What it says.
    #[cfg(test)]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap()
    }

    /// Writes it to stderr, with one system call if that takes all of it. `errno` stays as it was.
    pub fn write(mut self) {
        self.bytes[self.len] = b'\n';
        write_all(&self.bytes[..=self.len], os::write_stderr);
    }
}

/// The characters of a text, with a question mark in the place of each that a terminal obeys (C0, DEL and
/// C1), and of each byte that is no UTF-8.
pub fn printable(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let len = character(rest);
        let (first, others) = rest.split_at_checked(len.max(1))?;
        rest = others;
        Some(match first {
            _ if len == 0 => b"?",
            [..b' ' | 0x7F] | [0xC2, 0x80..=0x9F] => b"?",
            _ => first,
        })
    })
}

/// Bytes of the UTF-8 character that the text starts with; 0 if it starts with none.
#[inline(never)] // as `text`
pub fn character(text: &[u8]) -> usize {
    (1..=text.len().min(4)).find(|&len| core::str::from_utf8(&text[..len]).is_ok()).unwrap_or(0)
}

/// The first `limit` bytes of a text, less those of a character that does not end there.
pub fn cut(text: &[u8], limit: usize) -> &[u8] {
    let end = limit.min(text.len());
    let goes_on = |at: &usize| at + character(&text[*at..]) > end;
    let start = (end.saturating_sub(3)..end).find(goes_on);
    &text[..start.unwrap_or(end)]
}

/// Writes all of it by `write`. Goes on after a part and after a signal, but not for ever. What can't be
/// written is lost.
fn write_all(mut bytes: &[u8], mut write: impl FnMut(&[u8]) -> Written) {
    for _ in 0..ATTEMPTS {
        match write(bytes) {
            Written::Part(count) => bytes = &bytes[count.min(bytes.len())..],
            Written::Again => {}
            Written::Not => return,
        }
        if bytes.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_names_stay_one_line() {
        let mut line = Line::new();
        line.text(&[b'\n'; ROOM]);
        assert_eq!(line.as_str().len(), ROOM - 1);
        assert!(!line.as_str().contains('\n'));
        assert_eq!(line.bytes[ROOM - 1], 0);
    }

    #[test]
    fn a_line_ends_with_a_whole_character() {
        for before in ROOM - 6..ROOM {
            for letter in ["x", "ä", "€", "🐟"] {
                let mut line = Line { bytes: [0; ROOM], len: 0 };
                line.text(&vec![b'-'; before]);
                line.text(letter.as_bytes());
                let fits = before + letter.len() < ROOM;
                assert_eq!(line.as_str().ends_with(letter), fits);
                assert_eq!(line.len, if fits { before + letter.len() } else { before });
                assert_eq!(line.bytes[ROOM - 1], 0);
            }
        }
    }

    #[test]
    fn cuts() {
        assert_eq!(cut("a🐟".as_bytes(), 5), "a🐟".as_bytes());
        for limit in 1..5 {
            assert_eq!(cut("a🐟".as_bytes(), limit), b"a");
        }
        assert_eq!(cut("ä€".as_bytes(), 2), "ä".as_bytes());
        assert_eq!(cut("ä€".as_bytes(), 1), b"");
        assert_eq!(cut(b"ab", 0), b"");
        assert_eq!(cut(b"", 0), b"");
        assert_eq!(cut(&[0x80; 9], 6), [0x80; 6]);
        assert_eq!(cut(b"a\xE2\x82b", 3), b"a\xE2\x82");
    }

    #[test]
    fn what_was_not_written_is_written_again() {
        use Written::{Again, Not, Part};
        let written = |answers: &[Written]| {
            let (mut text, mut answers) = (Vec::new(), answers.iter().cycle());
            let mut calls = 0;
            write_all(b"a line\n", |bytes| {
                calls += 1;
                match answers.next().unwrap() {
                    Part(count) => {
                        let count = *count.min(&bytes.len());
                        text.extend_from_slice(&bytes[..count]);
                        Part(count)
                    }
                    Again => Again,
                    Not => Not,
                }
            });
            (String::from_utf8(text).unwrap(), calls)
        };
        let whole = |calls| ("a line\n".to_string(), calls);
        assert_eq!(written(&[Part(7)]), whole(1));
        assert_eq!(written(&[Part(3), Part(4)]), whole(2));
        assert_eq!(written(&[Part(1)]), whole(7));
        assert_eq!(written(&[Again, Part(2)]), whole(8));
        assert_eq!(written(&[Part(2), Not]), ("a ".into(), 2));
        assert_eq!(written(&[Not]), (String::new(), 1));
        assert_eq!(written(&[Again]), (String::new(), ATTEMPTS));
    }

    #[test]
    fn numbers() {
        let mut line = Line::new();
        line.hex(usize::MAX);
        line.text(b" ");
        line.decimal(usize::MAX);
        line.text(b" ");
        line.decimal(0);
        assert_eq!(line.as_str(), "cmempool: 0xffffffffffffffff 18446744073709551615 0");
    }
}
