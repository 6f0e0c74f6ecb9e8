//! What a program reads.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{World, call, from, id, unit, value, without_id};
use crate::plan::render;

fn text(world: &World, kept: &[&str]) -> String {
    let kept: Vec<_> = kept.iter().map(|kept| id(kept)).collect();
    let mut out = Vec::new();
    render::json(&world.plan(), &kept, &mut out).unwrap();
    without_id(&world.plan(), &String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(world: &World, kept: &[&str], expected: Expect) {
    let value: Value = serde_json::from_str(&text(world, kept)).unwrap();
    expected.assert_eq(&serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn a_plan_is_one_object_on_one_line() {
    let text = text(&World::new().want([value("a", json!("x\ny"))]), &[]);
    assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
    assert!(text.starts_with("{\"format\":\"detc.plan/1\",\"id\":\""), "{text}");
}

#[test]
fn fields_of_new_things_come_from_nothing_and_kept_ids_are_listed_when_given() {
    let world = World::new().having([value("kept", json!(1))]).want([
        value("kept", json!(1)),
        unit("u", json!({"mode": "0644", "password": "hunter22"})),
        value("pid", json!({"of": from("unit/u", "pid")})),
        call("migrate").after(&id("unit/u")),
    ]);
    check(
        &world,
        &["value/kept"],
        expect![[r#"
            {
              "actions": [
                {
                  "after": [],
                  "crash": "deterministic_name",
                  "effects": [],
                  "host": "h1",
                  "id": "create:unit/u",
                  "kind": "unit.create",
                  "reason": "it is not there yet",
                  "resource": "unit/u",
                  "summary": "create unit/u on h1"
                },
                {
                  "after": [
                    "create:unit/u"
                  ],
                  "crash": "at_most_once",
                  "effects": [],
                  "id": "create:call/migrate",
                  "kind": "call.create",
                  "reason": "it is not there yet",
                  "resource": "call/migrate",
                  "summary": "create call/migrate"
                },
                {
                  "after": [
                    "create:unit/u"
                  ],
                  "crash": "deterministic_name",
                  "effects": [],
                  "id": "create:value/pid",
                  "kind": "value.create",
                  "reason": "it is not there yet",
                  "resource": "value/pid",
                  "summary": "create value/pid"
                }
              ],
              "changes": [
                {
                  "change": "create",
                  "fields": [
                    {
                      "from": null,
                      "path": "run",
                      "to": [
                        "migrate"
                      ]
                    }
                  ],
                  "reason": "it is not there yet",
                  "resource": "call/migrate"
                },
                {
                  "change": "create",
                  "fields": [
                    {
                      "from": null,
                      "path": "mode",
                      "to": "0644"
                    },
                    {
                      "from": null,
                      "path": "password",
                      "to": "(sensitive)"
                    },
                    {
                      "from": null,
                      "path": "path",
                      "to": "/u"
                    }
                  ],
                  "reason": "it is not there yet",
                  "resource": "unit/u"
                },
                {
                  "change": "create",
                  "fields": [
                    {
                      "from": null,
                      "path": "input",
                      "to": {
                        "of": "(known after create:unit/u)"
                      }
                    }
                  ],
                  "reason": "it is not there yet",
                  "resource": "value/pid"
                },
                {
                  "change": "keep",
                  "fields": [],
                  "reason": "nothing differs",
                  "resource": "value/kept"
                }
              ],
              "format": "detc.plan/1",
              "id": "PLAN",
              "kept": 1,
              "left_out": 0,
              "proof": []
            }"#]],
    );
}

#[test]
fn fields_that_differ_have_both_values_and_a_cause() {
    let world = World::new()
        .having([unit("u", json!({"mode": "0644", "text": "a"}))])
        .want([unit("u", json!({"mode": "0644", "text": "b"}))])
        .drift("unit/u", "mode", json!("0600"));
    check(
        &world,
        &[],
        expect![[r#"
            {
              "actions": [
                {
                  "after": [],
                  "crash": "deterministic_name",
                  "effects": [],
                  "host": "h1",
                  "id": "restart:unit/u",
                  "kind": "unit.restart",
                  "reason": "the desired state changed, and it was changed behind detc's back",
                  "resource": "unit/u",
                  "summary": "restart unit/u on h1"
                }
              ],
              "changes": [
                {
                  "change": "update",
                  "fields": [
                    {
                      "cause": "drift",
                      "from": "0600",
                      "path": "mode",
                      "to": "0644"
                    },
                    {
                      "cause": "intent",
                      "from": "a",
                      "path": "text",
                      "to": "b"
                    }
                  ],
                  "reason": "the desired state changed, and it was changed behind detc's back",
                  "resource": "unit/u"
                }
              ],
              "format": "detc.plan/1",
              "id": "PLAN",
              "kept": 0,
              "left_out": 0,
              "proof": []
            }"#]],
    );
}

#[test]
fn a_replacement_is_two_actions_of_one_change() {
    let world =
        World::new().having([unit("u", json!({}))]).want([unit("u", json!({"path": "/elsewhere"})).on("h2")]);
    check(
        &world,
        &[],
        expect![[r#"
            {
              "actions": [
                {
                  "after": [],
                  "crash": "deterministic_name",
                  "effects": [],
                  "host": "h1",
                  "id": "delete:unit/u",
                  "kind": "unit.delete",
                  "reason": "`host` can not change in place",
                  "resource": "unit/u",
                  "summary": "remove unit/u, to make it anew on h1"
                },
                {
                  "after": [
                    "delete:unit/u"
                  ],
                  "crash": "deterministic_name",
                  "effects": [],
                  "host": "h2",
                  "id": "create:unit/u",
                  "kind": "unit.create",
                  "reason": "`host` can not change in place",
                  "resource": "unit/u",
                  "summary": "make unit/u anew on h2"
                }
              ],
              "changes": [
                {
                  "change": "replace",
                  "fields": [
                    {
                      "cause": "intent",
                      "from": "h1",
                      "path": "host",
                      "to": "h2"
                    },
                    {
                      "cause": "intent",
                      "from": "/u",
                      "path": "path",
                      "to": "/elsewhere"
                    }
                  ],
                  "reason": "`host` can not change in place",
                  "resource": "unit/u"
                }
              ],
              "format": "detc.plan/1",
              "id": "PLAN",
              "kept": 0,
              "left_out": 0,
              "proof": []
            }"#]],
    );
}
