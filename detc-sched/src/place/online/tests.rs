//! Placing one by one, against trying every machine and every choice of devices with the independent judge.

use expect_test::expect;
use proptest::prelude::*;

use super::{Mix, Placer, Preference};
use crate::place::{
    Builder, Group, Hold, Instance, InstanceId, Machine, MachineId, Model, Placement, Rule, validate,
};
use crate::testing::{Rules, Size, model};

const SIZE: Size = Size { machines: 6, groups: 4, instances: 25, devices: 3 };

/// Whether the judge finds nothing against an instance on a machine, with whatever devices.
fn is_possible(model: &Model, placement: &Placement, instance: InstanceId, machine: MachineId) -> bool {
    (0..1_u32 << model.devices(machine)).any(|set| {
        let devices = (0..model.devices(machine)).filter(|device| set & (1 << device) != 0).collect();
        let mut placement = placement.clone();
        placement.put_on_devices(instance, machine, devices);
        validate(model, &placement).is_empty()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_placed_is_feasible_and_what_is_refused_fits_nowhere(seed: u64, usable: bool) {
        let model = model(seed, SIZE, Rules::Gradual, &[]);
        let preference = match usable {
            true => Preference::Usable(Mix::of(&model, model.instances(), 8)),
            false => Preference::Loose,
        };
        let mut placer = Placer::new(&model, &Placement::empty(&model), preference);
        for instance in model.instances() {
            let before = placer.placement().clone();
            for machine in model.machines() {
                let possible = is_possible(&model, &before, instance, machine);
                let reasons = placer.reasons_on(instance, machine);
                prop_assert_eq!(reasons.is_empty(), possible, "{} on {}: {:?}", instance, machine, reasons);
            }
            match placer.place(instance) {
                Ok(_) => prop_assert_eq!(validate(&model, placer.placement()), vec![]),
                Err(refusal) => {
                    let counted: usize = refusal.reasons.values().sum();
                    prop_assert_eq!(counted, model.machine_count());
                    prop_assert!(!model.machines().any(|at| is_possible(&model, &before, instance, at)));
                }
            }
        }
    }

    #[test]
    fn taking_all_away_leaves_all_room(seed: u64) {
        let model = model(seed, SIZE, Rules::Gradual, &[]);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        let place_all = |placer: &mut Placer<'_>| {
            model.instances().for_each(|instance| drop(placer.place(instance)));
            placer.placement().clone()
        };
        let first = place_all(&mut placer);
        model.instances().for_each(|instance| placer.take(instance));
        prop_assert_eq!(placer.placement(), &Placement::empty(&model));
        prop_assert_eq!(place_all(&mut placer), first);
    }
}

/// Two machines of 10 units; groups of priority 0, 1 and 2, with instances of these sizes.
fn two_machines(sizes: &[(usize, i64)]) -> Model {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu", Hold::Freed);
    for name in ["left", "right"] {
        builder.machine(Machine::new(name).with_capacity(cpu, 10));
    }
    let groups: Vec<_> = (0..3)
        .map(|priority| builder.group(Group::new(format!("p{priority}")).with_priority(priority)))
        .collect();
    for (group, size) in sizes {
        builder.instance(Instance::new(groups[*group]).with_need(cpu, *size));
    }
    builder.build().expect("a model of small numbers")
}

#[test]
fn of_lower_priority_as_few_as_can_be_make_room_and_those_of_the_lowest() {
    let model = two_machines(&[(1, 6), (0, 4), (0, 3), (0, 3), (0, 4), (2, 5)]);
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let ids: Vec<_> = model.instances().collect();
    for id in &ids[..5] {
        placer.place(*id).expect("it fits");
    }
    let spot = placer.place_displacing(ids[5]).expect("there are others to go");
    assert_eq!((spot.machine, spot.victims), (MachineId::new(1), vec![ids[3], ids[4]]));
    assert_eq!(validate(&model, placer.placement()), vec![]);
}

#[test]
fn equals_are_not_displaced() {
    let model = two_machines(&[(1, 10), (1, 10), (1, 1)]);
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let ids: Vec<_> = model.instances().collect();
    ids[..2].iter().for_each(|id| drop(placer.place(*id)));
    let refusal = placer.place_displacing(ids[2]).expect_err("all are as urgent");
    expect!["2 × too little of r0 is left"].assert_eq(&refusal.to_string());
}

#[test]
fn a_unique_group_goes_to_as_many_machines_as_it_has_instances() {
    let mut builder = Builder::new();
    for index in 0..3 {
        builder.machine(Machine::new(format!("m{index}")));
    }
    let web = builder.group(Group::new("web").with_rule(Rule::unique()));
    for _ in 0..4 {
        builder.instance(Instance::new(web));
    }
    let model = builder.build().expect("a model");
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let outcomes: Vec<String> = model
        .instances()
        .map(|id| match placer.place(id) {
            Ok(spot) => spot.machine.to_string(),
            Err(refusal) => refusal.to_string(),
        })
        .collect();
    expect!["m0; m1; m2; 3 × rule 0 would be broken"].assert_eq(&outcomes.join("; "));
}
