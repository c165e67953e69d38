//! Which pools share a region, and how are they made and destroyed?
//!
//! An ordinary pool is a collection of one; a ranged pool has a pool per class. All of it, this
//! struct included, lies in one region.

mod handle;

use core::ffi::CStr;
use core::ops::Range;
use core::ptr::NonNull;

use crate::backing::Backing;
use crate::depot::DEPOT_SLACK;
use crate::error::Error;
use crate::forking;
use crate::inlined::SIZES_AT;
use crate::layout::{CLASS_RESERVE, Cursor, Layout, REGION_RESERVE, SLOT_RESERVE};
use crate::line::cut;
use crate::misuse::DESTROY;
use crate::pool::{Pool, Traits};
use crate::ranged::SizeTable;
use crate::region::{COLOURS, Region, Wish};
use crate::registry::{self, Link};
use crate::secret::{draw, keyed};
use crate::settings;
use crate::slot::{MIN_ALIGN, OWNER_ALIGN, WORD};
use crate::thread_index::{self, CACHE_DISTANCE};
use crate::watcher;

/// Bytes of a name that are kept.
pub const NAME_MAX: usize = 63;

/// Bytes from a collection's link to the collection. What lies in front of the handle can be read, should
/// somebody free the handle.
const LEAD: usize = OWNER_ALIGN;

/// Bytes behind each entry of a guarded pool in which a write past the end is seen.
pub const GUARD_GAP: usize = 16;

/// What a collection does when the class that fits is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// It is an ordinary pool and has one class.
    Ordinary,
    /// Larger classes in turn, then none.
    Disabled,
    /// The heap.
    AtFirstExhaustion,
    /// Larger classes in turn, then the heap.
    AtLastExhaustion,
}

/// A create request whose sizes were checked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Sizes, counts, alignment.
    pub layout: Layout<'a>,
    /// Ordinary, or a ranged pool's policy.
    pub policy: Policy,
    /// For each pool of the collection.
    pub traits: Traits,
    /// Have the memory provided now.
    pub prefault: bool,
    /// Have the memory locked.
    pub locked: bool,
    /// Try huge pages that the system keeps ready. Neither with a buffer nor with a backing.
    pub huge_pages: bool,
    /// Report entries that are out at destroy.
    pub report_leaks: bool,
    /// Shown in reports.
    pub name: Option<&'a CStr>,
    /// The caller's memory and its size in bytes.
    pub buffer: Option<(NonNull<u8>, usize)>,
    /// Who gives the memory, but for a buffer's, and the dynamic entries'.
    pub backing: Option<Backing>,
}

impl<'a> Request<'a> {
    /// In memory of its own, provided now, and nothing else.
    pub fn new(layout: Layout<'a>, policy: Policy, traits: Traits) -> Self {
        Self {
            layout,
            policy,
            traits,
            prefault: true,
            locked: false,
            huge_pages: false,
            report_leaks: false,
            name: None,
            buffer: None,
            backing: None,
        }
    }
}

/// The pools of one region.
///
/// Invariant: `pools[..pool_count]` ascend in their entries' size and lie, with all they need, in
/// `region`; `seal` holds.
///
/// [`LEAD`] bytes before it, where a region of the heap's begins, lies its [`Link`]: from the registry on,
/// leak checkers that go by pointers to where a block begins find every pool. Behind a ranged pool's
/// collection lies its [`SizeTable`].
#[repr(C, align(64))]
pub struct Collection {
    seal: usize,                   // says that this is a live collection
    pools: NonNull<NonNull<Pool>>, // a table of them
    pool_count: usize,
    policy: Policy,
    report_leaks: bool,
    region: Region,
    backing: Option<Backing>, // of dynamic entries, and of the region if it is backed
    name: [u8; NAME_MAX + 1],
    name_len: usize,
}

