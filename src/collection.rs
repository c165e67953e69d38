//! Which pools share a region, and how are they made and destroyed?
//!
//! An ordinary pool is a collection of one; a ranged pool has a pool per class. All of it, this
//! struct included, lies in one region.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::ptr::NonNull;

use crate::error::Error;
use crate::layout::{CLASS_RESERVE, Cursor, Layout, REGION_RESERVE};
use crate::pool::{Pool, Traits};
use crate::region::Region;
use crate::registry::{self, Link};
use crate::secret::{draw, secret};
use crate::slot::{MIN_ALIGN, OWNER_ALIGN};

/// Bytes of a name that are kept.
pub const NAME_MAX: usize = 63;

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
    /// Shown in reports.
    pub name: Option<&'a CStr>,
    /// The caller's memory and its size in bytes.
    pub buffer: Option<(NonNull<u8>, usize)>,
}

/// The pools of one region.
///
/// Invariant: `pools[..pool_count]` ascend in their entries' size and lie, with all they need, in
/// `region`.
#[repr(C, align(128))]
pub struct Collection {
    seal: usize,          // says that this is a live collection
    pools: NonNull<Pool>, // the first; the others follow it
    pool_count: usize,
    smallest_bits: Option<u32>, // binary logarithm of the smallest size: all are powers of two
    policy: Policy,
    link: UnsafeCell<Link>,
    region: Region,
    name: [u8; NAME_MAX + 1],
    name_len: usize,
}

// The formula of `Layout::bytes`, piece by piece. The region's start is a multiple of MIN_ALIGN.
static_assertions::const_assert!(
    OWNER_ALIGN - MIN_ALIGN + size_of::<Collection>() <= REGION_RESERVE
);
// A pool, up to 63 bytes to align its stack, up to MIN_ALIGN to align its slots (what more an
// alignment takes is in the formula).
static_assertions::const_assert!(size_of::<Pool>() + 63 + MIN_ALIGN <= CLASS_RESERVE);

// SAFETY: constant after create, but for `link`, which the registry's lock guards.
unsafe impl Sync for Collection {}

impl Collection {
    /// Makes a collection in new memory or in the caller's buffer.
    ///
    /// # Safety
    /// The buffer, if any, is the collection's alone until [`destroy`](Self::destroy).
    pub unsafe fn create(request: &Request<'_>) -> Result<NonNull<Self>, Error> {
        draw();
        let bytes = request.layout.bytes();
        let region = match request.buffer {
            None => Region::obtain(bytes, request.prefault)?,
            Some((base, len)) => {
                if base.as_ptr() as usize % MIN_ALIGN != 0 || len < bytes {
                    return Err(Error::Invalid);
                }
                // SAFETY: by this function's contract.
                unsafe { Region::of_caller(base, len, request.prefault) }
            }
        };
        // SAFETY: the region is new and has the bytes that the layout asks for.
        let collection = unsafe { Self::lay_out(region, request) };
        // SAFETY: it stays there until `destroy` takes it out.
        unsafe { registry::enter(collection) };
        Ok(collection)
    }

    /// # Safety
    /// The region is unused and at least `request.layout.bytes()` long.
    unsafe fn lay_out(region: Region, request: &Request<'_>) -> NonNull<Self> {
        const FITS: &str = "the layout's formula covers what is dealt out";
        let classes = request.layout.classes();
        // SAFETY: the region is that long.
        let mut cursor = unsafe { Cursor::new(region.base(), request.layout.bytes()) };
        let place = cursor.deal(size_of::<Self>(), OWNER_ALIGN, 0).expect(FITS).cast::<Self>();
        let pools = cursor
            .deal(size_of::<Pool>() * classes.count(), OWNER_ALIGN, 0)
            .expect(FITS)
            .cast::<Pool>();
        let smallest = classes.get(0).elem_size;
        let doubling = (0..classes.count())
            .all(|i| Some(classes.get(i).elem_size) == smallest.checked_shl(i as u32));
        let mut collection = Self {
            seal: seal_of(place),
            pools,
            pool_count: classes.count(),
            smallest_bits: (smallest.is_power_of_two() && doubling).then_some(smallest.ilog2()),
            policy: request.policy,
            link: UnsafeCell::new(Link::new()),
            region,
            name: [0; NAME_MAX + 1],
            name_len: 0,
        };
        if let Some(name) = request.name {
            let bytes = name.to_bytes();
            collection.name_len = bytes.len().min(NAME_MAX);
            collection.name[..collection.name_len].copy_from_slice(&bytes[..collection.name_len]);
        }
        // SAFETY: the cursor dealt this room to the collection and its pools alone.
        unsafe {
            place.write(collection);
            for i in 0..classes.count() {
                let (class, align) = (classes.get(i), request.layout.align());
                Pool::create(pools.add(i), &mut cursor, class, align, request.traits, place)
                    .expect(FITS);
            }
            for i in 0..classes.count() {
                pools.add(i).as_mut().place_slots(&mut cursor).expect(FITS);
            }
        }
        place
    }

    /// Gives all memory back: the slots', whoever holds entries, and the dynamic entries'.
    ///
    /// # Safety
    /// It is live, and nobody uses it or its entries any more.
    pub unsafe fn destroy(mut this: NonNull<Self>) {
        // SAFETY: by this function's contract this call is alone with the collection, which leaves
        // the registry before its memory goes. The region is moved out of the memory it describes.
        unsafe {
            registry::leave(this);
            let collection = this.as_mut();
            let wipe_words = collection.region.outlives_pool();
            for i in 0..collection.pool_count {
                collection.pools.add(i).as_mut().retire(wipe_words);
            }
            collection.seal = 0;
            let region = core::ptr::read(&collection.region);
            region.release();
        }
    }

    /// Its pools, in the order of their entries' size.
    #[inline(always)]
    pub fn pools(&self) -> &[Pool] {
        // SAFETY: that many lie there (invariant).
        unsafe { core::slice::from_raw_parts(self.pools.as_ptr(), self.pool_count) }
    }

    /// What to do when the class that fits is empty.
    #[inline(always)]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The binary logarithm of the smallest class's size, if the classes are successive powers of
    /// two.
    #[inline(always)]
    pub fn smallest_bits(&self) -> Option<u32> {
        self.smallest_bits
    }

    /// As given at create, cut to [`NAME_MAX`] bytes; empty without one.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }

    /// Whether an address lies in its memory.
    pub fn region_contains(&self, address: usize) -> bool {
        self.region.contains(address)
    }

    /// Where the registry keeps its links.
    ///
    /// # Safety
    /// The collection is live.
    pub unsafe fn link(this: NonNull<Self>) -> *mut Link {
        // SAFETY: by this function's contract.
        unsafe { (*this.as_ptr()).link.get() }
    }

    /// Whether a live collection that starts at `this` sealed itself there.
    ///
    /// # Safety
    /// If `this` is aligned for a collection, it can be read like one.
    pub unsafe fn is_sealed(this: NonNull<Self>) -> bool {
        // SAFETY: by this function's contract.
        this.is_aligned() && unsafe { (*this.as_ptr()).seal } == seal_of(this)
    }
}

fn seal_of(collection: NonNull<Collection>) -> usize {
    (collection.as_ptr() as usize ^ secret()).rotate_left(1)
}
