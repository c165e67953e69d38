//! Is the protocol right, in every order in which threads can run it?
//!
//! loom tries them all, with what each load may see. The pool around the caches is the smallest
//! that has all the steps: a locked list for a depot, `alloc` and `free` as in `pool/`. Each entry
//! has a cell that its holder writes to: two holders at a time are found as a data race.

mod claims;
mod forks;
mod lines;
mod marks;
mod thieves;

use core::ptr::{NonNull, without_provenance_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Mutex, MutexGuard};
use loom::thread;

use super::cache::{Cache, Unsettled};
use crate::caches::magazine::Element;
use crate::os::fence;
use crate::slots::word::Entry;

const ROOM: usize = 3;
const ENTRY: usize = 64;

struct Shared {
    depot: Vec<Entry>,
    open: bool,
    held_back: usize, // as in `pool/shared.rs`, and so is `peak`
    peak: usize,
}

struct Pool {
    caches: Vec<Cache>,
    shared: Mutex<Shared>,
    contents: Vec<UnsafeCell<usize>>,
}

// SAFETY: that no two threads use a cell at once is what the models prove.
unsafe impl Sync for Pool {}
// SAFETY: as above.
unsafe impl Send for Pool {}

impl Pool {
    /// `cached` entries in the first cache, which is open as are the others, and the rest in the
    /// depot.
    fn new(entries: usize, caches: usize, cached: usize) -> Arc<Self> {
        let pool = Self::untouched(entries, caches, cached);
        for (number, cache) in pool.caches.iter().enumerate() {
            // SAFETY: no other thread knows the pool yet.
            unsafe {
                cache.load(magazine(), ROOM, 0);
                cache.set_limits(0, ROOM);
                for i in 0..if number == 0 { cached } else { 0 } {
                    cache.push(cache.top().unwrap(), Self::entry(i), fence::light).unwrap();
                }
            }
        }
        Arc::new(pool)
    }

