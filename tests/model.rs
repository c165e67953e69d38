//! Does the C face do, call by call, what a simple model of pools says it does?
//!
//! Random pools and random calls, which `common/model.rs` makes and compares with the model. What
//! the fuzzer found is in `replay.rs`.

#[path = "common/model.rs"]
mod model;

use std::ptr::null_mut;

use cmempool as c;
use model::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn calls_do_what_the_model_says(setup in setup(), calls in vec(call(), 1..250)) {
        let mut run = Run::new(&setup);
        for call in &calls {
            run.call(call);
        }
        run.end();
    }
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn create_accepts_what_makes_sense(setup in any_setup(), class_count in 0..4_usize) {
        let ranged = setup.shape.policy();
        let policy_is_known = ranged.is_none_or(|policy| policy < 3);
        let flags_are_known = setup.flags < 512
            && (ranged.is_none() || !setup.has(c::MEMPOOL_FALL_BACK))
            && !(setup.backed && setup.has(c::MEMPOOL_HUGE_PAGES));
        let alignment_can_be_had = setup.alignment == 0
            || (setup.alignment.is_power_of_two() && setup.alignment <= 4096);
        let valid = policy_is_known && (setup.plain() || (flags_are_known && alignment_can_be_had));
        let wants = setup.shape.classes().filter(|_| valid);
        clear_errno();
        let ledger = setup.ledger();
        match (setup.create(null_mut(), 0, ledger.as_ref()), wants) {
            (Some(pool), Some(classes)) => {
                for class in &classes {
                    assert_eq!(pool.capacity(class.elem_size), class.capacity);
                }
                pool.destroy();
            }
            (None, None) => assert_eq!(errno(), libc::EINVAL),
            (pool, classes) => panic!("created {}, should be {classes:?}", pool.is_some()),
        }
        // A count of classes that are not there.
        let options = c::r_mempool_options {
            smallest_size: 16,
            largest_size: 32,
            smallest_count: 2,
            class_count,
            ..RANGED_OPTIONS
        };
        // SAFETY: the options are complete; there is no list.
        let bytes = unsafe { c::r_mempool_buffer_size(&options) };
        assert_eq!(bytes != 0, class_count == 0);
    }
}

// ---- Random pools and calls ----------------------------------------------------------------------

fn setup() -> impl Strategy<Value = Setup> {
    let ordinary = (1..12_usize, 1..200_usize, 0..2_u64)
        .prop_map(|(count, size, fall_back)| (Shape::Ordinary { count, size }, fall_back));
    // Just above a power of two, up to the next: what rounds up to it.
    let powers = (0..8_u32, 1..6_u32, any::<(u8, u8)>(), 0..3_u32, 0..3_u32).prop_map(
        |(bits, more, (low, high), extra, policy)| {
            let rounds_to = |bits: u32, pick: u8| {
                let half = (1_usize << bits) / 2;
                half + 1 + usize::from(pick) % half.max(1)
            };
            let smallest = rounds_to(bits, low);
            let largest = rounds_to(bits.max(4) + more, high);
            let count = rounds_to(more + extra, low ^ high);
            (Shape::Powers { smallest, largest, count, policy }, 0)
        },
    );
    // Any sizes, and sizes that double from any one.
    let any_list = proptest::collection::btree_map(1..300_usize, 1..6_usize, 1..7)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>());
    let doubling = (1..40_usize, vec(1..6_usize, 1..6)).prop_map(|(size, counts)| {
        counts.into_iter().enumerate().map(|(i, count)| (size << i, count)).collect()
    });
    let list = (prop_oneof![any_list, doubling], 0..3_u32)
        .prop_map(|(classes, policy)| (Shape::List { classes, policy }, 0));
    let memory = prop_oneof![
        Just(Memory::Own),
        Just(Memory::OwnPlain),
        (0..16_usize, 0..200_usize).prop_map(|(start, extra)| Memory::Buffer { start, extra }),
    ];
    let alignment = prop_oneof![
        4 => Just(0_usize),
        4 => (0..10_u32).prop_map(|bits| 1 << bits),
        1 => Just(4096),
    ];
    let hardened = prop_oneof![3 => Just(0), 1 => Just(c::MEMPOOL_HARDENED)];
    let flags = (0..8_u64, hardened).prop_map(|(others, hardened)| (others << 1) | hardened);
    let shape = prop_oneof![2 => ordinary, 3 => powers, 3 => list];
    (shape, flags, memory, alignment, any::<bool>()).prop_map(
        |((shape, fall_back), other_flags, memory, alignment, backed)| {
            let flags = other_flags | fall_back;
            Setup { shape, alignment, flags, memory, backed }
        },
    )
}

/// Pools that make sense and pools that make none.
fn any_setup() -> impl Strategy<Value = Setup> {
    let policy = || 0..5_u32;
    let shape = prop_oneof![
        (0..4_usize, 0..4_usize).prop_map(|(count, size)| Shape::Ordinary { count, size }),
        (0..40_usize, 0..300_usize, 0..20_usize, policy()).prop_map(
            |(smallest, largest, count, policy)| Shape::Powers { smallest, largest, count, policy }
        ),
        (vec((0..20_usize, 0..5_usize), 0..4), policy())
            .prop_map(|(classes, policy)| Shape::List { classes, policy }),
    ];
    let alignment = prop_oneof![
        3 => Just(0_usize),
        2 => 0..70_usize,
        2 => (0..15_u32).prop_map(|bits| 1 << bits),
    ];
    let memory = prop_oneof![Just(Memory::Own), Just(Memory::OwnPlain)];
    // How much may be locked is the system's to say.
    let some_flags = (0..520_u64).prop_map(|flags| flags & !c::MEMPOOL_LOCKED);
    let flags = prop_oneof![2 => Just(0), 2 => some_flags];
    let backed = prop_oneof![3 => Just(false), 1 => Just(true)];
    (shape, alignment, flags, memory, backed).prop_map(
        |(shape, alignment, flags, memory, backed)| Setup {
            shape,
            alignment,
            flags,
            memory,
            backed,
        },
    )
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        1 => Just(Size::Zero),
        1 => prop_oneof![1..100_usize, Just(usize::MAX)].prop_map(Size::TooLarge),
        12 => (any::<usize>(), 0..3_usize).prop_map(|(class, less)| Size::Class(class, less)),
        8 => any::<u16>().prop_map(Size::Share),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        10 => size().prop_map(Call::Alloc),
        3 => size().prop_map(Call::Calloc),
        8 => any::<(usize, usize)>().prop_map(|(entry, name)| Call::Free(entry, name)),
        8 => (any::<usize>(), size()).prop_map(|(entry, size)| Call::Realloc(entry, size)),
        1 => size().prop_map(Call::ReallocNull),
        3 => (size(), 0..20_usize).prop_map(|(size, n)| Call::AllocBulk(size, n)),
        3 => any::<(usize, u8)>().prop_map(|(first, n)| Call::FreeBulk(first, n.into())),
        1 => Just(Call::Reset),
        1 => Just(Call::ResetPeak),
        1 => Just(Call::Nothing),
    ]
}
