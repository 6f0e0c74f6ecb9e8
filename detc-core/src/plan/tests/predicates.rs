//! What a program asks of each state by itself: every state is met, a way to break it is found and told, and what was only
//! sampled is never called proven.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{World, call, id, unit, value};
use crate::model::{DesiredResource, Member, Observation, Predicate, Selector, Standing, State};
use crate::plan::{Count, Pattern, Plan, Selection, Verb, render};

fn kind(kind: &str) -> Selector {
    Selector { kind: Some(kind.to_owned()), ..Selector::default() }
}

/// The new version is never up before its schema is.
fn schema_first() -> Predicate {
    Predicate::new("schema first", |state| {
        if state.get("value/schema").is_some_and(|schema| schema.field("input") == Some(&json!(2))) {
            return Ok(());
        }
        let is_new = |text: Option<&Value>| text.is_some_and(|text| text == "v2");
        match state.resources().find(|it| it.id().kind() == "unit" && is_new(it.field("text"))) {
            Some(new) => Err(format!("{} is new and the schema is old", new.id())),
            None => Ok(()),
        }
    })
}

fn lines(plan: &Plan) -> String {
    let text = plan.text(&Default::default());
    let of_proof = |line: &&str| {
        ["Proven: ", "BROKEN: ", "Sampled", "Does not hold", "Proves nothing"]
            .iter()
            .any(|it| line.contains(it))
    };
    text.lines().filter(of_proof).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(world: &World, expected: Expect) {
    expected.assert_eq(&lines(&world.plan()));
}

fn web(at: u32, version: &str) -> DesiredResource {
    unit(&format!("web-{at}"), json!({ "text": version }))
}

fn roll(with_order: bool) -> World {
    let mut world = World::new().having([value("schema", json!(1)), web(0, "v1"), web(1, "v1")]);
    world.registry = world.registry.with_predicate(schema_first());
    let web = |at| if with_order { web(at, "v2").after(&id("value/schema")) } else { web(at, "v2") };
    world.want([value("schema", json!(2)), web(0), web(1)])
}

#[test]
fn what_holds_in_every_state_is_proven_and_what_does_not_is_told_with_a_smallest_way() {
    check(&roll(true), expect!["Proven: schema first: it holds in all 10 states."]);
    check(
        &roll(false),
        expect![
            "BROKEN: schema first: when restart:unit/web-0 had ended, unit/web-0 is new and the schema is old."
        ],
    );
    let plan = roll(false).plan();
    let broken = plan.broken().unwrap();
    assert_eq!(broken.name, "schema first");
    let refuted = plan.examined[0].counterexample.as_ref().unwrap();
    assert_eq!((refuted.started.len(), refuted.ended.len()), (1, 1));
}

#[test]
fn a_program_reads_verdict_states_and_counter_example_beside_those_of_sums() {
    let plan = roll(false).plan();
    let mut out = Vec::new();
    render::json(&plan, &[], &mut out).unwrap();
    let plan: Value = serde_json::from_slice(&out).unwrap();
    expect![[r#"
        [
          {
            "after": null,
            "base": null,
            "bound": null,
            "counterexample": {
              "ended": [
                "restart:unit/web-0"
              ],
              "started": [
                "restart:unit/web-0"
              ],
              "story": "when restart:unit/web-0 had ended, unit/web-0 is new and the schema is old",
              "value": null
            },
            "holds": false,
            "invariant": "schema first",
            "not_after": null,
            "not_before": null,
            "states": {
              "drawn": null,
              "looked_at": 18,
              "of": {
                "exactly": 18
              }
            },
            "vacuous": false,
            "worst": null
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&plan["proof"]).unwrap());
}

#[test]
fn what_does_not_hold_before_is_told_and_refuses_nothing() {
    let both = Predicate::new("both are up", |state| {
        let up = state.resources().filter(|it| it.is_up()).count();
        if up == 2 { Ok(()) } else { Err(format!("{up} are up")) }
    });
    let mut world = World::new();
    world.registry = world.registry.with_predicate(both.about(kind("unit")));
    check(
        &world.clone().want([web(0, "v1"), web(1, "v1")]),
        expect!["Does not hold yet: both are up: now 0 are up; it holds at the end."],
    );
    check(
        &world.clone().want([web(0, "v1")]),
        expect!["Does not hold yet: both are up: now 0 are up; at the end 1 are up."],
    );
    check(
        &world.clone().want([value("v", json!(1))]),
        expect!["Proves nothing: both are up: there is no resource that it is about."],
    );
    let has = world.having([web(0, "v1"), web(1, "v1")]);
    check(&has, expect!["Proven: both are up: it holds now, and nothing that it is about changes."]);
    // A restart takes it away for a moment.
    check(
        &has.clone().want([web(0, "v1"), web(1, "v2")]),
        expect!["BROKEN: both are up: when restart:unit/web-1 had started, 1 are up."],
    );
    let seen = |health| {
        let world = has.clone();
        let Some(Observation::Present(present)) = world.observed.get("unit/web-0").cloned() else { panic!() };
        world.see("unit/web-0", Observation::Present(present.with_health(health)))
    };
    check(
        &seen(crate::model::Health::Unhealthy),
        expect!["Does not hold yet: both are up: now 1 are up; at the end 1 are up."],
    );
    // The states before and after are looked at, where these are two.
    let changed = seen(crate::model::Health::Unhealthy).want([web(0, "v1"), web(1, "v2")]);
    let looked = |world: &World| world.plan().examined[0].looked_at;
    assert_eq!([looked(&seen(crate::model::Health::Unhealthy)), looked(&changed)], [1, 2]);
    check(
        &has.see("unit/web-0", Observation::Unknown("no way to it".to_owned())),
        expect!["Does not hold yet: both are up: now 1 are up; at the end 1 are up."],
    );
}

#[test]
fn of_many_states_some_are_drawn_and_it_is_said_of_how_many() {
    let few_away = |most: usize| {
        let holds = move |state: &State<'_>| match state
            .resources()
            .filter(|it| it.standing() == Standing::Down)
            .count()
        {
            away if away <= most => Ok(()),
            away => Err(format!("{away} are away")),
        };
        Predicate::new("few are away", holds).about(kind("unit"))
    };
    let world = |most| {
        let mut world = World::new().having((0..30).map(|at| web(at, "v1")));
        world.registry = world.registry.with_predicate(few_away(most));
        world.want((0..30).map(|at| web(at, "v2")))
    };
    // Only one of 3³⁰ states has all thirty away; it is looked for first.
    let plan = world(30).plan();
    assert_eq!(plan.examined[0].states, Count::Exactly(3_u64.pow(30)));
    check(
        &world(30),
        expect![
            "Sampled, not proven: few are away: it holds in 45,620 states of 205,891,132,094,649, drawn in 819 runs from seed 1."
        ],
    );
    check(
        &world(29),
        expect![
            "BROKEN: few are away: when restart:unit/web-0, restart:unit/web-1, restart:unit/web-10, restart:unit/web-11, restart:unit/web-12, 25 more had started, 30 are away."
        ],
    );
    assert_eq!(world(29).plan(), world(29).plan(), "the same states are drawn");
    check(
        &world(3),
        expect![
            "BROKEN: few are away: when restart:unit/web-0, restart:unit/web-1, restart:unit/web-10, restart:unit/web-11 had started, 4 are away."
        ],
    );
}

#[test]
fn a_way_that_was_drawn_is_told_without_what_it_does_not_need() {
    let not_both = |state: &State<'_>| {
        let away = |id: &str| state.get(id).is_some_and(|it| it.standing() == Standing::Down);
        match away("unit/web-0") && away("unit/web-7") {
            true => Err("both are away".to_owned()),
            false => Ok(()),
        }
    };
    let mut world = World::new().having((0..30).map(|at| web(at, "v1")));
    world.registry = world.registry.with_predicate(Predicate::new("not both", not_both).about(kind("unit")));
    check(
        &world.want((0..30).map(|at| web(at, "v2"))),
        expect!["BROKEN: not both: when restart:unit/web-0, restart:unit/web-7 had started, both are away."],
    );
}

#[test]
fn what_is_only_recorded_anew_changes_nothing_that_a_predicate_sees() {
    let mut world = World::new().having([web(0, "v1")]);
    world.registry = world.registry.with_predicate(Predicate::new("any", |_| Ok(())).about(kind("unit")));
    let recorded = world.clone().want([web(0, "v1").protect()]);
    assert_eq!(recorded.plan().actions[0].verb, Verb::Record);
    check(&recorded, expect!["Proven: any: it holds now, and nothing that it is about changes."]);
    check(&world.want([web(0, "v1").label("a", "b")]), expect!["Proven: any: it holds in all 2 states."]);
}

#[test]
fn a_predicate_about_few_of_a_large_plan_is_asked_of_all_its_states() {
    let mut world =
        World::new().having((0..2_000).map(|at| value(&format!("v{at}"), json!(1))).chain([web(0, "v1")]));
    world.registry = world.registry.with_predicate(schema_first().about(kind("unit")));
    // One after all the others: what comes between changes nothing that it is about.
    let values = (0..2_000).map(|at| value(&format!("v{at}"), json!(2)));
    let late = values.clone().fold(web(1, "v1"), |late, value| late.after(&value.id));
    let plan = world.want(values.chain([web(0, "v1"), late])).plan();
    assert_eq!(lines(&plan), "Proven: schema first: it holds in all 2 states.");
}

#[test]
fn a_part_of_a_plan_keeps_what_holds_and_the_way_to_break_it_where_that_is_left() {
    let only = |pattern: &str| Selection::all().only(pattern.parse::<Pattern>().unwrap());
    let plan = roll(false).plan();
    let part = plan.clone().select(&only("unit/web-0"));
    assert_eq!(lines(&part), lines(&plan), "what breaks it is left");
    let other = plan.select(&only("unit/web-1"));
    assert!(!other.examined[0].holds && other.is_intact());
    assert!(roll(true).plan().select(&only("unit/web-1")).broken().is_none());
}

#[test]
fn a_way_to_break_it_is_told_by_the_actions_of_the_part_and_looked_for_again_where_it_is_gone() {
    let only = |pattern: &str| Selection::all().only(pattern.parse::<Pattern>().unwrap());
    let mut world = roll(false);
    world.desired = world.desired.with(call("first"));
    // The first of the actions is left out.
    let part = world.plan().select(&only("unit/web-0"));
    let told =
        "BROKEN: schema first: when restart:unit/web-0 had ended, unit/web-0 is new and the schema is old.";
    assert_eq!(lines(&part), told);
    // What the whole plan was broken by is left out, and another way is found.
    let part = world.try_part(&only("unit/web-1")).unwrap();
    assert_eq!(lines(&part), told.replace("web-0", "web-1"));
    assert!(part.is_intact());
    let part = world.try_part(&only("value/schema")).unwrap();
    assert_eq!(lines(&part), "Proven: schema first: it holds in all 2 states.");
}

#[test]
fn what_nobody_can_look_at_is_there_as_it_was_recorded() {
    let all_up = |state: &State<'_>| match state.resources().find(|it| it.standing() != Standing::Up) {
        Some(other) => Err(format!("{} is {:?}", other.id(), other.standing())),
        None => Ok(()),
    };
    let mut world = World::new().having([value("a", json!(1))]);
    world.registry = world.registry.with_predicate(Predicate::new("all up", all_up));
    check(&world, expect!["Proven: all up: it holds now, and nothing that it is about changes."]);
}

#[test]
fn what_is_restarted_and_is_as_it_was_is_up_again() {
    let restarting = |conf: i64| [value("conf", json!(conf)), web(0, "v1").restart_on(&id("value/conf"))];
    let down = |state: &State<'_>| match state.resources().find(|it| it.standing() == Standing::Down) {
        Some(down) => Err(format!("{} is down", down.id())),
        None => Ok(()),
    };
    let mut world = World::new().having(restarting(1)).want(restarting(2));
    world.registry = world.registry.with_predicate(Predicate::new("up", down).about(kind("unit")));
    let plan = world.plan();
    assert_eq!(
        lines(&plan),
        "BROKEN: up: when restart:unit/web-0 had started and update:value/conf had ended, unit/web-0 is down."
    );
    assert_eq!(plan.examined[0].after, None);
}

