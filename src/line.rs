//! How is a line for stderr put together without the heap, a format string or a lock?

/// Bytes of a line, its end included.
const ROOM: usize = 320;

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

    /// Appends text. A name must not break the line: control characters become question marks.
    #[inline(never)] // called often, and in no hurry
    pub fn text(&mut self, text: &[u8]) {
        // One byte stays free for the line's end.
        for &byte in text.iter().take(ROOM - 1 - self.len) {
            self.bytes[self.len] = if byte < b' ' { b'?' } else { byte };
            self.len += 1;
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

    /// What it says, with a 0 behind, and no newline.
    pub fn c_string(&self) -> *const core::ffi::c_char {
        self.bytes.as_ptr().cast()
    }

    /// What it says.
    #[cfg(test)]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap()
    }

    /// Writes it to stderr, with one system call.
    pub fn write(mut self) {
        self.bytes[self.len] = b'\n';
        // SAFETY: the bytes are this function's own. If stderr can't be written, nothing can be done
        // about it here.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len + 1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_names_stay_one_line() {
        let mut line = Line::new();
        line.text(&[b'\n'; 500]);
        assert_eq!(line.as_str().len(), ROOM - 1);
        assert!(!line.as_str().contains('\n'));
        assert_eq!(line.bytes[ROOM - 1], 0);
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
