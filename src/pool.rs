//! How does a pool of equal slots hand out and take back?

use core::ptr::NonNull;

use crate::collection::{Collection, Policy};
use crate::depot::Depot;
use crate::dynamic::{self, DynamicEntries, Fault};
use crate::layout::{Class, Cursor, SLOT_RESERVE, stride};
use crate::lock::Locked;
use crate::misuse::{self, Kind, Subject};
use crate::registry;
use crate::secret::secret;
use crate::slot::{Entry, OWNER_ALIGN, State, WORD};

/// What a caller chose beside sizes and counts.
#[derive(Clone, Copy, Default)]
pub struct Traits {
    /// Calls on the pool never overlap: take no lock.
    pub single_thread: bool,
    /// Overwrite an entry with zeros when it is freed.
    pub zero_on_free: bool,
    /// An ordinary pool that is empty takes from the heap.
    pub fall_back: bool,
}

/// Equal slots, and which of them are free.
///
/// Invariant: slot `i < capacity` has its payload at `slots + i * stride`, aligned to `align`;
/// `capacity == free in the depot + out`; a slot's word says `Out` exactly while a caller holds its
/// entry.
#[repr(C, align(128))]
pub struct Pool {
    // Read by calls, written by create alone.
    slots: NonNull<u8>,    // payload of slot 0
    stride: usize,         // bytes from an entry to the next
    stride_inverse: usize, // (stride >> stride_shift) * this == 1, modulo 2^64
    stride_shift: u32,     // stride's trailing zero bits
    capacity: u32,         // slots
    elem_size: usize,      // usable bytes of an entry
    align: usize,          // of every entry
    traits: Traits,
    collection: NonNull<Collection>, // holds the name and the memory
    seal: usize,                     // says that this is a live pool
    // Written by calls.
    depot: Locked<Depot>,
    dynamic: Locked<DynamicEntries>,
}

static_assertions::const_assert_eq!(align_of::<Pool>(), OWNER_ALIGN);
static_assertions::const_assert_eq!(core::mem::offset_of!(Pool, slots), 0);

// SAFETY: what calls write is behind `Locked`; the rest is constant. The slots are reached by who
// holds them. (With `single_thread` the creator promised that calls don't overlap.)
unsafe impl Sync for Pool {}

impl Pool {
    /// Takes an entry of a slot, or none if all are out. O(1): one lock, one word written.
    #[inline]
    pub fn alloc(&self) -> Option<Entry> {
        let slot = self.depot.lock().take()?;
        let entry = self.entry(slot);
        // SAFETY: the slot was free, so it is this call's.
        unsafe { entry.mark(self.address(), State::Out) };
        Some(entry)
    }

    /// Takes back an entry of any pool. O(1): one lock, one word written.
    ///
    /// Aborts when the entry is no entry of ours that is out.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    #[inline]
    pub unsafe fn free(entry: Entry) {
        // SAFETY: by this function's contract.
        let Some(owner) = (unsafe { entry.decode() }).owner_if_out() else {
            // SAFETY: as above.
            return unsafe { Self::free_unusual(entry) };
        };
        // SAFETY: the word was written by this process for an entry of the pool at `owner`, which
        // lives as long as its slots.
        unsafe { Self::at(owner) }.take_back(entry);
    }

    #[inline]
    fn take_back(&self, entry: Entry) {
        if self.traits.zero_on_free {
            // SAFETY: the payload has that many bytes, and its holder gave it up.
            unsafe { entry.payload().write_bytes(0, self.elem_size) };
        }
        // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
        unsafe { entry.mark(self.address(), State::Free) };
        if !self.depot.lock().give(self.slot(entry)) {
            self.stop((Kind::DoubleFree, entry));
        }
    }

    /// A dynamic entry, or something that may not be freed.
    #[cold]
    unsafe fn free_unusual(entry: Entry) {
        // SAFETY: the caller of `free` promised that the word can be read.
        if let Some((owner, State::Dynamic)) = unsafe { entry.decode() }.owner_and_state() {
            // SAFETY: as in `free`; a pool releases its dynamic entries before it goes.
            let pool = unsafe { Self::at(owner) };
            // SAFETY: the word says that the entry is dynamic, out and of this pool.
            let freed =
                unsafe { dynamic::free(&pool.dynamic, owner, entry, pool.traits.zero_on_free) };
            freed.unwrap_or_else(|fault| pool.stop(fault));
            return;
        }
        // SAFETY: as above.
        unsafe { refuse(entry) }
    }

