//! What a batch does when its effort ends.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::place::{Builder, Group, Hold, Instance, Machine};

/// Machines of ten cores each, and what is to be placed.
fn model(machines: usize, instances: usize, cores: i64) -> Model {
    let mut builder = Builder::new();
    let resource = builder.resource("cores", Hold::Freed);
    for index in 0..machines {
        builder.machine(Machine::new(format!("m{index}")).with_capacity(resource, 10));
    }
    let group = builder.group(Group::new("jobs"));
    builder.instances(instances, &Instance::new(group).with_need(resource, cores));
    builder.build().expect("a small model")
}

#[test]
fn when_the_effort_ends_what_has_a_place_is_given_and_the_others_are_told() {
    let model = model(50, 400, 1);
    let looks = AtomicU64::new(0);
    let spent = || Spent::of(looks.fetch_add(1, Ordering::Relaxed), 100);
    let start = Placement::empty(&model);
    let place = |effort| place_all(&model, &start, &Preference::Tight, &Options::new(1), effort);
    let batch = place(Effort::Until(&spent));
    let placed = batch.placement.machines().iter().flatten().count();
    assert_eq!((placed, batch.untried.len(), batch.refused.len()), (100, 300, 0));
    assert!(looks.load(Ordering::Relaxed) < 110, "it goes on when all is spent");
    assert_eq!(place(Effort::Steps(0)).untried, []);
}

#[test]
fn forcing_ends_with_its_effort() {
    let model = model(50, 400, 11);
    let all: Vec<InstanceId> = model.instances().collect();
    let force = |effort| force(&model, &Placement::empty(&model), &Preference::Tight, &all, &effort);
    let placed = |placement: Placement| placement.machines().iter().flatten().count();
    let looks = AtomicU64::new(0);
    let spent = || Spent::of(looks.fetch_add(1, Ordering::Relaxed), 30);
    assert_eq!(placed(force(Effort::Until(&spent))), 30);
    assert_eq!(placed(force(Effort::Steps(1000))), 20);
}
