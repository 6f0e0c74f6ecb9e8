use crate::place::{
    Builder, Group, Hold, Instance, Machine, MachineId, Model, Objective, Placement, Rule, bill, validate,
};
use crate::rebalance::dense::NOWHERE;
use crate::rebalance::run::Run;
use crate::rebalance::tests::with_run;
use crate::rng::Rng;
use crate::testing::{Exhaustive, Size, running_model};

/// Three full machines, each with one instance that costs where it is. Each may be there and on the next machine only.
fn ring() -> (Model, Placement) {
    let mut builder = Builder::new();
    let size = builder.resource("size", Hold::Freed);
    let heats = [0, 1, 2].map(|index| builder.resource(format!("heat {index}"), Hold::Freed));
    let machine = |index: usize| {
        let mut machine =
            Machine::new(format!("machine {index}")).with_capacity(size, 10).with_safety(size, 10);
        for (of, heat) in heats.iter().enumerate() {
            // Only the next machine stands the heat of an instance.
            let safety = i64::from((of + 1) % 3 == index);
            machine = machine.with_capacity(*heat, 10).with_safety(*heat, safety);
        }
        machine
    };
    let machines = [0, 1, 2].map(|index| builder.machine(machine(index)));
    let mut objective = Objective::new();
    for (index, heat) in heats.into_iter().enumerate() {
        let next = machines[(index + 1) % 3];
        let pinned = Rule::Pinned(vec![machines[index], next].into_iter().collect());
        let group = builder.group(Group::new(format!("group {index}")).with_rule(pinned));
        let instance = Instance::new(group).with_need(size, 10).with_need(heat, 1);
        builder.instance(instance.running_on(machines[index]));
        objective = objective.with_overload(heat, 5);
    }
    builder.objective(objective);
    let model = builder.build().expect("a model of small numbers");
    let start = Placement::running(&model);
    (model, start)
}

/// That no shift and no swap is possible.
#[track_caller]
fn nothing_plain_helps(run: &mut Run<'_>, limit: i64) {
    for left in 0..run.state.at.len() as u32 {
        for machine in 0..run.state.dense.machines as u32 {
            if machine != run.state.at[left as usize] {
                assert!(run.try_shift(left, machine, limit).is_none(), "{left} to {machine}");
            }
        }
        for right in 0..left {
            if run.state.at[left as usize] != run.state.at[right as usize] {
                assert!(!run.try_swap(left, right, limit), "{left} with {right}");
            }
        }
    }
}

#[test]
fn a_rotation_of_three_that_shifts_and_swaps_do_not_reach_is_a_chain() {
    let (model, start) = ring();
    with_run(&model, &start, 1, |run| {
        nothing_plain_helps(run, 0);
        assert!((0..100).any(|_| run.try_chain(0, -1)));
        assert_eq!((run.state.cost(), run.state.fine(), run.best.cost()), (0, 0, 0));
    });
}

#[test]
fn and_it_is_a_division() {
    let (model, start) = ring();
    with_run(&model, &start, 1, |run| {
        nothing_plain_helps(run, 0);
        assert!((0..100).any(|index| run.try_divide(index % 3, -1)));
        assert_eq!((run.state.cost(), run.state.fine(), run.best.cost()), (0, 0, 0));
    });
}

