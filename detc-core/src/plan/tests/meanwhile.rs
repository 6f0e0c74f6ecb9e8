//! What authors state of the time while an action goes on counts in the proof, and orders actions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use expect_test::expect;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{World, steps, unit};
use crate::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
use crate::model::{
    DesiredResource, Invariant, InvariantBound, Measure, Observation, Predicate, Record, ResourceId,
    Selector, Standing,
};
use crate::plan::{Count, render};
use crate::resource::{ChangeEffect, InvalidField, KindTraits, Removed, Resource};

/// Dumps a database: it needs room for a second copy, and what it dumps takes no part.
#[derive(Debug, Serialize, Deserialize)]
struct Dump {
    mib: i64,
    scratch_mib: i64,
    of: Option<ResourceId>,
}

#[async_trait]
impl Action for Dump {
    const KIND: &'static str = "dump";
    type Output = ();

    fn footprint(&self) -> Footprint {
        let footprint =
            Footprint::new(CrashClass::DeterministicName).taking("mib".parse().unwrap(), self.scratch_mib);
        match &self.of {
            Some(of) => footprint.suspending(of.clone()),
            None => footprint,
        }
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        unreachable!("plans are pure")
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }
}

fn dump(name: &str, mib: i64, of: Option<&str>) -> DesiredResource {
    DesiredResource::from_value("dump", name, &json!({ "mib": mib, "scratch_mib": 5, "of": of })).unwrap()
}

fn of_kind(kind: &str) -> Selector {
    Selector { kind: Some(kind.to_owned()), labels: BTreeMap::new(), ..Selector::default() }
}

fn at_most(most: i64) -> Invariant {
    let measure = Measure::Total { field: "mib".parse().unwrap(), of: of_kind("dump") };
    Invariant { name: "room".to_owned(), measure, bound: InvariantBound::AtMost(most) }
}

fn at_least(least: i64) -> Invariant {
    let measure = Measure::Available(of_kind("unit"));
    Invariant { name: "units".to_owned(), measure, bound: InvariantBound::AtLeast(least) }
}

fn world() -> World {
    let mut world = World::new();
    world.registry = world.registry.with_action::<Dump>();
    world
}

#[test]
fn what_an_action_takes_while_it_goes_on_counts_and_is_waited_for() {
    let worst = |most: i64| {
        let mut world = world().want([dump("a", 10, None), dump("b", 10, None)]);
        world.desired = world.desired.invariant(at_most(most));
        let plan = world.plan();
        (plan.proofs[0].holds, plan.proofs[0].worst, plan.ordered.len())
    };
    assert_eq!(worst(30), (true, 30, 0), "10 and 5, twice");
    assert_eq!(worst(25), (true, 25, 1), "one after the other, so that only one has its second copy");
    assert_eq!(worst(24), (false, 30, 0));
}

