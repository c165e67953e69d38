//! Do the invariants hold after every call, in pools of each sort?

use std::sync::Mutex;

use super::*;
use crate::layout::{Class, Classes};
use crate::magazine::MOST_MOVED;
use crate::pool::Sources;
use crate::slot::Entry;
use crate::work;

fn class(elem_size: usize, elem_count: usize) -> Class {
    Class { elem_size, elem_count }
}

fn request(classes: Classes<'_>, align: usize, policy: Policy) -> Request<'_> {
    let layout = Layout::new(classes, align).unwrap();
    Request { prefault: false, ..Request::new(layout, policy, Traits::default()) }
}

/// Makes a collection, hands it to a test with its invariants checked before and after, and
/// destroys it.
fn with(request: &Request<'_>, test: impl FnOnce(&Collection)) {
    // SAFETY: a buffer, if any, outlives this call.
    let this = unsafe { Collection::create(request) }.unwrap();
    // SAFETY: live until the destroy below.
    let collection = unsafe { this.as_ref() };
    registry::lock().check();
    collection.check();
    test(collection);
    collection.check();
    // SAFETY: the test is over.
    unsafe { Collection::destroy(this) };
}

/// A generator with a fixed start, good enough to shuffle calls.
fn random(state: &mut usize) -> usize {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

#[test]
fn invariants_hold_after_every_call() {
    for (align, hardened) in
        [0, 64, 4096].into_iter().flat_map(|align| [(align, false), (align, true)])
    {
        let mut request = request(Classes::One(class(40, 9)), align, Policy::Ordinary);
        request.traits.hardened = hardened;
        with(&request, |collection| {
            let pool = &collection.pools()[0];
            let (mut held, mut state) = (Vec::<Entry>::new(), 1);
            for _ in 0..300 {
                if random(&mut state).is_multiple_of(2) {
                    let entry = pool.alloc();
                    assert_eq!(entry.is_some(), held.len() < 9);
                    held.extend(entry);
                } else if !held.is_empty() {
                    let entry = held.swap_remove(random(&mut state) % held.len());
                    // SAFETY: the entry is live.
                    unsafe { Pool::free(entry) };
                }
                assert_eq!(pool.used(), held.len());
                collection.check();
            }
        });
    }
}

#[test]
fn invariants_hold_through_shortages() {
    for (count, zero_on_free, single_thread) in
        [(100, false, false), (1000, false, false), (1000, true, false), (1000, false, true)]
    {
        let mut request = request(Classes::One(class(8, count)), 0, Policy::Ordinary);
        request.traits = Traits { zero_on_free, single_thread, ..Traits::default() };
        with(&request, |collection| {
            let pool = &collection.pools()[0];
            // Often enough for the caches to open again in between.
            for _ in 0..20 {
                let held: Vec<_> = core::iter::from_fn(|| pool.alloc()).collect();
                assert_eq!(held.len(), count);
                collection.check();
                // SAFETY: the entries are live.
                held.into_iter().for_each(|entry| unsafe { Pool::free(entry) });
                collection.check();
            }
        });
    }
}

fn bulk(pool: &Pool, places: &mut [*mut u8]) -> bool {
    Sources { class: pool, larger_too: false, heap_too: false }.fill(places)
}

#[test]
fn invariants_hold_after_bulk_calls_and_resets() {
    for (count, single_thread) in [(9, false), (1000, false), (1000, true)] {
        let mut request = request(Classes::One(class(8, count)), 0, Policy::Ordinary);
        request.traits.single_thread = single_thread;
        with(&request, |collection| {
            let pool = &collection.pools()[0];
            let mut places = vec![core::ptr::null_mut(); count];
            for n in (1..=count).step_by(1 + count / 20) {
                assert!(bulk(pool, &mut places[..n]));
                collection.check();
                let rest = pool.alloc().map(|entry| entry.payload());
                // SAFETY: the entries are live.
                unsafe { Pool::free_bulk(&places[..n / 2]) };
                collection.check();
                assert_eq!(pool.used(), n - n / 2 + usize::from(rest.is_some()));
                // SAFETY: no other thread knows the pool.
                unsafe { pool.reset() };
                collection.check();
                assert_eq!(pool.used(), 0);
            }
            // With the cache open, in a shortage.
            let one = pool.alloc().unwrap();
            assert!(!bulk(pool, &mut places));
            collection.check();
            assert!(bulk(pool, &mut places[1..]));
            collection.check();
            assert!(places[1..].iter().all(|&place| place != one.payload()));
        });
    }
}

#[test]
fn invariants_hold_with_few_left() {
    with(&request(Classes::One(class(8, 1000)), 0, Policy::Ordinary), |collection| {
        let pool = &collection.pools()[0];
        for count in (0..1000).step_by(3) {
            let held: Vec<_> = (0..count).map(|_| pool.alloc().unwrap()).collect();
            collection.check();
            for entry in held {
                // SAFETY: the entry is live.
                unsafe { Pool::free(entry) };
            }
            collection.check();
        }
    });
}

#[test]
fn invariants_hold_with_dynamic_entries() {
    let request = request(Classes::One(class(40, 1)), 0, Policy::Ordinary);
    with(&request, |collection| {
        let pool = &collection.pools()[0];
        let entries: Vec<_> = (0..5).map(|_| pool.alloc_dynamic().unwrap()).collect();
        for i in [2, 0, 4] {
            // SAFETY: the entry is live.
            unsafe { Pool::free(entries[i]) };
            collection.check();
        }
        assert_eq!(pool.dynamic_count(), 2);
    });
}

#[test]
fn a_callers_buffer_of_the_promised_size_is_enough_at_any_start() {
    let lists: [&[Class]; 3] =
        [&[class(1, 1)], &[class(4, 1000)], &[class(24, 3), class(100, 7), class(5000, 2)]];
    let aligns = [16, 32, 128, 4096];
    let kinds = aligns.into_iter().flat_map(|align| [(align, false), (align, true)]);
    for (list, (align, hardened)) in lists.iter().flat_map(|l| kinds.clone().map(move |k| (*l, k)))
    {
        let mut request = request(Classes::List(list), align, Policy::Disabled);
        request.traits.hardened = hardened;
        let bytes = request.layout.bytes();
        let mut memory = vec![0xA5u8; bytes + 512];
        let aligned = memory.as_ptr().align_offset(256);
        for start in (aligned..aligned + 256).step_by(MIN_ALIGN) {
            request.buffer = Some((NonNull::from(&mut memory[start]), bytes));
            with(&request, |collection| {
                for pool in collection.pools() {
                    while let Some(entry) = pool.alloc() {
                        // SAFETY: the entry is new and has that many bytes.
                        unsafe { entry.payload().write_bytes(0x5A, pool.elem_size()) };
                    }
                }
            });
        }
        assert!(memory[..aligned].iter().all(|&b| b == 0xA5));
        assert!(memory[aligned + 240 + bytes..].iter().all(|&b| b == 0xA5));
    }
}

#[test]
fn no_word_stays_in_a_callers_buffer() {
    for hardened in [false, true] {
        let mut memory = vec![0u8; 8192];
        let start = memory.as_ptr().align_offset(MIN_ALIGN);
        let buffer = NonNull::from(&mut memory[start]);
        let mut request = request(Classes::One(class(8, 10)), 0, Policy::Ordinary);
        request.buffer = Some((buffer, 8192 - start));
        request.traits.hardened = hardened;
        let mut entries = Vec::new();
        with(&request, |collection| {
            entries.extend(core::iter::from_fn(|| collection.pools()[0].alloc()));
        });
        assert_eq!(entries.len(), 10);
        let last = entries.iter().map(|entry| entry.payload()).max();
        // Behind the last slot of a hardened pool lies a word, too.
        entries.extend(last.and_then(|last| NonNull::new(last.wrapping_add(16)).map(Entry::new)));
        for entry in entries {
            // SAFETY: the buffer is still there.
            let word = unsafe { entry.payload().sub(WORD).cast::<usize>().read() };
            // Wiped, or never written.
            assert_eq!(word, 0);
        }
    }
}

/// What a hardened pool looks at is as it left it, whatever the sizes asked for, when nobody wrote
/// where nobody may.
#[test]
fn borders_move_and_canaries_with_them() {
    let list = [class(24, 4), class(100, 4), class(1000, 4)];
    let mut request = request(Classes::List(&list), 0, Policy::AtLastExhaustion);
    request.traits.hardened = true;
    with(&request, |collection| {
        let (mut held, mut state) = (Vec::<(Entry, usize)>::new(), 1);
        for _ in 0..2000 {
            let size = 1 + random(&mut state) % 1000;
            match random(&mut state) % 3 {
                0 if held.len() < 20 => {
                    held.push((collection.alloc_sized(size).unwrap(), size));
                }
                1 if !held.is_empty() => {
                    let at = random(&mut state) % held.len();
                    // SAFETY: the entry is live.
                    let new = unsafe { collection.realloc(held[at].0, size) }.unwrap();
                    held[at] = (new, size);
                }
                _ if !held.is_empty() => {
                    let (entry, _) = held.swap_remove(random(&mut state) % held.len());
                    // SAFETY: the entry is live.
                    unsafe { Pool::free(entry) };
                }
                _ => {}
            }
            for &(entry, size) in &held {
                // SAFETY: the entry has that many bytes.
                unsafe { entry.payload().write_bytes(0xDF, size) };
            }
            for pool in collection.pools() {
                // SAFETY: no other thread knows the pool.
                unsafe { pool.look_at_all(DESTROY) };
            }
        }
    });
}

/// Three threads take and free in turns until a random number of entries is out; a call moves and touches
/// no more than is promised, whatever the caches and the depot have at that moment.
#[test]
fn no_call_moves_more_than_promised() {
    let mut most_of_all = [0; 2];
    for (count, traits) in
        [16, 50, 100, 300, 700, 3000, 20_000, 100_000].into_iter().flat_map(|count| {
            let plain = Traits::default();
            let zero = Traits { zero_on_free: true, ..plain };
            [(count, plain), (count, zero), (count, Traits { single_thread: true, ..plain })]
        })
    {
        let mut request = request(Classes::One(class(24, count)), 0, Policy::Ordinary);
        request.traits = traits;
        with(&request, |collection| {
            let pool = &collection.pools()[0];
            let (held, state) = (Mutex::new(Vec::new()), Mutex::new(count));
            let most = std::thread::scope(|scope| {
                // Each waits for its turns, with what is left in its cache.
                let threads = if traits.single_thread { 1 } else { 3 };
                let turns = [(); 3].map(|()| std::sync::mpsc::channel::<usize>());
                let (ends, starts): (Vec<_>, Vec<_>) = turns.into_iter().take(threads).unzip();
                let (done, next) = std::sync::mpsc::channel();
                let workers: Vec<_> = starts
                    .into_iter()
                    .map(|turns| {
                        let (done, held, state) = (done.clone(), &held, &state);
                        scope.spawn(move || {
                            let mut most = [0; 2];
                            for level in turns {
                                let (mut held, mut state) =
                                    (held.lock().unwrap(), state.lock().unwrap());
                                most = max(most, until(pool, level, &mut held, &mut state));
                                done.send(()).unwrap();
                            }
                            most
                        })
                    })
                    .collect();
                drop(done);
                for turn in 0..60 {
                    let (kind, some) = {
                        let mut state = state.lock().unwrap();
                        (random(&mut state) % 4, random(&mut state) % count)
                    };
                    let level = [0, count, some, some][kind];
                    ends[turn % threads].send(level).unwrap();
                    next.recv().unwrap();
                }
                drop(ends);
                workers.into_iter().map(|worker| worker.join().unwrap()).fold([0; 2], max)
            });
            collection.check();
            assert!(most[0] <= MOST_MOVED && most[1] <= MOST_TOUCHED, "{count}: {most:?}");
            most_of_all = max(most_of_all, most);
        });
    }
    assert!(most_of_all[0] > MOST_MOVED - 8, "{most_of_all:?}: the calls saw little");
}

/// Lines that a call touches, beside those that each visit to the depot does: one for each entry that it
/// moves to the bits or from them, or one for eight of a magazine's, and the words of slots never used.
const MOST_TOUCHED: usize = 80;

fn max([moved, touched]: [usize; 2], other: [usize; 2]) -> [usize; 2] {
    [moved.max(other[0]), touched.max(other[1])]
}

/// Takes and frees until so many are out, now and then in the other direction. Says the most that a call
/// did.
fn until(pool: &Pool, level: usize, held: &mut Vec<usize>, state: &mut usize) -> [usize; 2] {
    let mut most = [0; 2];
    while held.len() != level {
        let back = random(state).is_multiple_of(1000);
        let burst = if back { 1 + random(state) % 600 } else { 1 };
        for _ in 0..burst {
            work::done();
            if (held.len() < level) != back {
                held.extend(pool.alloc().map(|entry| entry.payload().expose_provenance()));
            } else if !held.is_empty() {
                let at = random(state) % held.len();
                let payload = core::ptr::with_exposed_provenance_mut(held.swap_remove(at));
                // SAFETY: the entry is live.
                unsafe { Pool::free(Entry::new(NonNull::new(payload).unwrap())) };
            }
            most = max(most, work::done());
        }
    }
    most
}

fn take_from(pool: &Pool, count: usize) -> Vec<Entry> {
    (0..count).map(|_| pool.alloc().unwrap()).collect()
}

fn free_all(entries: Vec<Entry>) {
    // SAFETY: the entries are live.
    entries.into_iter().for_each(|entry| unsafe { Pool::free(entry) });
}

/// Entries that idle threads have in closed caches count when the caches are to open again.
#[test]
fn caches_open_again_though_others_are_idle() {
    with(&request(Classes::One(class(8, 1000)), 0, Policy::Ordinary), |collection| {
        let pool = &collection.pools()[0];
        let take = |count| take_from(pool, count);
        let barrier = std::sync::Barrier::new(6);
        // Nothing is asserted while others wait: they would do so for ever.
        let seen = std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    free_all(take(60));
                    barrier.wait();
                    barrier.wait();
                });
            }
            barrier.wait();
            let cached = pool.figures().cached;
            // The first of a shortage, and nothing else that is free.
            let mut held = take(1000 - cached + 1);
            let closed = pool.open_caches()[0].0 == 0;
            // In a band so narrow that the depot is never empty, and never has plenty.
            free_all(held.split_off(held.len() - 20));
            for _ in 0..5000 {
                free_all(take(2));
            }
            let own = pool.open_caches()[0].0;
            free_all(held);
            barrier.wait();
            (cached > 1000 / 16, closed, own)
        });
        assert_eq!(seen, (true, true, 1));
    });
}