// The formula of `Layout::bytes`, piece by piece. The region's start is a multiple of MIN_ALIGN.
static_assertions::const_assert!(
    OWNER_ALIGN - MIN_ALIGN + LEAD + size_of::<Collection>() <= REGION_RESERVE
);
// A pool's place in the table, a pool and up to 127 bytes to align it, the line of an only cache, what
// the depot takes beyond 2 bytes per slot, up to 4 bytes to align its words, and up to
// MIN_ALIGN to align the slots (what more an alignment takes is in the formula). Other caches' lines come
// out of what is set aside per slot.
static_assertions::const_assert!(
    size_of::<NonNull<Pool>>()
        + OWNER_ALIGN
        + size_of::<Pool>()
        + CACHE_DISTANCE
        + DEPOT_SLACK
        + 4
        + MIN_ALIGN
        <= CLASS_RESERVE
);

// Guarded pools have in place of caches: a tail for each slot and a number kept back for every fourth, and
// in place of an only cache's line the word behind the last slot.
static_assertions::const_assert!(size_of::<u32>() + size_of::<u32>() / 4 + 2 <= SLOT_RESERVE);
static_assertions::const_assert!(WORD <= CACHE_DISTANCE);

// What inlined code reads: see `inlined.rs`.
static_assertions::const_assert_eq!(size_of::<Collection>(), SIZES_AT);

static_assertions::const_assert!(size_of::<Link>() <= LEAD && align_of::<Link>() <= OWNER_ALIGN);

// SAFETY: constant after create.
unsafe impl Sync for Collection {}

impl Collection {
    /// Makes a collection in new memory or in the caller's buffer.
    ///
    /// # Safety
    /// The buffer, if any, is the collection's alone until [`destroy`](Self::destroy).
    pub unsafe fn create(request: &Request<'_>) -> Result<NonNull<Self>, Error> {
        settings::prepare();
        draw();
        forking::prepare()?;
        thread_index::prepare();
        let (asked, mut traits) = (settings::get(), request.traits);
        traits.hardened |= asked.hardened;
        traits.bypass |= asked.bypass;
        traits.watched = !asked.unwatched && watcher::watches();
        // A caller's buffer was measured without one.
        let gap = if traits.guarded() && request.buffer.is_none() { GUARD_GAP } else { 0 };
        let layout = request.layout.with_gap(gap)?;
        let request = &Request { layout, traits, ..*request };
        let bytes = layout.bytes();
        // A bypassed pool's slots are never used.
        let idle = traits.bypass;
        let prefault = request.prefault && !idle;
        let others_memory = request.buffer.is_some() || request.backing.is_some();
        let wish = Wish {
            prefault,
            // Later, who watches would see a look at slots that nobody holds. In others' memory the lines of
            // caches are written in any case.
            at_once: prefault && (traits.guarded() || others_memory),
            locked: request.locked && !idle,
            huge_pages: request.huge_pages,
            idle,
            guarded: traits.hardened,
        };
        let region = match (request.buffer, request.backing) {
            (Some((base, len)), _) => {
                if !(base.as_ptr() as usize).is_multiple_of(MIN_ALIGN) || len < bytes {
                    return Err(Error::Invalid);
                }
                // SAFETY: by this function's contract.
                unsafe { Region::of_caller(base, len, wish)? }
            }
            (None, Some(backing)) => Region::of_backing(&backing, bytes, wish)?,
            (None, None) if bytes >= 16 * COLOURS && !wish.locked => {
                Region::obtain(bytes + COLOURS, wish)?
            }
            (None, None) => Region::obtain(bytes, wish)?,
        };
        // Costs O(pools), so only watched pools ask.
        let nested = traits.watched && {
            registry::lock().holder_of(region.base().as_ptr() as usize).is_some()
        };
        let request = &Request { traits: Traits { nested, ..traits }, ..*request };
        // SAFETY: the region is new and has the bytes that the layout asks for.
        let collection = unsafe { Self::lay_out(region, request) };
        if prefault && !wish.at_once {
            // SAFETY: nobody else knows it yet.
            unsafe { Self::provide(collection)? };
        }
        // SAFETY: it stays there until `destroy` takes it out.
        unsafe { registry::enter(collection) };
        Ok(collection)
    }