#[test]
fn what_is_renamed_is_there_by_its_new_name_alone_if_it_is_still_one_of_those() {
    let of_app = Selector { labels: BTreeMap::from([("app".to_owned(), "a".to_owned())]), ..kind("value") };
    let one = |state: &State<'_>| {
        let names: Vec<&str> = state.resources().map(|it| it.id().as_str()).collect();
        if names == ["value/old"] { Ok(()) } else { Err(format!("there is {names:?}")) }
    };
    let renamed = |app: &str| {
        let mut new = value("new", json!(1)).label("app", app);
        new.extra_mut().renamed_from = Some(id("value/old"));
        let mut world = World::new().having([value("old", json!(1)).label("app", "a")]).want([new]);
        world.registry = world.registry.with_predicate(Predicate::new("one", one).about(of_app.clone()));
        lines(&world.plan())
    };
    let told = "BROKEN: one: when record:value/new had ended, there is";
    assert_eq!([renamed("a"), renamed("b")], [format!("{told} [\"value/new\"]."), format!("{told} [].")]);
}

#[test]
fn of_few_states_all_are_looked_at_and_more_than_one_way_leads_to_them() {
    let values = |to: i64| (0..9).map(move |at| value(&format!("v{at}"), json!(to)));
    let mut world = World::new().having(values(1)).want(values(2));
    world.registry = world.registry.with_predicate(Predicate::new("any", |_| Ok(())));
    check(&world, expect!["Proven: any: it holds in all 512 states."]);
}

