//! What more does a guarded pool do with an entry than hand it out and take it back?
//!
//! A hardened pool makes sure that nobody wrote where nobody may: into an entry that is free, or behind
//! one that is out. It hands out in an order that can't be foreseen, and keeps what was freed last
//! back for a while. A watched pool tells AddressSanitizer or Valgrind which bytes are whose. A
//! bypassed pool takes every entry from the heap. None of them has caches, so that every call comes
//! by here.

use core::ptr::NonNull;

use super::trade::Shared;
use super::{Pool, refuse};
use crate::dynamic;
use crate::misuse::Kind;
use crate::secret::keyed;
use crate::slot::{Entry, State, WORD};
use crate::watcher;
use crate::zero::zero;

/// What the bytes of a freed entry are: odd, and far from any address.
const FREED: u8 = 0xDF;
/// No more slots are kept back, in a pool that is large enough.
const LARGEST_QUARANTINE: u32 = 1024;

/// The slots that were freed last, in that order.
///
/// Invariant: the numbers in the `len` places from `first` on, modulo `room`, are free slots that are
/// nowhere else; `len <= room`.
pub struct Quarantine {
    ring: NonNull<u32>,
    room: u32,
    first: u32,
    len: u32,
}

impl Quarantine {
    /// How many slots a pool keeps back.
    pub fn room(capacity: u32, hardened: bool) -> u32 {
        if hardened { (capacity / 4).min(LARGEST_QUARANTINE) } else { 0 }
    }

    /// # Safety
    /// `ring` is room for so many numbers that nobody else uses.
    pub unsafe fn new(ring: NonNull<u32>, room: u32) -> Self {
        Self { ring, room, first: 0, len: 0 }
    }

    /// How many slots are in it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Keeps a slot, and gives the one that was kept longest if there are too many.
    fn exchange(&mut self, slot: u32) -> Option<u32> {
        if self.room == 0 {
            return Some(slot);
        }
        let longest = if self.len == self.room { self.take_longest() } else { None };
        let place = (self.first + self.len) % self.room;
        // SAFETY: `place < room`.
        unsafe { self.ring.add(place as usize).write(slot) };
        self.len += 1;
        longest
    }

    fn take_longest(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: `first < room`, since there is one.
        let slot = unsafe { self.ring.add(self.first as usize).read() };
        self.first = (self.first + 1) % self.room;
        self.len -= 1;
        Some(slot)
    }
}

impl Pool {
    /// As `alloc_slow`, of a guarded pool. O(size of an entry).
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_guarded(&self) -> Option<Entry> {
        if self.traits.bypass {
            return self.alloc_bypassed();
        }
        let entry = self.entry(self.take_guarded()?);
        self.hand_out_guarded(entry);
        Some(entry)
    }

    /// Makes an entry that was drawn its holder's. O(size of an entry).
    pub(super) fn hand_out_guarded(&self, entry: Entry) {
        self.tell(|| watcher::taken(self.as_ptr(), entry.payload(), self.elem_size));
        if self.looks() {
            self.check_untouched(entry);
            self.write_canary(entry);
        }
        // SAFETY: the slot was free, so it is this call's.
        unsafe { entry.mark(self.address(), State::Out) };
    }

    /// As `free_slow`, of a guarded pool. O(size of an entry).
    #[cold]
    #[inline(never)]
    pub(super) fn free_guarded(&self, entry: Entry) {
        // SAFETY: the word said that it is a slot of this pool's.
        if !unsafe { entry.free_once(self.address()) } {
            // Another thread was faster with the same entry.
            // SAFETY: as above.
            unsafe { refuse(entry) }
        }
        let payload = entry.payload();
        if self.looks() {
            if self.overflowed(entry) {
                self.stop((Kind::Overflow, entry));
            }
            // SAFETY: the payload has that many bytes, and the slot is this call's.
            unsafe { payload.write_bytes(self.freed_byte(), self.elem_size) };
        } else if self.traits.zero_on_free {
            // SAFETY: as above.
            unsafe { zero(payload, self.elem_size) };
        }
        self.tell(|| watcher::given(self.as_ptr(), payload, self.elem_size));
        let mut shared = self.shared.lock();
        if let Some(longest) = shared.quarantine.exchange(self.slot(entry)) {
            self.give(&mut shared, self.entry(longest));
            self.leave(shared);
        }
    }

    fn take_guarded(&self) -> Option<u32> {
        let mut shared = self.shared.lock();
        let slot = self.draw(&mut shared);
        self.leave(shared).then_some(slot).flatten()
    }

    /// Fills places with entries that were promised.
    pub(super) fn draw_guarded(&self, shared: &mut Shared, places: &mut [*mut u8]) {
        for place in places {
            let slot = self.draw(shared).expect("as many as were promised");
            *place = self.entry(slot).payload();
        }
    }

    fn draw(&self, shared: &mut Shared) -> Option<u32> {
        let Shared { depot, quarantine, visits, .. } = shared;
        let slot = if depot.free() == 0 {
            quarantine.take_longest()
        } else if self.traits.hardened {
            *visits = visits.wrapping_add(1);
            depot.take_random(keyed(self.address() ^ *visits as usize) as u32)
        } else {
            depot.take()
        };
        shared.note_peak();
        slot
    }

    /// How many entries of a bypassed pool are not out.
    pub(super) fn left_bypassed(&self) -> usize {
        self.capacity().saturating_sub(self.dynamic.lock().count())
    }

