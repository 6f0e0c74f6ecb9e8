//! Placing one by one, against trying every machine and every choice of devices with the independent judge.

use expect_test::expect;
use proptest::prelude::*;

use super::{Mix, Placer, Preference};
use crate::place::{
    Builder, Entry, Group, GroupId, Hold, Instance, InstanceId, Machine, MachineId, Model, Placement, Rule,
    Term, Violation, bill, validate,
};
use crate::rng::Rng;
use crate::testing::{Rules, Shape, Size, model, random_model};

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

/// The preferences, by what they prefer among machines on which wishes cost the same: computed from the definitions.
fn preferences(model: &Model) -> [(Preference, Value); 4] {
    [
        (Preference::Tight, |model, before, _, machine| scarcest(model, before, machine)),
        (Preference::Loose, |model, before, _, machine| -scarcest(model, before, machine)),
        (Preference::Cheapest, |model, _, after, _| cost_of(model, after, |term| !is_wish(term))),
        // What is worth what to expected instances is a matter of taste.
        (Preference::Usable(Mix::of(model, model.instances(), 8)), |_, _, _, _| 0),
    ]
}

type Value = fn(&Model, &Placement, &Placement, MachineId) -> i128;

fn is_wish(term: &Term) -> bool {
    matches!(term, Term::Wish(..))
}

fn cost_of(model: &Model, placement: &Placement, counts: fn(&Term) -> bool) -> i128 {
    bill(model, placement).entries.iter().filter(|entry| counts(&entry.term)).map(Entry::cost).sum()
}