#[test]
fn what_changes_nothing_that_it_is_about_is_no_state_and_is_told_among_what_had_ended() {
    let down =
        |state: &State<'_>| match state.get("unit/web-1").is_some_and(|it| it.standing() == Standing::Down) {
            true => Err("it is down".to_owned()),
            false => Ok(()),
        };
    let mut world = World::new().having([web(0, "v1"), web(1, "v1")]);
    world.registry = world.registry.with_predicate(Predicate::new("up", down).about(kind("unit")));
    check(
        &world.want([call("first"), web(0, "v2"), web(1, "v2").after(&id("unit/web-0"))]),
        expect![
            "BROKEN: up: when restart:unit/web-1 had started and restart:unit/web-0 had ended, it is down."
        ],
    );
}

/// What a predicate sees of a state, as a text.
fn text(state: &State<'_>) -> String {
    let member = |it: crate::model::Member<'_>| {
        format!("{} {:?} {:?} {:?}; ", it.id(), it.standing(), it.field("text"), it.label("l"))
    };
    state.resources().map(member).collect()
}

/// All texts that the states of a plan can have, by brute force: every set of started and ended actions that is closed, and
/// whatever of each action that has started and not ended can be seen.
fn by_brute_force(plan: &Plan, before: &BTreeMap<String, String>) -> BTreeSet<String> {
    let count = plan.actions.len();
    let mut texts = BTreeSet::new();
    // Per action: not started, begun and nothing seen, away, seen done, ended.
    for mut code in 0..5_usize.pow(count as u32) {
        let stages: Vec<usize> = (0..count)
            .map(|_| {
                let stage = code % 5;
                code /= 5;
                stage
            })
            .collect();
        let is_closed = |(action, stage): (usize, &usize)| {
            *stage == 0 || plan.actions[action].after.iter().all(|before| stages[*before as usize] == 4)
        };
        if !stages.iter().enumerate().all(is_closed) {
            continue;
        }
        let mut world = before.clone();
        for (index, stage) in stages.iter().enumerate() {
            let (action, id) = (&plan.actions[index], plan.resource_of(index as u32).to_string());
            let label = action.recording.as_ref().and_then(|it| it.extra.as_ref()?.labels.get("l").cloned());
            let spec = action.spec.value();
            let told =
                |standing: &str| format!("{id} {standing} {:?} {:?}; ", spec.get("text"), label.as_deref());
            match (stage, action.verb) {
                (0 | 1, _) => {}
                (2, Verb::Restart) => {
                    let away = world[&id].replace(" Up ", " Down ");
                    world.insert(id, away);
                }
                (2, _) => {}
                (_, verb) if verb.removes() => _ = world.remove(&id),
                (_, _) => _ = world.insert(id.clone(), told("Up")),
            }
        }
        texts.insert(world.into_values().collect());
    }
    texts
}

