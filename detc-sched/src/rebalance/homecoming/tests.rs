//! Homecomings by themselves.

use super::{STEPS_PER_LOOK, Try};
use crate::place::{
    Builder, Group, Hold, Instance, Machine, MachineId, Model, Objective, Placement, bill, validate,
};
use crate::rebalance::anneal::{Homing, Stage};
use crate::rebalance::best::Best;
use crate::rebalance::effort::Effort;
use crate::rebalance::run::Run;
use crate::rebalance::state::Prices;
use crate::rebalance::tests::with_run;
use crate::testing::{Size, running_model};

/// Two machines that may be loaded up to 90 of `cpu` and `memory`. One of 50 memory ran on the first, where it is held, and is on the second;
/// in its place there are ten that came from the second, with as much cpu and no memory. `beside`: so many more on the
/// first that need nothing.
fn blocked(beside: usize) -> (Model, Placement) {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu", Hold::Freed);
    let memory = builder.resource("memory", Hold::Twice);
    let things = builder.group(Group::new("things"));
    let machines = ["one", "two"].map(|name| {
        let machine = Machine::new(name).with_capacity(cpu, 100).with_capacity(memory, 100);
        builder.machine(machine.with_safety(cpu, 90).with_safety(memory, 90))
    });
    let mut moves = Vec::new();
    let mut put = |count: usize, (need, held), from: usize, to: usize| {
        let thing = Instance::new(things).with_need(cpu, need).with_need(memory, held);
        for _ in 0..count {
            let id = builder.instance(thing.clone().running_on(machines[from]));
            moves.push((id, machines[to]));
        }
    };
    put(1, (50, 50), 0, 1);
    put(10, (5, 0), 1, 0);
    put(5, (8, 8), 0, 0);
    put(5, (9, 9), 1, 1);
    put(beside, (0, 0), 0, 0);
    builder.objective(Objective::new().with_overload(cpu, 10).with_overload(memory, 10));
    let model = builder.build().expect("a model of small numbers");
    let mut placement = Placement::running(&model);
    for (id, to) in moves {
        placement.put(id, to);
    }
    (model, placement)
}

/// The number of the large one in a search from there.
fn large(run: &Run<'_>) -> usize {
    run.state.dense.order.iter().position(|id| id.index() == 0).unwrap()
}

/// Where all is now, those who are nowhere at the start left out.
fn placement(start: &Placement, run: &Run<'_>) -> Placement {
    placement_at(start, run, &run.state.at)
}

fn placement_at(start: &Placement, run: &Run<'_>, at: &[u32]) -> Placement {
    let mut placement = start.clone();
    for (id, at) in run.state.dense.order.iter().zip(at) {
        if let Some(from) = placement.machine(*id)
            && from != MachineId(*at)
        {
            placement.put(*id, MachineId(*at));
        }
    }
    placement
}

#[test]
fn one_that_blocks_a_machine_comes_home_though_all_who_came_instead_must_leave() {
    let (model, start) = blocked(0);
    assert_eq!(validate(&model, &start), vec![]);
    with_run(&model, &start, 1, |run| {
        let (large, before) = (large(run) as u32, 100);
        assert_eq!(run.state.cost(), before);
        for to in 0..2 {
            assert!(run.state.at[large as usize] == to || run.try_shift(large, to, 0).is_none());
        }
        for other in (0..run.state.at.len() as u32).filter(|other| *other != large) {
            let apart = run.state.at[other as usize] != run.state.at[large as usize];
            assert!(!apart || !run.try_swap(large, other, 0), "{other}");
        }
        run.steps = run.rounds.next;
        run.homecomings(&Effort::Steps(1_000_000), 1.0, 1.0);
        assert_eq!(run.state.at[large as usize], run.state.dense.origin[large as usize]);
        assert_eq!((run.state.cost(), run.state.fine(), run.best.cost()), (50, 0, 50));
        assert_eq!(validate(&model, &placement(&start, run)), vec![]);
    });
}

/// What one round from the blocked placement comes to: its steps, and the cost then.
fn round(beside: usize, effort: u64, end: f64, temperature: f64) -> (u64, i64) {
    let (model, start) = blocked(beside);
    let mut came = (0, 0);
    with_run(&model, &start, 1, |run| {
        let before = run.rounds.next;
        run.steps = before;
        run.homecomings(&Effort::Steps(before + effort), end, temperature);
        came = (run.steps - before, run.state.cost());
    });
    came
}

