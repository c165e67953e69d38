//! Does a depot hand out what is free, and each slot once?

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

pub struct Tested {
    pub depot: Depot,
    _ring: Vec<u32>,
    _words: Vec<u64>,
}

pub fn depot_of(capacity: u32) -> Tested {
    // Garbage, as in a caller's buffer.
    let mut ring = vec![0xA5A5; Depot::ring_bytes(capacity) / size_of::<u32>()];
    let mut words = vec![0xA5A5_A5A5; Depot::bits_bytes(capacity) / size_of::<u64>()];
    let (numbers, bits) = (NonNull::from(&mut ring[..]), NonNull::from(&mut words[..]));
    // SAFETY: the room goes where the depot goes, and is used by it alone.
    let depot = unsafe { Depot::new(numbers.cast(), bits.cast(), capacity) };
    depot.check();
    Tested { depot, _ring: ring, _words: words }
}

/// A generator with a fixed start.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 31
}

#[test]
fn hands_out_each_slot_once_at_every_number_of_levels() {
    for capacity in [1, 2, 63, 64, 65, 4095, 4096, 4097, 262_144, 262_145] {
        let tested = &mut depot_of(capacity);
        let depot = &mut tested.depot;
        assert!((0..capacity).all(|slot| depot.take() == Some(slot)));
        assert_eq!((depot.out(), depot.free(), depot.take()), (capacity, 0, None));
        depot.check();
        assert!((0..capacity).all(|slot| depot.give(slot)));
        depot.check();
        assert_eq!((depot.out(), depot.free()), (0, capacity));
        let again: BTreeSet<_> = std::iter::from_fn(|| depot.take()).collect();
        assert!(again.into_iter().eq(0..capacity));
        depot.check();
        assert!((0..capacity).all(|slot| depot.give_to_bits(slot)));
        depot.check();
        let mut random = 0u64;
        let drawn: BTreeSet<_> =
            std::iter::from_fn(|| depot.take_random(|| next(&mut random))).collect();
        assert!(drawn.into_iter().eq(0..capacity));
    }
}

#[test]
fn the_last_given_goes_out_first_and_then_the_lowest() {
    let tested = &mut depot_of(40);
    let depot = &mut tested.depot;
    let mut places = [0; 30];
    assert_eq!(depot.take_many(&mut places, |slot| slot), 30);
    assert!(places.iter().rev().copied().eq(0..30));
    assert_eq!(depot.fresh(), 30);
    // More than the ring's ten.
    assert_eq!(depot.give_many((3..20).rev()), Ok(()));
    depot.check();
    let mut places = [0; 20];
    assert_eq!(depot.take_many(&mut places, |slot| slot), 10);
    let last = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let lowest = [13, 14, 15, 16, 17, 18, 19, 30, 31, 32];
    assert!(places.iter().rev().eq(last.iter().chain(&lowest)), "{places:?}");
}

#[test]
fn refuses_what_is_here() {
    let tested = &mut depot_of(8);
    let depot = &mut tested.depot;
    assert!(!depot.give(0));
    (0..8).for_each(|slot| assert_eq!(depot.take(), Some(slot)));
    // The ring has room for two.
    assert_eq!(depot.give_many([5, 6, 7, 3].into_iter()), Ok(()));
    depot.check();
    assert_eq!(depot.give_many([5, 5, 5].into_iter()), Err(5));
    // The first one is in the bits when the second leaves the ring.
    let tested = &mut depot_of(12);
    let depot = &mut tested.depot;
    (0..12).for_each(|slot| assert_eq!(depot.take(), Some(slot)));
    assert_eq!(depot.give_many([5, 5, 6, 7].into_iter()), Ok(()));
    assert_eq!(depot.give_many([8, 9].into_iter()), Err(5));
}

#[test]
fn at_most_two_bytes_per_slot_and_a_few_for_the_first() {
    let fits = |capacity| {
        let bytes = Depot::ring_bytes(capacity) + Depot::bits_bytes(capacity);
        bytes <= 2 * capacity as usize + DEPOT_SLACK
    };
    assert!((1..5000).chain([1 << 20, u32::MAX]).all(fits));
}

#[derive(Clone, Debug)]
enum Step {
    Take,
    TakeRandom(u64),
    TakeMany(usize),
    Give(usize),
    GiveToBits(usize),
    GiveMany(usize, usize),
}

fn steps() -> impl Strategy<Value = (u32, Vec<Step>)> {
    let step = prop_oneof![
        3 => Just(Step::Take),
        2 => any::<u64>().prop_map(Step::TakeRandom),
        1 => (0..300usize).prop_map(Step::TakeMany),
        4 => any::<usize>().prop_map(Step::Give),
        2 => any::<usize>().prop_map(Step::GiveToBits),
        1 => (any::<usize>(), 0..100usize).prop_map(|(at, count)| Step::GiveMany(at, count)),
    ];
    (prop_oneof![1..200u32, 4000..4200u32], proptest::collection::vec(step, 1..400))
}

proptest! {
    #[test]
    fn hands_out_what_is_free_once((capacity, steps) in steps()) {
        let tested = &mut depot_of(capacity);
        let depot = &mut tested.depot;
        let mut free: BTreeSet<u32> = (0..capacity).collect();
        let mut out: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Take | Step::TakeRandom(_) => {
                    let taken = match step {
                        Step::TakeRandom(mut random) => depot.take_random(|| next(&mut random)),
                        _ => depot.take(),
                    };
                    prop_assert_eq!(taken.is_some(), !free.is_empty());
                    prop_assert!(taken.is_none_or(|slot| free.remove(&slot)));
                    out.extend(taken);
                }
                Step::TakeMany(count) => {
                    let mut places = vec![u32::MAX; count.min(free.len())];
                    let falling = depot.take_many(&mut places, |slot| slot);
                    prop_assert!(places[..falling].is_sorted_by(|a, b| a > b));
                    prop_assert!(places.iter().all(|slot| free.remove(slot)));
                    out.extend(places);
                }
                Step::Give(any) => {
                    if let Some(at) = any.checked_rem(out.len()) {
                        let slot = out.swap_remove(at);
                        prop_assert!(depot.give(slot) && free.insert(slot));
                        prop_assert_eq!(depot.take(), Some(slot));
                        prop_assert!(depot.give(slot));
                    }
                }
                Step::GiveToBits(any) => {
                    if let Some(at) = any.checked_rem(out.len()) {
                        let slot = out.swap_remove(at);
                        prop_assert!(depot.give_to_bits(slot) && free.insert(slot));
                        prop_assert!(!depot.give_to_bits(slot));
                    }
                }
                Step::GiveMany(at, count) => {
                    let at = at.checked_rem(out.len()).unwrap_or(0);
                    let given: Vec<_> = out.drain(at..out.len().min(at + count)).collect();
                    prop_assert_eq!(depot.give_many(given.iter().copied()), Ok(()));
                    free.extend(given);
                }
            }
            prop_assert_eq!(depot.free() as usize, free.len());
            depot.check();
        }
    }
}
