//! What is done once and tells something: whether a second time would show, and what becomes of what it told.

use async_trait::async_trait;
use expect_test::{Expect, expect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::late::{amend, marked};
use super::support::{World, changes, from, id, steps, unit, value};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint};
use crate::model::{DesiredResource, Doc, Observation, Present, Record};
use crate::plan::PlanError;
use crate::resource::{ChangeEffect, InvalidField, KindTraits, Removal, Removed, Resource};

/// A job is done once more when it is changed; a note and a memo are changed in place, and a memo is only forgotten.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done<const KIND: usize> {
    run: Value,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    code: Value,
}

pub(super) const JOB: usize = 0;
const NOTE: usize = 1;
const MEMO: usize = 2;

#[async_trait]
impl<const KIND: usize> Resource for Done<KIND> {
    const KIND: &'static str = ["job", "note", "memo"][KIND];
    type Output = Told;

    fn traits() -> KindTraits {
        KindTraits {
            at_once: &["run"],
            stable_outputs: &["code"],
            change: if KIND == JOB { ChangeEffect::Rerun } else { ChangeEffect::InPlace },
            removal: if KIND == MEMO { Removal::Forget } else { Removal::Delete },
            ..KindTraits::default()
        }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<Told, ActionError> {
        unreachable!("plans are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<Told, ActionError> {
        unreachable!("plans are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

fn done(kind: &str, run: &str) -> DesiredResource {
    DesiredResource::from_value(kind, "it", &json!({ "run": run })).unwrap()
}

fn world() -> World {
    let mut world = World::new();
    world.registry = world
        .registry
        .with_resource::<Done<JOB>>()
        .with_resource::<Done<NOTE>>()
        .with_resource::<Done<MEMO>>();
    world
}

fn present(run: Option<&str>) -> Observation {
    Observation::Present(run.into_iter().fold(Present::new(), |present, run| present.with_field("run", run)))
}

#[track_caller]
fn check(world: &World, expected: Expect) {
    let plan = world.plan();
    expected.assert_eq(&(changes(&plan) + &steps(&plan)));
}

#[test]
fn what_is_done_once_more_where_a_look_would_not_show_it_is_done_at_most_once() {
    let crash = |kind: &str, seen: Option<&str>, to: DesiredResource| {
        let world = world().having([value("v", json!(1)), done(kind, "a")]);
        let plan = world.want([value("v", json!(2)), to]).see(&format!("{kind}/it"), present(seen)).plan();
        plan.actions.iter().find(|action| plan.change_of(action).resource.kind() == kind).unwrap().crash
    };
    assert_eq!(crash("job", Some("a"), done("job", "b")), CrashClass::DeterministicName);
    assert_eq!(crash("job", None, done("job", "b")), CrashClass::AtMostOnce);
    assert_eq!(crash("note", None, done("note", "b")), CrashClass::DeterministicName);
    // Nothing differs when it is done for the sake of another.
    let triggered = done("job", "a").restart_on(&id("value/v"));
    assert_eq!(crash("job", Some("a"), triggered), CrashClass::AtMostOnce);
}

#[test]
fn how_bad_it_is_to_do_something_twice_is_known_though_what_it_takes_is_sensitive() {
    let run = json!({"run": [from("value/a", "input")]});
    let mut call = DesiredResource::from_value("call", "c", &run).unwrap();
    call.extra_mut().sensitive.push("run".parse().unwrap());
    let plan = World::new().want([value("a", json!("x")), call]).plan();
    let action = plan.actions.iter().find(|action| action.crash == CrashClass::AtMostOnce).unwrap();
    assert!(action.spec.to_string().contains("$sensitive"), "{}", action.spec);
}

#[test]
fn of_what_is_found_done_an_output_is_known_only_if_it_was_seen() {
    let outcome = |seen: Observation| {
        let wanted = [done("job", "a"), value("v", from("job/it", "code"))];
        world().want(wanted).see("job/it", seen).try_plan().map(|plan| steps(&plan))
    };
    let told = Present::new().with_output(&Told { code: json!(7) });
    let fine = "adopt:job/it\ncreate:value/v <- adopt:job/it\n";
    assert!(matches!(outcome(present(None)), Err(PlanError::NoOutput { .. })));
    assert_eq!(outcome(Observation::Present(told)).unwrap(), fine);
    // It is not known to be done with all that it should be: it is done, and tells it.
    assert_eq!(outcome(present(Some("b"))).unwrap(), fine);
    let note = [done("note", "a"), value("v", from("note/it", "code"))];
    assert!(world().want(note).see("note/it", present(None)).try_plan().is_ok());
}

#[test]
fn what_was_sensitive_of_something_that_is_done_once_more_is_told_anew() {
    let told = json!({"token": "hunter22"});
    let wanted = |run: &str| [done("job", run), value("v", json!({"is": from("job/it", "code.token")}))];
    let mut world = world().having([done("job", "a")]);
    amend(&mut world, "job/it", |body| body.output = json!({ "code": told }));
    let mut world = world.having(wanted("a"));
    amend(&mut world, "job/it", |body| {
        body.output = json!({"code": marked(&told)});
        body.changed = "run-1/create".to_owned();
    });
    amend(&mut world, "value/v", |body| {
        body.spec = Doc::new(&json!({"input": {"is": marked(&told["token"])}}));
        body.changed = "run-2/create".to_owned();
    });
    assert!(world.plan().is_settled(), "{}", changes(&world.plan()));
    check(
        &world.want(wanted("b")),
        expect![[r#"
            update job/it: it is done once more, since `run` changed [run: "a" -> "b"]
            update value/v: it needs a value of job/it, which changes [input.is: "(sensitive)" -> "(known after job/it)"]
            update:job/it
            update:value/v <- update:job/it
        "#]],
    );
}

/// Something of which the making had begun, with this spec, and of which something else is there now.
fn begun_by_us(kind: &str, spec: &Value) -> World {
    let mut world = world().having([done(kind, "a")]);
    amend(&mut world, &format!("{kind}/it"), |body| body.spec = Doc::new(spec));
    let record = &world.recorded[&id(&format!("{kind}/it"))];
    let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    world.recorded.insert(id(&format!("{kind}/it")), begun);
    world.want([]).see(&format!("{kind}/it"), present(Some("theirs")))
}

#[test]
fn what_is_there_is_somebody_elses_only_where_that_can_be_told_from_what_was_begun() {
    let spec = json!({"run": "a"});
    check(
        &begun_by_us("job", &spec),
        expect![[r#"
            delete job/it: an earlier run had begun to make it, and somebody else made what is there: it is left as it is; only its record is dropped
            forget:job/it
        "#]],
    );
    // What another version has recorded can not be compared.
    check(
        &begun_by_us("job", &json!({"run": "a", "of_another_version": 1})),
        expect![[r#"
            delete job/it: it is no longer in the desired state
            delete:job/it
        "#]],
    );
    // What is only forgotten is nobody's.
    check(
        &begun_by_us("memo", &spec),
        expect![[r#"
            delete memo/it: it is no longer in the desired state
            forget:memo/it
        "#]],
    );
}

#[test]
fn what_was_begun_and_is_not_there_is_removed_all_the_same() {
    let mut world = World::new().having([unit("a", json!({}))]).want([]).see("unit/a", Observation::Absent);
    assert_eq!(steps(&world.plan()), "forget:unit/a\n");
    let record = &world.recorded[&id("unit/a")];
    let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
    world.recorded.insert(id("unit/a"), begun);
    assert_eq!(steps(&world.plan()), "delete:unit/a\n");
}
