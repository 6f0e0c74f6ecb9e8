//! Homecomings by themselves.

use crate::place::{
    Builder, Group, Hold, Instance, Machine, MachineId, Model, Objective, Placement, bill, validate,
};
use crate::rebalance::effort::Effort;
use crate::rebalance::run::Run;
use crate::rebalance::tests::with_run;
use crate::testing::{Size, running_model};

/// Two machines that may be loaded up to 90 of `cpu` and `memory`. One of 50 memory ran on the first, where it is held, and is on the second;
/// in its place there are ten that came from the second, with as much cpu and no memory.
fn blocked() -> (Model, Placement) {
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
    builder.objective(Objective::new().with_overload(cpu, 10).with_overload(memory, 10));
    let model = builder.build().expect("a model of small numbers");
    let mut placement = Placement::running(&model);
    for (id, to) in moves {
        placement.put(id, to);
    }
    (model, placement)
}

/// Where all is now, those who are nowhere at the start left out.
fn placement(start: &Placement, run: &Run<'_>) -> Placement {
    let mut placement = start.clone();
    for (id, at) in run.state.dense.order.iter().zip(&run.state.at) {
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
    let (model, start) = blocked();
    assert_eq!(validate(&model, &start), vec![]);
    with_run(&model, &start, 1, |run| {
        let (large, before) =
            (run.state.dense.order.iter().position(|id| id.index() == 0).unwrap() as u32, 100);
        assert_eq!(run.state.cost(), before);
        for to in 0..2 {
            assert!(run.state.at[large as usize] == to || run.try_shift(large, to, 0).is_none());
        }
        for other in (0..run.state.at.len() as u32).filter(|other| *other != large) {
            let apart = run.state.at[other as usize] != run.state.at[large as usize];
            assert!(!apart || !run.try_swap(large, other, 0), "{other}");
        }
        run.homecomings(&Effort::Steps(1_000_000), 1.0);
        assert_eq!(run.state.at[large as usize], run.state.dense.origin[large as usize]);
        assert_eq!((run.state.cost(), run.state.fine(), run.best.cost()), (50, 0, 50));
        assert_eq!(validate(&model, &placement(&start, run)), vec![]);
    });
    // Where that is worth less than the temperature, none is asked.
    with_run(&model, &start, 1, |run| {
        run.homecomings(&Effort::Steps(1_000_000), 401.0);
        assert_eq!((run.steps, run.state.cost()), (0, 100));
    });
    // Nor where all is spent.
    with_run(&model, &start, 1, |run| {
        run.homecomings(&Effort::Steps(0), 1.0);
        assert_eq!((run.steps, run.state.cost()), (0, 100));
    });
}

#[test]
fn kept_or_taken_back_the_cost_is_the_judges_and_the_best_is_feasible() {
    const SIZE: Size = Size { machines: 12, groups: 12, instances: 120, devices: 0 };
    let (mut kept, mut back) = (0, 0);
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
                let before = run.state.at.clone();
                let away = run.state.away().to_vec();
                let Some(instance) = away.get(round % away.len().max(1)) else { continue };
                match run.come_home(*instance, &effort, f64::from(1 << (round % 12))) {
                    true => kept += 1,
                    false => {
                        back += 1;
                        assert_eq!(run.state.at, before, "seed {seed}");
                    }
                }
                let now = bill(&model, &placement(&start, run)).total();
                assert_eq!(i128::from(run.state.cost()), now, "seed {seed}");
            }
            let at = run.state.at.clone();
            let best = run.best.write_out(&at).to_vec();
            run.state.at.copy_from_slice(&best);
            let best = placement(&start, run);
            assert_eq!(validate(&model, &best), vec![], "seed {seed}");
            assert_eq!(i128::from(run.best.cost()), bill(&model, &best).total(), "seed {seed}");
        });
    }
    assert!(kept > 100 && back > 20, "{kept} {back}");
}
