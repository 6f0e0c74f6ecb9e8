//! One change after the other, each of a sort by itself: the plan is that of a full build.

use serde_json::json;

use super::*;
use crate::plan::tests::support::{World, id, unit, value};

/// The same world within a planner and beside it.
struct Beside {
    world: World,
    planner: Planner,
}

impl Beside {
    fn new(world: World) -> Self {
        let ground = (world.recorded.clone(), world.observed.clone());
        let key = MarkKey::new([7; 32]);
        let planner = Planner::new(world.desired.clone(), ground, world.registry.clone(), key);
        let mut beside = Self { world, planner };
        beside.check();
        beside
    }

    #[track_caller]
    fn check(&mut self) -> Plan {
        let plan = self.planner.plan().unwrap();
        assert_eq!(plan, self.world.plan());
        plan
    }

    #[track_caller]
    fn set(&mut self, resource: DesiredResource) -> Plan {
        self.planner.set(resource.clone());
        self.world.desired.resources.insert(resource.id.clone(), resource);
        self.check()
    }

    #[track_caller]
    fn see(&mut self, of: &str, observation: Observation) -> Plan {
        self.planner.observed(&id(of), Some(observation.clone()));
        self.world.observed.insert(id(of), observation);
        self.check()
    }

    #[track_caller]
    fn record(&mut self, of: &str, record: Option<Record>) -> Plan {
        self.planner.recorded(&id(of), record.clone());
        match record {
            Some(record) => _ = self.world.recorded.insert(id(of), record),
            None => _ = self.world.recorded.remove(&id(of)),
        }
        self.check()
    }
}

#[test]
fn what_is_new_among_others_is_made_anew_and_put_in_its_place() {
    let units = |n: u32| {
        ["a", "b", "c"].map(|name| unit(name, json!({ "path": format!("/{name}{n}"), "mode": "0600" })))
    };
    let mut beside = Beside::new(World::new().having(units(1)));
    for unit in units(2) {
        beside.set(unit);
    }
    assert_eq!(beside.check().actions.len(), 6);
}

#[test]
fn what_moves_to_another_host_has_other_neighbours() {
    let file = |name: &str, path: &str, host: &str| unit(name, json!({ "path": path })).on(host);
    let wanted = [file("dir", "/d", "h1"), file("file", "/d/f", "h2")];
    let mut beside = Beside::new(World::new().want(wanted));
    let plan = beside.set(file("dir", "/d", "h2"));
    assert!(plan.actions.iter().any(|action| !action.after.is_empty()), "{plan}");
}

#[test]
fn what_is_given_an_earlier_name_takes_over_what_is_recorded_by_that() {
    let mut beside =
        Beside::new(World::new().having([value("old", json!(1))]).want([value("new", json!(1))]));
    let mut renamed = value("new", json!(1));
    renamed.extra_mut().renamed_from = Some(id("value/old"));
    let plan = beside.set(renamed);
    assert_eq!(plan.actions.len(), 1, "{plan}");
}

#[test]
fn a_change_goes_through_all_that_take_a_value_of_it_and_come_after_it() {
    let reads =
        |name: &str, of: &str, output: &str| value(name, json!({"it": {"from": of, "output": output}}));
    let wanted = |n: u64| {
        [
            value("a", json!(n)),
            reads("b", "value/a", "input"),
            reads("c", "value/b", "input.it"),
            reads("d", "value/c", "input.it"),
            unit("u", json!({})),
            value("then", json!(n)).after(&id("unit/u")),
        ]
    };
    let mut beside = Beside::new(World::new().having(wanted(1)));
    let [a, _, _, _, _, then] = wanted(2);
    assert_eq!(beside.set(a).actions.len(), 4);
    beside.set(then);
    // What comes after something of which nothing is known waits, and waits no longer when it is seen.
    let seen = beside.world.observed[&id("unit/u")].clone();
    let unseen = beside.see("unit/u", Observation::Unknown("no answer".to_owned()));
    assert_eq!(unseen.unknown().count(), 2);
    assert_eq!(beside.see("unit/u", seen).unknown().count(), 0);
}

fn units_available() -> Invariant {
    let of = Selector { kind: Some("unit".to_owned()), ..Selector::default() };
    let (measure, bound) = (Measure::Available(of), InvariantBound::AtLeast(0));
    Invariant { name: "units".to_owned(), measure, bound }
}

#[test]
fn the_values_of_invariants_follow_what_is_recorded_and_seen() {
    let units = || [unit("a", json!({})), unit("b", json!({}))];
    let mut world = World::new().having(units());
    world.desired = world.desired.invariant(units_available());
    let record = world.recorded[&id("unit/a")].clone();
    let mut beside = Beside::new(world);
    let base = |plan: Plan| plan.proofs[0].base;
    assert_eq!(base(beside.check()), 2);
    assert_eq!(base(beside.see("unit/b", Observation::Absent)), 1);
    assert_eq!(base(beside.record("unit/a", None)), 0);
    assert_eq!(base(beside.record("unit/a", Some(record))), 1);
    // What may be half done is not known to work where nobody can look.
    assert_eq!(base(beside.see("unit/a", Observation::Unobservable)), 1);
    for half_done in [vec![id("unit/a")], vec![]] {
        let half_done: Set<ResourceId> = half_done.into_iter().collect();
        beside.world.half_done.clone_from(&half_done);
        beside.planner.half_done(half_done.clone());
        assert_eq!(base(beside.check()), 1 - half_done.len() as i64);
    }
}

#[test]
fn an_invariant_is_about_nothing_when_the_last_that_counted_is_gone() {
    let mut world = World::new().having([unit("a", json!({}))]).want([]);
    world.desired = world.desired.invariant(units_available());
    let mut beside = Beside::new(world);
    assert!(!beside.check().proofs[0].vacuous);
    assert!(beside.record("unit/a", None).proofs[0].vacuous);
}

#[test]
fn the_sensitive_values_that_a_planner_met_are_in_its_vault() {
    let beside = Beside::new(World::new());
    let vault: Arc<Mutex<Vault>> = Arc::default();
    let planner = beside.planner.with_vault(vault.clone());
    assert!(Arc::ptr_eq(&planner.vault(), &vault));
}
