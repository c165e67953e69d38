//! What does the word before an entry say?
//!
//! ```text
//! [ word | payload ............ | pad ] [ word | payload ...
//!          ^ the entry
//! ```
//!
//! `word = owner ^ state ^ keyed(entry)`. The owner, a pool, is aligned to [`OWNER_ALIGN`], and the
//! top sixteen bits of an address are zero: 23 bits in which only the state can be, once the key is
//! taken off. A word that this process did not write for this very entry passes for that of an entry that is
//! out with a chance of 2^-23. Otherwise it is refused before anything is read through it. The state of an
//! entry that is out is zero: its decoded word is the owner's address.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use crate::memory::layout::{ADDRESS_END, OWNER_ALIGN, WORD};
use crate::os::sync::AtomicU64;
use crate::slots::likely_owner::as_likely;
use crate::slots::secret::keyed;

/// The bits of a decoded word in which there is no address.
pub const STATE_BITS: u64 = !ADDRESS | (OWNER_ALIGN as u64 - 1);

/// The bits that an address may have.
const ADDRESS: u64 = if usize::BITS == 64 { ADDRESS_END - 1 } else { u32::MAX as u64 };

static_assertions::const_assert_eq!(size_of::<AtomicU64>(), WORD);

/// Where an entry is: with the caller or not, in a slot or on the heap.
///
/// Any two differ in more than one byte, so that one byte written past the end of an entry makes no
/// state of another. What a state has in the bits of the owner's address is taken off with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum State {
    /// In a slot, with the caller.
    Out = 0,
    /// In a slot that was handed out before and is free now. One instruction makes it of `Out`.
    Free = !0x7E,
    /// On the heap, with the caller.
    Dynamic = 0xA5A5_0000_0000_0022,
    /// Was on the heap; the memory is the heap's again.
    DynamicFreed = 0x5A5A_0000_0000_0044,
    /// In a slot of a hardened pool that was never handed out. (Other pools write no word there.)
    Fresh = 0x3C3C_0000_0000_0018,
}

/// All of them.
pub const STATES: [State; 5] =
    [State::Out, State::Free, State::Dynamic, State::DynamicFreed, State::Fresh];

/// The address of a payload: what the caller holds. Eight bytes in front of it lie its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Entry(NonNull<u8>);

/// A word with the XOR undone.
#[derive(Clone, Copy)]
pub struct Decoded {
    entry: Entry,
    word: u64,
    plain: u64,
}

/// An entry whose word says that it is out in a slot.
#[derive(Clone, Copy)]
pub struct Out(Decoded);

impl Entry {
    /// Treats any address as that of an entry; the caller must check what the word there says.
    #[inline(always)]
    pub fn new(payload: NonNull<u8>) -> Self {
        Self(payload)
    }

    /// The entry with this payload, which lies in a pool: not at address 0.
    #[inline(always)]
    pub fn at(payload: *mut u8) -> Self {
        debug_assert!(!payload.is_null());
        // SAFETY: no pool has an entry at address 0.
        Self(unsafe { NonNull::new_unchecked(payload) })
    }