#[test]
fn divisions_of_three_machines_end_at_the_best_of_all_placements() {
    let mut improved = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(seed, 9);
        let mut builder = Builder::new();
        let resources = ["cores", "memory"].map(|name| builder.resource(name, Hold::Freed));
        let mut objective = Objective::new().with_instance_move(1).with_machine_use(7);
        for resource in resources {
            objective = objective.with_overload(resource, 1 + rng.below(9) as i64);
        }
        let machines = [0, 1, 2].map(|index| {
            let machine = Machine::new(format!("machine {index}"));
            builder.machine(resources.iter().fold(machine, |machine, resource| {
                machine.with_capacity(*resource, 40).with_safety(*resource, 5 + rng.below(20) as i64)
            }))
        });
        let things = builder.group(Group::new("things"));
        for index in 0..5 {
            let needs = resources.iter().fold(Instance::new(things), |thing, resource| {
                thing.with_need(*resource, 1 + rng.below(12) as i64)
            });
            let thing = needs.with_move_cost(rng.below(20) as i64);
            builder.instance(thing.running_on(machines[index % 3]));
        }
        builder.objective(objective);
        let model = builder.build().expect("a model of small numbers");
        let start = Placement::running(&model);
        let least = Exhaustive::new(&model).least().expect("it is small").expect("it runs").1;
        with_run(&model, &start, seed, |run| {
            improved += i32::from(i128::from(run.state.cost()) > least);
            for index in 0..200 {
                run.try_divide(index % 5, -1);
            }
            assert_eq!(i128::from(run.state.cost()), least, "seed {seed}");
        });
    }
    assert!(improved > 30, "{improved} had anything to improve");
}

#[test]
fn who_is_in_the_way_by_a_rule_goes_on() {
    let mut builder = Builder::new();
    let size = builder.resource("size", Hold::Freed);
    let group = builder.group(Group::new("group").with_rule(Rule::unique()));
    let machines = [(10, 1), (10, 10), (1, 1)].map(|(capacity, safety)| {
        builder.machine(
            Machine::new(format!("up to {capacity}")).with_capacity(size, capacity).with_safety(size, safety),
        )
    });
    // The large one overloads where it is; the small one of its group is where it should go.
    for (need, machine) in [(6, machines[0]), (1, machines[1])] {
        builder.instance(Instance::new(group).with_need(size, need).running_on(machine).with_move_cost(1));
    }
    builder.objective(Objective::new().with_overload(size, 10).with_instance_move(1));
    let model = builder.build().expect("a model of small numbers");
    let start = Placement::running(&model);
    with_run(&model, &start, 1, |run| {
        assert!(run.try_shift(0, 1, -1).is_none(), "its group is there");
        assert!((0..100).any(|_| run.try_chain(0, -1)));
        assert_eq!((run.state.fine(), run.state.at[0], run.best.cost()), (0, 1, 2));
    });
}

const SMALL: Size = Size { machines: 20, groups: 8, instances: 60, devices: 0 };

/// What chains and divisions make of a model, looked at after each.
fn wander(seed: u64) -> Vec<u32> {
    let (model, start) = running_model(seed, SMALL);
    let mut end = Vec::new();
    let mut done = [0, 0];
    with_run(&model, &start, seed, |run| {
        for index in 0..400 {
            let before = (run.state.at.clone(), run.value());
            let first = run.state.dense.movable[run.rng.below(run.state.dense.movable.len())];
            let limit = run.rng.below(30) as i64;
            let made = match index % 2 {
                0 => run.try_chain(first, limit),
                _ => run.try_divide(first, limit),
            };
            done[index % 2] += usize::from(made);
            match made {
                true => assert!(run.value() <= before.1 + limit, "seed {seed}: beyond the limit"),
                false => assert_eq!((&run.state.at, run.value()), (&before.0, before.1), "seed {seed}"),
            }
            let mut placement = start.clone();
            for (id, machine) in run.state.dense.order.iter().zip(&run.state.at) {
                if *machine != NOWHERE {
                    placement.put(*id, MachineId(*machine));
                }
            }
            assert_eq!(i128::from(run.state.cost()), bill(&model, &placement).total(), "seed {seed}");
            assert_eq!(run.state.fine() == 0, validate(&model, &placement).is_empty(), "seed {seed}");
        }
        end = run.state.at.clone();
    });
    assert!(done.iter().all(|made| *made > 0), "seed {seed}: {done:?} were made");
    end
}

#[test]
fn chains_and_divisions_are_exact_and_feasible_and_deterministic() {
    for seed in 0..12 {
        assert_eq!(wander(seed), wander(seed), "seed {seed}");
    }
}
