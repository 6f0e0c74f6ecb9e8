//! Values of others that are late, and parts of something sensitive that this process was not given.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::late::{amend, marked};
use super::support::{World, changes, from, id, steps, unit, value};
use crate::model::{DesiredResource, Doc};

#[track_caller]
fn check(world: &World, expected: Expect) {
    let plan = world.plan();
    expected.assert_eq(&(changes(&plan) + &steps(&plan)));
}

#[test]
fn what_waits_for_a_value_that_is_late_waits_for_who_takes_it() {
    let wanted = [
        unit("u", json!({})),
        value("pid", from("unit/u", "pid")),
        value("copy", json!([from("value/pid", "input")])),
    ];
    let plan = World::new().want(wanted).plan();
    let specs: Vec<String> = plan.actions[1..].iter().map(|action| action.spec.to_string()).collect();
    let late = |id: &str, output: &str| json!({"from": id, "output": output}).to_string();
    let expected = [
        format!(r#"{{"input":{}}}"#, late("unit/u", "pid")),
        format!(r#"{{"input":[{}]}}"#, late("value/pid", "input")),
    ];
    assert_eq!(specs, expected);
}

#[test]
fn what_never_had_another_name_is_new_whatever_name_is_given() {
    let mut new = value("new", json!(1));
    new.extra_mut().renamed_from = Some(id("value/never"));
    let plan = World::new().want([new]).plan();
    assert_eq!(steps(&plan), "create:value/new\n");
    assert_eq!(plan.actions[0].renamed_from(), None);
}

/// A unit that told `told`, and `v` that was made of it afterwards as `recorded`.
fn sealed(v: DesiredResource, recorded: &Value) -> World {
    let told = json!({"token": "hunter22", "other": "staple"});
    let mut world = World::new().having([unit("u", json!({})), value("w", json!(1))]);
    amend(&mut world, "unit/u", |body| body.output = json!({ "pid": told }));
    let mut world = world.having([unit("u", json!({})), value("w", json!(1)), v]);
    amend(&mut world, "unit/u", |body| {
        body.output = json!({"pid": marked(&told)});
        body.changed = "run-1/create".to_owned();
    });
    amend(&mut world, "value/v", |body| {
        body.spec = Doc::new(&json!({ "input": recorded }));
        body.changed = "run-2/create".to_owned();
    });
    world
}

#[test]
fn what_was_made_of_a_part_is_kept_wherever_it_stands() {
    let token = || from("unit/u", "pid.token");
    let hidden = |path: &str, mut of: DesiredResource| {
        of.extra_mut().sensitive.push(path.parse().unwrap());
        of
    };
    let secret = marked(&json!("hunter22"));
    for world in [
        sealed(value("v", json!([1, token()])), &json!([1, secret])),
        sealed(value("v", json!({"list": [token(), {"n": 2}]})), &json!({"list": [secret, {"n": 2}]})),
        // One mark for all that it is in.
        sealed(
            hidden("input", value("v", json!({"is": token(), "n": 1}))),
            &marked(&json!({"is": "hunter22", "n": 1})),
        ),
    ] {
        assert!(world.plan().is_settled(), "{}", changes(&world.plan()));
    }
}

#[test]
fn what_else_it_takes_is_what_it_changes_for() {
    let wants = |w: i64| {
        let reads = json!({"is": from("unit/u", "pid.token"), "w": from("value/w", "input")});
        [unit("u", json!({})), value("w", json!(w)), value("v", reads)]
    };
    let [_, _, v] = wants(1);
    let world = sealed(v, &json!({"is": marked(&json!("hunter22")), "w": 1}));
    check(
        &world.want(wants(2)),
        expect![[r#"
            update value/v: it needs a value of value/w, which changes [input.w: 1 -> 2]
            update value/w: the desired state changed [input: 1 -> 2]
            update:value/w
            update:value/v <- update:value/w
        "#]],
    );
}
