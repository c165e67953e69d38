//! How does a pool of equal slots hand out and take back?
//!
//! The fast paths, what a pool is made of, and what it says of itself. `making.rs` makes it and ends it,
//! `trade.rs` has the slow paths, `shared.rs` what is behind its lock, `refuse.rs` the end of what may not be
//! freed, `leaks.rs` what was never freed.

mod bulk;
mod draw;
mod fork;
mod guard;
mod hardened;
mod inspect;
mod leaks;
mod making;
mod opening;
mod promise;
mod quarantine;
mod refuse;
mod shared;
mod shortage;
mod trade;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};

pub use self::bulk::Sources;
pub use self::draw::begin_anew;
pub use self::refuse::{refuse, refuse_in};
use self::shared::Shared;
use crate::backing::Backing;
use crate::cache::{Cache, Unsettled};
use crate::cache_plan::CachePlan;
use crate::collection::Collection;
use crate::dynamic::{self, DynamicEntries, Fault};
use crate::fence;
#[cfg(not(cmempool_other_layout))]
use crate::inlined;
use crate::lock::Locked;
#[cfg(test)]
use crate::magazine::{ROOMS, UNIT, size_of_room};
use crate::misuse::{self, ALLOC, Call, FREE, Subject};
use crate::secret::keyed;
use crate::slot::{Entry, State};
use crate::thread_index::{self, CACHE_DISTANCE};

/// What a caller chose beside sizes and counts.
#[derive(Clone, Copy, Default)]
pub struct Traits {
    /// Calls on the pool never overlap: take no lock.
    pub single_thread: bool,
    /// Overwrite an entry with zeros when it is freed.
    pub zero_on_free: bool,
    /// An ordinary pool that is empty takes from the heap.
    pub fall_back: bool,
    /// Look for writes where nobody may write.
    pub hardened: bool,
    /// Take every entry from the heap.
    pub bypass: bool,
    /// A sanitizer or Valgrind is to know of every entry.
    pub watched: bool,
    /// Its memory is in another pool's.
    pub nested: bool,
}

impl Traits {
    /// Whether `pool/guard.rs` has its calls.
    #[inline]
    pub fn guarded(&self) -> bool {
        self.hardened || self.bypass || self.watched
    }

    /// Whether what lies between its entries, and in those that are free, is looked after.
    #[inline]
    pub fn guards_slots(&self) -> bool {
        (self.hardened || self.watched) && !self.bypass
    }
}

/// The fast path had no entry. Goes to [`Pool::alloc_slow`], at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// There is no cache for it.
    NoCache,
    /// The pop was stopped, and is unsettled.
    Stopped,
}

/// Equal slots, and which of them are free.
///
/// Invariant: slot `i < capacity` has its payload at `slots + i * stride`, aligned to `align`;
/// `capacity == free in the depot + in caches + out`; a slot's word says `Out` exactly while a
/// caller holds its entry, and `Free` while it is in a cache.
///
/// It lies at a multiple of [`OWNER_ALIGN`]; behind it lie its caches, each [`CACHE_DISTANCE`] bytes.
#[repr(C, align(64))]
pub struct Pool {
    // Read by calls, written by create alone. The first line is all that the fast paths need.
    #[cfg(cmempool_other_layout)]
    fast_end: usize,
    first: AtomicUsize, // distance whose cache is the first: 0, or that of who has the only one
    #[cfg(not(cmempool_other_layout))]
    fast_end: usize, // how far behind that the caches end that are for the fast path
    elem_size: usize,   // usable bytes of an entry
    slots: NonNull<u8>, // payload of slot 0
    stride: usize,      // bytes from an entry to the next
    stride_inverse: u32, // (stride >> stride_shift) * this == 1, modulo 2^32
    capacity: u32,      // slots
    larger: Option<NonNull<Pool>>, // the collection's pool of the next larger entries
    stride_shift: u8,   // stride's trailing zero bits
    traits: Traits,
    align: u16, // of every entry
    caches: CachePlan,
    seen: AtomicU16, // caches from this one on have no magazine, and zeros; written with the lock
    collection: NonNull<Collection>, // holds the name and the memory
    seal: usize,     // says that this is a live pool
    // Written by calls.
    shared: Locked<Shared>,
    dynamic: Locked<DynamicEntries>,
    exhausted: AtomicU64, // calls that it had no slot for
    failed: AtomicU64,    // of these, those that nobody else served either
}