    /// The pointer for the caller.
    #[inline(always)]
    pub fn payload(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The address as a number.
    #[inline(always)]
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Undoes the XOR of the word in front of this address.
    ///
    /// # Safety
    /// The 8 bytes in front of the address can be read. Nothing else is asked of them, not even
    /// that they are aligned: whoever frees may pass anything.
    #[inline(always)]
    pub unsafe fn decode(self) -> Decoded {
        // SAFETY: readable by this function's contract. No other thread writes the word of an
        // entry while its holder is freeing it.
        let word = unsafe { self.0.as_ptr().sub(WORD).cast::<u64>().read_unaligned() };
        Decoded { entry: self, word, plain: word ^ self.mask() }
    }

    /// As [`decode`](Self::decode), for an entry that another thread may hold.
    ///
    /// # Safety
    /// The address is that of a slot's payload or of a dynamic entry.
    pub unsafe fn decode_shared(self) -> Decoded {
        // Relaxed: the caller learns a state that may be old when it looks at it.
        // SAFETY: the word of a slot is live and aligned.
        let word = unsafe { self.word() }.load(Ordering::Relaxed);
        Decoded { entry: self, word, plain: word ^ self.mask() }
    }

    /// Writes the word: owned by the pool at `owner`, in `state`.
    ///
    /// # Safety
    /// The caller of this holds the slot, and `owner` is the address of its pool.
    #[inline(always)]
    pub unsafe fn mark(self, owner: usize, state: State) {
        // Relaxed: whoever reads the word next got the slot through a lock, or the entry from its
        // holder.
        // SAFETY: the word of a slot is live and aligned.
        unsafe { self.word() }.store(owner as u64 ^ state as u64 ^ self.mask(), Ordering::Relaxed);
    }

    /// Writes the word again of a slot that is free and was marked so, in state `Out`. One instruction,
    /// without the key.
    ///
    /// # Safety
    /// As [`mark`](Self::mark).
    #[inline(always)]
    pub unsafe fn mark_out(self) {
        // SAFETY: the word of a slot is live and aligned.
        let word = unsafe { self.word() };
        // Relaxed: as in `mark`.
        let out = word.load(Ordering::Relaxed) ^ (State::Out as u64 ^ State::Free as u64);
        word.store(out, Ordering::Relaxed);
    }

    /// Changes the state from `Out` to `Free`, for one of several threads that try at the same moment. False
    /// for the others.
    ///
    /// # Safety
    /// The address is that of a slot's payload, of the pool at `owner`.
    pub unsafe fn free_once(self, owner: usize) -> bool {
        let word = |state: State| owner as u64 ^ state as u64 ^ self.mask();
        // Relaxed: as in `mark`.
        // SAFETY: the word of a slot is live and aligned.
        unsafe { self.word() }
            .compare_exchange(
                word(State::Out),
                word(State::Free),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Wipes the word, so that the address is an entry no more.
    ///
    /// # Safety
    /// As [`mark`](Self::mark).
    pub unsafe fn wipe(self) {
        // SAFETY: the word of a slot is live and aligned.
        unsafe { self.word() }.store(0, Ordering::Relaxed);
    }

    #[inline(always)]
    fn mask(self) -> u64 {
        keyed(self.address() as u64)
    }

    /// # Safety
    /// The address is that of a slot's payload: its word is live, aligned memory.
    #[inline(always)]
    unsafe fn word<'a>(self) -> &'a AtomicU64 {
        // SAFETY: by this function's contract, for as long as the slot exists.
        unsafe { AtomicU64::from_ptr(self.0.as_ptr().sub(WORD).cast()) }
    }
}

impl Decoded {
    /// Whether the entry is out in a slot. Two instructions and a branch.
    #[inline(always)]
    pub fn if_out(self) -> Option<Out> {
        (self.plain & STATE_BITS == 0).then_some(Out(self))
    }

    /// Whether the entry is out in a slot of its likely owner, and that. Quick also when the word
    /// is not, see `likely_owner.rs`.
    #[inline(always)]
    pub fn if_out_and_likely(self) -> Option<(Out, usize)> {
        Some((Out(self), as_likely(self.entry.address(), self.plain)?))
    }

    /// Owner and state, unless the known bits say that this is no word of ours.
    pub fn owner_and_state(self) -> Option<(usize, State)> {
        let is = |state: &State| (self.plain ^ *state as u64) & STATE_BITS == 0;
        let state = STATES.into_iter().find(is)?;
        let owner = (self.plain ^ state as u64) as usize;
        (owner != 0).then_some((owner, state))
    }
}

impl Out {
    /// The owner's address.
    #[inline(always)]
    pub fn owner(self) -> usize {
        self.0.plain as usize
    }

    /// Writes the word again, in state `Free`. One instruction on what is in a register.
    ///
    /// # Safety
    /// As [`Entry::mark`].
    #[inline(always)]
    pub unsafe fn mark_free(self) {
        let word = self.0.word ^ (State::Out as u64 ^ State::Free as u64);
        // Relaxed: as in `mark`.
        // SAFETY: the word of a slot is live and aligned.
        unsafe { self.0.entry.word() }.store(word, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(128))]
    struct Memory([u64; 64]);

    const OWNER: usize = 0x7f12_3456_7880;

    fn entry(memory: &mut Memory, word: usize) -> Entry {
        Entry::new(NonNull::from(&mut memory.0[word]).cast())
    }

    #[test]
    fn says_what_was_written() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        let e = entry(&mut memory, 2);
        for state in STATES {
            // SAFETY: the slot is this test's own.
            let decoded = unsafe {
                e.mark(OWNER, state);
                e.decode()
            };
            assert_eq!(decoded.owner_and_state(), Some((OWNER, state)));
            assert_eq!(decoded.if_out().map(Out::owner), (state == State::Out).then_some(OWNER));
        }
    }

    #[test]
    fn the_short_ways_say_the_same() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        let e = entry(&mut memory, 6);
        // SAFETY: the slot is this test's own.
        unsafe {
            e.mark(OWNER, State::Out);
            assert_eq!(e.decode().owner_and_state(), Some((OWNER, State::Out)));
            e.decode().if_out().unwrap().mark_free();
            assert_eq!(e.decode().owner_and_state(), Some((OWNER, State::Free)));
        }
    }

    #[test]
    fn a_word_copied_to_another_slot_is_refused() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        let e = entry(&mut memory, 2);
        // SAFETY: the slot is this test's own.
        unsafe { e.mark(OWNER, State::Out) };
        let word = memory.0[1];
        for other in (4..64).step_by(2) {
            memory.0[other - 1] = word;
            // SAFETY: as above.
            let decoded = unsafe { entry(&mut memory, other).decode() };
            assert!(decoded.if_out().is_none(), "copied to word {other}");
        }
    }

