//! Does no call do more than it may, and do caches go to who needs them?

use super::*;

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
                unsafe { Pool::free(Entry::new(NonNull::new(payload).unwrap())) }.unwrap();
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
    entries.into_iter().for_each(|entry| unsafe { Pool::free(entry) }.unwrap());
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

/// The first threads have two magazines each, and seldom come by: later ones that need some get theirs, at their
/// next free.
#[test]
fn late_threads_get_magazines_that_the_first_have_too_many_of() {
    with(&request(Classes::One(class(24, 3000)), 0, Policy::Ordinary), |collection| {
        let pool = &collection.pools()[0];
        let burst = |size| free_all(take_from(pool, size));
        let rooms = std::thread::scope(|scope| {
            let turns = [(); 5].map(|()| std::sync::mpsc::channel::<usize>());
            let (done, next) = std::sync::mpsc::channel();
            let ends = turns.map(|(end, turns)| {
                let done = done.clone();
                scope.spawn(move || {
                    for size in turns {
                        (0..8).for_each(|_| burst(size));
                        done.send(()).unwrap();
                    }
                });
                end
            });
            let turn = |number: usize, size| {
                ends[number].send(size).unwrap();
                next.recv().unwrap();
            };
            (0..2).for_each(|number| turn(number, 400));
            for _ in 0..20 {
                (2..5).for_each(|number| turn(number, 200));
                (0..2).for_each(|number| turn(number, 2));
            }
            pool.rooms()
        });
        collection.check();
        // Lines below may be those of other threads of this program.
        let rooms = rooms.into_iter().filter(|&room| room > 0);
        let large = rooms.clone().filter(|&room| room >= 253).count();
        assert!(
            large >= 3 && rooms.clone().all(|room| room >= 61),
            "{:?}",
            rooms.collect::<Vec<_>>()
        );
    });
}

/// Each of many threads takes half of its part of the pool and frees that: once the caches have grown, nothing moves
/// between them and the depot.
#[test]
fn bursts_of_half_a_part_stay_in_the_caches() {
    const THREADS: usize = 64;
    const BURST: usize = 200;
    with(
        &request(Classes::One(class(24, 2 * BURST * THREADS)), 0, Policy::Ordinary),
        |collection| {
            let pool = &collection.pools()[0];
            let (turn, round) = (std::sync::Mutex::new(()), std::sync::Barrier::new(THREADS));
            let bursts = |rounds| {
                for _ in 0..rounds {
                    round.wait();
                    let _turn = turn.lock().unwrap();
                    free_all(take_from(pool, BURST));
                }
            };
            let moved: usize = std::thread::scope(|scope| {
                let threads = [(); THREADS].map(|()| {
                    scope.spawn(|| {
                        bursts(20);
                        work::done();
                        bursts(5);
                        work::done()[0]
                    })
                });
                threads.map(|thread| thread.join().unwrap()).iter().sum()
            });
            collection.check();
            assert_eq!(moved, 0);
        },
    );
}