static_assertions::const_assert_eq!(align_of::<Pool>(), CACHE_DISTANCE);
static_assertions::const_assert!(core::mem::offset_of!(Pool, slots) <= 64);
// What inlined code reads: see `inlined.rs`.
#[cfg(not(cmempool_other_layout))]
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Pool, first) == 0 && offset_of!(Pool, fast_end) == 8);
    assert!(offset_of!(Pool, elem_size) == 16 && size_of::<Pool>() == inlined::CACHES_AT);
};
static_assertions::const_assert!(core::mem::offset_of!(Pool, shared) >= 64);

// SAFETY: what calls write is behind `Locked` or in caches; the rest is constant. The slots are
// reached by who holds them. (With `single_thread` the creator promised that calls don't overlap.)
unsafe impl Sync for Pool {}

impl Pool {
    /// Takes an entry of a slot from the thread's cache, or says why not: then
    /// [`alloc_slow`](Self::alloc_slow) goes on.
    ///
    /// About 20 instructions, no call, no lock; written are one line of the thread's own and the
    /// slot's word.
    #[inline(always)]
    pub fn alloc_fast(&self) -> Result<Entry, Missed> {
        let Some(cache) = self.fast_cache() else {
            unlikely();
            return Err(Missed::NoCache);
        };
        // SAFETY: the cache is the thread's own.
        let Ok(entry) = (unsafe { cache.pop(fence::light) }) else {
            unlikely();
            return Err(Missed::Stopped);
        };
        // SAFETY: the slot was in a cache, so it is marked as free, and now this call's.
        unsafe { entry.mark_out() };
        Ok(entry)
    }

    /// Takes an entry of a slot, or none if all are out. O(1), or O(caches) in a shortage.
    pub fn alloc(&self) -> Option<Entry> {
        self.alloc_fast().or_else(|missed| self.alloc_slow(missed).ok_or(missed)).ok()
    }

    /// Takes back an entry of any pool. O(1).
    ///
    /// Aborts when the entry is no entry of ours that is out. The fast path: about 30 instructions,
    /// no call, no lock, one line of the thread's own and the slot's word written.
    ///
    /// # Safety
    /// The 8 bytes before the entry can be read.
    #[inline(always)]
    pub unsafe fn free(entry: Entry) {
        // SAFETY: by this function's contract.
        let decoded = unsafe { entry.decode() };
        let (out, owner) = match decoded.if_out_and_likely() {
            Some(out) => out,
            None => match decoded.if_out() {
                Some(out) => (out, out.owner()),
                // SAFETY: as above.
                None => return unsafe { Self::free_unusual(entry) },
            },
        };
        // SAFETY: the word was written by this process for an entry of the pool it names, which
        // lives as long as its slots.
        let pool = unsafe { Self::at(owner) };
        let Some((cache, top)) = pool.fast_cache().and_then(|cache| Some((cache, cache.top()?)))
        else {
            return pool.free_slow(entry);
        };
        // SAFETY: the entry was out and its holder gave it up, so the slot is this call's.
        unsafe { out.mark_free() };
        // SAFETY: as above, and the cache is the thread's own.
        if unsafe { cache.push(top, entry, fence::light) } == Err(Unsettled) {
            pool.settle_push(cache);
        }
    }

    /// Settles a push of code in a program.
    pub fn settle_inlined_push(&self) {
        if let Some(cache) = self.fast_cache() {
            self.settle_push(cache);
        }
    }

    /// The thread's cache, if it is for the fast path. A subtraction, a comparison and a predictable branch:
    /// the address does not wait for what is compared.
    #[inline(always)]
    fn fast_cache(&self) -> Option<&Cache> {
        let distance = self.own_distance();
        (distance < self.fast_end).then(|| self.cache_at(distance))
    }

    /// The distance of the thread that has the first cache.
    fn first(&self) -> usize {
        // Relaxed: a thread that it is for wrote it itself, or had the index from one that did.
        self.first.load(Ordering::Relaxed)
    }

