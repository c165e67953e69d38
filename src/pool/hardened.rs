//! What does a hardened pool look at?
//!
//! The bytes of a slot that no code may write. Which these are depends on its state:
//!
//! ```text
//!          [ word | payload ......................... | gap ] [ next word
//! fresh      ours   anything                             -      ours
//! out        ours   the holder's ..| canary ............. |     ours
//! free       ours   all the same byte ................| canary  ours
//!                                  ^ border           ^ elem_size
//! ```
//!
//! It looks where a slot's state changes, where an entry's size does, and at all slots when the pool
//! ends. Behind the last slot lies one more word.

use super::body::Pool;
use crate::memory::layout::WORD;
use crate::os::watcher;
use crate::report::misuse::{Call, Kind};
use crate::slots::canary;
use crate::slots::word::{Entry, State};

/// What the bytes of a freed entry are: odd, and far from any address.
const FREED: u8 = 0xDF;

impl Pool {
    /// Before the first entry goes out. A caller's buffer may contain anything, what an earlier pool wrote
    /// included.
    pub(super) fn harden(&self) {
        for slot in 0..=self.capacity {
            // SAFETY: nobody uses the pool; after the last slot there is room for a word.
            unsafe { self.entry_or_end(slot).mark(self.address(), State::Fresh) };
        }
    }

    /// No word stays. Nobody uses the pool any more.
    pub(super) fn wipe_all(&self) {
        if !self.traits.bypass {
            // SAFETY: as in `harden`.
            (0..=self.capacity).for_each(|slot| unsafe { self.entry_or_end(slot).wipe() });
        }
    }

    /// Fills bytes of an entry, so that a write to them after its free shows.
    ///
    /// # Safety
    /// The slot is the caller's, and `from <= to <= elem_size`.
    pub(super) unsafe fn fill_freed(&self, entry: Entry, from: usize, to: usize) {
        // SAFETY: the payload has that many bytes.
        unsafe { entry.payload().add(from).write_bytes(self.freed_byte(), to - from) };
    }

    fn freed_byte(&self) -> u8 {
        if self.traits.zero_on_free { 0 } else { FREED }
    }

    /// Writes the canary from the border on.
    ///
    /// # Safety
    /// The slot is the caller's.
    pub(super) unsafe fn write_canary(&self, entry: Entry, border: usize) {
        // SAFETY: inside the slot.
        unsafe { canary::write(entry.payload().add(border), self.slot_end() - border) };
    }

    /// Aborts if something wrote past an entry that is out.
    pub(super) fn check_end(&self, slot: u32) {
        if !self.end_holds(slot) {
            self.stop((Kind::Overflow, self.entry(slot)));
        }
    }

    /// Whether nothing wrote past an entry that is out, or was until now.
    pub(super) fn end_holds(&self, slot: u32) -> bool {
        let border = self.border(slot);
        let after = self.entry(slot).payload().wrapping_add(border);
        // SAFETY: inside the slot, which is this call's.
        let holds = unsafe { canary::holds(after, self.slot_end() - border) };
        holds && self.has_word(slot + 1)
    }

    /// Aborts if something wrote into a free entry, or past it.
    #[inline(never)]
    pub(super) fn check_free(&self, slot: u32) {
        let entry = self.entry(slot);
        let (payload, size, end) = (entry.payload(), self.elem_size, self.slot_end());
        // SAFETY: the payload has that many bytes, and the slot is this call's.
        let bytes = unsafe { core::slice::from_raw_parts(payload, size) };
        let freed = self.freed_byte();
        let after = payload.wrapping_add(size);
        // All of them at first, which goes many at a time.
        let touched = bytes.iter().fold(0, |wrong, byte| wrong | (byte ^ freed)) != 0;
        // SAFETY: inside the slot.
        if touched || !unsafe { canary::holds(after, end - size) } || !self.has_word(slot + 1) {
            let inside = bytes.iter().position(|&byte| byte != freed);
            // SAFETY: as above.
            let wrong_after = || unsafe { canary::first_wrong(after, end - size) };
            let offset = inside.or_else(|| Some(size + wrong_after()?)).unwrap_or(end);
            self.stop((Kind::WriteAfterFree { offset }, entry));
        }
    }

    /// Looks at every slot. O(bytes of all entries).
    ///
    /// Nobody else is inside a call on the pool.
    pub(super) fn check_all(&self, call: Call) {
        for slot in 0..self.capacity {
            match self.state_of(slot) {
                Some(State::Out) => {
                    self.open_after(slot);
                    self.check_end(slot);
                    self.close_after(slot);
                }
                Some(State::Free) => {
                    self.open_slot(slot);
                    self.check_free(slot);
                    self.close_slot(slot);
                }
                Some(State::Fresh) => {}
                _ => self.stop_in(call, (Kind::HeaderOverwritten, self.entry(slot))),
            }
        }
    }

    /// What a slot's word says; none if it is not one of this pool's.
    pub(super) fn state_of(&self, slot: u32) -> Option<State> {
        // SAFETY: a word of this pool's lies there.
        let decoded = unsafe { self.entry_or_end(slot).decode_shared() };
        let (owner, state) = decoded.owner_and_state()?;
        (owner == self.address()).then_some(state)
    }

    fn has_word(&self, slot: u32) -> bool {
        self.state_of(slot).is_some()
    }

    /// As `entry`, also of the word after the last slot.
    fn entry_or_end(&self, slot: u32) -> Entry {
        debug_assert!(slot <= self.capacity);
        // SAFETY: a hardened pool has room for a word after its slots.
        Entry::new(unsafe { self.slots.add(slot as usize * self.stride) })
    }

    /// Bytes from an entry to the next slot's word.
    pub(super) fn slot_end(&self) -> usize {
        self.stride - WORD
    }

    // Lets the library read what no other code may: the tools are told before and after.

    /// All bytes of a slot that no holder has.
    pub(super) fn open_slot(&self, slot: u32) {
        self.tell(|| watcher::open(self.entry(slot).payload(), self.slot_end()));
    }

    /// As it was.
    pub(super) fn close_slot(&self, slot: u32) {
        self.tell(|| watcher::close(self.entry(slot).payload(), self.slot_end()));
    }

    /// What lies after the border of an entry that is out.
    pub(super) fn open_after(&self, slot: u32) {
        self.tell(|| {
            let border = self.border(slot);
            watcher::open(
                self.entry(slot).payload().wrapping_add(border),
                self.slot_end() - border,
            );
        });
    }

    /// As it was, or up to a border that has moved.
    pub(super) fn close_after(&self, slot: u32) {
        self.tell(|| {
            let border = self.border(slot);
            watcher::close(
                self.entry(slot).payload().wrapping_add(border),
                self.slot_end() - border,
            );
        });
    }
}