#[test]
fn what_is_kept_from_taking_part_is_not_available_and_said_in_json() {
    let units = || ["web-0", "web-1"].map(|name| unit(name, json!({})));
    let dumps = [dump("a", 1, Some("unit/web-0")), dump("b", 1, Some("unit/web-1"))];
    let mut world = world().having(units()).want(units().into_iter().chain(dumps));
    let few = Predicate::new("one is up", |state| match state.resources().find(|it| it.is_up()) {
        Some(_) => Ok(()),
        None => {
            let down = state.resources().filter(|it| it.standing() == Standing::Down).count();
            Err(format!("{down} take no part"))
        }
    });
    world.registry = world.registry.with_predicate(few.about(of_kind("unit")));
    let refused = world.plan().broken().unwrap();
    expect!["when create:dump/a, create:dump/b had started, 2 take no part"].assert_eq(&refused.story);

    world.desired = world.desired.invariant(at_least(1));
    let plan = world.plan();
    assert!(plan.broken().is_none(), "{plan}");
    expect![[r#"
        create:dump/a
        create:dump/b <- create:dump/a
    "#]]
    .assert_eq(&steps(&plan));
    let mut out = Vec::new();
    render::json(&plan, &[], &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["actions"][1]["effects"], json!([{ "invariant": "units", "start": -1, "end": 1 }]));
    assert_eq!(json["proof"][0]["worst"], 1);
}

#[test]
fn what_suspends_itself_is_away_while_it_is_changed() {
    let itself = |mib| dump("a", mib, Some("dump/a"));
    let mut world = world().having([itself(1)]).want([itself(2)]);
    let one = Invariant { measure: Measure::Available(of_kind("dump")), ..at_least(1) };
    world.desired = world.desired.invariant(one);
    let plan = world.plan();
    assert_eq!((plan.proofs[0].holds, plan.proofs[0].worst), (false, 0));
}

#[test]
fn what_counts_for_nothing_can_not_be_kept_from_taking_part() {
    let worst = |app: &str| {
        let unit = || unit("web-0", json!({})).label("app", app);
        let mut world = world().having([unit()]).want([unit(), dump("a", 1, Some("unit/web-0"))]);
        let mut invariant = at_least(0);
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        invariant.measure = Measure::Available(Selector { labels, ..of_kind("unit") });
        world.desired = world.desired.invariant(invariant);
        let plan = world.plan();
        (plan.proofs[0].base, plan.proofs[0].worst, plan.proofs[0].effects.len())
    };
    assert_eq!([worst("web"), worst("db")], [(1, 0, 1), (0, 0, 0)]);
}

#[test]
fn what_an_action_states_comes_on_top_where_it_may_be_at_work() {
    // It is not known whether the dump works that is changed, and it takes five while it is.
    let dump = |mib| dump("a", mib, None);
    let mut world = world().having([dump(3)]).want([dump(4)]);
    let record = &world.recorded["dump/a"];
    let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    world.recorded.insert("dump/a".parse().unwrap(), begun);
    let least = Invariant { bound: InvariantBound::AtLeast(0), ..at_most(0) };
    world.desired =
        world.desired.invariant(at_most(30)).invariant(Invariant { name: "least".to_owned(), ..least });
    let plan = world.plan();
    let proved: Vec<String> = plan
        .proofs
        .iter()
        .map(|it| format!("{} {:?} {:?} worst {}", it.base, it.effects, it.if_at_work, it.worst))
        .collect();
    expect![[r#"
        3 [(0, 6, -5)] Some(IfAtWork { effects: [(0, -3, 9, -5)], worst: 9 }) worst 9
        0 [(0, 0, 4)] Some(IfAtWork { effects: [(0, 3, 0, 1)], worst: 3 }) worst 0"#]]
    .assert_eq(&proved.join("\n"));
}

#[test]
fn what_an_action_takes_counts_where_that_is_summed_up_and_it_is_selected() {
    let total = |field: &str, of: Selector| Measure::Total { field: field.parse().unwrap(), of };
    let labels = BTreeMap::from([("app".to_owned(), "other".to_owned())]);
    let mut world = world().want([dump("a", 10, None)]);
    for (name, measure) in [
        ("taken", total("mib", of_kind("dump"))),
        ("another field", total("scratch_mib", of_kind("dump"))),
        ("not selected", total("mib", Selector { labels, ..of_kind("dump") })),
    ] {
        world.desired = world.desired.invariant(Invariant { name: name.to_owned(), measure, ..at_most(50) });
    }
    let effects: Vec<_> = world.plan().proofs.into_iter().map(|proved| proved.effects).collect();
    assert_eq!(effects, [vec![(0, 15, -5)], vec![(0, 5, 0)], vec![]]);
}

#[test]
fn what_is_there_before_or_after_can_be_kept_from_taking_part() {
    let effects = |has: bool, wants: bool| {
        let web = || unit("web", json!({}));
        let units = |there: bool| there.then(web).into_iter();
        let mut world = world().having(units(has)).want(units(wants).chain([dump("a", 1, Some("unit/web"))]));
        world.desired = world.desired.invariant(at_least(0));
        let plan = world.plan();
        let at =
            plan.actions.iter().position(|action| action.spec.to_string().contains("mib")).unwrap() as u32;
        plan.proofs[0]
            .effects
            .iter()
            .filter(|effect| effect.0 == at)
            .map(|it| (it.1, it.2))
            .collect::<Vec<_>>()
    };
    let away = vec![(-1, 1)];
    assert_eq!(
        [effects(true, true), effects(true, false), effects(false, true)],
        [away.clone(), away.clone(), away]
    );
    assert_eq!(effects(false, false), []);
}

#[test]
fn an_action_that_keeps_another_or_itself_from_taking_part_begins_and_ends() {
    let states = |dump: DesiredResource, about: &str| {
        let web = || unit("web", json!({}));
        let mut world = world().having([web()]).want([web(), dump]);
        world.registry =
            world.registry.with_predicate(Predicate::new("any", |_| Ok(())).about(of_kind(about)));
        world.plan().examined[0].states
    };
    // Before, meanwhile and after; what is new is not there before.
    assert_eq!(states(dump("a", 1, Some("unit/web")), "unit"), Count::Exactly(3));
    assert_eq!(states(dump("a", 1, Some("dump/a")), "dump"), Count::Exactly(2));
}

/// Runs beside what it takes the place of, or instead of it.
#[derive(Debug, Serialize, Deserialize)]
struct Server {
    version: u32,
    mib: i64,
    is_first_started: bool,
}

#[async_trait]
impl Resource for Server {
    const KIND: &'static str = "server";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { change: ChangeEffect::Restart, in_place: &["mib"], ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::FindableByTag);
        Ok(if self.is_first_started { footprint.overlapping() } else { footprint })
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }

    async fn create(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }

    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

#[test]
fn what_stays_until_another_takes_its_place_is_available_and_both_count() {
    let measures = || {
        let of = || of_kind("server");
        let mib = Measure::Total { field: "mib".parse().unwrap(), of: of() };
        [
            Invariant { name: "served".to_owned(), measure: Measure::Available(of()), ..at_least(9) },
            Invariant { measure: Measure::Available(of()), ..at_most(0) },
            Invariant { measure: mib, ..at_most(0) },
        ]
    };
    let server = |(version, mib), is_first_started| {
        DesiredResource::new("a", &Server { version, mib, is_first_started })
    };
    // How few serve, how many do, and how much they take, at worst.
    let worst = |before: Option<(u32, i64)>, after, is_first_started| {
        let mut world = world();
        world.registry = world.registry.with_resource::<Server>();
        let mut world = world.having(before.map(|it| server(it, is_first_started)));
        world = world.want([server(after, is_first_started)]);
        for (at, invariant) in measures().into_iter().enumerate() {
            let invariant = Invariant { name: format!("{at}"), ..invariant };
            world.desired = world.desired.invariant(invariant);
        }
        world.plan().proofs.iter().map(|proof| proof.worst).collect::<Vec<_>>()
    };
    assert_eq!(worst(Some((1, 10)), (2, 7), false), [0, 1, 10], "first the one goes, then the other comes");
    assert_eq!(worst(Some((1, 10)), (2, 7), true), [1, 2, 17]);
    assert_eq!(worst(Some((1, 10)), (1, 7), true), [1, 1, 10], "it is changed in place");
    assert_eq!(worst(None, (1, 7), true), [0, 1, 7], "there is nothing beside what is made anew");
}