    /// No cache has a magazine, and all entries but so many are in the depot.
    fn untouched(entries: usize, caches: usize, left_out: usize) -> Self {
        Self {
            caches: (0..caches).map(|_| Cache::new()).collect(),
            shared: Mutex::new(Shared {
                depot: (left_out..entries).map(Self::entry).collect(),
                open: true,
                held_back: 0,
                peak: entries,
            }),
            contents: (0..entries).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn entry(i: usize) -> Entry {
        Entry::new(NonNull::new(without_provenance_mut((i + 1) * ENTRY)).unwrap())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn write_to(&self, entry: Entry) {
        // SAFETY: the holder alone does; loom says if it is not alone.
        self.contents[entry.address() / ENTRY - 1].with_mut(|content| unsafe { *content += 1 });
    }

    fn alloc(&self, index: usize) -> Option<Entry> {
        let entry = self.alloc_unwritten(index)?;
        self.write_to(entry);
        Some(entry)
    }

    fn alloc_unwritten(&self, index: usize) -> Option<Entry> {
        let own = &self.caches[index];
        // SAFETY: the models give each index to one thread at a time.
        if let Ok(entry) = unsafe { own.pop(fence::light) } {
            return Some(entry);
        }
        let mut shared = self.shared();
        // SAFETY: as above, with the lock.
        if let Some(entry) = unsafe { own.settle_pop() } {
            if own.is_open() {
                // SAFETY: as above.
                unsafe { self.reserve_all(own, &mut shared) };
            } else {
                self.note_peak(&mut shared);
            }
            return Some(entry);
        }
        if shared.depot.is_empty() && shared.open {
            self.caches.iter().for_each(Cache::close);
            assert!(fence::heavy());
            for cache in &self.caches {
                // SAFETY: closed, then a heavy fence, with the lock.
                unsafe { take_all(cache, &mut shared) };
            }
            shared.open = false;
            shared.held_back = 0;
        }
        let entry = shared.depot.pop();
        self.note_peak(&mut shared);
        entry
    }

    /// Makes all that is in a cache its reserve.
    ///
    /// # Safety
    /// The cache is open, settled and the calling thread's own.
    unsafe fn reserve_all(&self, own: &Cache, shared: &mut Shared) {
        let others = shared.held_back - own.held_back();
        // SAFETY: by this function's contract.
        unsafe {
            own.set_limits(own.loaded_len(), ROOM);
            own.set_held_back(own.len());
        }
        shared.held_back = others + own.len();
        self.note_peak(shared);
    }

    fn note_peak(&self, shared: &mut Shared) {
        let handed = self.contents.len() - shared.depot.len();
        shared.peak = shared.peak.max(handed - shared.held_back);
    }

    /// Starts the peak anew, as `reset_peak` does.
    fn reset_peak(&self) {
        let mut shared = self.shared();
        self.caches.iter().for_each(Cache::close);
        assert!(fence::heavy());
        for cache in &self.caches {
            // SAFETY: closed, then a heavy fence, with the lock.
            unsafe { take_all(cache, &mut shared) };
        }
        shared.held_back = 0;
        shared.peak = self.contents.len() - shared.depot.len();
    }

    fn alloc_from_depot(&self) -> Entry {
        self.shared().depot.pop().unwrap()
    }

    fn free(&self, index: usize, entry: Entry) {
        self.write_to(entry);
        let own = &self.caches[index];
        let Some(top) = own.top() else {
            return self.shared().depot.push(entry);
        };
        // SAFETY: as in `alloc_unwritten`.
        if unsafe { own.push(top, entry, fence::light) } == Err(Unsettled) {
            let mut shared = self.shared();
            // The models never fill a cache. It is open again after a claim that was dropped.
            if !own.is_open() {
                // SAFETY: as above, with the lock.
                shared.depot.extend(unsafe { own.settle_push() });
            }
        }
    }

    fn alloc_and_free(&self, index: usize) {
        if let Some(entry) = self.alloc(index) {
            self.free(index, entry);
        }
    }

    /// Takes `wanted` entries or none, as a call that wants many does.
    fn alloc_all(&self, wanted: usize) -> Vec<Entry> {
        let mut shared = self.shared();
        self.caches.iter().for_each(Cache::close_to_claim);
        assert!(fence::heavy());
        let mut claims = 0;
        for cache in &self.caches {
            // SAFETY: closed, then a heavy fence, with the lock.
            unsafe {
                let within = cache.claim();
                cache.set_held_back(within);
                claims += within;
            }
        }
        let known = shared.depot.len() + claims;
        if known < wanted {
            // SAFETY: claimed, with the lock.
            for cache in self.caches.iter().filter(|cache| cache.is_claimed()) {
                // SAFETY: as above.
                unsafe { cache.set_held_back(cache.drop_claim(false)) };
            }
            shared.held_back = self.caches.iter().map(Cache::held_back).sum();
            self.note_peak(&mut shared);
            return Vec::new();
        }
        for cache in &self.caches {
            // SAFETY: as above.
            unsafe {
                cache.take_claim(cache.held_back(), |entry| shared.depot.push(entry));
                take_spare(cache, &mut shared);
            }
        }
        (shared.open, shared.held_back) = (false, 0);
        assert_eq!(shared.depot.len(), known, "as many as were claimed");
        let rest = known - wanted;
        let taken = shared.depot.split_off(rest);
        self.note_peak(&mut shared);
        drop(shared);
        taken.iter().for_each(|entry| self.write_to(*entry));
        taken
    }

    /// Opens the index's own cache again, as its owner does when there is plenty.
    fn reopen(&self, index: usize) {
        let (own, mut shared) = (&self.caches[index], self.shared());
        shared.open = true;
        // SAFETY: as above, with the lock.
        unsafe {
            if !own.is_open() && !own.begins_at_start() {
                // Thieves took a part.
                own.drain(ROOM + 1, |entry| shared.depot.push(entry));
                own.abandon();
            }
            if !own.is_open() {
                if own.room() == 0 {
                    own.load(magazine(), ROOM, 0);
                }
                own.set_limits(0, ROOM);
            }
        }
    }

    /// The index's owner sets what it has aside, and has another magazine loaded.
    fn exchange(&self, index: usize) {
        let own = &self.caches[index];
        let _shared = self.shared();
        // SAFETY: the models give each index to one thread at a time, which is inside no other call.
        unsafe {
            if own.is_open() {
                let (spare, spare_len) = own.spare();
                let spare = if spare.is_null() { magazine() } else { spare };
                let len = own.loaded_len();
                let before = own.load(spare, ROOM, spare_len);
                own.set_spare(before, len);
                own.set_limits(0, ROOM);
            }
        }
    }

    /// Takes a part of what the caches have, as whoever finds the depot empty does.
    fn alloc_part(&self) -> Option<Entry> {
        let mut shared = self.shared();
        if shared.depot.is_empty() && shared.open {
            self.caches.iter().for_each(Cache::close);
            assert!(fence::heavy());
            shared.open = false;
        }
        for cache in &self.caches {
            if shared.depot.is_empty() && !shared.open {
                // SAFETY: closed, then a heavy fence, with the lock.
                unsafe {
                    take_spare(cache, &mut shared);
                    cache.drain(1, |entry| shared.depot.push(entry));
                }
            }
        }
        let entry = shared.depot.pop();
        drop(shared);
        entry.inspect(|entry| self.write_to(*entry))
    }

    /// What a fork does before: all that is free to the depot, and the caches may open again. `see` is
    /// the child, with what it finds there.
    fn fork(&self, see: impl FnOnce(&[Entry])) {
        let mut shared = self.shared();
        self.caches.iter().for_each(Cache::close);
        assert!(fence::heavy());
        for cache in &self.caches {
            // SAFETY: closed, then a heavy fence, with the lock.
            unsafe { take_all(cache, &mut shared) };
        }
        // The child takes them all: loom says if a thread of the parent's holds one.
        shared.depot.iter().for_each(|entry| self.write_to(*entry));
        let twice = |i: usize| shared.depot[..i].contains(&shared.depot[i]);
        assert!(!(0..shared.depot.len()).any(twice), "in the depot twice");
        see(&shared.depot);
    }

    /// With all threads done and `held` entries out, one thread gets each other entry once.
    fn verify(&self, index: usize, held: usize) {
        let mut rest = Vec::new();
        while let Some(entry) = self.alloc(index) {
            assert!(!rest.contains(&entry), "handed out twice");
            rest.push(entry);
        }
        assert_eq!(rest.len() + held, self.contents.len(), "lost or out of reach");
    }
}

/// # Safety
/// As [`Cache::drain`].
unsafe fn take_all(cache: &Cache, shared: &mut Shared) {
    // SAFETY: by this function's contract.
    unsafe {
        cache.drain(ROOM + 1, |entry| shared.depot.push(entry));
        take_spare(cache, shared);
    }
}

/// # Safety
/// With the lock.
unsafe fn take_spare(cache: &Cache, shared: &mut Shared) {
    let (spare, len) = cache.spare();
    for i in 0..len {
        // SAFETY: the first `len` are valid, and the lock's.
        let payload = unsafe { (*spare.add(i)).load(Relaxed) };
        shared.depot.push(Entry::new(NonNull::new(payload).unwrap()));
    }
    // SAFETY: by this function's contract.
    unsafe { cache.set_spare(spare, 0) };
}

/// Of the caches that a model makes, which are leaked.
fn magazine() -> *mut Element {
    let room: Vec<_> = (0..=ROOM).map(|_| Element::new(without_provenance_mut(0))).collect();
    room.leak().as_mut_ptr()
}

/// Runs what an owner does in a thread of its own.
fn owner<R: 'static>(
    pool: &Arc<Pool>,
    does: impl FnOnce(&Pool) -> R + 'static,
) -> thread::JoinHandle<R> {
    let pool = pool.clone();
    thread::spawn(move || does(&pool))
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(model);
}