/// What a machine has left of what it has least of, in thousandths of the most that any machine has of it.
fn scarcest(model: &Model, placement: &Placement, machine: MachineId) -> i128 {
    let here = || model.instances().filter(|instance| placement.machine(*instance) == Some(machine));
    let left = |resource: usize| {
        let most = model.machines().map(|machine| model.capacity(machine)[resource]).max();
        let used: i64 = here().map(|instance| model.needs(instance)[resource]).sum();
        i128::from((model.capacity(machine)[resource] - used) * 1000 / most.expect("there are machines"))
    };
    let shares = |machine| i128::from(model.devices(machine)) * 1000;
    let most = model.machines().map(shares).max().expect("there are machines");
    let need = |instance| model.device_need(instance);
    let used: u32 = here().map(|instance| need(instance).count * need(instance).shares).sum();
    let devices = (model.devices(machine) > 0).then(|| (shares(machine) - i128::from(used)) * 1000 / most);
    (0..model.resource_count()).map(left).chain(devices).min().expect("there are resources")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn wishes_come_first_then_what_is_preferred(seed: u64) {
        let model = model(seed, SIZE, Rules::Gradual, &[]);
        for (preference, value) in preferences(&model) {
            let mut placer = Placer::new(&model, &Placement::empty(&model), preference.clone());
            for instance in model.instances() {
                let before = placer.placement().clone();
                let possible = model.machines().filter(|at| placer.reasons_on(instance, *at).is_empty());
                let worth = |machine: MachineId| {
                    let mut after = before.clone();
                    after.put(instance, machine);
                    (cost_of(&model, &after, is_wish), value(&model, &before, &after, machine))
                };
                let best = possible.map(worth).min();
                let taken = placer.place(instance).ok().map(|spot| worth(spot.machine));
                prop_assert_eq!(taken, best, "{} with {:?}", instance, preference);
            }
        }
    }

    #[test]
    fn many_come_and_go_and_room_is_found_where_there_is_some(seed: u64) {
        // Enough machines for shelves of several, and needs that leave them full of one thing or the other.
        let size = Size { machines: 60, groups: 6, instances: 260, devices: 2 };
        let model = model(seed, size, Rules::Gradual, &[]);
        let mut rng = Rng::new(seed, 0);
        for preference in [Preference::Tight, Preference::Loose] {
            let mut placer = Placer::new(&model, &Placement::empty(&model), preference);
            for _ in 0..600 {
                let instance = InstanceId::new(rng.below(size.instances));
                placer.take(instance);
                if rng.below(3) == 0 {
                    continue;
                }
                let possible = model.machines().any(|at| placer.reasons_on(instance, at).is_empty());
                let before: Vec<usize> = (0..2).map(|_| placer.why_not(instance).map_or(0, |no| no.reasons.values().sum())).collect();
                prop_assert_eq!(before, vec![if possible { 0 } else { size.machines }; 2]);
                prop_assert_eq!(placer.place(instance).is_ok(), possible);
            }
            // Who leaves may leave others without whom they need; nothing else is broken by leaving.
            let needs = |group: GroupId, rule: usize| matches!(model.groups[group.index()].rules[rule], Rule::With { .. });
            let mut broken = validate(&model, placer.placement());
            broken.retain(|found| !matches!(found, Violation::Rule { group, rule, .. } if needs(*group, *rule)));
            prop_assert_eq!(broken, vec![]);
        }
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

#[test]
fn small_groups_do_not_count_on_every_machine() {
    let (machines, groups) = (2_000, 400);
    let mut builder = Builder::new();
    for index in 0..machines {
        builder.machine(Machine::new(format!("m{index}")));
    }
    for index in 0..groups {
        let group = builder.group(Group::new(format!("g{index}")).with_rule(Rule::unique()));
        builder.instances(3, &Instance::new(group));
    }
    let model = builder.build().expect("a model of small numbers");
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    for instance in model.instances() {
        placer.place(instance).expect("there is room");
    }
    assert_eq!(validate(&model, placer.placement()), vec![]);
    assert!(placer.together.cells() <= 10 * model.instance_count(), "{}", placer.together.cells());
}

#[test]
fn who_makes_room_is_of_the_lowest_priorities_and_the_fewest_and_the_cheapest_that_can() {
    let mut displaced = 0;
    for seed in 0..500 {
        let shape = Shape { machines: 3, groups: 4, instances: 16, resources: 2, devices: 2 };
        let mut builder = Builder::from(&random_model(seed, &shape));
        for group in 0..builder.clone().build().expect("it was one").group_count() {
            let part = builder.group_mut(GroupId::new(group));
            *part = part.clone().with_rules_kept(|_, _| false);
        }
        let model = builder.build().expect("less is asked for");
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        let key = |victims: &[InstanceId]| {
            let worst = victims.iter().map(|victim| model.priority(*victim)).max();
            (worst, victims.len(), victims.iter().map(|victim| model.move_costs[victim.index()]).sum::<i64>())
        };
        for instance in model.instances() {
            let before = placer.placement().clone();
            let mut least = None;
            for machine in model.machines() {
                let lower = |id: &&InstanceId| model.priority(**id) < model.priority(instance);
                let lower: Vec<_> = placer.residents(machine).iter().filter(lower).copied().collect();
                for set in 0..1_u32 << lower.len() {
                    let gone = (0..lower.len()).filter(|slot| set & (1 << slot) != 0).map(|slot| lower[slot]);
                    let gone: Vec<InstanceId> = gone.collect();
                    if least.as_ref().is_some_and(|least| key(&gone) >= *least) {
                        continue;
                    }
                    let mut rest = before.clone();
                    gone.iter().for_each(|victim| rest.take(*victim));
                    if is_possible(&model, &rest, instance, machine) {
                        least = Some(key(&gone));
                    }
                }
            }
            let spot = placer.place_displacing(instance).ok();
            displaced += spot.iter().map(|spot| spot.victims.len()).sum::<usize>();
            assert_eq!(spot.map(|spot| key(&spot.victims)), least, "seed {seed}, {instance}");
        }
    }
    assert!(displaced > 50, "{displaced}");
}

#[test]
fn the_cheapest_that_were_found_are_taken_also_where_not_all_sets_are_looked_at() {
    let mut builder = Builder::new();
    let cores = builder.resource("cores", Hold::Freed);
    builder.machine(Machine::new("m").with_capacity(cores, 1_000));
    let low = builder.group(Group::new("low"));
    let high = builder.group(Group::new("high").with_priority(1));
    // There are 1,225 sets of two, of which the first is cheap; of those that are asked one by one, the last two can not stay.
    for cost in (0..50).map(|index| if index < 2 { 1 } else { 100 }) {
        builder.instance(Instance::new(low).with_need(cores, 20).with_move_cost(cost));
    }
    let asks = builder.instance(Instance::new(high).with_need(cores, 40));
    let model = builder.build().expect("a small model");
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let placed = model.instances().filter(|id| *id != asks && placer.place(*id).is_ok()).count();
    assert_eq!(placed, 50);
    let spot = placer.place_displacing(asks).expect("others are of lower priority");
    assert_eq!(spot.victims, [InstanceId::new(0), InstanceId::new(1)]);
}