/// A cache that sat still while the depot ran low, and the ring was filled.
#[test]
fn a_push_to_a_cache_above_its_share_moves_no_more_than_promised() {
    with(&request(Classes::One(class(8, 1000)), 0, Policy::Ordinary), |collection| {
        let pool = &collection.pools()[0];
        let take = |count| take_from(pool, count);
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Often enough for larger magazines.
                (0..50).for_each(|_| free_all(take(150)));
                let mut held = take(200);
                let rest = held.split_off(60);
                free_all(held);
                let cached = pool.figures().cached;
                barrier.wait();
                barrier.wait();
                assert!(cached > 20, "{cached}");
                for entry in rest {
                    work::done();
                    free_all(vec![entry]);
                    let [moved, _] = work::done();
                    assert!(moved <= MOST_MOVED, "{moved}");
                }
            });
            barrier.wait();
            let mut others = take(1000 - 140 - pool.figures().cached - 40);
            free_all(others.split_off(others.len() - 73));
            barrier.wait();
            free_all(others);
        });
    });
}

/// Whether the calling thread takes from a cache.
fn takes_from_a_cache(pool: &Pool) -> bool {
    let before = pool.figures().cached;
    let held = take_from(pool, 1);
    let after = pool.figures().cached;
    free_all(held);
    after < before
}

