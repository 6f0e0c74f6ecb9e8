//! Placing one by one.

use detc_sched::place::online::{Mix, Placer, Preference};
use detc_sched::place::{
    Builder, Group, Hold, Instance, LevelId, Machine, MachineId, Model, Placement, Rule, newly_broken,
    validate,
};
use detc_sched::testing::{Exhaustive, Shape, random_model, random_running};

use crate::support::for_seeds;

const SHAPE: Shape = Shape { machines: 4, groups: 3, instances: 8, resources: 2, devices: 3 };

fn preference(seed: u64, model: &Model) -> Preference {
    match seed % 3 {
        0 => Preference::Tight,
        1 => Preference::Loose,
        _ => Preference::Usable(Mix::of(model, model.instances(), 4)),
    }
}

#[test]
fn what_is_placed_is_feasible_and_what_is_refused_fits_nowhere() {
    let (mut placed, mut refused) = (0, 0);
    for_seeds(1500, |seed| {
        let model = random_model(seed, &SHAPE);
        let mut placer = Placer::new(&model, &Placement::empty(&model), preference(seed, &model));
        for instance in model.instances() {
            let before = placer.placement().clone();
            let one = Exhaustive::new(&model).placing(&[instance], &before);
            let possible = one.first().expect("one instance is not too much").is_some();
            match placer.place(instance) {
                Ok(_) => {
                    placed += 1;
                    assert!(possible, "{instance}");
                    assert_eq!(validate(&model, placer.placement()), []);
                }
                Err(refusal) => {
                    refused += 1;
                    assert!(!possible, "{instance}: {refusal}");
                    assert_eq!(refusal.reasons.values().sum::<usize>(), model.machine_count());
                    assert_eq!(placer.placement(), &before);
                }
            }
        }
    });
    assert!(placed > refused && refused > 500 || std::env::var("DETC_SEED").is_ok(), "{placed} {refused}");
}

#[test]
fn who_makes_room_is_less_urgent_and_nobody_goes_without_need() {
    let mut displaced = 0;
    for_seeds(1500, |seed| {
        let model = random_model(seed, &SHAPE);
        let mut placer = Placer::new(&model, &Placement::empty(&model), preference(seed, &model));
        for instance in model.instances() {
            let before = placer.placement().clone();
            let Ok(spot) = placer.place_displacing(instance) else {
                assert_eq!(placer.placement(), &before);
                continue;
            };
            let after = placer.placement().clone();
            displaced += spot.victims.len();
            assert_eq!(validate(&model, &after), []);
            for victim in &spot.victims {
                assert!(model.priority(*victim) < model.priority(instance));
                assert_eq!(after.machine(*victim), None);
                // Who goes could not have stayed, on whatever devices.
                let mut kept = before.clone();
                spot.victims.iter().filter(|other| *other != victim).for_each(|other| kept.take(*other));
                let one = Exhaustive::new(&model).placing(&[instance], &kept);
                let with = one.first().expect("one is not too much");
                assert!(
                    with.is_none_or(|with| with.machine(instance) != Some(spot.machine)),
                    "{victim} could have stayed beside {instance}"
                );
            }
            let others = model.instances().filter(|id| *id != instance && !spot.victims.contains(id));
            others.for_each(|id| assert_eq!(after.machine(id), before.machine(id)));
        }
    });
    assert!(displaced > 50 || std::env::var("DETC_SEED").is_ok(), "{displaced}");
}

#[test]
fn the_same_arguments_place_alike() {
    for_seeds(300, |seed| {
        let model = random_model(seed, &Shape::SMALL.with_devices(3));
        let place = || {
            let mut placer = Placer::new(&model, &Placement::empty(&model), preference(seed, &model));
            let outcomes: Vec<_> = model.instances().map(|instance| placer.place(instance)).collect();
            (outcomes, placer.placement().clone())
        };
        assert_eq!(place(), place());
    });
}

#[test]
fn who_is_needed_by_others_is_not_displaced_and_comes_back_to_where_it_was() {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu", Hold::Freed);
    builder.machine(Machine::new("m1").with_capacity(cpu, 4).with_devices(2));
    let db = builder.group(Group::new("db"));
    let web = Group::new("web").with_priority(2);
    let web = builder.group(web.with_rule(Rule::With { group: db, within: LevelId::MACHINE }));
    let job = builder.group(Group::new("job").with_priority(1));
    builder.instance(Instance::new(db).with_need(cpu, 3).with_devices(1, 500));
    builder.instance(Instance::new(web));
    builder.instance(Instance::new(job).with_need(cpu, 2));
    let model = builder.build().expect("a small model");
    let [db, web, job] = model.instances().collect::<Vec<_>>()[..] else { panic!("three") };
    let mut start = Placement::empty(&model);
    start.put_on_devices(db, MachineId::new(0), vec![1]);
    start.put(web, MachineId::new(0));
    let mut placer = Placer::new(&model, &start, Preference::Tight);
    let refusal = placer.place_displacing(job).expect_err("web needs what is in the way");
    assert_eq!(refusal.to_string(), "1 × too little of r0 is left");
    assert_eq!(placer.placement(), &start);
    placer.take(web);
    let spot = placer.place_displacing(job).expect("nobody needs it now");
    assert_eq!(spot.victims, [db]);
}

