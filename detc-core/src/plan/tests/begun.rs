//! What is only known to have been begun.

use serde_json::json;

use super::support::{World, id, unit};
use crate::model::{
    Digest, Invariant, InvariantBound, Measure, Observation, Predicate, Record, Selector, Standing, State,
};

/// A unit on a host that does not answer.
fn unseen() -> World {
    let world = World::new().having([unit("a", json!({ "replicas": 2 }))]);
    world.see("unit/a", Observation::Unknown("no answer".to_owned()))
}

/// The same, of which the making had begun.
fn begun_and_unseen() -> World {
    let mut world = unseen();
    let record = &world.recorded[&id("unit/a")];
    let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    world.recorded.insert(id("unit/a"), begun);
    world
}

#[test]
fn what_may_be_there_or_not_counts_as_the_worse_of_both() {
    let units = || Selector { kind: Some("unit".to_owned()), ..Selector::default() };
    let total = || Measure::Total { field: "replicas".parse().unwrap(), of: units() };
    for (measure, bound, base) in [
        (Measure::Available(units()), InvariantBound::AtLeast(1), 0),
        (Measure::Available(units()), InvariantBound::AtMost(1), 1),
        (total(), InvariantBound::AtLeast(2), 0),
        (total(), InvariantBound::AtMost(2), 2),
    ] {
        for mut world in [unseen(), begun_and_unseen()] {
            let (name, measure) = ("bound".to_owned(), measure.clone());
            world.desired = world.desired.invariant(Invariant { name, measure, bound });
            let plan = world.plan();
            assert_eq!(plan.proofs[0].base, base, "{:?}", plan.proofs[0]);
        }
    }
}

/// Units that are there, of which it is not known whether they work; they are desired with this number of replicas.
fn doubtful(count: usize, replicas: u32) -> World {
    let named = |replicas: u32| {
        (0..count)
            .map(move |n| unit(&format!("u{n}"), json!({ "replicas": replicas, "path": format!("/u{n}") })))
    };
    let mut world = World::new().having(named(1)).want(named(replicas));
    for n in 0..count {
        let id = id(&format!("unit/u{n}"));
        let record = &world.recorded[&id];
        let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
        world.recorded.insert(id, begun);
    }
    let units = Selector { kind: Some("unit".to_owned()), ..Selector::default() };
    let (measure, bound) = (Measure::Available(units), InvariantBound::AtLeast(3));
    world.desired = world.desired.invariant(Invariant { name: "three".to_owned(), measure, bound });
    world
}

#[test]
fn what_may_work_is_not_taken_down_as_if_it_did_not() {
    let plan = doubtful(4, 2).plan();
    let proved = &plan.proofs[0];
    assert_eq!((proved.base, proved.worst, proved.base_if_at_work(), proved.holds), (0, 0, 4, true));
    assert_eq!(proved.if_at_work.as_ref().unwrap().worst, 3);
    assert_eq!(plan.ordered.len(), 3);
    assert!(plan.changes.iter().all(|change| change.reason.to_string().ends_with("; it is restarted")));
    // With nobody to spare it may be broken, in whatever order.
    let refused = doubtful(3, 2).plan();
    assert!(refused.broken().unwrap().story.contains("it is 2; no order helps"), "{:?}", refused.broken());
}

/// Units that nobody can look at, of which the first is half done.
fn unseen_and_half_done(count: usize) -> World {
    let mut world = doubtful(count, 2);
    for n in 0..count {
        let id = id(&format!("unit/u{n}"));
        let record = &world.recorded[&id];
        let whole = Record::new(Digest::of(b"1"), record.relations(), record.seen(), &record.body().unwrap());
        world.recorded.insert(id.clone(), whole);
        world = world.see(id.as_str(), Observation::Unobservable);
    }
    world.half_done.insert(id("unit/u0"));
    world
}

#[test]
fn what_is_half_done_where_nobody_can_look_is_mended_before_another_is_taken_away() {
    let plan = unseen_and_half_done(4).plan();
    let proved = &plan.proofs[0];
    assert_eq!((proved.base, proved.worst, proved.base_if_at_work(), proved.holds), (3, 3, 4, true));
    let waits: Vec<String> = plan.ordered.iter().map(|wait| plan.action_id(wait.0)).collect();
    assert_eq!(waits, ["restart:unit/u0", "restart:unit/u1", "restart:unit/u2"]);
}

#[test]
fn a_predicate_is_told_what_is_half_done_where_nobody_can_look() {
    let is_known = |state: &State<'_>| match state.resources().find(|it| it.standing() == Standing::Unknown) {
        Some(unknown) => Err(format!("{} may be half done", unknown.id())),
        None => Ok(()),
    };
    let mut world = unseen_and_half_done(2);
    world.registry = world.registry.with_predicate(Predicate::new("known", is_known));
    let plan = world.plan();
    assert_eq!(plan.examined[0].before.as_deref(), Some("unit/u0 may be half done"));
}

#[test]
fn what_may_work_and_is_as_desired_is_adopted_without_a_wait() {
    let plan = doubtful(3, 1).plan();
    assert!(plan.broken().is_none() && plan.ordered.is_empty());
    assert!(plan.changes.iter().all(|change| !change.reason.to_string().contains("restarted")));
}

#[test]
fn what_is_replaced_under_a_new_name_is_removed_by_its_old_one() {
    let moved = |name: &str| {
        let mut moved = unit(name, json!({ "path": "/elsewhere" }));
        moved.extra_mut().renamed_from = Some(id("unit/a"));
        moved
    };
    let mut world = World::new().having([unit("a", json!({}))]).want([moved("b")]);
    let seen = world.observed.shift_remove(&id("unit/a")).unwrap();
    world = world.see("unit/b", seen);
    let plan = world.plan();
    let removal = plan.actions.iter().find(|action| action.verb.removes()).unwrap();
    assert_eq!(removal.renamed_from(), Some(&id("unit/a")));
    assert!(plan.touched().contains(&id("unit/a")));
    let mut altered = plan.clone();
    altered.actions.iter_mut().for_each(|action| action.recorded_as = None);
    assert!(plan.is_intact() && !altered.is_intact());
    let mut altered = plan.clone();
    altered.actions.iter_mut().for_each(|action| action.sweeps = true);
    assert!(!altered.is_intact());
}

#[test]
fn what_is_protected_is_not_given_up_for_what_it_needs_unless_it_was_only_begun() {
    let world = || {
        let world = World::new().having([unit("a", json!({})).protect()]);
        world.want([]).see("unit/a", Observation::Needed("the engine is not there".to_owned()))
    };
    let refused = world().try_plan().unwrap_err().to_string();
    assert!(refused.starts_with("unit/a is protected, and this plan would delete it"), "{refused}");
    let mut begun = world();
    let record = &begun.recorded[&id("unit/a")];
    let record = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    begun.recorded.insert(id("unit/a"), record);
    assert!(begun.try_plan().is_ok());
    // And where it is gone.
    assert!(world().see("unit/a", Observation::Absent).try_plan().is_err());
    assert!(begun.see("unit/a", Observation::Absent).try_plan().is_ok());
}
