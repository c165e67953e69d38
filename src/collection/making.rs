//! How is a collection created and destroyed?

use core::ffi::CStr;
use core::ptr::NonNull;

use super::body::{Collection, LEAD, Policy, seal_of};
use super::forking;
use super::records;
use super::registry;
use super::settings;
use super::sizes::SizeTable;
use crate::caches::thread_index;
use crate::memory::backing::Backing;
use crate::memory::layout::{Cursor, Layout, MIN_ALIGN, OWNER_ALIGN};
use crate::memory::region::{COLOURS, Region, Wish};
use crate::os::error::Error;
use crate::os::{ONE_THREAD, SMALL, probe, watcher};
use crate::pool::body::Pool;
use crate::pool::common::Common;
use crate::pool::guarding::GUARD_GAP;
use crate::pool::holders;
use crate::pool::traits::Traits;
use crate::report::misuse::DESTROY;
use crate::slots::secret::draw;

/// A create request whose sizes were checked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Sizes, counts, alignment.
    pub layout: Layout<'a>,
    /// Ordinary, or a ranged pool's policy.
    pub policy: Policy,
    /// For each pool of the collection.
    pub traits: Traits,
    /// Provide the memory now.
    pub prefault: bool,
    /// Lock the memory.
    pub locked: bool,
    /// Try the huge pages that the system reserves. Neither with a buffer nor with a backing.
    pub huge_pages: bool,
    /// Report entries that are out at destroy.
    pub report_leaks: bool,
    /// Shown in reports.
    pub name: Option<&'a CStr>,
    /// The caller's memory and its size in bytes.
    pub buffer: Option<(NonNull<u8>, usize)>,
    /// Where the memory comes from, unless there is a buffer, and the dynamic entries'.
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
        traits.single_thread |= ONE_THREAD;
        traits.hardened |= asked.hardened;
        traits.bypass |= asked.bypass;
        traits.recorded |= asked.holders;
        // Dumps of any thread walk over who has its entries.
        traits.single_thread &= !traits.recorded;
        traits.watched = !asked.unwatched && watcher::watches();
        // A caller's buffer was measured without one.
        let gapped = traits.hardened || traits.watched || traits.bypass;
        let gap = if gapped && request.buffer.is_none() { GUARD_GAP } else { 0 };
        let layout = request.layout.with_gap(gap)?;
        let request = &Request { layout, traits, ..*request };
        let bytes = layout.bytes();
        // A bypassed pool's slots are never used.
        let idle = traits.bypass;
        let prefault = request.prefault && !idle;
        let others_memory = request.buffer.is_some() || request.backing.is_some();
        let wish = Wish {
            prefault,
            // Later, the tools would notice a look at slots that no one holds. In others' memory the lines of
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
        let recorded = traits.recorded && !SMALL;
        let records = recorded.then(|| records::obtain(layout.classes())).transpose();
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                // SAFETY: the region is new.
                unsafe { region.release(request.backing.as_ref()) };
                return Err(error);
            }
        };
        // SAFETY: the region is new and has the bytes that the layout asks for, and so have the records.
        let collection = unsafe { Self::lay_out(region, records, request) };
        if prefault && !wish.at_once {
            // SAFETY: nobody else knows it yet.
            unsafe { Self::provide(collection)? };
        }
        // SAFETY: it stays there until `destroy` takes it out.
        unsafe { registry::enter(collection) };
        // SAFETY: its creator has yet to hear of it.
        let pools = unsafe { collection.as_ref() }.pools();
        pools.iter().for_each(|pool| probe::create(pool.traced(), pool.capacity()));
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
    /// The region is unused and at least `request.layout.bytes()` long; the records are from
    /// [`records::obtain`] for the same classes.
    #[cold]
    #[inline(never)]
    unsafe fn lay_out(
        region: Region,
        mut records: Option<NonNull<u8>>,
        request: &Request<'_>,
    ) -> NonNull<Self> {
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
        let collection = Self {
            common: Common::new(
                place.as_ptr() as usize,
                request.backing,
                request.name.map_or(b"", CStr::to_bytes),
            ),
            seal: seal_of(place),
            pools,
            pool_count: classes.count(),
            policy: request.policy,
            report_leaks: request.report_leaks || settings::get().leaks,
            region,
        };
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
                    (place.cast(), zeroed, records),
                );
                // There is one for each entry of each class.
                let bytes = holders::bytes(classes.get(i).elem_count);
                records = records.map(|records| records.add(bytes.expect(FITS)));
                pools.add(i).write(pool.expect(FITS));
            }
            if !ranged {
                (*place.as_ptr()).common.handle = pools.read().as_ptr() as usize;
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

    /// Frees all memory: the slots, even if entries are out, and the dynamic entries.
    ///
    /// # Safety
    /// It is live, and nobody uses it or its entries any more.
    pub unsafe fn destroy(this: NonNull<Self>) {
        // SAFETY: by this function's contract this call is alone with the collection, which leaves
        // the registry before its memory goes.
        unsafe {
            let pools = this.as_ref().pools();
            pools.iter().for_each(|pool| probe::destroy(pool.traced(), pool.capacity()));
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
            let backing = collection.common.backing;
            records::give_back(collection);
            for i in 0..collection.pool_count {
                collection.pools.add(i).read().as_mut().retire(wipe_words, handle);
            }
            collection.seal = 0;
            let region = core::ptr::read(&collection.region);
            region.release(backing.as_ref());
        }
    }
}
