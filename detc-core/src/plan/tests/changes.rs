//! Which change comes of which views, and why.

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, call, changes, id, steps, unit, value};
use crate::model::{Desired, FieldOwner, HostName, Observation, Present};

#[track_caller]
fn check(world: &World, expected: Expect) {
    let plan = world.plan();
    expected.assert_eq(&(changes(&plan) + &steps(&plan)));
}

fn own(
    mut resource: crate::model::DesiredResource,
    field: &str,
    owner: FieldOwner,
) -> crate::model::DesiredResource {
    resource.extra_mut().ownership.insert(field.parse().unwrap(), owner);
    resource
}

fn seen(mode: &str) -> Observation {
    Observation::Present(Present::new().with_field("mode", mode))
}

#[test]
fn what_is_new_is_created_and_then_kept() {
    let world = World::new().want([value("a", json!(1)), unit("u", json!({}))]);
    check(
        &world,
        expect![[r#"
        create unit/u: it is not there yet
        create value/a: it is not there yet
        create:unit/u
        create:value/a
    "#]],
    );
    let world = world.having([value("a", json!(1)), unit("u", json!({}))]);
    assert!(world.plan().is_settled());
    assert_eq!(world.plan().kept, 2);
}

#[test]
fn what_differs_is_updated_with_the_fields_that_differ() {
    let world = World::new()
        .having([value("a", json!({"x": 1, "y": [1]})), call("c")])
        .want([value("a", json!({"x": 2, "y": [1, 2]})), call("c")]);
    check(
        &world,
        expect![[r#"
        update value/a: the desired state changed [input.x: 1 -> 2] [input.y: [1] -> [1,2]]
        update:value/a
    "#]],
    );
}

#[test]
fn the_cause_is_the_intent_or_drift_or_both() {
    let before = || {
        [
            unit("drift", json!({"mode": "0644"})),
            unit("intent", json!({"mode": "0644"})),
            unit("both", json!({"mode": "0644", "text": "a"})),
            unit("same", json!({"mode": "0644"})),
        ]
    };
    let world = World::new()
        .having(before())
        .want([
            unit("drift", json!({"mode": "0644"})),
            unit("intent", json!({"mode": "0755"})),
            unit("both", json!({"mode": "0644", "text": "b"})),
            unit("same", json!({"mode": "0755"})),
        ])
        .drift("unit/drift", "mode", json!("0600"))
        .drift("unit/both", "mode", json!("0600"))
        .drift("unit/same", "mode", json!("0755"));
    // Somebody has made `same` by hand as it is now desired: only the record is behind.
    check(
        &world,
        expect![[r#"
            update unit/both: the desired state changed, and it was changed behind detc's back [mode: "0600" -> "0644" drift] [text: "a" -> "b"]
            update unit/drift: drift: it was changed behind detc's back [mode: "0600" -> "0644" drift]
            update unit/intent: the desired state changed [mode: "0644" -> "0755"]
            update unit/same: it is so already, and is recorded otherwise [mode: "0644" -> "0755"]
            restart:unit/both
            restart:unit/drift
            restart:unit/intent
            record:unit/same
        "#]],
    );
}

#[test]
fn what_was_made_and_is_gone_is_made_again() {
    let world = World::new().having([unit("u", json!({}))]).see("unit/u", Observation::Absent);
    check(
        &world,
        expect![[r#"
        create unit/u: drift: it was there and is gone
        create:unit/u
    "#]],
    );
}

#[test]
fn what_is_there_and_not_recorded_is_adopted() {
    let world = World::new()
        .want([unit("same", json!({"mode": "0644"})), unit("other", json!({"mode": "0644"}))])
        .see("unit/same", seen("0644"))
        .see("unit/other", seen("0600"));
    check(
        &world,
        expect![[r#"
            adopt unit/other: it exists already and is not recorded; it is restarted [mode: "0600" -> "0644"]
            adopt unit/same: it exists already and is not recorded; it is restarted
            adopt:unit/other
            adopt:unit/same
        "#]],
    );
}

#[test]
fn a_field_that_can_not_change_in_place_replaces() {
    let world = World::new()
        .having([unit("path", json!({"mode": "0644"})), unit("host", json!({}))])
        .want([unit("path", json!({"mode": "0755", "path": "/b"})), unit("host", json!({})).on("h2")]);
    check(
        &world,
        expect![[r#"
        replace unit/host: `host` can not change in place [host: "h1" -> "h2"]
        replace unit/path: `path` can not change in place [mode: "0644" -> "0755"] [path: "/path" -> "/b"]
        delete:unit/host
        delete:unit/path
        create:unit/host <- delete:unit/host
        create:unit/path <- delete:unit/path
    "#]],
    );
}

#[test]
fn what_is_no_longer_desired_is_deleted_or_forgotten() {
    let world = World::new()
        .having([unit("there", json!({})), unit("gone", json!({})), value("v", json!(1)), call("c")])
        .want([])
        .see("unit/gone", Observation::Absent);
    check(
        &world,
        expect![[r#"
        delete call/c: it is no longer in the desired state
        delete unit/gone: it is no longer in the desired state
        delete unit/there: it is no longer in the desired state
        delete value/v: it is no longer in the desired state
        forget:call/c
        forget:unit/gone
        delete:unit/there
        forget:value/v
    "#]],
    );
}

#[test]
fn what_is_protected_is_neither_deleted_nor_replaced() {
    let world = World::new().having([unit("db", json!({})).protect()]);
    let refused = |world: &World| world.try_plan().unwrap_err().to_string();
    expect!["unit/db is protected, and this plan would delete it: it is no longer in the desired state"]
        .assert_eq(&refused(&world.clone().want([])));
    expect!["unit/db is protected, and this plan would replace it: `path` can not change in place"]
        .assert_eq(&refused(&world.clone().want([unit("db", json!({"path": "/b"})).protect()])));
    expect!["unit/db is protected, and this plan would replace it: `path` can not change in place"]
        .assert_eq(&refused(&world.clone().want([unit("db", json!({"path": "/b"}))])));
    let lifted = world.having([unit("db", json!({}))]);
    assert_eq!(steps(&lifted.want([]).plan()), "delete:unit/db\n");
}

#[test]
fn a_renamed_resource_keeps_its_thing() {
    let renamed = |mut resource: crate::model::DesiredResource| {
        resource.extra_mut().renamed_from = Some(id("unit/old"));
        resource
    };
    let world = World::new()
        .having([unit("old", json!({"path": "/a"})), value("v", json!(1)).after(&id("unit/old"))]);
    let plain = world
        .clone()
        .want([renamed(unit("new", json!({"path": "/a"}))), value("v", json!(1)).after(&id("unit/new"))]);
    check(
        &plain,
        expect![[r#"
        update unit/new: it was unit/old
        update value/v: only what is recorded of it changes
        record:unit/new
        record:value/v <- record:unit/new
    "#]],
    );
    let mut done = plain;
    let plan = done.plan();
    done.apply(&plan);
    assert!(done.plan().is_settled(), "{}", changes(&done.plan()));
    let changed = world
        .see("unit/new", seen("0600"))
        .want([renamed(unit("new", json!({"path": "/a", "mode": "0644"})))]);
    check(
        &changed,
        expect![[r#"
            update unit/new: the desired state changed [mode: "0600" -> "0644"]
            delete value/v: it is no longer in the desired state
            restart:unit/new
            forget:value/v
        "#]],
    );
}

#[test]
fn labels_order_and_protection_change_the_record_only() {
    let world = World::new().having([unit("u", json!({})).label("app", "web"), value("v", json!(1))]).want([
        unit("u", json!({})).label("app", "api").protect(),
        value("v", json!(1)).after(&id("unit/u")),
    ]);
    check(
        &world,
        expect![[r#"
        update unit/u: only what is recorded of it changes [labels.app: "web" -> "api"] [protect: null -> true]
        update value/v: only what is recorded of it changes
        record:unit/u
        record:value/v <- record:unit/u
    "#]],
    );
}

#[test]
fn a_field_of_another_owner_is_no_drift() {
    for owner in [FieldOwner::Seed, FieldOwner::Yield("autoscaler".to_owned()), FieldOwner::Observe] {
        let world = World::new()
            .having([own(unit("u", json!({"mode": "0644", "replicas": 2})), "replicas", owner.clone())])
            .drift("unit/u", "replicas", json!(9));
        assert!(world.plan().is_settled(), "{owner:?}: {}", changes(&world.plan()));
        let other =
            world.want([own(unit("u", json!({"mode": "0755", "replicas": 3})), "replicas", owner.clone())]);
        let plan = other.plan();
        assert_eq!(
            changes(&plan),
            "update unit/u: the desired state changed [mode: \"0644\" -> \"0755\"]\n",
            "{owner:?}"
        );
        assert_eq!(plan.actions[0].spec.value()["replicas"], json!(9), "{owner:?}");
    }
    let owned = World::new()
        .having([own(unit("u", json!({"replicas": 2})), "replicas", FieldOwner::Own)])
        .drift("unit/u", "replicas", json!(9));
    check(
        &owned,
        expect![[r#"
            update unit/u: drift: it was changed behind detc's back [replicas: 9 -> 2 drift]
            restart:unit/u
        "#]],
    );
}

#[test]
fn a_field_of_another_owner_need_not_be_in_the_desired_state() {
    let world = World::new()
        .having([own(
            unit("u", json!({"mode": "0644"})),
            "replicas",
            FieldOwner::Yield("autoscaler".to_owned()),
        )])
        .drift("unit/u", "replicas", json!(9));
    assert!(world.plan().is_settled(), "{}", changes(&world.plan()));
}

#[test]
fn a_seeded_field_has_the_desired_value_at_creation() {
    let world = World::new().want([own(unit("u", json!({"replicas": 2})), "replicas", FieldOwner::Seed)]);
    assert_eq!(world.plan().actions[0].spec.value()["replicas"], json!(2));
}

#[test]
fn nothing_is_made_where_nothing_can_be_seen_and_what_comes_after_waits() {
    let unknown = || Observation::Unknown("h1 does not answer".to_owned());
    let world = World::new()
        .want([
            unit("u", json!({})),
            value("after", json!(1)).after(&id("unit/u")),
            value("later", json!(1)).after(&id("value/after")),
            value("free", json!(1)),
        ])
        .see("unit/u", unknown());
    check(
        &world,
        expect![[r#"
        unknown unit/u: it could not be observed: h1 does not answer
        unknown value/after: it comes after unit/u, of which nothing is known
        create value/free: it is not there yet
        unknown value/later: it comes after value/after, of which nothing is known
        create:value/free
        ? unit/u: it could not be observed: h1 does not answer
        ? value/after: it comes after unit/u, of which nothing is known
        ? value/later: it comes after value/after, of which nothing is known
    "#]],
    );
    let gone = World::new().having([unit("u", json!({}))]).want([]).see("unit/u", unknown());
    check(
        &gone,
        expect![[r#"
        unknown unit/u: it could not be observed: h1 does not answer
        ? unit/u: it could not be observed: h1 does not answer
    "#]],
    );
}

#[test]
fn what_an_unknown_thing_may_still_need_is_not_deleted() {
    let unknown = || Observation::Unknown("h1 does not answer".to_owned());
    let world = World::new().having([
        unit("base", json!({})),
        unit("middle", json!({})).after(&id("unit/base")),
        unit("top", json!({})).after(&id("unit/middle")),
        unit("free", json!({})),
    ]);
    check(
        &world.clone().want([]).see("unit/top", unknown()),
        expect![[r#"
            unknown unit/base: it comes after unit/middle, of which nothing is known
            delete unit/free: it is no longer in the desired state
            unknown unit/middle: it comes after unit/top, of which nothing is known
            unknown unit/top: it could not be observed: h1 does not answer
            delete:unit/free
            ? unit/base: it comes after unit/middle, of which nothing is known
            ? unit/middle: it comes after unit/top, of which nothing is known
            ? unit/top: it could not be observed: h1 does not answer
        "#]],
    );
    check(
        &world.want([unit("top", json!({}))]).see("unit/top", unknown()),
        expect![[r#"
            unknown unit/base: it comes after unit/middle, of which nothing is known
            delete unit/free: it is no longer in the desired state
            unknown unit/middle: it comes after unit/top, of which nothing is known
            unknown unit/top: it could not be observed: h1 does not answer
            delete:unit/free
            ? unit/base: it comes after unit/middle, of which nothing is known
            ? unit/middle: it comes after unit/top, of which nothing is known
            ? unit/top: it could not be observed: h1 does not answer
        "#]],
    );
}

#[test]
fn what_a_program_does_not_know_is_left_alone() {
    let mut world = World::new().having([value("a", json!(1))]);
    let record = world.recorded[&id("value/a")].clone();
    world.recorded.insert(id("gadget/x"), record);
    check(
        &world,
        expect![[r#"
        unknown gadget/x: it could not be observed: this program has no kind `gadget`; drop its record with `apply --forget gadget/x`, which leaves the thing itself as it is
        ? gadget/x: it could not be observed: this program has no kind `gadget`; drop its record with `apply --forget gadget/x`, which leaves the thing itself as it is
    "#]],
    );
}

#[test]
fn a_host_is_named_once_for_all_that_lives_on_it() {
    let world = World::new().want([unit("u", json!({})).on("h2")]);
    assert_eq!(world.plan().actions[0].host, Some(HostName::new("h2")));
    assert_eq!(world.plan().hosts, Desired::clone(&world.desired).hosts);
}
