//! What is removed with all that lies within, and what refuses that.

use async_trait::async_trait;
use expect_test::{Expect, expect};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::support::{World, from, id, unit, value, without_id};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::model::{DesiredResource, HostName, Observation, Present, Record};
use crate::plan::render::TextOptions;
use crate::plan::{Verb, check_own, check_swept};
use crate::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};

/// Is removed with all that lies within.
#[derive(Debug, Serialize, Deserialize)]
struct Room {
    path: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Door {
    door: String,
}

#[async_trait]
impl Resource for Room {
    const KIND: &'static str = "room";
    type Output = Door;

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["path"], host: HostNeed::Required, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let place = Place::path(&self.path);
        Ok(Footprint::new(CrashClass::DeterministicName).writing(place.clone()).sweeping(place))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<Door, ActionError> {
        unreachable!("plans are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<Door, ActionError> {
        unreachable!("plans are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

fn room(name: &str, path: &str) -> DesiredResource {
    DesiredResource::from_value("room", name, &json!({ "path": path })).unwrap().on("h1")
}

fn at(name: &str, path: &str) -> DesiredResource {
    unit(name, json!({ "path": path }))
}

/// Has these.
fn having(resources: impl IntoIterator<Item = DesiredResource>) -> World {
    let mut world = World::new();
    world.registry = world.registry.with_resource::<Room>();
    let mut world = world.having(resources);
    // A room is seen as it was made.
    for (id, record) in world.recorded.iter().filter(|(id, _)| id.kind() == "room") {
        let mut present = Present::new();
        present.fields = record.body().unwrap().spec.value().as_object().unwrap().clone();
        world.observed.insert(id.clone(), Observation::Present(present));
    }
    world
}

/// What is refused, or what is swept.
fn outcome(world: &World) -> String {
    let plan = world.plan();
    match check_swept(&plan, &world.desired, &world.recorded, &world.registry) {
        Err(refused) => refused.to_string(),
        Ok(()) => {
            let swept = (0..).zip(&plan.actions).filter(|(_, action)| action.sweeps);
            let swept: Vec<String> = swept.map(|(at, _)| plan.action_id(at)).collect();
            format!("fine: {}", swept.join(", "))
        }
    }
}

#[track_caller]
fn check(world: &World, expected: &str) {
    assert_eq!(outcome(world), expected);
}

const FINE: &str = "fine: delete:room/r";
const STAYS: &str = "room/r would be removed with all that is in /r, and unit/u is in there and stays";

#[test]
fn what_stays_within_refuses_the_removal() {
    let both = || having([room("r", "/r"), at("u", "/r/a/b")]);
    check(&both().want([at("u", "/r/a/b")]), STAYS);
    check(&both().want([]), FINE);
    // Nothing is removed.
    check(&both().want([room("r", "/r"), at("u", "/r/a/b")]), "fine: ");
    // Beside it, around it, and on another host.
    check(&having([room("r", "/r"), at("u", "/rest")]).want([at("u", "/rest")]), FINE);
    check(&having([room("r", "/r/s"), at("u", "/r")]).want([at("u", "/r")]), FINE);
    check(&having([room("r", "/r"), at("u", "/r/a").on("h2")]).want([at("u", "/r/a").on("h2")]), FINE);
    // What reads something there needs it.
    for place in ["/r", "/r/a"] {
        let reader = || unit("u", json!({ "path": "/u", "reads": place }));
        check(&having([room("r", "/r"), reader()]).want([reader()]), STAYS);
    }
}

#[test]
fn what_is_made_or_changed_within_refuses_the_removal() {
    check(&having([room("r", "/r")]).want([at("u", "/r/a")]), STAYS);
    let changed = unit("u", json!({ "path": "/r/a", "mode": "0600" }));
    check(&having([room("r", "/r"), at("u", "/r/a")]).want([changed]), STAYS);
    check(&having([room("r", "/r"), at("u", "/a")]).want([at("u", "/r/a")]), STAYS);
    check(&having([room("r", "/r"), at("u", "/r/a")]).want([at("u", "/a")]), FINE);
    // It is desired and can not be seen: it may be there.
    let unseen = having([room("r", "/r")]).want([at("u", "/r/a")]);
    check(&unseen.see("unit/u", Observation::Unknown("no answer".to_owned())), STAYS);
    // Where it is to be made is not known yet.
    let late = unit("u", json!({ "path": from("room/q", "door") }));
    check(
        &having([room("r", "/r")]).want([room("q", "/q"), late]),
        "room/r would be removed with all that is in /r, and where unit/u is to be made is not known yet",
    );
}

#[test]
fn where_something_is_to_be_made_is_known_by_the_values_that_it_takes() {
    let by_value =
        |path: &str| [value("p", json!(path)), unit("u", json!({ "path": from("value/p", "input") }))];
    check(&having([room("r", "/r")]).want(by_value("/a")), FINE);
    check(&having([room("r", "/r")]).want(by_value("/r/a")), STAYS);
}

#[test]
fn what_is_gone_by_then_refuses_nothing_and_what_is_only_forgotten_does() {
    let both = || having([room("r", "/r"), at("u", "/r/a")]);
    let gone = || both().see("unit/u", Observation::Absent);
    check(&gone().want([]), FINE);
    check(&gone().want([at("u", "/a")]), FINE);
    // What was there before is left where it was, also when it is made anew elsewhere.
    let adopted = || {
        let there = Present::new().with_field("path", "/r/a");
        let mut world = having([room("r", "/r")]).want([room("r", "/r"), at("u", "/r/a")]);
        world = world.see("unit/u", Observation::Present(there));
        let plan = world.plan();
        assert_eq!(plan.actions[0].verb, Verb::Adopt);
        world.apply(&plan);
        world
    };
    check(&adopted().want([]), STAYS);
    check(&adopted().want([at("u", "/a")]), STAYS);
    let renamed = |path: &str| {
        let mut renamed = at("v", path);
        renamed.extra_mut().renamed_from = Some(id("unit/u"));
        renamed
    };
    check(&both().want([renamed("/a")]), FINE);
    check(&both().want([renamed("/r/b")]), &STAYS.replace("unit/u", "unit/v"));
}

#[test]
fn a_room_that_is_not_removed_sweeps_nothing() {
    // It was there before, its making was cut off, or it is gone.
    let mut adopted = having([]).want([room("r", "/r")]);
    adopted = adopted.see("room/r", Observation::Present(Present::new().with_field("path", "/r")));
    let plan = adopted.plan();
    adopted.apply(&plan);
    check(&adopted.want([at("u", "/r/a")]), "fine: ");
    check(&begun(having([room("r", "/r")]), "room/r").want([at("u", "/r/a")]), "fine: ");
    check(&having([room("r", "/r")]).see("room/r", Observation::Absent).want([at("u", "/r/a")]), "fine: ");
    // Replaced, it is within where it was.
    check(&having([room("r", "/r")]).want([room("r", "/r/s")]), FINE);
    check(&begun(having([room("r", "/r")]), "room/r").want([room("r", "/s")]), "fine: ");
}

/// The same, of which the making had begun.
fn begun(mut world: World, resource: &str) -> World {
    let record = &world.recorded[&id(resource)];
    let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    world.recorded.insert(id(resource), begun);
    world
}

#[test]
fn where_detc_keeps_its_own_things_nothing_is_swept() {
    let world = having([room("r", "/r"), at("u", "/u")]).want([]);
    let plan = world.plan();
    let own = |host: &str, dir: &str| {
        let own = [(HostName::new("h2"), "/r".to_owned()), (HostName::new(host), dir.to_owned())];
        check_own(&plan, &own, &world.registry).map_err(|refused| refused.to_string())
    };
    assert_eq!(
        [own("h1", "/s"), own("h1", "/rest"), own("h1", "/u"), own("h2", "/r/detc")],
        [const { Ok(()) }; 4]
    );
    for dir in ["/r", "/r/var/detc", "/"] {
        let refused = format!(
            "room/r would be removed with all that is in /r, and {dir}, where detc keeps its own things, is in there"
        );
        assert_eq!(own("h1", dir), Err(refused));
    }
}

#[track_caller]
fn says(world: &World, text: Expect) {
    let plan = world.plan();
    text.assert_eq(&without_id(&plan, &plan.text(&TextOptions::default())));
}

#[test]
fn a_reviewer_reads_what_goes_with_all_that_is_in_it() {
    says(
        &having([room("gone", "/a"), room("moved", "/b"), room("begun", "/c"), value("v", json!(1))])
            .want([room("moved", "/d")]),
        expect![[r#"
            Plan PLAN: 1 to replace, 3 to delete.

            - delete room/begun with all that is in it on h1 (it is no longer in the desired state)
            - delete room/gone with all that is in it on h1 (it is no longer in the desired state)
            - forget value/v (it is no longer in the desired state)

            ± replace room/moved with all that is in it on h1 (`path` can not change in place)
                path: "/b" → "/d"

            5 actions in 2 steps, up to 4 side by side.
        "#]],
    );
    let rooms = || (0..10).map(|n| room(&format!("r{n}"), &format!("/r{n}")));
    says(
        &having(rooms()).want([]),
        expect![[r#"
        Plan PLAN: 10 to delete.

        - delete 10 room/r* with all that is in them on h1 (it is no longer in the desired state)

        10 actions, none of which waits for another.
    "#]],
    );
    let some = [1, 4, 7].into_iter().fold(having(rooms()), |world, n| begun(world, &format!("room/r{n}")));
    says(
        &some.want([]),
        expect![[r#"
        Plan PLAN: 10 to delete.

        - delete 10 room/r* (7 of them with all that is in them) on h1 (it is no longer in the desired state)

        10 actions, none of which waits for another.
    "#]],
    );
}

#[test]
fn one_of_many_that_goes_with_all_that_is_in_it_is_counted() {
    let rooms = || (0..10).map(|n| room(&format!("r{n}"), &format!("/r{n}")));
    let one = (1..10).fold(having(rooms()), |world, n| begun(world, &format!("room/r{n}")));
    let text = one.want([]).plan().to_string();
    assert!(text.contains("- delete 10 room/r* (1 of them with all that is in them) on h1 ("), "{text}");
}