/// Up to five units, each with a version, a label and whom of the smaller ones it comes after.
fn units() -> impl Strategy<Value = Vec<(u8, u8, Vec<u8>)>> {
    prop::collection::vec((0_u8..3, 0_u8..2, prop::collection::vec(0_u8..5, 0..2)), 0..=4)
}

fn wanted(units: &[(u8, u8, Vec<u8>)]) -> Vec<DesiredResource> {
    let unit = |(at, (version, label, after)): (usize, &(u8, u8, Vec<u8>))| {
        let mut unit =
            unit(&format!("u{at}"), json!({ "text": format!("v{version}") })).label("l", &label.to_string());
        for before in after.iter().filter(|before| usize::from(**before) < at) {
            unit = unit.after(&id(&format!("unit/u{before}")));
        }
        unit
    };
    units.iter().enumerate().map(unit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_state_that_can_be_seen_is_asked_and_no_other(has in units(), wants in units()) {
        let world = World::new().having(wanted(&has));
        let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let states = seen.clone();
        let all = Predicate::new("all", move |state| { states.lock().unwrap().insert(text(state)); Ok(()) });
        let mut world = world.want(wanted(&wants));
        world.registry = world.registry.with_predicate(all);
        let plan = world.plan();
        let before: BTreeMap<String, String> = wanted(&has).iter().map(|unit| {
            let spec = unit.spec.value();
            let label = unit.given_extra().and_then(|extra| extra.labels.get("l").map(String::as_str));
            (unit.id.to_string(), format!("{} Up {:?} {label:?}; ", unit.id, spec.get("text")))
        }).collect();
        let expected = by_brute_force(&plan, &before);
        prop_assert_eq!(&*seen.lock().unwrap(), &expected);
        prop_assert_eq!(plan.examined[0].states, Count::Exactly(plan.examined[0].looked_at));

        // And a predicate that forbids one of these states is broken by just that.
        for forbidden in expected {
            let is_base = forbidden == before.values().cloned().collect::<String>();
            let never = forbidden.clone();
            let not = Predicate::new("not", move |state| if text(state) == never { Err("it is".to_owned()) } else { Ok(()) });
            let mut world = world.clone();
            world.registry = super::support::World::new().registry.with_predicate(not);
            let plan = world.plan();
            prop_assert_eq!(plan.broken().is_some(), !is_base, "{}", forbidden);
            if let Some(refuted) = &plan.examined[0].counterexample {
                let is_ended = |at: &u32| refuted.ended.contains(at);
                prop_assert!(refuted.started.iter().all(|at| plan.actions[*at as usize].after.iter().all(is_ended)));
                prop_assert!(refuted.ended.iter().all(|at| refuted.started.contains(at)));
            }
        }
    }
}

#[test]
fn a_predicate_is_told_host_and_labels() {
    let web = unit("web", json!({})).label("zone", "north");
    let mut world = World::new().want([web, value("v", json!(1))]);
    world.registry = world.registry.with_predicate(Predicate::new("told", |state| {
        let told = |it: Member<'_>| {
            let host = it.host().map(ToString::to_string);
            format!("{}: {host:?}, {:?}, {:?}", it.id(), it.label("zone"), it.label("none"))
        };
        let all: Vec<String> = state.resources().map(told).collect();
        if all.len() < 2 { Ok(()) } else { Err(all.join("; ")) }
    }));
    check(
        &world,
        expect![[
            r#"BROKEN: told: when create:unit/web, create:value/v had ended, unit/web: Some("h1"), Some("north"), None; value/v: None, None, None."#
        ]],
    );
}
