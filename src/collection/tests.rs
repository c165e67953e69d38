//! Do the invariants hold after every call, in pools of each sort?

mod bounds;

use std::ptr::NonNull;
use std::sync::Mutex;

use super::body::{Collection, Policy};
use super::making::Request;
use super::registry;
use crate::caches::magazine::MOST_MOVED;
use crate::memory::layout::{Class, Classes, Layout, MIN_ALIGN, WORD};
use crate::pool::body::Pool;
use crate::pool::bulk::Sources;
use crate::pool::traits::Traits;
use crate::report::misuse::DESTROY;
use crate::slots::word::Entry;
use crate::slots::work;

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
                    unsafe { Pool::free(entry) }.unwrap();
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
                held.into_iter().for_each(|entry| unsafe { Pool::free(entry) }.unwrap());
                collection.check();
            }
        });
    }
}

#[test]
fn a_pool_that_records_takes_its_locks() {
    let mut request = request(Classes::One(class(8, 9)), 0, Policy::Ordinary);
    request.traits = Traits { single_thread: true, recorded: true, ..Traits::default() };
    with(&request, |collection| {
        let held: Vec<_> = core::iter::from_fn(|| collection.pools()[0].alloc()).collect();
        assert_eq!(held.len(), 9);
        collection.check();
    });
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
                unsafe { Pool::free_bulk(&places[..n / 2]) }.unwrap();
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
                unsafe { Pool::free(entry) }.unwrap();
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
            unsafe { Pool::free(entries[i]) }.unwrap();
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
            let word = unsafe { entry.payload().sub(WORD).cast::<u64>().read() };
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
                    unsafe { Pool::free(entry) }.unwrap();
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