#[test]
fn a_round_ends_with_its_effort_and_is_not_begun_for_what_is_worth_less_than_the_temperature_or_takes_too_many()
 {
    assert_eq!(round(0, 100_000, 1.0, 1.0).1, 50);
    assert_eq!(round(0, 100_000, 1.0, 401.0), (0, 100));
    assert_eq!(round(0, 0, 1.0, 1.0), (0, 100));
    assert_eq!(round(0, 100_000, 0.1, 1.0), (0, 100), "the stage ended before");
    assert_eq!(round(3000, 100_000, 1.0, 1.0), (0, 100));
    let steps = round(1500, 1000, 1.0, 1.0).0;
    assert!((1000..=1000 + STEPS_PER_LOOK).contains(&steps), "{steps}");
}

#[test]
fn a_search_at_one_temperature_brings_home_what_blocks() {
    let (model, start) = blocked(0);
    with_run(&model, &start, 1, |run| {
        let prices = Prices::strict(run.state.dense);
        let stage = Stage { temperature: 1.0, prices, end: 1.0, homing: Homing::Often };
        let large = large(run);
        assert_ne!(run.state.at[large], run.state.dense.origin[large]);
        run.dwell(&Effort::Steps(40_000), &stage);
        // Its cost is reached by swaps of others, too; that it comes home is not.
        assert_eq!(run.state.at[large], run.state.dense.origin[large]);
        assert_eq!((run.best.cost(), run.state.fine()), (50, 0));
    });
}

/// By what is kept for changes, and by who is away.
#[track_caller]
fn check_held(run: &Run<'_>) {
    let dense = run.state.dense;
    let width = dense.resources;
    for machine in 0..dense.machines {
        for resource in 0..width {
            let left = |id: &&u32| dense.origin[**id as usize] as usize == machine;
            let need = |id: &u32| dense.needs[*id as usize * width + resource] & dense.twice[resource];
            let held: i64 = run.state.away().iter().filter(left).map(need).sum();
            assert_eq!(run.state.held(machine as u32, resource), held);
        }
    }
}

#[test]
fn what_is_held_is_known_beside_what_stays_though_it_is_too_much() {
    let mut builder = Builder::new();
    let memory = builder.resource("memory", Hold::Twice);
    let machines = ["one", "two"].map(|name| builder.machine(Machine::new(name).with_capacity(memory, 10)));
    let things = builder.group(Group::new("things"));
    let thing = Instance::new(things).with_need(memory, 4).running_on(machines[0]);
    let instances = [(); 3].map(|()| builder.instance(thing.clone()));
    let model = builder.build().expect("a model of small numbers");
    let mut start = Placement::running(&model);
    start.put(instances[0], machines[1]);
    with_run(&model, &start, 1, |run| {
        assert_ne!(run.state.dense.limits, run.state.dense.capacities);
        check_held(run);
    });
}

#[test]
fn kept_or_taken_back_the_cost_is_the_judges_and_the_best_is_feasible() {
    const SIZE: Size = Size { machines: 12, groups: 12, instances: 120, devices: 0 };
    let (mut kept, mut back, mut passed) = (0, 0, 0);
    for seed in 0..60 {
        let (model, start) = running_model(seed, SIZE);
        with_run(&model, &start, seed, |run| {
            let effort = Effort::Steps(1_000_000);
            for round in 0..40 {
                // Somebody leaves, and may come home.
                let instance = run.state.dense.movable[run.rng.below(run.state.dense.movable.len())];
                if let Some(to) = run.machine_for(instance)
                    && to != run.state.at[instance as usize]
                {
                    run.try_shift(instance, to, i64::MAX / 4);
                }
                let before = (run.state.at.clone(), run.value());
                let away = run.state.away().to_vec();
                let Some(instance) = away.get(round % away.len().max(1)) else { continue };
                let temperature = f64::from(1 << (round % 12));
                // Whatever is feasible on the way is the best then, also where it is taken back.
                run.best = Best::new(&before.0, i64::MAX);
                match run.come_home(*instance, &effort, 1.0, temperature) {
                    Try::Kept => kept += 1,
                    Try::TakenBack => back += 1,
                    Try::NotMade => {}
                }
                let best = run.best.cost();
                if best < i64::MAX {
                    let now = run.state.at.clone();
                    let at = run.best.write_out(&now).to_vec();
                    let found = placement_at(&start, run, &at);
                    assert_eq!(validate(&model, &found), vec![], "seed {seed}");
                    assert_eq!(i128::from(best), bill(&model, &found).total(), "seed {seed}");
                    passed += usize::from(now == before.0 && at != now);
                }
                if run.state.at == before.0 {
                    assert_eq!(run.value(), before.1, "seed {seed}");
                }
                check_held(run);
                let now = bill(&model, &placement(&start, run)).total();
                assert_eq!(i128::from(run.state.cost()), now, "seed {seed}");
            }
        });
    }
    assert!(kept > 100 && back > 20 && passed > 5, "{kept} {back} {passed}");
}
