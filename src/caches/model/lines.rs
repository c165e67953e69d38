//! Is a line of zeros a cache in order, which has no magazine yet?

use super::*;

/// The owner comes to its line for the first time, with `call`, while another thread takes back.
fn first_call(entries: usize, held: usize, call: fn(&Pool, Vec<Entry>) -> usize) {
    check(move || {
        let pool = Arc::new(Pool::untouched(entries, 2, 0));
        let held: Vec<_> = (0..held).map(|_| pool.alloc_from_depot()).collect();
        let owner = owner(&pool, move |pool| call(pool, held));
        let stolen = [pool.alloc(1), pool.alloc(1)];
        let kept = owner.join().unwrap();
        pool.verify(1, kept + stolen.iter().flatten().count());
    });
}

#[test]
fn a_push_before_there_is_a_magazine() {
    first_call(2, 1, |pool, held| {
        held.into_iter().for_each(|entry| pool.free(0, entry));
        0
    });
}

#[test]
fn a_pop_before_there_is_a_magazine() {
    first_call(2, 0, |pool, _| pool.alloc(0).iter().count());
}

#[test]
fn a_cache_that_opens_between_two_calls() {
    first_call(2, 1, |pool, held| {
        held.into_iter().for_each(|entry| pool.free(0, entry));
        pool.reopen(0);
        pool.alloc_and_free(0);
        pool.alloc(0).iter().count()
    });
}
