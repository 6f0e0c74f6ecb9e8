//! What comes after what.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{World, changes, from, id, steps, unit, value};
use crate::model::{Observation, Present};

#[track_caller]
fn check(world: &World, expected: Expect) {
    expected.assert_eq(&steps(&world.plan()));
}

fn chain(inputs: [Value; 3]) -> Vec<crate::model::DesiredResource> {
    let [a, b, c] = inputs;
    vec![value("a", a), value("b", b).after(&id("value/a")), value("c", c).after(&id("value/b"))]
}

#[test]
fn what_is_made_comes_after_what_it_depends_on() {
    check(
        &World::new().want(chain([json!(1), json!(1), json!(1)])),
        expect![[r#"
        create:value/a
        create:value/b <- create:value/a
        create:value/c <- create:value/b
    "#]],
    );
}

#[test]
fn what_is_deleted_goes_before_what_it_depended_on() {
    check(
        &World::new().having(chain([json!(1), json!(1), json!(1)])).want([]),
        expect![[r#"
        forget:value/c
        forget:value/b <- forget:value/c
        forget:value/a <- forget:value/b
    "#]],
    );
}

#[test]
fn order_reaches_through_what_is_kept() {
    let world = World::new().having(chain([json!(1), json!(1), json!(1)]));
    check(
        &world.want(chain([json!(2), json!(1), json!(2)])),
        expect![[r#"
        update:value/a
        update:value/c <- update:value/a
    "#]],
    );
}

#[test]
fn a_replacement_takes_away_before_it_gives_back_and_dependants_go_first() {
    let pair = |path: &str| {
        [
            unit("base", json!({"path": format!("/{path}")})),
            unit("top", json!({"path": format!("/{path}/top")})),
            value("user", json!(path)).after(&id("unit/base")),
        ]
    };
    check(
        &World::new().having(pair("a")).want(pair("b")),
        expect![[r#"
        delete:unit/top
        delete:unit/base <- delete:unit/top
        create:unit/base <- delete:unit/base
        create:unit/top <- delete:unit/top, create:unit/base
        update:value/user <- create:unit/base
    "#]],
    );
}

#[test]
fn what_is_no_longer_needed_goes_after_its_last_user_let_go() {
    let world = World::new()
        .having([value("old", json!(1)), value("user", json!({"of": from("value/old", "input")}))])
        .want([value("new", json!(2)), value("user", json!({"of": from("value/new", "input")}))]);
    check(
        &world,
        expect![[r#"
        create:value/new
        update:value/user <- create:value/new
        forget:value/old <- update:value/user
    "#]],
    );
}

#[test]
fn a_place_is_freed_before_it_is_taken() {
    let orphan = World::new()
        .having([unit("old", json!({"path": "/place"}))])
        .want([unit("new", json!({"path": "/place"}))]);
    check(
        &orphan,
        expect![[r#"
        delete:unit/old
        create:unit/new <- delete:unit/old
    "#]],
    );
    let elsewhere = orphan.want([unit("new", json!({"path": "/place"})).on("h2")]);
    check(
        &elsewhere,
        expect![[r#"
        create:unit/new
        delete:unit/old
    "#]],
    );
}

#[test]
fn two_resources_may_trade_places() {
    let world = World::new()
        .having([unit("a", json!({"path": "/x"})), unit("b", json!({"path": "/y"}))])
        .want([unit("a", json!({"path": "/y"})), unit("b", json!({"path": "/x"}))]);
    check(
        &world,
        expect![[r#"
            delete:unit/a
            delete:unit/b
            create:unit/a <- delete:unit/a, delete:unit/b
            create:unit/b <- delete:unit/a, delete:unit/b
        "#]],
    );
}

#[test]
fn a_place_that_a_replaced_resource_leaves_is_freed_before_it_is_taken() {
    let world = World::new()
        .having([unit("a", json!({"path": "/x"}))])
        .want([unit("a", json!({"path": "/y"})), unit("b", json!({"path": "/x"}))]);
    check(
        &world,
        expect![[r#"
            delete:unit/a
            create:unit/a <- delete:unit/a
            create:unit/b <- delete:unit/a
        "#]],
    );
}

#[test]
fn who_reads_a_place_comes_after_who_writes_it_and_contents_after_what_holds_them() {
    let world = World::new().want([
        unit("reader", json!({"path": "/r", "reads": "/dir/file"})),
        unit("file", json!({"path": "/dir/file"})),
        unit("dir", json!({"path": "/dir"})),
        unit("other", json!({"path": "/dir/file"})).on("h2"),
    ]);
    check(
        &world,
        expect![[r#"
        create:unit/dir
        create:unit/other
        create:unit/file <- create:unit/dir
        create:unit/reader <- create:unit/dir, create:unit/file
    "#]],
    );
}

#[test]
fn two_unordered_writers_of_one_place_are_refused() {
    let world = World::new().want([unit("a", json!({"path": "/x"})), unit("b", json!({"path": "/x"}))]);
    expect!["unit/b: unit/a and unit/b both write /x, and neither comes after the other (remove one of them, or order them with `after`)"]
        .assert_eq(&world.check().unwrap_err().to_string());
    let ordered = World::new()
        .want([unit("a", json!({"path": "/x"})), unit("b", json!({"path": "/x"})).after(&id("unit/a"))]);
    check(
        &ordered,
        expect![[r#"
        create:unit/a
        create:unit/b <- create:unit/a
    "#]],
    );
}

#[test]
fn a_loop_of_what_is_removed_and_made_is_refused_with_its_members() {
    // `user` must let go of `old` before `old` goes, `new` takes the place of `old`, and `user` comes after `new`.
    let world = World::new()
        .having([unit("old", json!({"path": "/place"})), value("user", json!(1)).after(&id("unit/old"))])
        .want([unit("new", json!({"path": "/place"})), value("user", json!(2)).after(&id("unit/new"))]);
    expect![[r#"
        delete:unit/old
        create:unit/new <- delete:unit/old
        update:value/user <- create:unit/new
    "#]]
    .assert_eq(&world.try_plan().map_or_else(|error| error.to_string(), |plan| steps(&plan)));
}

#[test]
fn of_loops_among_what_is_removed_the_shortest_is_told_and_nothing_that_only_waits_for_it() {
    let one = |name: &str| value(name, json!(1));
    let after = |name: &str, before: &str| one(name).after(&id(&format!("value/{before}")));
    let chain = [after("a", "b"), after("b", "c"), after("c", "d"), one("d")];
    let mut world =
        World::new().having(chain.into_iter().chain([after("e", "f"), one("f"), after("g", "e")]));
    // Runs that were not finished may leave records that do not fit together.
    for (name, before) in [("d", "a"), ("f", "e")] {
        let other = World::new().having([one(before), after(name, before)]);
        let name = id(&format!("value/{name}"));
        world.recorded.insert(name.clone(), other.recorded[&name].clone());
    }
    expect!["the plan has a loop: delete value/e → delete value/f → delete value/e"]
        .assert_eq(&world.want([]).try_plan().expect_err("it has no order").to_string());
}

#[test]
fn a_thing_that_is_gone_frees_its_record_only() {
    let world = World::new()
        .having([unit("old", json!({"path": "/place"}))])
        .see("unit/old", Observation::Absent)
        .want([unit("new", json!({"path": "/place"}))]);
    check(
        &world,
        expect![[r#"
        forget:unit/old
        create:unit/new <- forget:unit/old
    "#]],
    );
}

#[test]
fn a_plan_that_would_not_fit_into_memory_is_refused() {
    let many = |step: u32| {
        let first = (0..500).map(move |at| value(&format!("first-{at}"), json!(step)));
        let mut gate = value("gate", json!(1));
        for at in 0..500 {
            gate = gate.after(&id(&format!("value/first-{at}")));
        }
        let then = (0..500).map(move |at| value(&format!("then-{at}"), json!(step)).after(&id("value/gate")));
        first.chain([gate]).chain(then).collect::<Vec<_>>()
    };
    let error = World::new().having(many(1)).want(many(2)).try_plan().unwrap_err();
    expect!["the plan has too many edges to be held: value/then-459 alone waits for 500 others"]
        .assert_eq(&error.to_string());
}

#[test]
fn what_is_seen_where_another_is_removed_first_is_made_and_not_adopted() {
    let at = |name: &str, path: &str| unit(name, json!({ "path": path }));
    let seen = || Observation::Present(Present::new().with_field("path", "/x"));
    let world = World::new().having([at("a", "/x")]);
    let renamed = world.clone().want([at("b", "/x")]).see("unit/b", seen());
    expect![[r#"
        delete unit/a: it is no longer in the desired state
        create unit/b: it takes the place of unit/a, which is no longer desired and is removed first: was `renamed_from: unit/a` meant?
    "#]]
    .assert_eq(&changes(&renamed.plan()));
    check(
        &renamed,
        expect![[r#"
        delete:unit/a
        create:unit/b <- delete:unit/a
    "#]],
    );
    let moved = world.clone().want([at("a", "/y"), at("b", "/x")]).see("unit/b", seen());
    expect![[r#"
        replace unit/a: `path` can not change in place [path: "/x" -> "/y"]
        create unit/b: it takes the place of unit/a, which is removed there first
    "#]]
    .assert_eq(&changes(&moved.plan()));
    // Nothing takes away what is elsewhere.
    let elsewhere = world.want([at("a", "/x"), at("b", "/z")]).see("unit/b", seen());
    assert!(changes(&elsewhere.plan()).starts_with("adopt unit/b: "));
}

#[test]
fn what_is_seen_only_in_part_where_another_is_removed_first_is_made_too() {
    let with_mode = unit("b", json!({"path": "/x", "mode": "0644"}));
    let seen = Present::new().with_field("path", "/x");
    let world = World::new().having([unit("a", json!({"path": "/x"}))]).want([with_mode]);
    let plan = world.see("unit/b", Observation::Present(seen)).plan();
    expect![[r#"
        delete unit/a: it is no longer in the desired state
        create unit/b: it takes the place of unit/a, which is no longer desired and is removed first: was `renamed_from: unit/a` meant?
    "#]]
    .assert_eq(&changes(&plan));
    assert_eq!(steps(&plan), "delete:unit/a\ncreate:unit/b <- delete:unit/a\n");
}

#[test]
fn what_is_made_anew_is_not_held_back_by_what_can_not_be_seen() {
    let unknown = || Observation::Unknown("h1 does not answer".to_owned());
    let base = |path: &str| unit("base", json!({ "path": path }));
    let world = World::new().having([base("/a"), unit("top", json!({})).after(&id("unit/base"))]);
    let replaced = "delete:unit/base\ncreate:unit/base <- delete:unit/base\n";
    let why = "unit/top: it could not be observed: h1 does not answer";
    for wanted in [vec![base("/b")], vec![base("/b"), unit("top", json!({}))]] {
        let plan = world.clone().want(wanted).see("unit/top", unknown()).plan();
        assert_eq!(steps(&plan), format!("{replaced}? {why}\n"));
    }
}

#[test]
fn what_is_not_held_back_keeps_its_actions() {
    let unknown = Observation::Unknown("h1 does not answer".to_owned());
    let top = || unit("top", json!({})).after(&id("unit/base"));
    let pair = |path: &str| unit("pair", json!({ "path": path }));
    let free = |name: &str| unit(name, json!({}));
    let world = World::new().having([unit("base", json!({})), top(), free("free"), free("zero"), pair("/a")]);
    check(
        &world.want([pair("/b")]).see("unit/top", unknown),
        expect![[r#"
            delete:unit/free
            delete:unit/pair
            delete:unit/zero
            create:unit/pair <- delete:unit/pair
            ? unit/base: it comes after unit/top, of which nothing is known
            ? unit/top: it could not be observed: h1 does not answer
        "#]],
    );
}

#[test]
fn who_lets_go_goes_first_beside_one_that_can_not_let_go_before() {
    // Everything has a new place; `top` still comes after both, and `user` after the first alone.
    let wanted = |n: u32| {
        let at = |name: &str| unit(name, json!({ "path": format!("/{name}{n}") }));
        let (base, two) = (id("unit/base"), id("unit/two"));
        let user = value("user", json!(n)).after(&base);
        let user = if n == 1 { user.after(&two) } else { user };
        [at("base"), at("two"), value("top", json!(n)).after(&base).after(&two), user]
    };
    check(
        &World::new().having(wanted(1)).want(wanted(2)),
        expect![[r#"
            delete:unit/base
            create:unit/base <- delete:unit/base
            update:value/user <- create:unit/base
            delete:unit/two <- update:value/user
            create:unit/two <- delete:unit/two
            update:value/top <- create:unit/base, create:unit/two
        "#]],
    );
}

#[test]
fn where_one_can_not_let_go_before_the_others_still_do() {
    // `user` comes after what takes the place of `old`; nothing is in the way of `other`.
    let world = World::new().having([
        unit("old", json!({"path": "/place"})),
        value("user", json!(1)).after(&id("unit/old")),
        unit("gone", json!({})),
        value("other", json!(1)).after(&id("unit/gone")),
    ]);
    let new = unit("new", json!({"path": "/place"}));
    check(
        &world.want([new, value("user", json!(2)).after(&id("unit/new")), value("other", json!(2))]),
        expect![[r#"
            delete:unit/old
            update:value/other
            delete:unit/gone <- update:value/other
            create:unit/new <- delete:unit/old
            update:value/user <- create:unit/new
        "#]],
    );
}
