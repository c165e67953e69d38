//! How do bytes and numbers get into a C stream of the caller's?

use core::ptr::NonNull;

use crate::os::{File, write_file};
use crate::report::deed::{Piece, say_caller};
use crate::report::line::printable;

/// Digits of the largest number.
const DIGITS: usize = 20;

/// A stream that is open while its caller's call lasts.
#[derive(Clone, Copy)]
pub struct Stream(NonNull<File>);

impl Stream {
    /// None for NULL.
    ///
    /// # Safety
    /// NULL or an open stream.
    pub unsafe fn new(file: *mut File) -> Option<Self> {
        NonNull::new(file).map(Self)
    }

    /// Writes bytes.
    #[inline(never)] // called often, and in no hurry
    pub fn text(self, bytes: &[u8]) {
        // SAFETY: the stream is open.
        unsafe { write_file(self.0, bytes) };
    }

    /// Writes bytes that come in parts.
    #[inline(never)]
    pub fn texts(self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.text(part));
    }

    /// Writes a number.
    pub fn decimal(self, value: u64) {
        self.number(value, 10, 0);
    }

    /// Writes a number after spaces, so that it takes `width` characters at least.
    pub fn padded(self, value: u64, width: usize) {
        self.number(value, 10, width);
    }

    /// Writes a number in hexadecimal digits.
    pub fn hex(self, value: u64) {
        self.number(value, 16, 0);
    }

    /// Writes where a call was made, as JSON or a person may have it.
    pub fn caller(self, caller: usize, escape: bool) {
        say_caller(caller, &mut |piece| match piece {
            Piece::Hex(value) => {
                self.text(b"0x");
                self.hex(value as u64);
            }
            Piece::Text(text) => {
                for character in printable(text) {
                    if escape && matches!(character, b"\"" | b"\\") {
                        self.text(b"\\");
                    }
                    self.text(character);
                }
            }
        });
    }

    #[inline(never)]
    fn number(self, mut value: u64, base: u64, width: usize) {
        let mut digits = [b' '; DIGITS];
        let mut at = DIGITS;
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
            if value == 0 {
                break;
            }
        }
        self.text(&digits[at.min(DIGITS - width)..]);
    }
}
