//! Is the protocol right, in every order in which threads can run it?
//!
//! loom tries them all, with what each load may see. The pool around the caches is the smallest
//! that has all the steps: a locked list for a depot, `alloc` and `free` as in `pool/`. Each entry
//! has a cell that its holder writes to: two holders at a time are found as a data race.

use core::ptr::{NonNull, without_provenance_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Mutex, MutexGuard};
use loom::thread;

use super::{Cache, Unsettled};
use crate::fence;
use crate::magazine::Element;
use crate::slot::Entry;

const ROOM: usize = 3;
const ENTRY: usize = 64;

struct Shared {
    depot: Vec<Entry>,
    open: bool,
    held_back: usize, // as in `pool/trade.rs`, and so is `peak`
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
        let entry =
            |i: usize| Entry::new(NonNull::new(without_provenance_mut((i + 1) * ENTRY)).unwrap());
        let pool = Self {
            caches: (0..caches)
                .map(|_| {
                    // SAFETY: leaked, so that the elements outlive the cache.
                    unsafe { Cache::new(magazine()) }
                })
                .collect(),
            shared: Mutex::new(Shared {
                depot: (cached..entries).map(entry).collect(),
                open: true,
                held_back: 0,
                peak: entries,
            }),
            contents: (0..entries).map(|_| UnsafeCell::new(0)).collect(),
        };
        for (number, cache) in pool.caches.iter().enumerate() {
            // SAFETY: no other thread knows the pool yet.
            unsafe {
                cache.set_limits(0, ROOM);
                for i in 0..if number == 0 { cached } else { 0 } {
                    cache.push(entry(i), fence::light).unwrap();
                }
            }
        }
        Arc::new(pool)
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
        // SAFETY: as in `alloc_unwritten`.
        if unsafe { own.push(entry, fence::light) } == Err(Unsettled) {
            let mut shared = self.shared();
            // The models never fill a cache. It is open again after a claim that was dropped.
            if !own.is_open() {
                // SAFETY: as above, with the lock.
                shared.depot.extend(unsafe { own.settle_push() });
            }
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
                unsafe { cache.set_held_back(cache.drop_claim(ROOM, false)) };
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
                let before = own.load(spare, spare_len);
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

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(model);
}

#[test]
fn owner_and_thief() {
    check(|| {
        let pool = Pool::new(2, 2, 2);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entry = pool.alloc(0);
                if let Some(entry) = entry {
                    pool.free(0, entry);
                }
                pool.alloc(0)
            })
        };
        let stolen = pool.alloc(1);
        let kept = owner.join().unwrap();
        // Two entries, and never more than two calls at a time that want one.
        assert!(stolen.is_some() && kept.is_some() && stolen != kept);
        pool.verify(1, 2);
    });
}

#[test]
fn owner_that_frees_and_thief_that_wants_all() {
    check(|| {
        let pool = Pool::new(2, 2, 1);
        let first = pool.alloc(1).unwrap();
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.free(0, first);
                let entry = pool.alloc(0);
                if let Some(entry) = entry {
                    pool.free(0, entry);
                }
            })
        };
        let stolen = [pool.alloc(1), pool.alloc(1)];
        owner.join().unwrap();
        pool.verify(1, stolen.iter().flatten().count());
    });
}

#[test]
fn two_owners_and_a_thief() {
    check(|| {
        let pool = Pool::new(2, 3, 1);
        // One entry in each of the first two caches.
        let entry = pool.alloc(2).unwrap();
        pool.free(1, entry);
        let owners = [0, 1].map(|index| {
            let pool = pool.clone();
            thread::spawn(move || {
                if let Some(entry) = pool.alloc(index) {
                    pool.free(index, entry);
                }
            })
        });
        let stolen = pool.alloc(2);
        owners.into_iter().for_each(|owner| owner.join().unwrap());
        pool.verify(2, stolen.iter().count());
    });
}

#[test]
fn thread_that_ends_during_a_steal() {
    check(|| {
        let pool = Pool::new(2, 2, 2);
        let first = {
            let pool = pool.clone();
            thread::spawn(move || pool.alloc(0))
        };
        let second = {
            let pool = pool.clone();
            thread::spawn(move || {
                // The index is given back and taken again: joining orders the two as that does.
                let held = first.join().unwrap();
                if let Some(entry) = held {
                    pool.free(0, entry);
                }
                pool.alloc(0)
            })
        };
        let stolen = pool.alloc(1);
        let kept = second.join().unwrap();
        pool.verify(1, stolen.iter().chain(&kept).count());
    });
}