    /// An entry of `size` bytes from the heap, owned by this pool. None if the heap has none.
    #[cold]
    pub fn alloc_dynamic(&self) -> Option<Entry> {
        dynamic::alloc(&self.dynamic, self.address(), self.elem_size, self.align)
            .unwrap_or_else(|fault| self.stop(fault))
    }

    /// Usable bytes of one of its dynamic entries.
    ///
    /// # Safety
    /// The entry's word says that it is dynamic, out, and of this pool.
    pub unsafe fn dynamic_size(&self, entry: Entry) -> usize {
        // SAFETY: by this function's contract.
        unsafe { dynamic::size(&self.dynamic, entry) }.unwrap_or_else(|fault| self.stop(fault))
    }

    /// Says what was done with an entry of this pool and aborts.
    pub fn stop(&self, (kind, entry): Fault) -> ! {
        misuse::stop(kind, entry.address(), Some(self.subject()))
    }

    /// How many entries it has slots for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// How many of its slots' entries are with callers.
    pub fn used(&self) -> usize {
        self.depot.lock().out() as usize
    }

    /// How many of its dynamic entries are with callers.
    pub fn dynamic_count(&self) -> usize {
        self.dynamic.lock().count()
    }

    /// Usable bytes of its entries.
    pub fn elem_size(&self) -> usize {
        self.elem_size
    }

    /// Whether it takes from the heap when it is empty.
    pub fn falls_back(&self) -> bool {
        self.traits.fall_back
    }

    /// The collection that it is a class of.
    pub fn collection(&self) -> NonNull<Collection> {
        self.collection
    }

    /// What its collection does when it is empty.
    pub fn policy(&self) -> Policy {
        // SAFETY: the collection lives as long as its pools.
        unsafe { self.collection.as_ref() }.policy()
    }

    /// What a report says about it.
    pub fn subject(&self) -> Subject<'_> {
        // SAFETY: the collection lives as long as its pools.
        let collection = unsafe { self.collection.as_ref() };
        let handle = match collection.policy() {
            Policy::Ordinary => self.address(),
            _ => &raw const *collection as usize,
        };
        Subject { name: collection.name(), address: handle, elem_size: self.elem_size }
    }

    /// What is at an address that may not be freed, if it lies among this pool's slots.
    pub fn what_is_at(&self, address: usize) -> Option<Kind> {
        let offset = address.wrapping_sub(self.slots.as_ptr() as usize);
        if offset >= self.stride * self.capacity as usize {
            return None;
        }
        let number = offset / self.stride;
        Some(if !offset.is_multiple_of(self.stride) {
            Kind::Interior { offset: offset % self.stride }
        } else if self.depot.lock_unless_held().is_some_and(|d| number >= d.fresh() as usize) {
            Kind::NeverOut
        } else {
            Kind::HeaderOverwritten
        })
    }

    /// The pool at an address that a word or a caller gave.
    ///
    /// # Safety
    /// A pool lives there, and goes on to.
    #[inline(always)]
    pub unsafe fn at<'a>(address: usize) -> &'a Self {
        // SAFETY: by this function's contract. Create exposed the address.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// Whether a live pool that starts at `pool` sealed itself there.
    ///
    /// # Safety
    /// If `pool` is aligned for a pool, it can be read like one.
    pub unsafe fn is_sealed(pool: NonNull<Self>) -> bool {
        // SAFETY: by this function's contract.
        pool.is_aligned() && unsafe { (*pool.as_ptr()).seal } == seal_of(pool)
    }

    #[inline(always)]
    fn address(&self) -> usize {
        &raw const *self as usize
    }

    #[inline(always)]
    fn entry(&self, slot: u32) -> Entry {
        debug_assert!(slot < self.capacity);
        // SAFETY: `slot < capacity`, so the payload lies in the region (invariant).
        Entry::new(unsafe { self.slots.add(slot as usize * self.stride) })
    }

    /// The number of the slot of one of this pool's entries: an exact division by the stride,
    /// without a division.
    #[inline(always)]
    fn slot(&self, entry: Entry) -> u32 {
        let offset = entry.address().wrapping_sub(self.slots.as_ptr() as usize);
        (offset >> self.stride_shift).wrapping_mul(self.stride_inverse) as u32
    }

    /// Makes a pool at `place`: its stack and its slots come from `cursor`. None if they don't fit.
    ///
    /// # Safety
    /// `place` is room for a pool, and what the cursor deals out is unused, inside the collection's
    /// region.
    pub unsafe fn create(
        place: NonNull<Self>,
        stack: &mut Cursor,
        class: Class,
        align: usize,
        traits: Traits,
        collection: NonNull<Collection>,
    ) -> Option<()> {
        let stride = stride(class.elem_size, align)?;
        let capacity = u32::try_from(class.elem_count).ok()?;
        let stack = stack.deal(capacity as usize * (SLOT_RESERVE / 2), 64, 0)?.cast();
        let pool = Self {
            slots: NonNull::dangling(),
            stride,
            stride_inverse: inverse_of_odd(stride >> stride.trailing_zeros()),
            stride_shift: stride.trailing_zeros(),
            capacity,
            elem_size: class.elem_size,
            align,
            traits,
            collection,
            seal: seal_of(place),
            // SAFETY: the stack has room for `capacity` numbers, dealt to this pool alone.
            depot: Locked::new(unsafe { Depot::new(stack, capacity) }, !traits.single_thread),
            dynamic: Locked::new(DynamicEntries::new(), !traits.single_thread),
        };
        // SAFETY: there is room by this contract. Exposed for the words of its slots.
        unsafe { place.write(pool) };
        place.as_ptr().expose_provenance();
        Some(())
    }

    /// Deals this pool its slots. None if they don't fit.
    pub fn place_slots(&mut self, cursor: &mut Cursor) -> Option<()> {
        let first = cursor.deal(self.stride * self.capacity as usize, self.align, WORD)?;
        // SAFETY: the first slot begins there, with its word.
        self.slots = unsafe { first.add(WORD) };
        self.slots.as_ptr().expose_provenance();
        Some(())
    }

    /// Releases the dynamic entries and breaks the seal. `wipe_words`: the slots' memory will be
    /// used for something else, and no word of ours may stay in it.
    pub fn retire(&mut self, wipe_words: bool) {
        self.dynamic.lock().release_all().unwrap_or_else(|fault| self.stop(fault));
        self.seal = 0;
        if wipe_words {
            let fresh = self.depot.lock().fresh();
            for slot in 0..fresh {
                // SAFETY: nobody uses the pool any more; the slot is this call's.
                unsafe { self.entry(slot).wipe() };
            }
        }
    }

    /// Proves the invariants while nobody is inside a call, in O(capacity).
    #[cfg(test)]
    pub fn check(&self) {
        let depot = self.depot.lock();
        depot.check();
        self.dynamic.lock().check();
        let out = (0..depot.fresh())
            .filter(|&slot| {
                let entry = self.entry(slot);
                assert_eq!(entry.address() % self.align, 0);
                assert_eq!(self.slot(entry), slot);
                // SAFETY: it is a slot of this pool's.
                let decoded = unsafe { entry.decode_shared() };
                let (owner, state) = decoded.owner_and_state().expect("a word of ours");
                assert_eq!(owner, self.address());
                state == State::Out
            })
            .count();
        assert_eq!(out as u32, depot.out());
    }
}

