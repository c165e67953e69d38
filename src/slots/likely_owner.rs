//! Which pool owns an entry, before its word has come from memory?
//!
//! A free goes on with a cache of the owner's, and its word, which says who that is, may be far away.
//! A table from addresses to pools, small enough to be near, gives the likely owner at once. The free
//! compares it with what the word says, and the processor runs ahead of the branch: what comes
//! after waits no longer for the word.
//!
//! It is only a guess: pools whose slots share a place in the table overwrite each other there, and the pool
//! may be gone. So nothing is read through it before the word says the same.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::os::cpu::{stay_a_branch, unseen};
use crate::slots::inlined::{PLACES, PROCESS};

/// Bytes of addresses that share a place: few enough that they are mostly of one pool.
const STEP: usize = 16 << 10;

/// The owner that the decoded word of the entry at an address gives, if it is the likely one. Five
/// instructions.
#[inline(always)]
pub fn as_likely(entry: usize, decoded: u64) -> Option<usize> {
    // Relaxed: it is no more than compared.
    let likely = place(entry / STEP).load(Ordering::Relaxed);
    // The compiler is not to see what is compared: it would go on with `decoded` in place of `likely`.
    if decoded == unseen(likely) as u64 {
        Some(likely)
    } else {
        // A choice without a branch would wait for both.
        stay_a_branch();
        None
    }
}

/// Entries of the pool at `owner`, of falling addresses, go into a cache and will be freed before long.
/// O(entries), and much less when they lie close together.
pub fn expect(entries: &[*mut u8], owner: usize) {
    let (Some(&last), Some(&first)) = (entries.first(), entries.last()) else { return };
    let steps = first as usize / STEP..=last as usize / STEP;
    if last as usize / STEP - first as usize / STEP < entries.len() {
        steps.for_each(|step| set(step, owner));
    } else {
        entries.iter().for_each(|&entry| set(entry as usize / STEP, owner));
    }
}

fn set(step: usize, owner: usize) {
    let place = place(step);
    // A store only where it is news, so that threads don't take the table from each other.
    // Relaxed: it is a guess.
    if place.load(Ordering::Relaxed) != owner {
        place.store(owner, Ordering::Relaxed);
    }
}

#[inline(always)]
fn place(step: usize) -> &'static AtomicUsize {
    // Not by `%`, which says nothing of a single place.
    &PROCESS.likely[step & (PLACES - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_expected_is_the_likely_one() {
        // Addresses that no pool of another test has.
        let base = 3 << 46;
        let address = |offset| std::ptr::without_provenance_mut::<u8>(base + offset);
        let likely = |offset| {
            let owners = [128, 256].into_iter();
            owners.filter_map(|owner| as_likely(base + offset, owner)).next()
        };
        // Close together: what lies between them is the pool's too.
        expect(&[2 * STEP, STEP + 16, 16].map(address), 128);
        assert_eq!(
            [0, STEP, 2 * STEP, 3 * STEP].map(likely),
            [Some(128), Some(128), Some(128), None]
        );
        expect(&[10 * STEP, STEP].map(address), 256);
        assert_eq!([0, STEP, 2 * STEP].map(likely), [Some(128), Some(256), Some(128)]);
        assert_eq!([9 * STEP, 10 * STEP].map(likely), [None, Some(256)]);
        expect(&[PLACES * STEP].map(address), 256);
        assert_eq!(likely(0), Some(256));
        expect(&[], 128);
    }
}
