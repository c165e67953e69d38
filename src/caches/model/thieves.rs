//! Does an owner keep what is its, and a thief get the rest?

use super::*;

#[test]
fn owner_and_thief() {
    check(|| {
        let pool = Pool::new(2, 2, 2);
        let owner = owner(&pool, move |pool| {
            pool.alloc_and_free(0);
            pool.alloc(0)
        });
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
        let owner = owner(&pool, move |pool| {
            pool.free(0, first);
            pool.alloc_and_free(0);
        });
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
                pool.alloc_and_free(index);
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
        let owner = owner(&pool, move |pool| {
            let entry = pool.alloc(0);
            pool.reopen(0);
            if let Some(entry) = entry {
                pool.free(0, entry);
            }
        });
        let stolen = [pool.alloc(1), pool.alloc(1)];
        owner.join().unwrap();
        pool.verify(1, stolen.iter().flatten().count());
    });
}

#[test]
fn owner_that_exchanges_and_thief() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let held = pool.alloc_from_depot();
        let owner = owner(&pool, move |pool| {
            pool.exchange(0);
            pool.free(0, held);
            pool.exchange(0);
            pool.alloc(0)
        });
        let stolen = [pool.alloc(1), pool.alloc(1)];
        let kept = owner.join().unwrap();
        pool.verify(1, stolen.iter().chain(&[kept]).flatten().count());
    });
}

#[test]
fn owner_and_thief_that_takes_a_part() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        let owner = owner(&pool, move |pool| {
            pool.alloc_and_free(0);
            pool.reopen(0);
            pool.alloc(0)
        });
        let stolen = [pool.alloc_part(), pool.alloc_part()];
        let kept = owner.join().unwrap();
        pool.verify(1, stolen.iter().chain(&[kept]).flatten().count());
    });
}

/// A thread has the owner of an open cache come by at its next push; all is taken back in the end.
#[test]
fn an_owner_that_is_to_come_by() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let owner = owner(&pool, move |pool| {
            pool.alloc_and_free(0);
            pool.alloc_and_free(0);
        });
        {
            let _shared = pool.shared();
            let cache = &pool.caches[0];
            if cache.is_open() {
                // SAFETY: with the lock, and open.
                unsafe { cache.stop_pushes() };
            }
        }
        let held = pool.alloc(1).unwrap();
        owner.join().unwrap();
        assert_eq!(held.address() / ENTRY, 3, "the depot had one");
        pool.verify(1, 1);
    });
}
