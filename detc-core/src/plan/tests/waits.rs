//! In which order a reviewer reads changes, and what they wait for.

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, call, from, id, unit, value, without_id};
use crate::plan::render::{Purpose, TextOptions};

/// The titles of the entries of a plan.
#[track_caller]
fn check(world: &World, options: &TextOptions, titles: Expect) {
    let plan = world.plan();
    let text = without_id(&plan, &plan.text(options));
    let is_title = |line: &&str| line.starts_with(['+', '-', '~', '=', '±', '?', '…']);
    titles.assert_eq(&text.lines().filter(is_title).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn changes_are_read_in_the_order_in_which_they_are_done() {
    let world = World::new().want([
        value("a", json!(1)).after(&id("value/z")),
        value("b", json!(from("value/z", "input"))).after(&id("value/y")),
        value("y", json!(1)).after(&id("value/z")),
        value("z", json!(1)),
        call("early"),
    ]);
    check(
        &world,
        &TextOptions::default(),
        expect![[r#"
            + create call/early (it is not there yet)
            + create value/z (it is not there yet)
            + create value/a (it is not there yet; after value/z)
            + create value/y (it is not there yet; after value/z)
            + create value/b (it is not there yet; after value/y, value/z)
        "#]],
    );
}

#[test]
fn a_deletion_waits_for_its_dependants_and_says_when_everything_goes() {
    let made = [unit("a", json!({})), unit("b", json!({})).after(&id("unit/a")), value("v", json!(1))];
    let world = World::new().having(made).want([]);
    check(
        &world,
        &TextOptions::default(),
        expect![[r#"
            - delete unit/b on h1 (it is no longer in the desired state)
            - forget value/v (it is no longer in the desired state)
            - delete unit/a on h1 (it is no longer in the desired state; after unit/b)
        "#]],
    );
    check(
        &world,
        &TextOptions::default().with_purpose(Purpose::Destroy),
        expect![[r#"
            - delete unit/b on h1 (it is to be destroyed)
            - forget value/v (it is to be destroyed)
            - delete unit/a on h1 (it is to be destroyed; after unit/b)
        "#]],
    );
}

#[test]
fn what_is_made_anew_waits_for_all_that_its_removal_waits_for_and_not_for_itself() {
    let made = [unit("a", json!({})), unit("b", json!({})).after(&id("unit/a"))];
    let world = World::new().having(made).want([unit("a", json!({"path": "/other"}))]);
    check(
        &world,
        &TextOptions::default(),
        expect![[r#"
            - delete unit/b on h1 (it is no longer in the desired state)
            ± replace unit/a on h1 (`path` can not change in place; after unit/b)
        "#]],
    );
}

#[test]
fn of_two_that_are_made_anew_only_one_is_told_to_wait_for_the_other() {
    let units = |path: &str| {
        let of = |name: &str| unit(name, json!({"path": format!("{path}/{name}")}));
        [of("a"), of("b").after(&id("unit/a"))]
    };
    check(
        &World::new().having(units("/old")).want(units("/new")),
        &TextOptions::default(),
        expect![[r#"
            ± replace unit/a on h1 (`path` can not change in place)
            ± replace unit/b on h1 (`path` can not change in place; after unit/a)
        "#]],
    );
}

#[test]
fn many_that_are_waited_for_are_named_by_what_they_have_in_common() {
    let mut resources: Vec<_> = (0..40).map(|n| unit(&format!("web-{n}/dir"), json!({}))).collect();
    resources.extend((0..40).map(|n| {
        unit(&format!("web-{n}/conf"), json!({"mode": "0644"})).after(&id(&format!("unit/web-{n}/dir")))
    }));
    let all = resources.iter().map(|resource| resource.id.clone());
    let last = all.chain([id("value/chain-0")]).fold(call("last"), |last, before| last.after(&before));
    resources.push(last);
    resources.extend((0..10).map(|n| {
        let link = value(&format!("chain-{n}"), json!(1));
        if n == 9 { link } else { link.after(&id(&format!("value/chain-{}", n + 1))) }
    }));
    check(
        &World::new().want(resources),
        &TextOptions::default(),
        expect![[r#"
            + create 80 unit/web-* on h1 (it is not there yet; some after others of these)
            + create 10 value/chain-* (it is not there yet; some after others of these)
            + create call/last (it is not there yet; after 80 unit/web-*, value/chain-0)
        "#]],
    );
}

#[test]
fn of_more_entries_than_are_shown_those_that_take_away_and_the_largest_are() {
    let units = |to: &'static str| {
        (0..90).map(move |n| unit(&format!("u{n:02}"), json!({"mode": format!("{to}{:02}", n / 3)})))
    };
    let world = World::new().having(units("a").chain([value("zz", json!(1))]));
    let text = world.want(units("b").chain([call("c")])).plan().text(&TextOptions::default());
    assert_eq!(text.matches("~ restart 3 unit/u").count(), 23, "{text}");
    assert!(text.contains("- forget value/zz") && !text.contains("+ create call/c"), "{text}");
    assert!(text.contains("… and 22 more changes not shown here: create 1 call, update 21 unit."), "{text}");
}

#[test]
fn changes_that_something_lies_between_are_not_shown_as_one() {
    let site = ["a", "b", "c", "d"].map(|name| unit(&format!("site-{name}"), json!({})));
    let [a, b, c, d] = site;
    let wanted = [a, b, c, d.after(&id("call/web")), call("web").after(&id("unit/site-a"))];
    let others = ["e", "f", "g", "h"].map(|name| value(name, json!(name)));
    check(
        &World::new().want(wanted.into_iter().chain(others)),
        &TextOptions::default(),
        expect![[r#"
            + create unit/site-a on h1 (it is not there yet)
            + create unit/site-b on h1 (it is not there yet)
            + create unit/site-c on h1 (it is not there yet)
            + create 4 value/* (it is not there yet)
            + create call/web (it is not there yet; after unit/site-a)
            + create unit/site-d on h1 (it is not there yet; after call/web)
        "#]],
    );
}

#[test]
fn a_source_that_its_line_has_no_room_for_is_told_in_the_title() {
    let late = from("unit/a", "pid");
    let long = json!(["x".repeat(200), late]);
    let world = World::new().want([unit("a", json!({})), value("b", long), value("c", json!(late))]);
    check(
        &world,
        &TextOptions::default(),
        expect![[r#"
        + create unit/a on h1 (it is not there yet)
        + create value/b (it is not there yet; after unit/a)
        + create value/c (it is not there yet)
    "#]],
    );
}