#[test]
fn cache_that_opens_again_between_steals() {
    check(|| {
        let pool = Pool::new(2, 2, 2);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entry = pool.alloc(0);
                pool.reopen(0);
                if let Some(entry) = entry {
                    pool.free(0, entry);
                }
            })
        };
        let stolen = [pool.alloc(1), pool.alloc(1)];
        owner.join().unwrap();
        pool.verify(1, stolen.iter().flatten().count());
    });
}

#[test]
fn fork_while_the_owner_is_inside_a_call() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entry = pool.alloc(0).unwrap();
                pool.reopen(0);
                pool.free(0, entry);
                pool.alloc(0).unwrap()
            })
        };
        // The owner holds one, or is taking it or giving it back.
        pool.fork(|depot| assert!(depot.len() >= 2));
        pool.fork(|depot| assert!(depot.len() >= 2));
        let kept = owner.join().unwrap();
        pool.reopen(0);
        pool.reopen(1);
        assert_ne!(pool.alloc(1), Some(kept));
        pool.verify(1, 2);
    });
}

/// The child of a fork at which the owner was inside `call`, and is no more.
fn child_whose_owner_vanished(call: fn(&Pool, Entry)) {
    check(move || {
        let pool = Pool::new(3, 2, 2);
        let held = pool.alloc_from_depot();
        let owner = {
            let pool = pool.clone();
            // It does not settle what it did.
            thread::spawn(move || call(&pool, held))
        };
        pool.fork(|_| {});
        owner.join().unwrap();
        let shared = pool.shared();
        // SAFETY: with the lock, and the owner is no more.
        pool.caches.iter().for_each(|cache| unsafe { cache.abandon() });
        let out = 3 - shared.depot.len();
        drop(shared);
        assert!(out <= 2);
        // Whoever has the index next.
        pool.reopen(0);
        if let Some(entry) = pool.alloc(0) {
            pool.free(0, entry);
        }
        pool.verify(0, out);
    });
}

#[test]
fn child_whose_owner_vanished_in_a_pop() {
    // SAFETY: the owner's one call.
    child_whose_owner_vanished(|pool, _| _ = unsafe { pool.caches[0].pop(fence::light) });
}

#[test]
fn child_whose_owner_vanished_in_a_push() {
    // SAFETY: the owner's one call.
    child_whose_owner_vanished(|pool, entry| {
        _ = unsafe { pool.caches[0].push(entry, fence::light) }
    });
}

#[test]
fn peak_of_an_owner_whose_cache_is_a_reserve() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        {
            let mut shared = pool.shared();
            shared.peak = 0;
            // SAFETY: no other thread knows the pool yet.
            unsafe { pool.reserve_all(&pool.caches[0], &mut shared) };
            assert_eq!((shared.held_back, shared.peak), (2, 0));
        }
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || [pool.alloc(0), pool.alloc(0)])
        };
        // The depot's one, and perhaps one of the cache's, from below its floor.
        let stolen = [pool.alloc(1), pool.alloc(1)];
        let kept = owner.join().unwrap();
        assert_eq!(stolen.iter().chain(&kept).flatten().count(), 3);
        assert_eq!(pool.shared().peak, 3);
        pool.verify(1, 3);
    });
}

#[test]
fn peak_that_starts_anew_while_the_owner_is_inside_a_call() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entries = [pool.alloc(0).unwrap(), pool.alloc(0).unwrap()];
                pool.free(0, entries[0]);
                entries[1]
            })
        };
        pool.reset_peak();
        let held = pool.alloc(1).unwrap();
        assert_ne!(owner.join().unwrap(), held);
        // Both are out at once.
        assert!((2..=3).contains(&pool.shared().peak));
        pool.verify(1, 2);
    });
}

/// The owner and a call that wants more than there can be.
fn claim_that_is_dropped(cached: usize, call: fn(&Pool) -> usize) {
    check(move || {
        let pool = Pool::new(3, 2, cached);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || call(&pool))
        };
        assert!(pool.alloc_all(4).is_empty());
        let held = owner.join().unwrap();
        assert!(pool.caches[0].is_open() && pool.caches[1].is_open());
        assert!(pool.shared().peak >= held);
        pool.verify(1, held);
    });
}

#[test]
fn claim_that_is_dropped_during_a_pop() {
    claim_that_is_dropped(3, |pool| {
        assert!(pool.alloc(0).is_some() && pool.alloc(0).is_some());
        2
    });
}

