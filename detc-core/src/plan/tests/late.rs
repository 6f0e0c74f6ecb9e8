//! Outputs of others, and restarts for their sake.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{World, changes, from, id, steps, unit, value, without_id};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{DesiredResource, Doc, Observation, Present, Record, RecordBody};
use crate::plan::render::TextOptions;
use crate::plan::{PlanError, Planner, Selection};

#[track_caller]
fn check(world: &World, expected: Expect) {
    let plan = world.plan();
    expected.assert_eq(&(changes(&plan) + &steps(&plan)));
}

fn settled(world: &World) {
    assert!(world.plan().is_settled(), "{}", changes(&world.plan()));
}

fn chain(first: Value) -> [DesiredResource; 3] {
    [
        value("a", first),
        value("b", json!({"of": from("value/a", "input")})),
        value("c", json!([from("value/b", "input.of")])),
    ]
}

#[test]
fn a_value_is_known_at_once_through_any_number_of_references() {
    let world = World::new().want(chain(json!("x")));
    let plan = world.plan();
    let specs: Vec<String> = plan.actions.iter().map(|action| action.spec.to_string()).collect();
    assert_eq!(specs, [r#"{"input":"x"}"#, r#"{"input":{"of":"x"}}"#, r#"{"input":["x"]}"#]);
    let world = world.having(chain(json!("x")));
    settled(&world);
    check(
        &world.want(chain(json!("y"))),
        expect![[r#"
            update value/a: the desired state changed [input: "x" -> "y"]
            update value/b: it needs a value of value/a, which changes [input.of: "x" -> "y"]
            update value/c: it needs a value of value/b, which changes [input: ["x"] -> ["y"]]
            update:value/a
            update:value/b <- update:value/a
            update:value/c <- update:value/b
        "#]],
    );
}

#[test]
fn an_output_of_what_is_still_to_be_made_is_known_later() {
    let wanted = || {
        [
            unit("u", json!({})),
            value("pid", json!({"is": from("unit/u", "pid")})),
            value("copy", from("value/pid", "input")),
        ]
    };
    let world = World::new().want(wanted());
    check(
        &world,
        expect![[r#"
        create unit/u: it is not there yet
        create value/copy: it is not there yet
        create value/pid: it is not there yet
        create:unit/u
        create:value/pid <- create:unit/u
        create:value/copy <- create:value/pid
    "#]],
    );
    let plan = world.plan();
    expect![[r#"
        Plan PLAN: 3 to create.

        + create unit/u on h1 (it is not there yet)
            path: "/u"

        + create value/pid (it is not there yet)
            input: {is: (known after create:unit/u)}

        + create value/copy (it is not there yet; after value/pid)
            input: {is: (known after create:unit/u)}

        3 actions, one after the other.
    "#]]
    .assert_eq(&without_id(&plan, &plan.text(&TextOptions::default())));
    settled(&world.having(wanted()));
}

#[test]
fn an_output_that_is_seen_to_be_other_is_taken_over() {
    let wanted = || [unit("u", json!({})), value("pid", from("unit/u", "pid"))];
    let mut world = World::new().having(wanted());
    if let Some(Observation::Present(present)) = world.observed.get_mut("unit/u") {
        present.output = Some(json!({"pid": 77}));
    }
    check(
        &world,
        expect![[r#"
            update value/pid: it needs a value of unit/u, which changes [input: 1 -> 77]
            update:value/pid
        "#]],
    );
}

#[test]
fn an_output_is_known_again_once_its_source_is_replaced() {
    let wanted =
        |path: &str| [unit("u", json!({ "path": path })), value("pid", json!([from("unit/u", "pid")]))];
    let mut world = World::new().having(wanted("/a")).want(wanted("/b"));
    check(
        &world,
        expect![[r#"
            replace unit/u: `path` can not change in place [path: "/a" -> "/b"]
            update value/pid: it needs a value of unit/u, which changes [input: [1] -> ["(known after unit/u)"]]
            delete:unit/u
            create:unit/u <- delete:unit/u
            update:value/pid <- create:unit/u
        "#]],
    );
    let plan = world.plan();
    world.apply(&plan);
    settled(&world);
}

#[test]
fn a_label_of_the_source_makes_nothing_late() {
    let wanted =
        |label: &str| [unit("u", json!({})).label("app", label), value("pid", from("unit/u", "pid"))];
    check(
        &World::new().having(wanted("a")).want(wanted("b")),
        expect![[r#"
            update unit/u: only what is recorded of it changes [labels.app: "a" -> "b"]
            record:unit/u
        "#]],
    );
}

#[test]
fn a_sensitive_value_stays_marked_wherever_it_goes() {
    let mut secret = value("secret", json!("correct horse"));
    secret.extra_mut().sensitive.push("input".parse().unwrap());
    let world = World::new().want([
        secret,
        value("copy", json!({"of": from("value/secret", "input")})),
        unit("u", json!({"password": "battery staple"})),
        value("other", from("unit/u", "password")),
    ]);
    let plan = world.plan();
    let mut out = Vec::new();
    crate::plan::render::json(&plan, &[], &mut out).unwrap();
    let everything =
        format!("{:?}{}{}", plan, plan.text(&TextOptions::default()), String::from_utf8(out).unwrap());
    assert!(!everything.contains("horse") && !everything.contains("staple"));
    expect![[r#"
        Plan PLAN: 4 to create.

        + create unit/u on h1 (it is not there yet)
            password: (sensitive)
            path:     "/u"

        + create value/secret (it is not there yet)
            input: (sensitive)

        + create value/copy (it is not there yet; after value/secret)
            input: {of: (sensitive)}

        + create value/other (it is not there yet; after unit/u)
            input: (sensitive)

        4 actions in 2 steps, up to 2 side by side.
    "#]]
    .assert_eq(&without_id(&plan, &plan.text(&TextOptions::default())));
}

fn restarting(input: i64) -> [DesiredResource; 2] {
    [value("conf", json!(input)), unit("web", json!({})).restart_on(&id("value/conf"))]
}

#[test]
fn a_resource_restarts_after_what_it_restarts_on_has_changed() {
    let mut world = World::new().having(restarting(1));
    settled(&world);
    world = world.want(restarting(2));
    check(
        &world,
        expect![[r#"
        update unit/web: it restarts on value/conf, which changes
        update value/conf: the desired state changed [input: 1 -> 2]
        update:value/conf
        restart:unit/web <- update:value/conf
    "#]],
    );
    let plan = world.plan();
    world.apply(&plan);
    settled(&world);
}

#[test]
fn a_restart_that_was_missed_is_done_later() {
    let mut world = World::new().having(restarting(1)).want(restarting(2));
    let plan = world.plan().select(&crate::plan::Selection::all().only("value/conf".parse().unwrap()));
    world.apply(&plan);
    check(
        &world,
        expect![[r#"
        update unit/web: it restarts on value/conf, which changes
        restart:unit/web
    "#]],
    );
}

#[test]
fn a_thing_that_carries_another_token_restarts() {
    let world = World::new().having(restarting(1));
    let Some(Observation::Present(present)) = world.observed.get("unit/web").cloned() else { panic!() };
    let other = Present::with_triggers(present, Some("older".to_owned()));
    check(
        &world.see("unit/web", Observation::Present(other)),
        expect![[r#"
        update unit/web: it restarts on value/conf, which changes
        restart:unit/web
    "#]],
    );
}

#[test]
fn a_label_or_a_new_name_of_what_it_restarts_on_restarts_nothing() {
    let world = World::new().having(restarting(1));
    let [conf, web] = restarting(1);
    check(
        &world.clone().want([conf.label("app", "web"), web]),
        expect![[r#"
            update value/conf: only what is recorded of it changes [labels: null -> {"app":"web"}]
            record:value/conf
        "#]],
    );
    let mut renamed = value("conf-2", json!(1));
    renamed.extra_mut().renamed_from = Some(id("value/conf"));
    let mut world = world.want([renamed, unit("web", json!({})).restart_on(&id("value/conf-2"))]);
    check(
        &world,
        expect![[r#"
            update unit/web: only what is recorded of it changes [restart_on: ["value/conf"] -> ["value/conf-2"]]
            update value/conf-2: it was value/conf
            record:value/conf-2
            record:unit/web <- record:value/conf-2
        "#]],
    );
    let plan = world.plan();
    world.apply(&plan);
    settled(&world);
}

#[test]
fn a_place_that_another_resource_names_orders_and_has_one_writer() {
    let by = |name: &str, of: &str| unit(name, json!({ "path": from(of, "input") }));
    let values = [value("p", json!("/a")), value("q", json!(from("value/p", "input")))];
    let reader = unit("z", json!({ "path": "/z", "reads": "/a" }));
    let world = World::new().want(values.clone().into_iter().chain([by("u", "value/q"), reader]));
    let plan = world.plan();
    let after = |id: &str| {
        plan.actions.iter().position(|action| plan.change_of(action).resource.as_str() == id).unwrap()
    };
    assert!(plan.actions[after("unit/z")].after.contains(&(after("unit/u") as u32)), "{}", steps(&plan));
    let two = World::new().want(values.into_iter().chain([by("u", "value/q"), by("v", "value/p")]));
    let error = two.check().unwrap_err().to_string();
    assert!(error.contains("unit/u") && error.contains("unit/v") && error.contains("/a"), "{error}");
}

#[test]
fn a_planner_checks_those_that_take_a_value_when_it_changes() {
    let by = |name: &str, of: &str| unit(name, json!({ "path": from(of, "input") }));
    let world = World::new().want([
        value("p", json!("/a")),
        value("q", json!("/b")),
        by("u", "value/p"),
        by("v", "value/q"),
    ]);
    let ground = (world.recorded, world.observed);
    let mut planner = Planner::new(world.desired, ground, world.registry, MarkKey::new([7; 32]));
    planner.plan().unwrap();
    let mut error = |input: Value| {
        planner.set(value("q", input));
        planner.plan().map(drop).map_err(|error| error.to_string())
    };
    let two_writers = error(json!("/a")).unwrap_err();
    assert!(two_writers.contains("unit/u") && two_writers.contains("unit/v"), "{two_writers}");
    assert_eq!(error(json!("/c")), Ok(()));
    let relative = error(json!("c")).unwrap_err();
    assert!(relative.contains("unit/v") && relative.contains("must be absolute"), "{relative}");
    assert_eq!(error(json!("/d")), Ok(()));
}

pub(super) fn amend(world: &mut World, of: &str, amend: impl FnOnce(&mut RecordBody)) {
    let record = &world.recorded[&id(of)];
    let mut body = record.body().unwrap();
    amend(&mut body);
    let record = Record::new(record.intent(), record.relations(), record.seen(), &body);
    world.recorded.insert(id(of), record);
}

/// A marked value, as a process finds it that was not given it.
pub(super) fn marked(value: &Value) -> Value {
    let mut value = json!({ "it": value });
    Vault::new().seal(&mut value, &["it".parse().unwrap()], &MarkKey::new([7; 32]));
    value["it"].take()
}

fn wanting_a_part() -> [DesiredResource; 2] {
    [unit("u", json!({})), value("v", json!({"is": from("unit/u", "pid.token"), "n": 1}))]
}

/// A unit that told something sensitive, of which a part was taken in the second run. It was last done in the run of this number.
fn sealed(run: u64) -> World {
    let told = json!({"token": "hunter22"});
    let mut world = World::new().having([unit("u", json!({}))]);
    amend(&mut world, "unit/u", |body| body.output = json!({ "pid": told }));
    let mut world = world.having(wanting_a_part());
    amend(&mut world, "unit/u", |body| {
        body.output = json!({"pid": marked(&told)});
        body.changed = format!("run-{run}/create");
    });
    amend(&mut world, "value/v", |body| {
        body.spec = Doc::new(&json!({"input": {"is": marked(&told["token"]), "n": 1}}));
        body.changed = "run-2/create".to_owned();
    });
    world
}

#[test]
fn what_was_made_of_a_part_of_something_sensitive_is_kept_until_that_is_done_once_more() {
    settled(&sealed(1));
    settled(&sealed(2));
    check(
        &sealed(3),
        expect![[r#"
            update value/v: it needs a value of unit/u, which changes [input.is: "(sensitive)" -> "(known after unit/u)"]
            update:value/v
        "#]],
    );
}

#[test]
fn an_output_that_nobody_told_refuses_only_what_waits_for_it() {
    let mut world = sealed(1);
    amend(&mut world, "unit/u", |body| body.output = Value::Null);
    let error = world.try_plan().unwrap_err();
    assert!(matches!(error, PlanError::NoOutput { .. }), "{error}");
    let world = world.want(wanting_a_part().into_iter().chain([value("other", json!(1))]));
    let part = Selection::all().only("value/other".parse().unwrap());
    assert_eq!(steps(&world.try_part(&part).unwrap()), "create:value/other\n");
}

#[test]
fn what_stands_in_a_spec_of_what_stays_is_noted_and_nothing_else() {
    let of = |sources: [i64; 2]| {
        let reads = json!({"kept": from("value/kept", "input"), "other": from("value/other", "input"), "pid": from("unit/u", "pid")});
        [
            value("kept", json!(sources[0])),
            value("other", json!(sources[1])),
            unit("u", json!({})),
            value("v", reads),
        ]
    };
    let [kept, other, u, _] = of([1, 1]);
    let plan = World::new().having([kept, other, u]).want(of([1, 2])).plan();
    let action = plan.actions.iter().find(|action| plan.change_of(action).resource == id("value/v")).unwrap();
    let uses = action.recording.as_ref().unwrap().uses.as_ref().unwrap();
    let named: Vec<String> = uses.iter().map(|used| format!("{} {}", used.from, used.output)).collect();
    assert_eq!(named, ["value/kept input", "unit/u pid"]);
    assert_eq!(uses[0].value, Doc::new(&json!(1)).digest());
}
