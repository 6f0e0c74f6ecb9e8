//! What a change of the model must not change, or only for the better.

use detc_sched::place::online::{Placer, Preference};
use detc_sched::place::{
    Builder, GroupId, MachineId, Model, Objective, Placement, ResourceId, bill, validate,
};
use detc_sched::rebalance::{Effort, Options, rebalance};
use detc_sched::testing::{Exhaustive, Shape, random_model, random_running};

use crate::support::for_seeds;

/// The same with other names, whose order is another, too. Rules that ask for machines by name are kept as they are: the
/// names that they ask for are an attribute.
fn renamed(model: &Model) -> Model {
    let mut builder = Builder::from(model);
    for machine in model.machines() {
        let name = format!("node {}", model.machine_count() - machine.index());
        let part = builder.machine_mut(machine);
        let hostname = model.machine_name(machine).to_owned();
        *part = part.clone().with_name(name).with_attribute("hostname", hostname);
    }
    for group in (0..model.group_count()).map(GroupId::new) {
        let part = builder.group_mut(group);
        *part = part.clone().with_name(format!("app {}", model.group_count() - group.index()));
    }
    builder.build().expect("names are free")
}

#[test]
fn other_names_change_nothing_but_names() {
    for_seeds(500, |seed| {
        let (model, start) = random_running(seed, &Shape::SMALL.with_devices(2));
        let other = renamed(&model);
        assert_ne!(model.machine_name(MachineId::new(0)), other.machine_name(MachineId::new(0)));
        assert_eq!(bill(&model, &start), bill(&other, &start));
        let place = |model: &Model| {
            let mut placer = Placer::new(model, &Placement::empty(model), Preference::Tight);
            let spots: Vec<_> = model.instances().map(|instance| placer.place(instance)).collect();
            (spots, placer.placement().clone())
        };
        assert_eq!(place(&model), place(&other));
        let placements = [&model, &other]
            .map(|model| rebalance(model, &start, &Options::new(seed), Effort::Steps(3000)).placement);
        assert_eq!(placements[0], placements[1]);
    });
}

#[test]
fn a_model_taken_apart_and_built_again_is_the_same() {
    for_seeds(500, |seed| {
        let model = random_model(seed, &Shape::SMALL.with_devices(3));
        let again = Builder::from(&model).build().expect("it was built before");
        assert_eq!(format!("{model:?}"), format!("{again:?}"));
    });
}

/// The model without a table of moves; and that with one machine more. An empty machine must cost nothing: it has nothing, or no
/// balance is asked for.
fn with_and_without_machine(model: &Model, seed: u64) -> [Model; 2] {
    let mut builder = Builder::from(model);
    let resources = || (0..model.resource_count()).map(ResourceId::new);
    let balanced = seed.is_multiple_of(2);
    let mut objective = Objective::new().with_group_move(1).with_machine_use(2);
    for resource in resources() {
        objective = objective.with_overload(resource, 1 + (seed % 7) as i64);
    }
    builder.objective(match balanced {
        true => model.objective().clone().with_machine_move(0, Vec::new()),
        false => objective,
    });
    let like = MachineId::new(seed as usize % model.machine_count());
    let mut machine = builder.machine_mut(like).clone().with_name("new");
    for resource in resources().filter(|_| balanced) {
        machine = machine.with_capacity(resource, 0);
    }
    let small = builder.clone();
    builder.machine(machine);
    [small, builder].map(|builder| builder.build().expect("one machine more is no problem"))
}

#[test]
fn a_machine_more_never_makes_the_best_worse() {
    let mut better = 0;
    for_seeds(500, |seed| {
        let shape = Shape { machines: 3, instances: 5, ..Shape::TINY };
        let (model, start) = random_running(seed, &shape);
        let [model, larger] = with_and_without_machine(&model, seed);
        let placed: Vec<_> = model.instances().filter(|id| start.machine(*id).is_some()).collect();
        let least = |model: &Model| {
            let least = Exhaustive::new(model).placing(&placed, &start).least().expect("it is small");
            least.expect("the start is feasible").1
        };
        let (before, after) = (least(&model), least(&larger));
        assert!(after <= before, "{after} with one machine more, {before} without");
        better += i32::from(after < before);
        // And what a search has found in the smaller it does not lose in the larger.
        let found = rebalance(&model, &start, &Options::new(seed), Effort::Steps(3000));
        let kept = rebalance(&larger, &found.placement, &Options::new(seed), Effort::Steps(3000));
        assert_eq!(validate(&larger, &kept.placement), []);
        assert!(kept.bill.total() <= found.bill.total());
    });
    assert!(better > 10 || std::env::var("DETC_SEED").is_ok(), "{better}");
}
