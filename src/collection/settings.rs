//! What does the environment set for all pools?
//!
//! `CMEMPOOL_OPTIONS` is a comma-separated list. It is read once, when the first pool is created; set-user-ID
//! programs ignore it.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::os;
use crate::report::line::{Line, cut};

const VARIABLE: &CStr = c"CMEMPOOL_OPTIONS";

const HARDENED: u32 = 1;
const LEAKS: u32 = 2;
const BYPASS: u32 = 4;
const UNWATCHED: u32 = 8;
const HOLDERS: u32 = 16;
/// The environment was read.
const KNOWN: u32 = 1 << 31;

const WORDS: [(&[u8], u32); 5] = [
    (b"hardened", HARDENED),
    (b"leaks", LEAKS),
    (b"bypass", BYPASS),
    (b"unwatched", UNWATCHED),
    (b"holders", HOLDERS),
];

static SETTINGS: AtomicU32 = AtomicU32::new(0);

/// What is set for all pools, whatever their flags say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Every pool is hardened.
    pub hardened: bool,
    /// Every pool reports entries that are out when it is destroyed.
    pub leaks: bool,
    /// Every entry comes from the heap.
    pub bypass: bool,
    /// AddressSanitizer and Valgrind are not told about entries.
    pub unwatched: bool,
    /// Every pool records who takes and frees its entries.
    pub holders: bool,
}

/// What the environment set when the first pool was created; nothing before.
pub fn get() -> Settings {
    // Relaxed: the value itself is all there is to see.
    let bits = SETTINGS.load(Ordering::Relaxed);
    let has = |bit| bits & bit != 0;
    Settings {
        hardened: has(HARDENED),
        leaks: has(LEAKS),
        bypass: has(BYPASS),
        unwatched: has(UNWATCHED),
        holders: has(HOLDERS),
    }
}

/// Reads the environment unless that was done already. Create calls this first.
pub fn prepare() {
    if SETTINGS.load(Ordering::Relaxed) == 0 {
        read();
    }
}

#[cold]
#[inline(never)]
fn read() {
    let text = os::variable(VARIABLE).unwrap_or_default().to_bytes();
    let bits = parse(text, &mut |_| {}) | KNOWN;
    // Relaxed, as above. Threads that come here at once read the same; the first has it reported.
    if SETTINGS.compare_exchange(0, bits, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        parse(text, &mut |word| unknown(word).write());
    }
}

#[inline(never)]
fn parse(text: &[u8], unknown: &mut dyn FnMut(&[u8])) -> u32 {
    let mut bits = 0;
    for word in text.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        match WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, bit)) => bits |= bit,
            None if word.is_empty() => {}
            None => unknown(word),
        }
    }
    bits
}

fn unknown(word: &[u8]) -> Line {
    let mut line = Line::new();
    line.text(VARIABLE.to_bytes());
    line.text(b" ignores \"");
    // What is known stays in the line.
    line.text(cut(word, 64));
    line.text(b"\"; it knows ");
    for (i, (known, _)) in WORDS.iter().enumerate() {
        line.text(if i == 0 { b"" } else { b", " });
        line.text(known);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (u32, Vec<String>) {
        let mut words = Vec::new();
        let bits =
            parse(text.as_bytes(), &mut |word| words.push(String::from_utf8_lossy(word).into()));
        (bits, words)
    }

    #[test]
    fn words_are_found_and_others_told() {
        assert_eq!(parsed(""), (0, vec![]));
        assert_eq!(parsed(",, ,"), (0, vec![]));
        assert_eq!(parsed("leaks"), (LEAKS, vec![]));
        assert_eq!(parsed("hardened, bypass ,leaks,leaks"), (HARDENED | BYPASS | LEAKS, vec![]));
        let others = ["leak", "LEAKS", "leaks=1", "leaks bypass"];
        assert_eq!(parsed(&others.join(",")), (0, others.map(String::from).to_vec()));
    }

    #[test]
    fn the_line_names_the_word_and_those_that_are_known() {
        assert_eq!(
            unknown(b"fast").as_str(),
            "cmempool: CMEMPOOL_OPTIONS ignores \"fast\"; it knows hardened, leaks, bypass, unwatched, holders"
        );
        assert!(unknown(&[b'x'; 400]).as_str().ends_with("holders"));
    }
}
