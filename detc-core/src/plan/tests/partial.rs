//! Parts of plans, and plans that are saved.

use std::str::FromStr as _;

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, call, id, steps, unit, value, without_id};
use crate::model::{Invariant, InvariantBound, Measure, Observation, Selector};
use crate::plan::file::{PlanFileError, open, save};
use crate::plan::render::TextOptions;
use crate::plan::{Pattern, Plan, Selection};

fn pattern(text: &str) -> Pattern {
    Pattern::from_str(text).unwrap()
}

fn chain() -> World {
    World::new().want([
        value("a", json!(1)),
        value("b", json!(1)).after(&id("value/a")),
        value("c", json!(1)).after(&id("value/b")),
        value("d", json!(1)),
    ])
}

#[track_caller]
fn check(plan: Plan, expected: Expect) {
    assert!(plan.is_intact());
    expected.assert_eq(&format!("{}{} left out\n", steps(&plan), plan.left_out));
}

#[test]
fn only_brings_what_is_needed_along() {
    check(
        chain().plan().select(&Selection::all().only(pattern("value/b"))),
        expect![[r#"
        create:value/a
        create:value/b <- create:value/a
        2 left out
    "#]],
    );
    let plan = chain().plan().select(&Selection::all().only(pattern("value/b")));
    expect![[r#"
        Plan PLAN: 2 to create.

        + create value/a (it is not there yet)
            input: 1

        + create value/b (it is not there yet; after value/a)
            input: 1

        2 actions, one after the other.
        2 changes are left out of this partial plan.
    "#]]
    .assert_eq(&without_id(&plan, &plan.text(&TextOptions::default())));
}

#[test]
fn what_is_protected_refuses_no_part_that_leaves_it_alone() {
    let world = World::new().having([unit("db", json!({})).protect()]);
    let world = world.want([value("a", json!(1)), value("b", json!(1))]);
    let part = |selection: Selection| world.try_part(&selection).unwrap();
    check(
        part(Selection::all().only(pattern("value/a"))),
        expect![[r#"
        create:value/a
        2 left out
    "#]],
    );
    check(
        part(Selection::all().except(pattern("unit/*"))),
        expect![[r#"
        create:value/a
        create:value/b
        1 left out
    "#]],
    );
    let refused = world.try_part(&Selection::all().except(pattern("value/a"))).unwrap_err();
    expect!["unit/db is protected, and this plan would delete it: it is no longer in the desired state"]
        .assert_eq(&refused.to_string());
}

#[test]
fn except_takes_what_needs_it_along() {
    check(
        chain().plan().select(&Selection::all().except(pattern("value/b"))),
        expect![[r#"
        create:value/a
        create:value/d
        2 left out
    "#]],
    );
}

#[test]
fn except_wins_over_only() {
    check(
        chain().plan().select(&Selection::all().only(pattern("value/c")).except(pattern("value/a"))),
        expect![[r#"
            4 left out
        "#]],
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_refused() {
    let error = chain().try_part(&Selection::all().only(pattern("value/x*"))).unwrap_err();
    expect!["`value/x*` matches nothing that is desired or recorded"].assert_eq(&error.to_string());
}

#[test]
fn a_pattern_may_match_what_does_not_change() {
    let world =
        World::new().having([value("a", json!(1))]).want([value("a", json!(1)), value("b", json!(1))]);
    let part = |selection: Selection| world.try_part(&selection).unwrap();
    let none = part(Selection::all().only(pattern("value/a")));
    expect![[r#"
        Nothing to do in this part of the plan: 1 resource is as desired.
        1 change is left out of this partial plan.
    "#]]
    .assert_eq(&none.text(&TextOptions::default()));
    check(
        part(Selection::all().except(pattern("value/a"))),
        expect![[r#"
        create:value/b
        0 left out
    "#]],
    );
    // Of what is settled, too: a name that is wrong is wrong on all days.
    let settled = World::new().having([value("a", json!(1))]).want([value("a", json!(1))]);
    assert!(settled.try_part(&Selection::all().only(pattern("value/x"))).is_err());
}

fn replaced() -> World {
    let pair = |path: &str| {
        [
            unit("base", json!({"path": format!("/{path}")})),
            unit("top", json!({"path": format!("/{path}/top")})),
        ]
    };
    World::new().having(pair("a")).want(pair("b").into_iter().chain([value("free", json!(1))]))
}

#[test]
fn a_replacement_is_taken_or_left_as_a_whole() {
    // `base` can only be taken away when `top` is, and then `top` is also given back.
    check(
        replaced().plan().select(&Selection::all().only(pattern("unit/base"))),
        expect![[r#"
            delete:unit/top
            delete:unit/base <- delete:unit/top
            create:unit/base <- delete:unit/base
            create:unit/top <- delete:unit/top, create:unit/base
            1 left out
        "#]],
    );
    check(
        replaced().plan().select(&Selection::all().except(pattern("unit/top"))),
        expect![[r#"
        create:value/free
        2 left out
    "#]],
    );
}

#[test]
fn the_other_half_of_a_replacement_brings_what_it_needs_along_and_goes_without_it() {
    // `top` is taken away for the sake of `base`, and `more` is made before it is given back.
    let pair = |path: &str| {
        [
            unit("base", json!({"path": format!("/{path}")})),
            unit("top", json!({"path": format!("/{path}/top")})),
        ]
    };
    let world = World::new().having(pair("a"));
    let [base, top] = pair("b");
    let plan = world
        .want([
            base,
            top.after(&id("value/more")),
            value("more", json!(1)).after(&id("value/most")),
            value("most", json!(1)),
        ])
        .plan();
    check(
        plan.clone().select(&Selection::all().only(pattern("unit/base"))),
        expect![[r#"
            delete:unit/top
            create:value/most
            delete:unit/base <- delete:unit/top
            create:value/more <- create:value/most
            create:unit/base <- delete:unit/base
            create:unit/top <- delete:unit/top, create:value/more, create:unit/base
            0 left out
        "#]],
    );
    check(
        plan.select(&Selection::all().except(pattern("value/most"))),
        expect![[r#"
        4 left out
    "#]],
    );
}

#[test]
fn what_is_unknown_is_part_of_a_part_that_names_it_and_of_no_other() {
    let unknown = Observation::Unknown("no answer".to_owned());
    let world = chain().see("value/d", unknown);
    let part = |selection: Selection| steps(&world.plan().select(&selection));
    let said = "? value/d: it could not be observed: no answer\n";
    assert_eq!(part(Selection::all().only(pattern("value/d"))), said);
    assert_eq!(part(Selection::all().only(pattern("value/a"))), "create:value/a\n");
    assert_eq!(part(Selection::all().except(pattern("value/a"))), said);
    assert_eq!(part(Selection::all().except(pattern("value/*"))), "");
}

#[test]
fn of_waits_that_were_added_those_between_what_is_left_are_left() {
    let units = |mode: &str| {
        let mode = mode.to_owned();
        (0..3).map(move |n| unit(&format!("u{n}"), json!({ "mode": mode })))
    };
    let mut world = World::new().having(units("a")).want(units("b").chain([call("c")]));
    let measure = Measure::Available(Selector { kind: Some("unit".to_owned()), ..Selector::default() });
    let (name, bound) = ("two".to_owned(), InvariantBound::AtLeast(2));
    world.desired = world.desired.invariant(Invariant { name, measure, bound });
    let waits = |plan: &Plan| plan.ordered.iter().map(|wait| (wait.0, wait.1)).collect::<Vec<_>>();
    assert_eq!(waits(&world.plan()), [(1, 2), (2, 3)]);
    let left = |selection: Selection| waits(&world.plan().select(&selection));
    assert_eq!(left(Selection::all().except(pattern("call/c"))), [(0, 1), (1, 2)]);
    assert_eq!(left(Selection::all().except(pattern("unit/u2"))), [(1, 2)]);
    assert_eq!(left(Selection::all().only(pattern("unit/u0"))), []);
}

fn saved() -> (tempfile::TempDir, Plan) {
    let world =
        World::new().having([unit("u", json!({"mode": "0644"})).label("a", "b"), value("gone", json!(1))]);
    let mut renamed = value("new", json!(1));
    renamed.extra_mut().renamed_from = Some(id("value/gone"));
    let plan = world
        .want([
            unit("u", json!({"mode": "0755", "password": "hunter22"})).label("a", "c"),
            renamed,
            call("c").after(&id("unit/u")),
            value("number", json!([0.1, 1e300, -2.5e-8, 18446744073709551615_u64, "é\u{1}"])),
        ])
        .plan();
    (tempfile::tempdir().unwrap(), plan)
}

#[test]
fn a_saved_plan_is_the_plan() {
    let (dir, plan) = saved();
    let path = dir.path().join("plan");
    save(&plan, "s1", &path).unwrap();
    let opened = open(&path).unwrap();
    assert_eq!((opened.plan, opened.store.as_str()), (plan, "s1"));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter22"));
}

#[cfg(unix)]
#[test]
fn a_saved_plan_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, plan) = saved();
    let path = dir.path().join("plan");
    save(&plan, "s1", &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_plan_that_is_changed_anywhere_is_not_opened() {
    let (dir, plan) = saved();
    let path = dir.path().join("plan");
    save(&plan, "s1", &path).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut places = Vec::new();
    leaves(&whole, &mut String::new(), &mut places);
    let mut accepted = Vec::new();
    for place in places.iter().filter(|place| *place != "/format") {
        let mut altered = whole.clone();
        alter(altered.pointer_mut(place).unwrap());
        std::fs::write(&path, altered.to_string()).unwrap();
        match open(&path) {
            Err(PlanFileError::Altered { .. } | PlanFileError::Format { .. }) => {}
            Err(PlanFileError::Io { .. }) => panic!("it is there"),
            Ok(_) => accepted.push(place),
        }
    }
    assert!(places.len() > 40);
    assert!(accepted.is_empty(), "altered and not noticed: {accepted:#?}");
}

#[test]
fn no_plan_and_another_format_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        open(&path).unwrap_err().to_string().replace(&path.display().to_string(), "PLAN")
    };
    expect!["PLAN is not a plan that this program can read: missing field `format` at line 1 column 2"]
        .assert_eq(&refused("{}"));
    let (_, plan) = saved();
    let other = serde_json::json!({"format": "detc.plan-file/9", "plan": plan}).to_string();
    expect!["PLAN is not a plan that this program can read: its format is `detc.plan-file/9`, expected `detc.plan-file/1`"].assert_eq(&refused(&other));
    let missing = open(&dir.path().join("none")).unwrap_err().to_string();
    assert!(missing.ends_with("none can not be read"), "{missing}");
}

/// The places of all scalars.
fn leaves(value: &serde_json::Value, at: &mut String, found: &mut Vec<String>) {
    let len = at.len();
    let mut enter = |key: &str, item: &serde_json::Value| {
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        leaves(item, at, found);
        at.truncate(len);
    };
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, item)| enter(key, item)),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| enter(&index.to_string(), item));
        }
        _ => found.push(at.clone()),
    }
}

/// Another value of the same type, of the sort that would still be read.
fn alter(value: &mut serde_json::Value) {
    *value = match value.take() {
        serde_json::Value::Null => json!(1),
        serde_json::Value::Bool(flag) => json!(!flag),
        serde_json::Value::Number(number) if number.is_f64() => json!(number.as_f64().unwrap() * 2.0),
        serde_json::Value::Number(number) => json!(number.as_u64().map_or(1, |number| number ^ 1)),
        serde_json::Value::String(text) => json!(match text.as_str() {
            "create" => "update".to_owned(),
            "update" => "create".to_owned(),
            "deterministic_name" => "at_most_once".to_owned(),
            "at_most_once" => "deterministic_name".to_owned(),
            "intent" => "drift".to_owned(),
            "new" => "gone".to_owned(),
            // The last character of a digest, an id or a text.
            other => match other.strip_suffix('0') {
                Some(rest) => format!("{rest}1"),
                None => format!(
                    "{}0",
                    &other[..other.len() - other.chars().next_back().map_or(0, char::len_utf8)]
                ),
            },
        }),
        other => other,
    };
}