    /// How far the thread's cache lies behind the first; more than the last does if it has none.
    #[inline(always)]
    fn own_distance(&self) -> usize {
        let distance = thread_index::distance();
        #[cfg(target_arch = "x86_64")]
        {
            let mut distance = distance;
            // SAFETY: reads `first`, as `first()` does: compilers fold no atomic load into a subtraction.
            unsafe {
                core::arch::asm!(
                    "sub {0}, qword ptr [{1}]",
                    inout(reg) distance,
                    in(reg) &raw const self.first,
                    options(pure, readonly, nostack)
                );
            }
            distance
        }
        #[cfg(not(target_arch = "x86_64"))]
        distance.wrapping_sub(self.first())
    }

    fn set_first(&self, distance: usize) {
        // Relaxed: as above.
        self.first.store(distance, Ordering::Relaxed);
    }

    #[inline(always)]
    fn cache_at(&self, distance: usize) -> &Cache {
        #[cfg(target_arch = "x86_64")]
        let address = {
            let address: usize;
            // SAFETY: adds. Compilers would add anew for each access.
            unsafe {
                core::arch::asm!(
                    "lea {0}, [{1} + {2} + {caches_at}]",
                    lateout(reg) address,
                    in(reg) self.address(),
                    in(reg) distance,
                    caches_at = const size_of::<Self>(),
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            address
        };
        #[cfg(not(target_arch = "x86_64"))]
        let address = self.address() + size_of::<Self>() + distance;
        // SAFETY: the pool's caches lie behind it, `distance` is that of one of them, and create
        // exposed their memory.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
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
                unsafe { dynamic::free(&pool.dynamic, pool.backing(), owner, entry, pool.care()) };
            freed.unwrap_or_else(|fault| pool.stop(fault));
            return;
        }
        // SAFETY: as above.
        unsafe { refuse(entry) }
    }

    /// An entry from the heap or the backing, owned by this pool. None if the memory is not available.
    #[cold]
    pub fn alloc_dynamic(&self) -> Option<Entry> {
        let entry = self.obtain_dynamic()?;
        self.enter_dynamic(entry);
        Some(entry)
    }

    /// The same, which counts nowhere yet.
    fn obtain_dynamic(&self) -> Option<Entry> {
        let shape = (self.elem_size, self.align.into());
        dynamic::obtain(self.backing(), self.address(), shape, self.care())
    }

    /// From now on it does.
    fn enter_dynamic(&self, entry: Entry) {
        dynamic::enter(&self.dynamic, entry, self.care())
            .unwrap_or_else(|fault| self.stop_in(ALLOC, fault));
    }

    /// Where its dynamic entries come from, if not from the heap.
    fn backing(&self) -> Option<&Backing> {
        // SAFETY: the collection lives as long as its pools.
        unsafe { self.collection.as_ref() }.backing()
    }

    /// Usable bytes of one of its dynamic entries.
    ///
    /// # Safety
    /// The entry's word says that it is dynamic, out, and of this pool.
    pub unsafe fn dynamic_size(&self, call: Call, entry: Entry) -> usize {
        // SAFETY: by this function's contract.
        unsafe { dynamic::size(&self.dynamic, entry) }
            .unwrap_or_else(|fault| self.stop_in(call, fault))
    }

    /// Says what was freed, or found damaged, of this pool and aborts.
    pub fn stop(&self, fault: Fault) -> ! {
        self.stop_in(FREE, fault)
    }

    /// As [`stop`](Self::stop), for what was given to another call than a free.
    pub fn stop_in(&self, call: Call, (kind, entry): Fault) -> ! {
        misuse::stop(call, kind, entry.address(), Some(self.subject()))
    }

    /// Aborts if the pool was destroyed and its memory still says so.
    #[inline]
    pub fn expect_live(&self, call: Call) {
        if self.seal != seal_of(NonNull::from(self)) {
            // `retire` left the handle there, unless the memory was used for something else since.
            let known = self.seal == self.collection.as_ptr() as usize;
            Collection::stop_not_a_pool(call, if known { self.seal } else { self.address() })
        }
    }

    /// Counts a call that it had no slot for.
    pub fn note_exhausted(&self) {
        // Relaxed: a count, and nothing is published with it. As for the other.
        self.exhausted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one of these that got nothing.
    pub fn note_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether calls on it come by `pool/guard.rs`, which wants to know what was asked for: see
    /// [`fit`](Self::fit).
    pub fn is_guarded(&self) -> bool {
        self.traits.guarded()
    }

    /// How many entries it has slots for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Usable bytes of its entries.
    pub fn elem_size(&self) -> usize {
        self.elem_size
    }

    /// The collection's pool of the next larger entries.
    #[inline(always)]
    pub fn larger(&self) -> Option<&Pool> {
        // SAFETY: a collection's pools live as long as each other.
        self.larger.map(|pool| unsafe { pool.as_ref() })
    }

    /// Whether it takes from the heap when it is empty.
    pub fn falls_back(&self) -> bool {
        self.traits.fall_back
    }

    /// The collection that it is a class of.
    pub fn collection(&self) -> NonNull<Collection> {
        self.collection
    }

    /// What a report says about it.
    pub fn subject(&self) -> Subject<'_> {
        // SAFETY: the collection lives as long as its pools.
        let collection = unsafe { self.collection.as_ref() };
        let address = collection.handle();
        Subject { name: collection.name(), address, elem_size: self.elem_size }
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

    /// The number of the slot of one of this pool's entries.
    #[inline(always)]
    fn slot(&self, entry: Entry) -> u32 {
        // An exact division of the payload's offset by the stride, without a division. The number has 32 bits,
        // so 32 bits of the product are enough.
        let offset = entry.address().wrapping_sub(self.slots.as_ptr() as usize);
        ((offset >> self.stride_shift) as u32).wrapping_mul(self.stride_inverse)
    }

    /// Proves the invariants while nobody is inside a call, in O(capacity).
    #[cfg(test)]
    pub fn check(&self) {
        let shared = &*self.shared.lock();
        let Shared { depot, rack, open, active, held_back, peak, .. } = shared;
        depot.check();
        self.dynamic.lock().check();
        let mut cached = std::collections::HashSet::new();
        for cache in self.all_caches() {
            // SAFETY: this call holds the lock, and nobody is inside another.
            unsafe { cache.check(|entry| assert!(cached.insert(self.slot(entry)))) };
        }
        let sizes = |cache: &Cache| {
            let units = |room| ROOMS[size_of_room(room)].div_ceil(UNIT) as u32;
            let first = if cache.room() == 0 { 0 } else { units(cache.room()) };
            [first, if cache.spare().0.is_null() { 0 } else { first }]
        };
        let in_caches: u32 = self.all_caches().flat_map(sizes).sum();
        let without = self.all_caches().filter(|cache| cache.room() == 0).count() as u32
            + self.caches.count() as u32
            - u32::from(self.seen.load(Ordering::Relaxed));
        assert_eq!(in_caches + without + rack.lendable(), rack.units());
        rack.check(in_caches, |payload| {
            assert!(cached.insert(self.slot(Entry::new(NonNull::new(payload).unwrap()))));
        });
        assert_eq!(self.all_caches().filter(|cache| cache.is_open()).count(), *active as usize);
        assert!(*open || *active == 0);
        let out = (0..depot.fresh())
            .filter(|&slot| {
                let entry = self.entry(slot);
                assert_eq!(entry.address() % usize::from(self.align), 0);
                assert_eq!(self.slot(entry), slot);
                // SAFETY: it is a slot of this pool's.
                let decoded = unsafe { entry.decode_shared() };
                let (owner, state) = decoded.owner_and_state().unwrap();
                assert_eq!(owner, self.address());
                assert!(!(cached.contains(&slot) && state == State::Out));
                state == State::Out
            })
            .count();
        assert_eq!(out + cached.len() + shared.kept_back() as usize, depot.out() as usize);
        assert_eq!(self.all_caches().map(Cache::held_back).sum::<usize>(), *held_back as usize);
        assert!(shared.handed() - held_back <= *peak);
        // What a falling cache handed out since somebody looked at it is not in the mark yet.
        assert!(shared.falling != shared::NONE || out <= *peak as usize);
    }
}

/// Has the compiler lay out the path that this is on behind the others.
#[cold]
#[inline(always)]
fn unlikely() {}

fn seal_of(pool: NonNull<Pool>) -> usize {
    !keyed(pool.as_ptr() as usize)
}