    /// Has the memory provided now, or dissolves the collection.
    ///
    /// # Safety
    /// Nobody else knows it.
    #[cold]
    #[inline(never)]
    unsafe fn provide(this: NonNull<Self>) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe {
            let collection = this.as_ref();
            let idle = collection.pools().iter().map(|pool| pool.idle_lines());
            let provided = collection.region.provide(idle);
            if provided.is_err() {
                Self::dissolve(this);
            }
            provided
        }
    }

    /// # Safety
    /// The region is unused and at least `request.layout.bytes()` long.
    #[cold]
    #[inline(never)]
    unsafe fn lay_out(region: Region, request: &Request<'_>) -> NonNull<Self> {
        const FITS: &str = "the layout's formula covers what is dealt out";
        let classes = request.layout.classes();
        // SAFETY: the region is that long.
        let mut cursor = unsafe {
            let bytes = request.layout.bytes();
            Cursor::new(region.base().add(region.colour(bytes)), bytes)
        };
        let ranged = request.policy != Policy::Ordinary;
        let table_bytes = if ranged { size_of::<SizeTable>() } else { 0 };
        let room = cursor.deal(LEAD + size_of::<Self>() + table_bytes, OWNER_ALIGN, 0).expect(FITS);
        // SAFETY: the room is that long.
        let place = unsafe { room.add(LEAD) }.cast::<Self>();
        let pools = cursor
            .deal(size_of::<NonNull<Pool>>() * classes.count(), align_of::<usize>(), 0)
            .expect(FITS)
            .cast::<NonNull<Pool>>();
        let zeroed = region.is_zero();
        let mut collection = Self {
            seal: seal_of(place),
            pools,
            pool_count: classes.count(),
            policy: request.policy,
            report_leaks: request.report_leaks || settings::get().leaks,
            region,
            backing: request.backing,
            name: [0; NAME_MAX + 1],
            name_len: 0,
        };
        if let Some(name) = request.name {
            let bytes = cut(name.to_bytes(), NAME_MAX);
            collection.name_len = bytes.len();
            collection.name[..bytes.len()].copy_from_slice(bytes);
        }
        // SAFETY: the cursor dealt this room to the collection and its pools alone.
        unsafe {
            place.write(collection);
            for i in 0..classes.count() {
                let places = (request.layout.align(), request.layout.gap());
                let pool = Pool::create(
                    &mut cursor,
                    classes.get(i),
                    places,
                    request.traits,
                    (place, zeroed),
                );
                pools.add(i).write(pool.expect(FITS));
            }
            for i in 0..classes.count() {
                let larger = (i + 1 < classes.count()).then(|| pools.add(i + 1).read());
                pools.add(i).read().as_mut().finish(&mut cursor, larger).expect(FITS);
            }
            if ranged {
                place.as_ptr().expose_provenance();
                place.add(1).cast::<SizeTable>().write(SizeTable::of(place.as_ref().pools()));
            }
        }
        place
    }

    /// Gives all memory back: the slots', whoever holds entries, and the dynamic entries'.
    ///
    /// # Safety
    /// It is live, and nobody uses it or its entries any more.
    pub unsafe fn destroy(this: NonNull<Self>) {
        // SAFETY: by this function's contract this call is alone with the collection, which leaves
        // the registry before its memory goes.
        unsafe {
            // Before anything goes: a handler may look at the pool.
            if this.as_ref().report_leaks {
                this.as_ref().pools().iter().for_each(|pool| pool.report_leak());
            }
            this.as_ref().pools().iter().for_each(|pool| pool.look_at_all(DESTROY));
            this.as_ref().pools().iter().for_each(|pool| pool.wind_up());
            registry::leave(this);
            Self::dissolve(this);
        }
    }

    /// Gives the region back.
    ///
    /// # Safety
    /// It is in no list, and nobody uses it or its entries any more.
    unsafe fn dissolve(mut this: NonNull<Self>) {
        // SAFETY: by this function's contract. The region is moved out of the memory it describes.
        unsafe {
            let collection = this.as_mut();
            let (wipe_words, handle) = (collection.region.is_handed_on(), collection.handle());
            let backing = collection.backing;
            for i in 0..collection.pool_count {
                collection.pools.add(i).read().as_mut().retire(wipe_words, handle);
            }
            collection.seal = 0;
            let region = core::ptr::read(&collection.region);
            region.release(backing.as_ref());
        }
    }

    /// Its pools, in the order of their entries' size.
    #[inline(always)]
    pub fn pools(&self) -> &[&Pool] {
        // SAFETY: that many live pools are in the table (invariant).
        unsafe { core::slice::from_raw_parts(self.pools.as_ptr().cast(), self.pool_count) }
    }

    /// Which class serves which size. Of a ranged pool only.
    #[inline(always)]
    pub fn sizes(&self) -> &SizeTable {
        debug_assert!(self.policy != Policy::Ordinary);
        let address = &raw const *self as usize + size_of::<Self>();
        // SAFETY: the table of a ranged pool lies there, and create exposed its memory.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// What to do when the class that fits is empty.
    #[inline(always)]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// As given at create, cut to [`NAME_MAX`] bytes; empty without one.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }

    /// Whether an address, of whatever sort, is that of an entry of its pools that is out. O(classes)
    /// without a lock in its memory, elsewhere O(dynamic entries).
    pub fn owns(&self, address: usize) -> bool {
        if self.region_contains(address) {
            self.pools().iter().any(|pool| pool.owns_slot(address))
        } else {
            self.pools().iter().any(|pool| pool.owns_dynamic(address))
        }
    }

    /// Whether an address lies in its memory.
    pub fn region_contains(&self, address: usize) -> bool {
        self.region.contains(address)
    }

    /// The addresses of its memory.
    pub fn region_range(&self) -> Range<usize> {
        self.region.range()
    }

    /// The same, if the memory will still be there when the collection is not.
    pub fn region_left_behind(&self) -> Option<Range<usize>> {
        self.region.outlives_pool().then(|| self.region.range())
    }

    /// Whether a child of fork has a copy of it.
    pub fn is_copied_by_fork(&self) -> bool {
        self.region.is_copied_by_fork()
    }

    /// What was had of what was wished for: `NOTE_` bits of `region.rs`.
    pub fn notes(&self) -> u64 {
        self.region.notes()
    }

    /// Where its dynamic entries come from, if not from the heap.
    pub fn backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }

    /// Where the registry keeps its link.
    ///
    /// # Safety
    /// The collection is live.
    pub unsafe fn link(this: NonNull<Self>) -> NonNull<Link> {
        // SAFETY: create left that much room.
        unsafe { this.byte_sub(LEAD) }.cast()
    }

    /// The collection that a link is of.
    ///
    /// # Safety
    /// It is what [`link`](Self::link) gave, and the collection is live.
    pub unsafe fn of_link(link: NonNull<Link>) -> NonNull<Self> {
        // SAFETY: by this function's contract.
        unsafe { link.byte_add(LEAD) }.cast()
    }

    /// What its user holds: an ordinary collection's pool, a ranged one itself.
    pub fn handle(&self) -> usize {
        match self.policy {
            Policy::Ordinary => &raw const *self.pools()[0] as usize,
            _ => &raw const *self as usize,
        }
    }

    /// Proves the invariants while nobody is inside a call, in O(capacity).
    #[cfg(test)]
    pub fn check(&self) {
        assert!(self.pools().windows(2).all(|two| two[0].elem_size() < two[1].elem_size()));
        for pool in self.pools() {
            assert!(self.region_contains(&raw const **pool as usize));
            assert_eq!(pool.collection(), NonNull::from(self));
            pool.check();
        }
    }
}

fn seal_of(collection: NonNull<Collection>) -> usize {
    keyed(collection.as_ptr() as usize).rotate_left(1)
}

#[cfg(test)]
mod tests;
