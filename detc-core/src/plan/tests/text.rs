//! What a reviewer reads.

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, call, from, unit, value};
use crate::model::Observation;
use crate::plan::render::TextOptions;

#[track_caller]
fn check(world: &World, text: Expect) {
    text.assert_eq(&world.plan().text(&TextOptions::default()));
}

#[test]
fn nothing_to_do_is_one_line() {
    check(
        &World::new(),
        expect![[r#"
        Nothing to do: nothing is desired and nothing is recorded.
    "#]],
    );
    check(
        &World::new().having([value("a", json!(1))]),
        expect![[r#"
        Nothing to do: 1 resource is as desired.
    "#]],
    );
}

#[test]
fn a_small_plan_is_shown_in_full() {
    let world = World::new()
        .having([
            value("gone", json!(1)),
            unit("moved", json!({"mode": "0644"})),
            unit("drifted", json!({"mode": "0644", "text": "a\nb\nc\nd\n", "password": "hunter22"})),
        ])
        .want([
            value("new", json!({"a": [1, 2]})),
            value("late", json!({"pid": from("unit/moved", "pid")})),
            unit("moved", json!({"mode": "0644", "path": "/elsewhere"})),
            unit("drifted", json!({"mode": "0644", "text": "a\nb\nC\nd\n", "password": "hunter33"})),
            call("migrate"),
            unit("found", json!({"mode": "0600"})).on("h2"),
            unit("lost", json!({})),
        ])
        .drift("unit/drifted", "mode", json!("0777"))
        .see("unit/found", Observation::Present(crate::model::Present::new().with_field("mode", "0644")))
        .see("unit/lost", Observation::Unknown("h1 does not answer".to_owned()));
    check(
        &world,
        expect![[r#"
            Plan 6bf97723e221: 3 to create, 1 to adopt, 1 to update, 1 to replace, 1 to delete; 1 unknown.

            + create call/migrate (it is not there yet)
                run: ["migrate"]

            + create value/late (it is not there yet)
                input: {pid: (known after create:unit/moved)}

            + create value/new (it is not there yet)
                input: {a: [1, 2]}

            = adopt unit/found on h2 (it exists already and is not recorded)
                mode: "0644" → "0600"

            ~ update unit/drifted on h1 (the desired state changed, and it was changed behind detc's back)
                mode:     "0777" → "0644" (drift)
                password: (sensitive), another value
                text: 1 line out, 1 in
                    … 1 line alike
                    b
                  - c
                  + C
                    d

            ± replace unit/moved on h1 (`path` can not change in place)
                path: "/moved" → "/elsewhere"

            - delete value/gone (it is no longer in the desired state)
            ? unknown unit/lost (it could not be observed: h1 does not answer)

            8 actions in 3 steps, up to 6 side by side.
            If the process dies during this action, a person has to look: create:call/migrate.
            1 resource is unknown: nothing is done to it until it can be seen.
        "#]],
    );
}

#[test]
fn like_changes_are_one_entry_with_its_exceptions() {
    let units = |mode: &str, count: usize| {
        let mode = mode.to_owned();
        (0..count).map(move |n| {
            unit(&format!("web-{n}/conf"), json!({"mode": mode, "path": format!("/srv/web-{n}/{mode}")}))
        })
    };
    let mut world =
        World::new().having((0..100).map(|n| unit(&format!("web-{n}/conf"), json!({"mode": "0644"}))));
    world =
        world
            .want((0..100).map(|n| {
                unit(&format!("web-{n}/conf"), json!({"mode": if n == 7 { "0700" } else { "0755" }}))
            }))
            .drift("unit/web-9/conf", "mode", json!("0600"));
    check(
        &world,
        expect![[r#"
            Plan be57f864f111: 100 to update.

            ~ update 98 unit/web-*/conf on h1 (the desired state changed)
                mode: "0644" → "0755"
                except 2:
                  unit/web-7/conf on h1: mode: "0644" → "0700"
                  unit/web-9/conf on h1: mode: "0600" → "0755"

            100 actions, none of which waits for another.
        "#]],
    );
    check(
        &World::new().having(units("0644", 30)).want(units("0755", 30)),
        expect![[r#"
            Plan 3229b9c7dfd4: 30 to replace.

            ± replace 30 unit/web-*/conf on h1 (`path` can not change in place)
                mode: "0644" → "0755"
                path: "/srv/*/0644" → "/srv/*/0755"

            60 actions in 2 steps, up to 30 side by side.
        "#]],
    );
}

#[test]
fn new_things_are_summed_up() {
    check(
        &World::new()
            .want((0..30).map(|n| unit(&format!("u{n}"), json!({"mode": "0644", "replicas": n % 3})))),
        expect![[r#"
            Plan d3b66268f6da: 30 to create.

            + create 30 unit/u* on h1 (it is not there yet)
                mode:     "0644"
                path:     "/*"
                replicas: 3 different values, such as 0

            30 actions, none of which waits for another.
        "#]],
    );
    check(
        &World::new().want((0..2_500).map(|n| value(&format!("v{n:04}"), json!(n)))),
        expect![[r#"
            Plan 868bd3dff328: 2,500 to create.

            + create 2,500 value/v* (it is not there yet)
                for example value/v0000:
                  input: 0

            2,500 actions, none of which waits for another.
        "#]],
    );
}