    #[test]
    fn a_word_of_zeros_is_none_of_ours() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        for word in 2..64 {
            // SAFETY: the memory is this test's own.
            let decoded = unsafe { entry(&mut memory, word).decode() };
            assert!(decoded.owner_and_state().is_none_or(|(owner, _)| owner != OWNER));
        }
    }

    #[test]
    fn states_differ_in_more_than_one_byte() {
        for (i, &a) in STATES.iter().enumerate() {
            for &b in &STATES[..i] {
                let known = (a as u64 ^ b as u64) & STATE_BITS;
                let bytes = known.to_ne_bytes().iter().filter(|&&byte| byte != 0).count();
                assert!(bytes > 1, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn one_byte_of_a_word_makes_no_other_state() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        let e = entry(&mut memory, 2);
        for state in STATES {
            // SAFETY: the slot is this test's own.
            unsafe { e.mark(OWNER, state) };
            let word = memory.0[1];
            for (byte, value) in (0..8).flat_map(|byte| (1..256).map(move |value| (byte, value))) {
                memory.0[1] = word ^ value << (8 * byte);
                // SAFETY: as above.
                let decoded = unsafe { e.decode() }.owner_and_state();
                // What is overwritten in the middle is the owner's address.
                assert!(decoded.is_none_or(|(owner, s)| owner != OWNER && s == state));
            }
        }
    }

    #[test]
    fn other_data_is_refused() {
        crate::slots::secret::draw();
        let mut memory = Memory([0; 64]);
        let data = [0, u64::MAX, 0x4141_4141_4141_4141, OWNER as u64, 0x21];
        for value in data {
            memory.0[1] = value;
            // SAFETY: the memory is this test's own.
            let decoded = unsafe { entry(&mut memory, 2).decode() };
            assert!(decoded.owner_and_state().is_none(), "{value:#x}");
        }
    }
}
