//! What lies after the end of a hardened pool's entry?
//!
//! Bytes that no code may write. Each word of eight is keyed by its own address, so that it can neither be
//! guessed nor copied from another. An entry may end in the middle of a word.

use core::ops::Range;

use crate::memory::layout::WORD;
use crate::slots::secret::keyed;

/// The word that belongs to an address, which is a multiple of its size.
#[inline(always)]
fn word(address: usize) -> u64 {
    keyed(!(address as u64))
}

/// The byte that belongs to an address.
fn byte(address: usize) -> u8 {
    word(address & !(WORD - 1)).to_ne_bytes()[address % WORD]
}

/// A range of bytes, cut where words begin and end: single ones, whole words, single ones.
fn parts(start: usize, len: usize) -> [Range<usize>; 3] {
    let end = start + len;
    let first = start.next_multiple_of(WORD).min(end);
    let last = (end & !(WORD - 1)).max(first);
    [start..first, first..last, last..end]
}

/// Writes what belongs there.
///
/// # Safety
/// The bytes are the caller's to write.
pub unsafe fn write(start: *mut u8, len: usize) {
    let [before, words, after] = parts(start as usize, len);
    let at = |address: usize| start.wrapping_add(address - start as usize);
    // SAFETY: inside the range, by this function's contract; words are aligned.
    unsafe {
        before.chain(after).for_each(|address| at(address).write(byte(address)));
        for address in words.step_by(WORD) {
            at(address).cast::<u64>().write(word(address));
        }
    }
}

/// Whether it is there.
///
/// # Safety
/// The bytes can be read.
pub unsafe fn holds(start: *const u8, len: usize) -> bool {
    let [before, words, after] = parts(start as usize, len);
    let at = |address: usize| start.wrapping_add(address - start as usize);
    // SAFETY: inside the range, by this function's contract; words are aligned.
    unsafe {
        before.chain(after).all(|address| at(address).read() == byte(address))
            && words.step_by(WORD).all(|address| at(address).cast::<u64>().read() == word(address))
    }
}

/// How far into the bytes the first one lies that is not what belongs there.
///
/// # Safety
/// The bytes can be read.
pub unsafe fn first_wrong(start: *const u8, len: usize) -> Option<usize> {
    // SAFETY: by this function's contract.
    (0..len).find(|&i| !unsafe { start.add(i).read() == byte(start.add(i) as usize) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_every_byte_that_changes() {
        crate::slots::secret::draw();
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
        crate::slots::secret::draw();
        let words: std::collections::HashSet<_> = (0..10_000).map(|i| word(8 * i)).collect();
        assert_eq!(words.len(), 10_000);
    }
}