/// Says what an address is that was freed and may not be, and aborts.
///
/// # Safety
/// The 8 bytes before the entry can be read.
#[cold]
pub unsafe fn refuse(entry: Entry) -> ! {
    let address = entry.address();
    let all = registry::glance();
    let pool_at = |address: usize| {
        let collection = all.as_ref()?.holder_of(address)?;
        collection.pools().iter().find(|pool| pool.address() == address)
    };
    // SAFETY: by this function's contract.
    if let Some((owner, state)) = unsafe { entry.decode() }.owner_and_state() {
        let pool = pool_at(owner);
        // A word that names no live pool is no word of ours, or of a pool that is gone.
        if pool.is_some() || all.is_none() {
            let kind = match state {
                State::Out | State::Free => Kind::DoubleFree,
                State::Dynamic | State::DynamicFreed => Kind::DoubleFreeDynamic,
            };
            misuse::stop(kind, address, pool.map(Pool::subject));
        }
    }
    let collection = all.as_ref().and_then(|all| all.holder_of(address));
    for pool in collection.map_or(&[][..], Collection::pools) {
        if let Some(kind) = pool.what_is_at(address) {
            misuse::stop(kind, address, Some(pool.subject()));
        }
    }
    misuse::stop(Kind::Foreign, address, None)
}

fn seal_of(pool: NonNull<Pool>) -> usize {
    !(pool.as_ptr() as usize ^ secret())
}

/// The number that gives 1 when multiplied with the odd `n`, modulo 2^64: Newton's iteration, which
/// doubles the right bits each time, from three.
fn inverse_of_odd(n: usize) -> usize {
    (0..5).fold(n, |x, _| x.wrapping_mul(2usize.wrapping_sub(n.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn inverses() {
        for n in [1usize, 3, 5, 7, 9, 4097, (1 << 40) + 1, usize::MAX] {
            assert_eq!(n.wrapping_mul(super::inverse_of_odd(n)), 1, "{n}");
        }
    }
}
