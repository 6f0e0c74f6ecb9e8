//! Packing onto few machines.

use std::sync::atomic::{AtomicU64, Ordering};

use detc_sched::place::{Builder, Group, Hold, Instance, Machine, Model, Objective, Placement, validate};
use detc_sched::rebalance::{Effort, Options, Spent, pack};
use detc_sched::testing::Exhaustive;

use crate::support::for_seeds;

/// Numbers below a bound, from a seed (Marsaglia, "Xorshift RNGs", 2003).
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % bound
    }
}

/// Machines that are all alike, and instances of many sizes.
fn shelves(seed: u64) -> Model {
    let mut below = numbers(seed);
    let mut builder = Builder::new();
    let resources: Vec<_> =
        (0..1 + below(2)).map(|index| builder.resource(format!("r{index}"), Hold::Freed)).collect();
    for index in 0..1 + below(5) {
        let machine = Machine::new(format!("shelf {index}"));
        builder.machine(
            resources.iter().fold(machine, |machine, resource| machine.with_capacity(*resource, 10)),
        );
    }
    let things = builder.group(Group::new("things"));
    for _ in 0..1 + below(6) {
        let mut instance = Instance::new(things);
        for resource in &resources {
            instance = instance.with_need(*resource, below(12) as i64);
        }
        builder.instance(instance);
    }
    builder.objective(Objective::new().with_machine_use(1));
    builder.build().expect("small numbers")
}

#[test]
fn what_is_packed_is_feasible_and_on_as_few_machines_as_can_be() {
    let (mut more, mut solved, mut refused) = (0, 0, 0);
    for_seeds(800, |seed| {
        let model = shelves(seed);
        let least = Exhaustive::new(&model).least().expect("it is small");
        let options = Options::new(seed).with_threads(1 + seed as usize % 3);
        match (pack(&model, &options, Effort::Steps(20_000)), least) {
            (Some(packed), Some((_, least))) => {
                assert_eq!(validate(&model, &packed), []);
                assert!(model.instances().all(|id| packed.machine(id).is_some()));
                let mut used: Vec<_> = packed.machines().to_vec();
                used.sort_unstable();
                used.dedup();
                assert!(used.len() as i128 >= least);
                solved += 1;
                more += i32::from(used.len() as i128 > least);
            }
            (Some(_), None) => panic!("what can not be packed was packed"),
            // Greedy filling may need more machines than there are.
            (None, Some((_, least))) => assert!(least as usize + 1 >= model.machine_count()),
            (None, None) => refused += 1,
        }
    });
    assert!(more * 200 <= solved, "{more} of {solved} use more than needed");
    assert!(refused > 50 || std::env::var("DETC_SEED").is_ok());
}

/// As many machines' worth, each cut in three.
const FULL: usize = 6;

/// Twice as many machines as suffice without a gap.
fn cut_in_three(seed: u64) -> Model {
    let mut below = numbers(seed);
    let mut builder = Builder::new();
    let weight = builder.resource("weight", Hold::Freed);
    for index in 0..2 * FULL {
        builder.machine(Machine::new(format!("shelf {index}")).with_capacity(weight, 100));
    }
    let things = builder.group(Group::new("things"));
    for _ in 0..FULL {
        let first = 20 + below(30) as i64;
        let second = 15 + below(25) as i64;
        for size in [first, second, 100 - first - second] {
            builder.instance(Instance::new(things).with_need(weight, size));
        }
    }
    builder.build().expect("small numbers")
}

fn used(packed: &Placement) -> usize {
    let mut used = packed.machines().to_vec();
    used.sort_unstable();
    used.dedup();
    used.len()
}

#[test]
fn what_fills_machines_without_a_gap_is_packed_without_one() {
    let (mut found, mut tried) = ([0, 0], 0);
    for_seeds(100, |seed| {
        let model = cut_in_three(seed);
        tried += 1;
        for (threads, found) in [1, 2].into_iter().zip(&mut found) {
            let options = Options::new(seed).with_threads(threads);
            let [packed, again] = [(); 2].map(|()| {
                pack(&model, &options, Effort::Steps(60_000)).expect("there are twice as many machines")
            });
            assert_eq!(packed, again, "which thread is faster must not matter");
            assert_eq!(validate(&model, &packed), []);
            assert!(used(&packed) >= FULL);
            *found += i32::from(used(&packed) == FULL);
        }
    });
    // A search of a moment gives no proof; this is what is known of it.
    assert!(found[0] * 10 >= tried * 5 && found[1] * 10 >= tried * 7, "{found:?} of {tried}");
}

#[test]
fn who_finds_an_answer_ends_the_round_for_all_threads_and_all_end_when_all_is_spent() {
    const LOOKS: u64 = 10_000_000;
    let (mut looked, mut found) = (0, 0);
    for seed in 1..=20 {
        let model = cut_in_three(seed);
        let looks = AtomicU64::new(0);
        let spent = || Spent::of(looks.fetch_add(1, Ordering::Relaxed), LOOKS);
        let options = Options::new(seed).with_threads(2);
        let packed = pack(&model, &options, Effort::Until(&spent)).expect("there are twice as many machines");
        found += u64::from(used(&packed) == FULL);
        looked += looks.load(Ordering::Relaxed);

        let looks = AtomicU64::new(0);
        let spent = || match looks.fetch_add(1, Ordering::Relaxed) {
            0..5 => Spent::of(0, 1),
            _ => Spent::ALL,
        };
        assert!(pack(&model, &options, Effort::Until(&spent)).is_some());
        let looks = looks.load(Ordering::Relaxed);
        assert!(looks < 200, "{looks}");
    }
    // One round is 156,250 looks, and all of these together are found in a small part of one.
    assert!(found == 20 && looked < 156_250, "{found} found, {looked} looks");
}

#[test]
fn packing_ends_where_nobody_may_be_moved() {
    let mut builder = Builder::new();
    let weight = builder.resource("weight", Hold::Freed);
    for index in 0..6 {
        builder.machine(Machine::new(format!("shelf {index}")).with_capacity(weight, 10));
    }
    let things = builder.group(Group::new("things"));
    // By their sum they would fit two; but no two fit one, and who needs a port stays.
    builder.instances(3, &Instance::new(things).with_need(weight, 6).with_port(80));
    let model = builder.build().expect("small numbers");
    let looks = AtomicU64::new(0);
    let spent = || {
        assert!(looks.fetch_add(1, Ordering::Relaxed) < 1_000_000, "it goes on and on");
        Spent::of(0, 1)
    };
    assert!(pack(&model, &Options::new(1), Effort::Until(&spent)).is_some());
}