/// A pool of few entries has a cache for the thread that comes alone, which keeps it until it ends.
#[test]
fn the_only_cache_goes_to_who_comes_alone() {
    for count in [12, 16, 127] {
        with(&request(Classes::One(class(8, count)), 0, Policy::Ordinary), |collection| {
            let pool = &collection.pools()[0];
            let come = |times| (0..times).for_each(|_| free_all(take_from(pool, 1)));
            let barrier = std::sync::Barrier::new(2);
            let seen = std::thread::scope(|scope| {
                let owner = scope.spawn(|| {
                    let before = takes_from_a_cache(pool);
                    come(100);
                    let after = takes_from_a_cache(pool);
                    barrier.wait();
                    barrier.wait();
                    (before, after, takes_from_a_cache(pool))
                });
                barrier.wait();
                come(3000);
                let beside = takes_from_a_cache(pool);
                barrier.wait();
                (owner.join().unwrap(), beside)
            });
            assert_eq!(seen, ((false, true, true), false), "{count}");
            // Another test's thread may have the former owner's index for a while.
            let gets_it = (0..1000).any(|_| {
                come(1100);
                std::thread::sleep(std::time::Duration::from_millis(5));
                takes_from_a_cache(pool)
            });
            assert!(gets_it, "{count}: the owner is no more");
        });
    }
}