#[test]
fn claim_that_is_dropped_during_a_push() {
    claim_that_is_dropped(2, |pool| {
        let entry = pool.alloc(0).unwrap();
        pool.free(0, entry);
        assert!(pool.alloc(0).is_some());
        1
    });
}

#[test]
fn claim_that_is_dropped_while_the_cache_is_empty() {
    claim_that_is_dropped(0, |pool| {
        assert!(pool.alloc(0).is_some());
        1
    });
}

#[test]
fn peak_after_a_claim_that_is_dropped() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        {
            let mut shared = pool.shared();
            shared.peak = 0;
            // SAFETY: no other thread knows the pool yet.
            unsafe { pool.reserve_all(&pool.caches[0], &mut shared) };
        }
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || [pool.alloc(0), pool.alloc(0)])
        };
        assert!(pool.alloc_all(4).is_empty());
        assert_eq!(owner.join().unwrap().iter().flatten().count(), 2);
        assert_eq!(pool.shared().peak, 2);
        pool.verify(1, 2);
    });
}

#[test]
fn claim_that_is_taken() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entry = pool.alloc(0);
                if let Some(entry) = entry {
                    pool.free(0, entry);
                }
                usize::from(pool.alloc(0).is_some())
            })
        };
        let taken = pool.alloc_all(2);
        let held = owner.join().unwrap();
        // The owner is at one of three at a time.
        assert!(taken.len() == 2 && held == 1);
        pool.verify(1, 3);
    });
}

#[test]
fn owner_that_exchanges_and_thief() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let held = pool.alloc_from_depot();
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.exchange(0);
                pool.free(0, held);
                pool.exchange(0);
                pool.alloc(0)
            })
        };
        let stolen = [pool.alloc(1), pool.alloc(1)];
        let kept = owner.join().unwrap();
        pool.verify(1, stolen.iter().chain(&[kept]).flatten().count());
    });
}

#[test]
fn owner_and_thief_that_takes_a_part() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || {
                let entry = pool.alloc(0);
                if let Some(entry) = entry {
                    pool.free(0, entry);
                }
                pool.reopen(0);
                pool.alloc(0)
            })
        };
        let stolen = [pool.alloc_part(), pool.alloc_part()];
        let kept = owner.join().unwrap();
        pool.verify(1, stolen.iter().chain(&[kept]).flatten().count());
    });
}

#[test]
fn claim_of_what_a_closed_cache_has() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        {
            let mut shared = pool.shared();
            pool.caches.iter().for_each(Cache::close);
            shared.open = false;
        }
        let owner = {
            let pool = pool.clone();
            thread::spawn(move || pool.alloc(0))
        };
        let taken = pool.alloc_all(2);
        let held = owner.join().unwrap();
        assert_eq!(taken.len(), 2);
        pool.verify(1, taken.len() + usize::from(held.is_some()));
    });
}

/// The owner of a cache that falls, as in `pool/trade.rs`, and a thread that looks at it before it gives an
/// entry to the depot.
#[test]
fn peak_of_a_cache_that_falls() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let given = pool.alloc_from_depot();
        {
            let mut shared = pool.shared();
            // One is out, and two are held back.
            (shared.peak, shared.held_back) = (1, 2);
            // SAFETY: no other thread knows the pool yet.
            unsafe {
                pool.caches[0].set_limits(0, 0);
                pool.caches[0].set_held_back(2);
            }
        }
        let look = |pool: &Pool, shared: &mut Shared, one: usize| {
            shared.held_back = pool.caches[0].loaded_len().saturating_sub(one);
            pool.note_peak(shared);
        };
        let both_out = Arc::new(AtomicBool::new(false));
        let owner = {
            let (pool, both_out) = (pool.clone(), both_out.clone());
            thread::spawn(move || {
                let entries = [pool.alloc(0).unwrap(), pool.alloc(0).unwrap()];
                both_out.store(true, Release);
                pool.write_to(entries[0]);
                // SAFETY: the models give each index to one thread at a time.
                let pushed = unsafe { pool.caches[0].push(entries[0], fence::light) };
                assert_eq!(pushed, Err(Unsettled), "the first push comes by");
                look(&pool, &mut pool.shared(), 1);
            })
        };
        let all_out = {
            let mut shared = pool.shared();
            let all_out = both_out.load(Acquire);
            look(&pool, &mut shared, 1);
            shared.depot.push(given);
            all_out
        };
        owner.join().unwrap();
        // The owner had two at once, whatever the other one held then.
        let least = if all_out { 3 } else { 2 };
        assert!((least..=3).contains(&pool.shared().peak));
        pool.verify(0, 1);
    });
}