#[test]
fn what_runs_occupies_its_place_while_it_moves_and_placing_keeps_to_that() {
    let mut moved = 0;
    for_seeds(1500, |seed| {
        let (model, start) = random_running(seed, &SHAPE);
        let mut placer = Placer::new(&model, &start, preference(seed, &model));
        // Some leave; then all that are nowhere are placed, the last first.
        for instance in model.instances().filter(|id| (id.index() as u64 + seed).is_multiple_of(2)) {
            placer.take(instance);
        }
        let waiting: Vec<_> =
            model.instances().filter(|id| placer.placement().machine(*id).is_none()).collect();
        let broken = validate(&model, placer.placement());
        for instance in waiting.into_iter().rev() {
            let before = placer.placement().clone();
            let one = Exhaustive::new(&model).placing(&[instance], &before);
            let possible = one.first().expect("one instance is not too much").is_some();
            match placer.place(instance) {
                Ok(spot) => {
                    moved += i32::from(model.runs_on(instance).is_some_and(|from| from != spot.machine));
                    let now = newly_broken(&broken, validate(&model, placer.placement()));
                    assert_eq!(now, [], "{instance} to {}", spot.machine);
                }
                // Where something is broken already, nothing is possible by trying.
                Err(refusal) => assert!(!possible, "{instance}: {refusal}"),
            }
        }
    });
    assert!(moved > 300 || std::env::var("DETC_SEED").is_ok(), "{moved}");
}

#[test]
fn of_a_device_that_was_given_to_too_many_nothing_is_left_until_enough_have_gone() {
    let mut builder = Builder::new();
    let machine = builder.machine(Machine::new("m1").with_devices(1));
    let group = builder.group(Group::new("jobs"));
    builder.instances(2, &Instance::new(group).with_devices(1, 700));
    builder.instance(Instance::new(group).with_devices(1, 100));
    builder.instances(2, &Instance::new(group).with_devices(1, 300));
    let model = builder.build().expect("a small model");
    let [first, second, lost, waits, too] = model.instances().collect::<Vec<_>>()[..] else { panic!("five") };
    let mut start = Placement::empty(&model);
    start.put_on_devices(first, machine, vec![0]);
    start.put_on_devices(second, machine, vec![0]);
    // The machine has had more devices.
    start.put_on_devices(lost, machine, vec![7]);
    for preference in [Preference::Tight, Preference::Cheapest] {
        let mut placer = Placer::new(&model, &start, preference);
        assert!(placer.place(waits).is_err());
        placer.take(lost);
        assert!(placer.place(waits).is_err());
        placer.take(first);
        assert!(placer.place(waits).is_ok());
        assert!(placer.place(too).is_err(), "300 of 1000 were left");
        placer.take(second);
        assert!(placer.place(too).is_ok());
        assert_eq!(validate(&model, placer.placement()), []);
    }
}

#[test]
fn more_like_one_that_runs_hold_nothing_where_it_runs() {
    let mut builder = Builder::new();
    let disk = builder.resource("disk", Hold::Twice);
    let machines = ["m1", "m2", "m3"].map(|name| Machine::new(name).with_capacity(disk, 10));
    let [first, ..] = machines.map(|machine| builder.machine(machine));
    let group = builder.group(Group::new("db"));
    let like = builder.instance(Instance::new(group).with_need(disk, 4).running_on(first));
    let model = builder.build().expect("a small model");
    for preference in [Preference::Tight, Preference::Loose, Preference::Cheapest] {
        let placer = Placer::new(&model, &Placement::running(&model), preference);
        let (fits, refusal) = placer.room_for_more(like, 20);
        assert_eq!(fits, 5);
        assert_eq!(refusal.expect("all is full").to_string(), "3 × too little of r0 is left");
        // It is nowhere, and what it held is free again.
        let placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        assert_eq!(placer.room_for_more(like, 20).0, 6);
    }
}

#[test]
fn a_machine_whose_taint_they_do_not_tolerate_is_worth_nothing_to_those_that_are_expected() {
    let mut builder = Builder::new();
    builder.machine(Machine::new("m1").with_devices(1));
    let tainted = builder.machine(Machine::new("m2").with_devices(1).with_taint("odd"));
    let expected = builder.group(Group::new("expected"));
    let comes = builder.group(Group::new("comes").with_toleration("odd"));
    let expected = builder.instance(Instance::new(expected).with_devices(1, 800));
    let comes = builder.instance(Instance::new(comes).with_devices(1, 500));
    let model = builder.build().expect("a small model");
    let mix = Mix::of(&model, [expected].into_iter(), 4);
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Usable(mix));
    assert_eq!(placer.place(comes).expect("all is free").machine, tainted);
}
