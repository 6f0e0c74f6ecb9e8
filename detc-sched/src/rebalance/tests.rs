//! Rebalancing against the independent judge, and against trying everything.

use proptest::prelude::*;

use super::dense::{Dense, NOWHERE};
use super::reach::Reach;
use super::run::Run;
use super::state::Prices;
use super::{Effort, Options, Outcome, pack, rebalance, standing};
use crate::place::{
    Bill, Builder, Entry, Group, Hold, Instance, Machine, MachineId, Model, Objective, Placement, Term, bill,
    validate,
};
use crate::rng::Rng;
use crate::testing::{Shape, Size, random_running, running_model};

/// Of one group there are more, and of machines more than are counted in rows: both ways of counting are met.
const SMALL: Size = Size { machines: 70, groups: 12, instances: 150, devices: 0 };
const TINY: Size = Size { machines: 3, groups: 3, instances: 6, devices: 0 };

/// Calls `test` with a search that begins where all runs.
pub(super) fn with_run(model: &Model, start: &Placement, seed: u64, test: impl FnOnce(&mut Run<'_>)) {
    let mut dense = Dense::new(model);
    let at: Vec<u32> =
        dense.order.iter().map(|id| start.machine(*id).map_or(NOWHERE, |machine| machine.0)).collect();
    dense.movable.retain(|instance| at[*instance as usize] != NOWHERE);
    dense.expect_those_nowhere(&at);
    dense.suffer_what_stays(&at);
    let reach = Reach::new(&dense, &at);
    let standing = standing(model, start);
    let mut run = Run::new(&dense, &at, standing, Prices::strict(&dense), Rng::new(seed, 0));
    run.reach = reach.as_ref();
    test(&mut run);
}

fn improve(model: &Model, start: &Placement, seed: u64, threads: usize) -> Outcome {
    rebalance(model, start, &Options::new(seed).with_threads(threads), Effort::Steps(30_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn a_rebalance_is_never_infeasible_and_never_worse_and_its_bill_is_the_judges(seed: u64) {
        let (model, start) = running_model(seed, SMALL);
        prop_assert_eq!(validate(&model, &start), vec![]);
        let outcome = improve(&model, &start, seed, 2);
        prop_assert_eq!(validate(&model, &outcome.placement), vec![]);
        prop_assert!(outcome.bill.total() <= bill(&model, &start).total());
        prop_assert_eq!(outcome.searched_cost, outcome.bill.total());
    }

    #[test]
    fn the_same_arguments_give_the_same_placement(seed: u64) {
        let (model, start) = running_model(seed, SMALL);
        let [one, two] = [(); 2].map(|()| improve(&model, &start, seed, 2));
        prop_assert_eq!(one.placement, two.placement);
    }
}

#[test]
fn with_devices_and_ports_a_rebalance_is_feasible_and_no_worse_and_its_bill_is_the_judges() {
    let (mut moved, mut fragments) = (0, 0);
    for seed in 0..150 {
        let (model, start) = random_running(seed, &Shape::SMALL.with_devices(4));
        let before = bill(&model, &start);
        let outcome = rebalance(&model, &start, &Options::new(seed).with_threads(2), Effort::Steps(6000));
        assert_eq!(validate(&model, &outcome.placement), vec![], "seed {seed}");
        assert_eq!(outcome.searched_cost, outcome.bill.total(), "seed {seed}");
        assert!(outcome.bill.total() <= before.total(), "seed {seed}");
        for instance in model.instances() {
            if start.machine(instance) != outcome.placement.machine(instance) {
                moved += model.device_need(instance).count + model.ports(instance).len() as u32;
            } else {
                assert_eq!(start.devices(instance), outcome.placement.devices(instance), "seed {seed}");
            }
        }
        let fragmented = |bill: &Bill| -> i128 {
            let of = |entry: &&Entry| matches!(entry.term, Term::Fragmentation(_));
            bill.entries.iter().filter(of).map(Entry::cost).sum()
        };
        fragments += i32::from(fragmented(&outcome.bill) < fragmented(&before));
    }
    assert!(moved > 100 && fragments > 10, "{moved} {fragments}");
}

/// The least that any feasible placement of what is placed costs.
fn least(model: &Model, start: &Placement) -> i128 {
    let placed: Vec<_> = model.instances().filter(|id| start.machine(*id).is_some()).collect();
    let mut least = i128::MAX;
    for number in 0..model.machine_count().pow(placed.len() as u32) {
        let mut placement = start.clone();
        let mut rest = number;
        for instance in &placed {
            placement.put(*instance, MachineId::new(rest % model.machine_count()));
            rest /= model.machine_count();
        }
        let total = bill(model, &placement).total();
        if total < least && validate(model, &placement).is_empty() {
            least = total;
        }
    }
    least
}

#[test]
fn on_tiny_models_the_best_placement_is_found_and_nothing_better_is_claimed() {
    let excess = |seed: u64| {
        let (model, start) = running_model(seed, TINY);
        improve(&model, &start, 1, 1).bill.total() - least(&model, &start)
    };
    let excesses: Vec<i128> = (0..40).map(excess).collect();
    assert!(excesses.iter().all(|excess| *excess >= 0), "{excesses:?}");
    // A search of a few milliseconds gives no proof; that it misses one in forty is what is known of it.
    assert!(excesses.iter().filter(|excess| **excess > 0).count() <= 1, "{excesses:?}");
}

/// Machines of one resource that hold 10, and the sizes of what runs on each.
fn shelves(loads: &[&[i64]], safety: i64) -> (Model, Placement) {
    let mut builder = Builder::new();
    let weight = builder.resource("weight", Hold::Freed);
    let things = builder.group(Group::new("things"));
    for (index, load) in loads.iter().enumerate() {
        let shelf = Machine::new(format!("shelf {index}")).with_capacity(weight, 10);
        let shelf = builder.machine(shelf.with_safety(weight, safety));
        for size in *load {
            builder
                .instance(Instance::new(things).with_need(weight, *size).running_on(shelf).with_move_cost(1));
        }
    }
    builder.objective(Objective::new().with_overload(weight, 100).with_instance_move(1));
    let model = builder.build().expect("a model of small numbers");
    let start = Placement::running(&model);
    (model, start)
}

#[test]
fn an_overload_is_taken_off_by_one_large_instance_rather_than_by_many_small() {
    let (model, start) = shelves(&[&[1, 1, 1, 1, 4], &[1], &[2]], 5);
    let outcome = improve(&model, &start, 1, 1);
    assert_eq!(outcome.bill.total(), 1, "{}", outcome.bill);
}

#[test]
fn what_is_beyond_capacity_at_the_start_is_repaired() {
    let (model, start) = shelves(&[&[6, 6, 6], &[], &[]], 10);
    assert_eq!(validate(&model, &start).len(), 1);
    let outcome = improve(&model, &start, 1, 1);
    assert_eq!(validate(&model, &outcome.placement), vec![]);
}

#[test]
fn packing_finds_what_greedy_filling_misses() {
    // Largest first puts 6 and 4 nowhere right: three pairs of (7,3), (6,4), (5,5) fill three machines.
    let (model, _) = shelves(&[&[7, 3, 6], &[4, 5, 5], &[], &[], &[], &[]], 10);
    let packed = pack(&model, &Options::new(1), Effort::Steps(200_000)).expect("there is room");
    assert_eq!(validate(&model, &packed), vec![]);
    let mut used: Vec<_> = packed.machines().to_vec();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 3);
}

#[test]
fn what_fits_no_empty_machine_is_not_packed() {
    let (model, _) = shelves(&[&[11], &[]], 10);
    assert!(pack(&model, &Options::new(1), Effort::Steps(1000)).is_none());
}
