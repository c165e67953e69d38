//! Is the high-water mark never too low?

use super::*;

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
        let owner = owner(&pool, move |pool| [pool.alloc(0), pool.alloc(0)]);
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
        let owner = owner(&pool, move |pool| {
            let entries = [pool.alloc(0).unwrap(), pool.alloc(0).unwrap()];
            pool.free(0, entries[0]);
            entries[1]
        });
        pool.reset_peak();
        let held = pool.alloc(1).unwrap();
        assert_ne!(owner.join().unwrap(), held);
        // Both are out at once.
        assert!((2..=3).contains(&pool.shared().peak));
        pool.verify(1, 2);
    });
}

/// The owner of a cache that falls, as in `pool/shared.rs`, and a thread that looks at it before it gives an
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
                let own = &pool.caches[0];
                // SAFETY: the models give each index to one thread at a time.
                let pushed = unsafe { own.push(own.top().unwrap(), entries[0], fence::light) };
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
        let owner = owner(&pool, move |pool| [pool.alloc(0), pool.alloc(0)]);
        assert!(pool.alloc_all(4).is_empty());
        assert_eq!(owner.join().unwrap().iter().flatten().count(), 2);
        assert_eq!(pool.shared().peak, 2);
        pool.verify(1, 2);
    });
}
