//! Is a child's pool in order, wherever in a call other threads were?

use super::*;

#[test]
fn fork_while_the_owner_is_inside_a_call() {
    check(|| {
        let pool = Pool::new(3, 2, 2);
        let owner = owner(&pool, move |pool| {
            let entry = pool.alloc(0).unwrap();
            pool.reopen(0);
            pool.free(0, entry);
            pool.alloc(0).unwrap()
        });
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
        pool.alloc_and_free(0);
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
        let own = &pool.caches[0];
        _ = unsafe { own.push(own.top().unwrap(), entry, fence::light) }
    });
}

#[test]
fn child_whose_owner_vanished_in_its_first_pop() {
    check(|| {
        let pool = Arc::new(Pool::untouched(3, 2, 0));
        // It does not settle, and nobody looks at its line.
        // SAFETY: the owner's one call.
        let vanished = unsafe { pool.caches[0].pop(fence::light) };
        assert_eq!(vanished, Err(Unsettled));
        // Whoever has the index next.
        let entry = pool.alloc_from_depot();
        pool.free(0, entry);
        pool.reopen(0);
        pool.alloc_and_free(0);
        pool.verify(0, 0);
    });
}