    /// An entry from the heap in place of one of the pool's own.
    fn alloc_bypassed(&self) -> Option<Entry> {
        if self.left_bypassed() == 0 {
            return None;
        }
        // No lock is held while the heap may wait for its own, and nothing counts that is not there: of
        // two threads that want the last entry, the faster has it.
        let entry = self.obtain_dynamic()?;
        let entered = dynamic::enter_below(&self.dynamic, entry, self.capacity())
            .unwrap_or_else(|fault| self.stop(fault));
        if !entered {
            // SAFETY: it was obtained just now, and nobody has it.
            unsafe { dynamic::forgo(self.backing(), entry) };
        }
        entered.then_some(entry)
    }

    /// Whether it looks itself for writes where nobody may: who watches sees them when they happen.
    fn looks(&self) -> bool {
        self.traits.hardened && !self.traits.watched
    }

    /// Aborts if somebody wrote into the entry since it was freed.
    #[inline(never)]
    fn check_untouched(&self, entry: Entry) {
        // SAFETY: it is a slot of this pool's.
        if unsafe { entry.decode_shared() }.is_blank() {
            return;
        }
        // SAFETY: the payload has that many bytes, and the slot is this call's.
        let bytes = unsafe { core::slice::from_raw_parts(entry.payload(), self.elem_size) };
        let freed = self.freed_byte();
        // All of them at first, which goes many at a time.
        if bytes.iter().fold(0, |wrong, byte| wrong | (byte ^ freed)) != 0 {
            let offset = bytes.iter().position(|&byte| byte != freed).unwrap_or(0);
            self.stop((Kind::WriteAfterFree { offset }, entry));
        }
    }

    fn freed_byte(&self) -> u8 {
        if self.traits.zero_on_free { 0 } else { FREED }
    }

    /// The bytes between an entry's end and the next slot's word.
    fn space_behind(&self, entry: Entry) -> (*mut u8, usize) {
        (entry.payload().wrapping_add(self.elem_size), self.stride - WORD - self.elem_size)
    }

    fn write_canary(&self, entry: Entry) {
        let (space, len) = self.space_behind(entry);
        // SAFETY: inside the slot, which is this call's.
        let space = unsafe { core::slice::from_raw_parts_mut(space, len) };
        for (i, bytes) in space.chunks_mut(WORD).enumerate() {
            bytes.iter_mut().zip(canary(entry, i)).for_each(|(byte, canary)| *byte = canary);
        }
    }

    /// Whether somebody wrote behind the entry.
    fn overflowed(&self, entry: Entry) -> bool {
        let next = self.slot(entry) + 1;
        !self.has_canary(entry) || (next < self.capacity && !self.has_word_of_ours(next))
    }

    /// Whether what `write_canary` wrote is there; always, where there is no space for it.
    #[inline(never)]
    fn has_canary(&self, entry: Entry) -> bool {
        let (space, len) = self.space_behind(entry);
        // SAFETY: inside the slot, which is this call's.
        let space = unsafe { core::slice::from_raw_parts(space, len) };
        space
            .chunks(WORD)
            .enumerate()
            .all(|(i, bytes)| bytes.iter().zip(canary(entry, i)).all(|(&b, canary)| b == canary))
    }

    fn has_word_of_ours(&self, slot: u32) -> bool {
        // SAFETY: it is a slot of this pool's.
        let decoded = unsafe { self.entry(slot).decode_shared() };
        decoded.is_blank()
            || decoded.owner_and_state().is_some_and(|(owner, _)| owner == self.address())
    }

    /// Whether it is sure that a slot's entry was never out: nothing is there that a hardened pool writes
    /// when it hands one out.
    pub(super) fn was_never_marked(&self, slot: u32) -> bool {
        let entry = self.entry(slot);
        // SAFETY: it is a slot of this pool's.
        self.looks() && unsafe { entry.decode_shared() }.is_blank() && !self.has_canary(entry)
    }

    /// Before the first entry goes out: no slot was touched.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare_guarded(&self) {
        if self.traits.hardened {
            // A caller's buffer may contain anything, what an earlier pool wrote included.
            for entry in (0..self.capacity).map(|slot| self.entry(slot)) {
                let (space, len) = self.space_behind(entry);
                // SAFETY: nobody knows the pool yet; the space is inside the slot.
                unsafe {
                    entry.wipe();
                    space.write_bytes(0, len);
                }
            }
        }
        self.tell(|| {
            watcher::opened(self.as_ptr());
            for slot in 0..self.capacity {
                watcher::closed_to_all(self.entry(slot).payload(), self.stride - WORD);
            }
        });
    }

    /// Nobody uses the pool any more.
    #[cold]
    #[inline(never)]
    pub(super) fn retire_guarded(&self) {
        self.tell(|| {
            watcher::retired(self.as_ptr());
            for slot in 0..self.capacity {
                watcher::open_to_all(self.entry(slot).payload(), self.stride - WORD);
            }
        });
    }

    fn tell(&self, what: impl FnOnce()) {
        if self.traits.watched && !self.traits.bypass {
            what();
        }
    }

    fn as_ptr(&self) -> *const u8 {
        (&raw const *self).cast()
    }
}

/// What lies in word `i` behind an entry: of that entry, and not the same twice.
fn canary(entry: Entry, i: usize) -> [u8; WORD] {
    keyed(!entry.address() ^ i).to_ne_bytes()
}
