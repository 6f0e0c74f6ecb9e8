//! What moves bought.

use detc_sched::explain::{account_of_moves, what_moves_bought};
use detc_sched::place::{
    Builder, Group, Hold, Instance, Machine, Model, Objective, Placement, bill, validate,
};
use detc_sched::rebalance::{Effort, Options, rebalance};
use detc_sched::testing::{Exhaustive, Shape, random_running};
use expect_test::expect;

use crate::support::for_seeds;

/// Each step changes the bill by what it tells, and breaks nothing.
#[track_caller]
fn check(model: &Model, before: &Placement, after: &Placement) -> usize {
    let account = account_of_moves(model, before, after);
    let mut placement = before.clone();
    assert_eq!(account.before, bill(model, before));
    for step in &account.steps {
        let total = bill(model, &placement);
        for it in &step.moves {
            assert_eq!(placement.machine(it.instance), it.from);
            match it.to {
                Some(machine) => {
                    placement.put_on_devices(it.instance, machine, after.devices(it.instance).to_vec());
                }
                None => placement.take(it.instance),
            }
        }
        let now = bill(model, &placement);
        for (entry, then) in now.entries.iter().zip(&total.entries) {
            let told = step.change.get(&entry.term).copied().unwrap_or(0);
            assert_eq!(entry.cost() - then.cost(), told, "{:?} of {step:?}", entry.term);
        }
        assert_eq!(validate(model, &placement), [], "after {step:?}");
    }
    assert_eq!(&placement, after);
    assert_eq!(account.after, bill(model, after));
    account.steps.iter().filter(|step| step.moves.len() > 1).count()
}

#[test]
fn the_account_of_a_rebalance_adds_up_and_its_steps_can_be_made() {
    for_seeds(300, |seed| {
        let (model, start) = random_running(seed, &Shape::SMALL);
        let outcome = rebalance(&model, &start, &Options::new(seed), Effort::Steps(4000));
        check(&model, &start, &outcome.placement);
    });
}

#[test]
fn between_any_two_placements_too() {
    let mut together = 0;
    for_seeds(500, |seed| {
        let (model, start) = random_running(seed, &Shape::TINY.with_devices(2));
        // Another placement of all that has a place, by trying; what has none is left out.
        let mut other = start.clone();
        let placed: Vec<_> = model.instances().filter(|id| start.machine(*id).is_some()).collect();
        let backwards: Vec<_> = placed.iter().rev().copied().collect();
        for order in [&placed, &backwards] {
            if let Ok(Some((best, _))) = Exhaustive::new(&model).placing(order, &start).least() {
                other = best;
            }
        }
        together += check(&model, &start, &other);
        together += check(&model, &other, &start);
    });
    println!("{together} steps of several moves");
}

#[test]
fn what_a_move_is_worth_is_what_the_bill_would_be_more_without_it() {
    for_seeds(200, |seed| {
        let (model, start) = random_running(seed, &Shape::SMALL);
        let outcome = rebalance(&model, &start, &Options::new(seed), Effort::Steps(4000));
        for (instance, worth) in what_moves_bought(&model, &start, &outcome.placement) {
            let mut without = outcome.placement.clone();
            without.put(instance, start.machine(instance).expect("nobody came"));
            assert_eq!(bill(&model, &without).total() - outcome.bill.total(), worth);
        }
    });
}

#[test]
fn an_account_reads_as_a_list_of_what_to_do() {
    let mut builder = Builder::new();
    let cores = builder.resource("cores", Hold::Freed);
    let web = builder.group(Group::new("web"));
    let machines: Vec<_> = ["m1", "m2", "m3"]
        .map(|name| builder.machine(Machine::new(name).with_capacity(cores, 8).with_safety(cores, 6)))
        .to_vec();
    for (needs, machine) in [(5, 0), (3, 0), (7, 1), (1, 1), (3, 2)] {
        let instance = Instance::new(web).with_need(cores, needs).with_move_cost(1);
        builder.instance(instance.running_on(machines[machine]));
    }
    builder.objective(Objective::new().with_overload(cores, 10).with_instance_move(2));
    let model = builder.build().expect("a small model");
    let before = Placement::running(&model);
    let mut after = before.clone();
    let ids: Vec<_> = model.instances().collect();
    after.put(ids[1], machines[2]);
    after.put(ids[3], machines[0]);
    let account = account_of_moves(&model, &before, &after);
    expect![[r#"
        cost before: 40
           1. web.2 from m1 to m3: -18 (cores beyond safety -20, moved instances +2)
           2. web.4 from m2 to m1: -8 (cores beyond safety -10, moved instances +2)
        cost after: 14"#]]
    .assert_eq(&model.named(&account).to_string());
    // Two that change places have no room one after the other.
    let mut swapped = before.clone();
    swapped.put(ids[0], machines[1]);
    swapped.put(ids[2], machines[0]);
    swapped.put(ids[1], machines[2]);
    let account = account_of_moves(&model, &before, &swapped);
    expect![[r#"
        cost before: 40
           1. web.2 from m1 to m3: -18 (cores beyond safety -20, moved instances +2)
           2. web.1 from m1 to m2, with web.3 from m2 to m1: -6 (cores beyond safety -10, moved instances +4)
        cost after: 16"#]]
    .assert_eq(&model.named(&account).to_string());
    expect![[r#"
        cores beyond safety                     1 × 10         =                 10
        moved instances                         2 × 2          =                  4
        total                                                                    14"#]]
    .assert_eq(&model.named(&bill(&model, &after)).to_string());
}
