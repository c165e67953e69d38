//! What lies behind the end of a hardened pool's entry?
//!
//! Bytes that nobody may write: each word of eight is keyed by its own address, so that it can't be
//! guessed, and not be had by copying another. An entry may end in the middle of one.

use core::ops::Range;

use crate::secret::keyed;
use crate::slot::WORD;

/// The word that belongs to an address, which is a multiple of its size.
fn word(address: usize) -> [u8; WORD] {
    keyed(!address).to_ne_bytes()
}

/// Calls `visit` with each part of a range of addresses that lies in one word, and what belongs there,
/// until it says no.
fn all(bytes: Range<usize>, mut visit: impl FnMut(usize, &[u8]) -> bool) -> bool {
    let mut at = bytes.start;
    while at < bytes.end {
        let first = at & !(WORD - 1);
        let end = (first + WORD).min(bytes.end);
        if !visit(at, &word(first)[at - first..end - first]) {
            return false;
        }
        at = end;
    }
    true
}

/// Writes what belongs there.
///
/// # Safety
/// The bytes are the caller's to write.
pub unsafe fn write(start: *mut u8, len: usize) {
    let base = start as usize;
    all(base..base + len, |at, canary| {
        for (i, &byte) in canary.iter().enumerate() {
            // SAFETY: inside the range, by this function's contract.
            unsafe { start.add(at - base + i).write(byte) };
        }
        true
    });
}

/// Whether it is there.
///
/// # Safety
/// The bytes can be read.
pub unsafe fn holds(start: *const u8, len: usize) -> bool {
    let base = start as usize;
    all(base..base + len, |at, canary| {
        // SAFETY: inside the range, by this function's contract.
        let byte = |i: usize| unsafe { start.add(at - base + i).read() };
        canary.iter().enumerate().all(|(i, &expected)| byte(i) == expected)
    })
}

/// How far into the bytes the first one lies that is not what belongs there.
///
/// # Safety
/// The bytes can be read.
pub unsafe fn first_wrong(start: *const u8, len: usize) -> Option<usize> {
    // SAFETY: by this function's contract.
    (0..len).find(|&i| !unsafe { holds(start.add(i), 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_every_byte_that_changes() {
        crate::secret::draw();
        let mut memory = [0u64; 16];
        let base = memory.as_mut_ptr().cast::<u8>();
        for (start, len) in (0..16).flat_map(|start| (0..40).map(move |len| (start, len))) {
            // SAFETY: the memory is this test's own.
            unsafe {
                base.write_bytes(0, 128);
                let first = base.add(start);
                write(first, len);
                assert!(holds(first, len) && first_wrong(first, len).is_none());
                assert!((0..start).chain(start + len..128).all(|i| base.add(i).read() == 0));
                for i in 0..len {
                    let byte = first.add(i);
                    byte.write(byte.read() ^ 1);
                    assert!(!holds(first, len));
                    assert_eq!(first_wrong(first, len), Some(i));
                    byte.write(byte.read() ^ 1);
                }
            }
        }
    }

    #[test]
    fn no_word_is_like_another() {
        crate::secret::draw();
        let words: std::collections::HashSet<_> = (0..10_000).map(|i| word(8 * i)).collect();
        assert_eq!(words.len(), 10_000);
    }
}
