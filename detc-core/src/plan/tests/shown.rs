//! What is told of a plan where its sorts of changes, values and bounds meet.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::again::{Done, JOB};
use super::support::{World, call, id, unit, value, without_id};
use crate::model::{DesiredResource, FieldPath, Invariant, InvariantBound, Measure, Selector};
use crate::plan::render::{self, TextOptions};
use crate::plan::{Counterexample, Plan};

#[track_caller]
fn check(plan: &Plan, expected: Expect) {
    expected.assert_eq(&without_id(plan, &plan.text(&TextOptions::default().with_width(80))));
}

fn of_units() -> Selector {
    Selector { kind: Some("unit".to_owned()), ..Selector::default() }
}

fn at_least(name: &str, measure: Measure, least: i64) -> Invariant {
    Invariant { name: name.to_owned(), measure, bound: InvariantBound::AtLeast(least) }
}

#[test]
fn what_is_as_desired_is_counted_beside_what_changes() {
    let a = || value("a", json!(1));
    check(
        &World::new().having([a()]).want([a(), value("b", json!(1))]).plan(),
        expect![[r#"
            Plan PLAN: 1 to create; 1 as desired.

            + create value/b (it is not there yet)
                input: 1

            1 action.
        "#]],
    );
}

#[test]
fn a_bound_that_nothing_counts_for_says_what_it_selects() {
    let field: FieldPath = "replicas".parse().unwrap();
    let calls = Selector { kind: Some("call".to_owned()), ..Selector::default() };
    let mut world = World::new().want([unit("u", json!({}))]);
    for (name, measure) in
        [("some", Measure::Available(calls)), ("enough", Measure::Total { field, of: of_units() })]
    {
        world.desired = world.desired.invariant(at_least(name, measure, 0));
    }
    let text = world.plan().to_string();
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("Proves nothing")).collect();
    expect![[r#"
        Proves nothing: some: at least 0; no resource is selected by kind call.
        Proves nothing: enough: at least 0; no resource selected by kind unit has a number `replicas`."#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn up_to_five_actions_of_a_moment_are_named() {
    let mut world = World::new().want((0..7).map(|n| value(&format!("v{n}"), json!(1))));
    world.desired = world.desired.invariant(at_least("some", Measure::Available(Selector::default()), 0));
    let plan = world.plan();
    let story = |started: u32, ended: u32| {
        let found = Counterexample { started: (0..started).collect(), ended: (0..ended).collect(), value: 0 };
        let mut proved = plan.proofs[0].clone();
        proved.counterexample = Some(found);
        plan.story(&proved).replace("create:value/", "")
    };
    expect!["when v5, v6 had started and v0, v1, v2, v3, v4 had ended, it is 0"].assert_eq(&story(7, 5));
    expect!["when v0, v1, v2, v3, v4, 1 more had started, it is 0"].assert_eq(&story(6, 0));
    expect!["when v0, v1, v2, v3, v4, 2 more had ended, it is 0"].assert_eq(&story(7, 7));
}

#[test]
fn a_text_that_has_or_had_several_lines_is_compared_by_lines() {
    let of = |texts: [&str; 3]| {
        let unit = |(n, text): (usize, &str)| unit(&format!("u{n}"), json!({ "text": text }));
        texts.into_iter().enumerate().map(unit).collect::<Vec<_>>()
    };
    let world = World::new().having(of(["one", "one\ntwo", "one\ntwo"]));
    check(
        &world.want(of(["one\ntwo", "one", "one\nthree"])).plan(),
        expect![[r#"
            Plan PLAN: 3 to update.

            ~ restart unit/u0 on h1 (the desired state changed)
                text: 0 lines out, 1 in
                    one
                  + two

            ~ restart unit/u1 on h1 (the desired state changed)
                text: 1 line out, 0 in
                    one
                  - two

            ~ restart unit/u2 on h1 (the desired state changed)
                text: 1 line out, 1 in
                    one
                  - two
                  + three

            3 actions, none of which waits for another.
        "#]],
    );
}

#[test]
fn many_that_change_from_and_to_various_texts_are_told_by_one_of_them() {
    let of = |to: &'static str| {
        (0..9).map(move |n| unit(&format!("u{n}"), json!({ "text": format!("one\n{to}{n}") })))
    };
    check(
        &World::new().having(of("a")).want(of("b")).plan(),
        expect![[r#"
            Plan PLAN: 9 to update.

            ~ restart 9 unit/u* on h1 (the desired state changed)
                text: 9 different values, such as "one\na0" (2 lines) → "one\nb0" (2 lines)

            9 actions, none of which waits for another.
        "#]],
    );
}

#[test]
fn what_is_sensitive_no_longer_is_shown_and_what_it_was_is_not() {
    let mut secret = value("v", json!("hunter22"));
    secret.extra_mut().sensitive.push("input".parse().unwrap());
    let text = World::new().having([secret]).want([value("v", json!("open"))]).plan().to_string();
    assert!(text.contains("input: (sensitive) → \"open\"") && !text.contains("hunter22"), "{text}");
}

#[test]
fn changes_of_a_sort_are_told_by_the_fields_that_they_are_of() {
    // Four of one field and four of another, to as many values.
    let of = |to: &'static str| {
        (0..8).map(move |n| {
            let field = if n % 2 == 0 { "mode" } else { "text" };
            unit(&format!("u{n}"), json!({ field: format!("{to}{n}") }))
        })
    };
    check(
        &World::new().having(of("a")).want(of("b").chain([value("v", json!(1))])).plan(),
        expect![[r#"
            Plan PLAN: 1 to create, 8 to update.

            ~ restart 4 unit/u* on h1 (the desired state changed)
                mode: 4 different values, such as "a0" → "b0"

            ~ restart 4 unit/u* on h1 (the desired state changed)
                text: 4 different values, such as "a1" → "b1"

            + create value/v (it is not there yet)
                input: 1

            9 actions, none of which waits for another.
        "#]],
    );
}

#[test]
fn what_is_only_recorded_anew_is_told_with_its_labels_where_it_has_some() {
    // Every second one has another label, and the others come after something.
    let of = |is_new: bool| {
        let value = move |n: usize| match (n % 2, is_new) {
            (0, true) => value(&format!("v{n}"), json!(1)).label("app", "b"),
            (0, false) => value(&format!("v{n}"), json!(1)).label("app", "a"),
            (_, true) => value(&format!("v{n}"), json!(1)).after(&id("call/c")),
            (_, false) => value(&format!("v{n}"), json!(1)),
        };
        (0..10).map(value).chain([call("c")])
    };
    check(
        &World::new().having(of(false)).want(of(true)).plan(),
        expect![[r#"
            Plan PLAN: 10 to update; 1 as desired.

            ~ record 5 value/v* (only what is recorded of it changes)
                labels.app: "a" → "b"
                except 5:
                  value/v1: only what is recorded of it changes
                  value/v3: only what is recorded of it changes
                  value/v5: only what is recorded of it changes
                  value/v7: only what is recorded of it changes
                  value/v9: only what is recorded of it changes

            10 actions, none of which waits for another.
        "#]],
    );
}

#[test]
fn of_more_than_three_kinds_that_are_waited_for_the_number_of_the_others_is_told() {
    let job = |n: u32| DesiredResource::from_value("job", &format!("j{n}"), &json!({ "run": n })).unwrap();
    let before =
        [call("c"), job(1), job(2), unit("u", json!({})), value("a", json!(1)), value("b", json!(1))];
    let last = before.iter().fold(value("last", json!(1)), |last, before| last.after(&before.id));
    let mut world = World::new();
    world.registry = world.registry.with_resource::<Done<JOB>>();
    let text = world.want(before.into_iter().chain([last])).plan().to_string();
    assert!(text.contains("(it is not there yet; after call/c, 2 job/j*, unit/u, 2 more)"), "{text}");
}

#[test]
fn a_wait_that_was_added_is_told_with_the_bound_that_it_is_for() {
    let units = |mode: &'static str| (0..2).map(move |n| unit(&format!("u{n}"), json!({ "mode": mode })));
    let mut world = World::new().having(units("a")).want(units("b"));
    for (name, least) in [("none", 0), ("one", 1)] {
        world.desired = world.desired.invariant(at_least(name, Measure::Available(of_units()), least));
    }
    let mut out = Vec::new();
    render::json(&world.plan(), &[], &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    let wait = json!({ "before": "restart:unit/u0", "after": "restart:unit/u1" });
    assert_eq!([&json["proof"][0]["added"], &json["proof"][1]["added"]], [&json!([]), &json!([wait])]);
}
