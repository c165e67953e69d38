//! Does who wants many entries get all of them, or leave all?

use super::*;

/// The owner and a call that wants more than there can be.
fn claim_that_is_dropped(cached: usize, call: fn(&Pool) -> usize) {
    check(move || {
        let pool = Pool::new(3, 2, cached);
        let owner = owner(&pool, move |pool| call(&pool));
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
fn claim_that_is_taken() {
    check(|| {
        let pool = Pool::new(3, 2, 3);
        let owner = owner(&pool, move |pool| {
            pool.alloc_and_free(0);
            usize::from(pool.alloc(0).is_some())
        });
        let taken = pool.alloc_all(2);
        let held = owner.join().unwrap();
        // The owner is at one of three at a time.
        assert!(taken.len() == 2 && held == 1);
        pool.verify(1, 3);
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
        let owner = owner(&pool, move |pool| pool.alloc(0));
        let taken = pool.alloc_all(2);
        let held = owner.join().unwrap();
        assert_eq!(taken.len(), 2);
        pool.verify(1, taken.len() + usize::from(held.is_some()));
    });
}
