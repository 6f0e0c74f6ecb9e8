//! What a reviewer reads.

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, call, from, unit, value, without_id};
use crate::model::Observation;
use crate::plan::render::{Color, Detail, TextOptions};

#[track_caller]
fn check(world: &World, text: Expect) {
    let plan = world.plan();
    text.assert_eq(&without_id(&plan, &plan.text(&TextOptions::default())));
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
            Plan PLAN: 3 to create, 1 to adopt, 1 to update, 1 to replace, 1 to delete; 1 unknown.

            + create call/migrate (it is not there yet)
                run: ["migrate"]

            ~ restart unit/drifted on h1 (the desired state changed, and it was changed behind detc's back)
                mode:     "0777" → "0644" (drift)
                password: (sensitive), another value
                text: 1 line out, 1 in
                    … 1 line alike
                    b
                  - c
                  + C
                    d

            = adopt unit/found on h2 (it exists already and is not recorded; it is restarted)
                mode: "0644" → "0600"

            - forget value/gone (it is no longer in the desired state)

            + create value/new (it is not there yet)
                input: {a: [1, 2]}

            ± replace unit/moved on h1 (`path` can not change in place)
                path: "/moved" → "/elsewhere"

            + create value/late (it is not there yet)
                input: {pid: (known after create:unit/moved)}

            ? unknown unit/lost (it could not be observed: h1 does not answer)

            8 actions in 3 steps, up to 6 side by side.
            If detc dies during this action, a person has to look: create:call/migrate.
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
            Plan PLAN: 100 to update.

            ~ restart 98 unit/web-*/conf on h1 (the desired state changed)
                mode: "0644" → "0755"
                except 2:
                  unit/web-7/conf on h1: mode: "0644" → "0700"
                  unit/web-9/conf on h1: mode: "0600" → "0755" (and drift)

            100 actions, none of which waits for another.
        "#]],
    );
    check(
        &World::new().having(units("0644", 30)).want(units("0755", 30)),
        expect![[r#"
            Plan PLAN: 30 to replace.

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
            Plan PLAN: 30 to create.

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
            Plan PLAN: 2,500 to create.

            + create 2,500 value/v* (it is not there yet)
                for example value/v0000:
                  input: 0

            2,500 actions, none of which waits for another.
        "#]],
    );
}

#[test]
fn every_change_is_shown_in_full_where_that_is_asked_for() {
    let plan = World::new().want((0..50).map(|n| value(&format!("v{n}"), json!(n)))).plan();
    let text = plan.text(&TextOptions::default().with_detail(Detail::Full));
    assert_eq!(text.matches("+ create value/v").count(), 50);
}

#[test]
fn colours_say_nothing_that_the_text_does_not() {
    let world = World::new().having([unit("u", json!({"mode": "0644", "text": "a\nb"}))]);
    let plan = world
        .want([unit("u", json!({"mode": "0755", "text": "a\nc"})), value("v", json!(1))])
        .drift("unit/u", "mode", json!("0600"))
        .plan();
    let plain = plan.text(&TextOptions::default());
    let mut bare = plan.text(&TextOptions::default().with_color(Color::Always));
    assert!(bare.contains("\u{1b}[32m+ create\u{1b}[0m"), "{bare}");
    for code in ["0", "1", "2", "31", "32", "33", "35", "36"] {
        bare = bare.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(bare, plain);
}

#[test]
fn a_plan_of_many_sorts_of_changes_ends_with_how_many_are_not_shown() {
    let units = |to: &'static str| {
        (0..90).map(move |n| unit(&format!("u{n:02}"), json!({"mode": format!("{to}{:02}", n / 3)})))
    };
    let plan = World::new().having(units("a")).want(units("b").chain([call("c")])).plan();
    let text = plan.text(&TextOptions::default());
    assert_eq!(text.matches("~ restart 3 unit/u").count(), 24);
    let end: Vec<&str> = text.lines().rev().take(4).collect();
    expect![[r#"
        … and 19 more changes not shown here: create 1 call, update 18 unit.

        91 actions, none of which waits for another.
        If detc dies during this action, a person has to look: create:call/c."#]]
    .assert_eq(&end.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_value_never_breaks_the_layout() {
    let nasty = "\u{1b}[31mred\r\u{7}\u{202e}";
    let world = World::new().want([value("v", json!({"text": nasty, "long": "x".repeat(5_000)}))]);
    let world = world.see("value/v", Observation::Absent);
    let unseen = world.clone().see("value/v", Observation::Unknown(format!("said {nasty}")));
    let text = unseen.plan().text(&TextOptions::default());
    assert!(text.contains("said  [31mred") && !text.contains('\u{1b}'), "{text:?}");
    let text = world.plan().text(&TextOptions::default().with_width(60));
    assert!(!text.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(
        text.lines().filter(|line| line.starts_with("    ")).all(|line| line.chars().count() <= 60),
        "{text}"
    );
}
