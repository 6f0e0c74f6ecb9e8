//! One resource at a time: which change comes of which views.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{
    ChangeKind, Differ, Reason, Resolved, TriggerToken, View, intent_digest, said_of_theirs, shown,
    trigger_token,
};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    DesiredResource, Digest, Doc, Extra, FieldOwner, Health, HostName, Observation, Present, Record,
    RecordBody, ResourceId,
};
use crate::resource::{ChangeEffect, KindFacts, Registry, Unhealthy};

mod kinds;

fn value(input: &Value) -> DesiredResource {
    crate::resource::value::ValueSpec::resource("v", input).unwrap()
}

fn resolved(desired: &DesiredResource) -> Resolved {
    let intent = intent_digest(&desired.spec, desired.host.as_ref());
    Resolved { spec: desired.spec.clone(), late: None, intent, triggers: None }
}

fn record(desired: &DesiredResource, seen: &Observation) -> Record {
    let body = RecordBody {
        adopted: false,
        cut_off: false,
        made_as: None,
        spec: desired.spec.clone(),
        output: Value::Null,
        host: desired.host.clone(),
        after: [].into(),
        extra: desired.given_extra().cloned().map(Box::new),
        triggers: None,
        traces: Default::default(),
        changed: "1/create:value/v".to_owned(),
        schema: Digest::of(b"schema").short(),
    };
    Record::new(resolved(desired).intent, desired.relations_digest(), seen.fingerprint(), &body)
}

fn with_differ<T>(body: impl FnOnce(&Differ<'_>) -> T) -> T {
    let (registry, key) = (Registry::new(), MarkKey::new([1; 32]));
    body(&Differ { facts: registry.kind("value").unwrap().facts(), key: &key })
}

/// The change of `after` where `before` was recorded and `now` is seen.
#[track_caller]
fn check(before: Option<&Value>, now: &Observation, after: &Value, expected: &Expect) {
    let desired = value(after);
    let record = before.map(|before| record(&value(before), &Observation::Unobservable));
    let view = View {
        desired: &desired,
        resolved: &resolved(&desired),
        record: record.as_ref(),
        renamed_from: None,
        observed: now,
    };
    let change = with_differ(|differ| differ.change(view)).unwrap();
    let mut text = format!("{}: {}", change.kind, change.reason);
    for field in &change.fields {
        text.push_str(&format!("\n{} {} -> {} ({:?})", field.path, field.from, field.to, field.cause));
    }
    expected.assert_eq(&text);
    assert_eq!(change.to.is_some(), !matches!(change.kind, ChangeKind::Keep | ChangeKind::Unknown));
}

fn present(input: &Value) -> Observation {
    Observation::Present(Present::new().with_field("input", input.clone()))
}

#[test]
fn every_view_has_its_change() {
    let (old, new) = (json!({"a": 1, "b": 1}), json!({"a": 2, "b": 1}));
    let unknown = Observation::Unknown("no answer".to_owned());
    check(None, &Observation::Unobservable, &new, &expect!["create: it is not there yet"]);
    check(None, &Observation::Absent, &new, &expect!["create: it is not there yet"]);
    check(None, &unknown, &new, &expect!["unknown: it could not be observed: no answer"]);
    check(None, &present(&new), &new, &expect!["adopt: it exists already and is not recorded"]);
    check(
        None,
        &present(&old),
        &new,
        &expect![[r#"
        adopt: it exists already and is not recorded
        input.a 1 -> 2 (Intent)"#]],
    );
    check(Some(&new), &Observation::Unobservable, &new, &expect!["keep: nothing differs"]);
    check(Some(&new), &Observation::Absent, &new, &expect!["create: drift: it was there and is gone"]);
    check(Some(&new), &unknown, &new, &expect!["unknown: it could not be observed: no answer"]);
    check(Some(&new), &present(&new), &new, &expect!["keep: nothing differs"]);
    check(
        Some(&new),
        &present(&old),
        &new,
        &expect![[r#"
        update: drift: it was changed behind detc's back
        input.a 1 -> 2 (Drift)"#]],
    );
    check(
        Some(&old),
        &Observation::Unobservable,
        &new,
        &expect![[r#"
        update: the desired state changed
        input.a 1 -> 2 (Intent)"#]],
    );
    check(
        Some(&old),
        &present(&old),
        &new,
        &expect![[r#"
        update: the desired state changed
        input.a 1 -> 2 (Intent)"#]],
    );
    check(
        Some(&old),
        &present(&new),
        &new,
        &expect![[r#"
        update: it is so already, and is recorded otherwise
        input.a 1 -> 2 (Intent)"#]],
    );
    check(
        Some(&old),
        &present(&json!({"a": 3, "b": 3})),
        &new,
        &expect![[r#"
            update: the desired state changed, and it was changed behind detc's back
            input.a 3 -> 2 (Both)
            input.b 3 -> 1 (Drift)"#]],
    );
}

#[test]
fn a_damaged_record_is_an_error_and_no_change() {
    let desired = value(&json!(1));
    let whole = record(&value(&json!(2)), &Observation::Unobservable);
    let mut bytes = whole.as_bytes().to_vec();
    bytes.truncate(bytes.len() - 2);
    let record = Record::from_bytes(bytes.into()).unwrap();
    let resolved = resolved(&desired);
    let view = View {
        desired: &desired,
        resolved: &resolved,
        record: Some(&record),
        renamed_from: None,
        observed: &Observation::Unobservable,
    };
    let error = with_differ(|differ| differ.change(view)).unwrap_err();
    assert_eq!(error.to_string(), "a record is damaged");
}

#[test]
fn a_removal_of_what_can_not_be_seen_is_unknown() {
    let id: ResourceId = "value/v".parse().unwrap();
    let kind = |observed: &Observation| with_differ(|differ| differ.removal(&id, observed).kind);
    assert_eq!(kind(&Observation::Unknown("no answer".to_owned())), ChangeKind::Unknown);
    assert_eq!(kind(&Observation::Absent), ChangeKind::Delete);
    assert_eq!(kind(&Observation::Unobservable), ChangeKind::Delete);
}

#[test]
fn a_kind_that_has_nothing_to_restart_ignores_triggers() {
    let desired = value(&json!(1));
    let record = record(&desired, &Observation::Unobservable);
    let token = Some(TriggerToken::Changing(vec!["value/other".parse().unwrap()]));
    let resolved = Resolved { triggers: token, ..resolved(&desired) };
    let view = View {
        desired: &desired,
        resolved: &resolved,
        record: Some(&record),
        renamed_from: None,
        observed: &Observation::Unobservable,
    };
    assert_eq!(with_differ(|differ| differ.change(view)).unwrap().reason, Reason::Same);
}

#[test]
fn sensitive_fields_are_marked_and_kept_in_the_vault() {
    let mut desired = value(&json!({"user": "web", "password": "correct horse"}));
    desired.extra_mut().sensitive.push("input.password".parse().unwrap());
    let mut vault = Vault::new();
    let sealed = with_differ(|differ| differ.sealed(&desired, &mut vault));
    assert!(!sealed.text().contains("horse") && !vault.is_empty());
    let shown = shown(&sealed.value(), &|id| id.to_string());
    assert_eq!(shown, json!({"input": {"user": "web", "password": "(sensitive)"}}));
}

#[test]
fn the_intent_is_the_spec_and_the_host() {
    let (a, b) = (Doc::new(&json!({"x": 1})), Doc::new(&json!({"x": 2})));
    let (h1, h2) = (HostName::new("h1"), HostName::new("h2"));
    let digests = [
        intent_digest(&a, None),
        intent_digest(&b, None),
        intent_digest(&a, Some(&h1)),
        intent_digest(&a, Some(&h2)),
    ];
    let different: std::collections::BTreeSet<Digest> = digests.into_iter().collect();
    assert_eq!(different.len(), 4);
}

#[test]
fn a_trigger_token_does_not_depend_on_the_order_of_triggers() {
    let (a, b): (ResourceId, ResourceId) = ("value/a".parse().unwrap(), "value/b".parse().unwrap());
    assert_eq!(trigger_token([(&a, "1"), (&b, "2")]), trigger_token([(&b, "2"), (&a, "1")]));
    assert_ne!(trigger_token([(&a, "1"), (&b, "2")]), trigger_token([(&a, "2"), (&b, "1")]));
}

#[test]
fn only_what_was_seen_to_be_unhealthy_is_restarted_and_only_of_a_kind_that_says_so() {
    let desired = value(&json!(1));
    let mut healing = Registry::new().kind("value").unwrap().facts().clone();
    let told = healing.clone();
    healing.traits.change = ChangeEffect::Restart;
    healing.traits.unhealthy = Unhealthy::Restarted;
    let change = |facts: &KindFacts, health: Health| {
        let present = Present::new().with_field("input", 1).with_health(health).with_detail("no answer");
        let observed = Observation::Present(present);
        let record = record(&desired, &observed);
        let resolved = &resolved(&desired);
        let view = View {
            desired: &desired,
            resolved,
            record: Some(&record),
            renamed_from: None,
            observed: &observed,
        };
        let change = Differ { facts, key: &MarkKey::new([1; 32]) }.change(view).unwrap();
        format!("{}: {}", change.kind, change.reason)
    };
    expect!["update: it is unhealthy: no answer"].assert_eq(&change(&healing, Health::Unhealthy));
    for health in [Health::Healthy, Health::Unknown, Health::None] {
        expect!["keep: nothing differs"].assert_eq(&change(&healing, health));
    }
    expect!["keep: nothing differs"].assert_eq(&change(&told, Health::Unhealthy));
}

/// All of it is as desired, so that nothing but its trigger tells that it has to be restarted.
#[test]
fn what_was_begun_and_is_triggered_is_adopted_and_restarted() {
    let trigger: ResourceId = "value/config".parse().unwrap();
    let desired = value(&json!(1)).restart_on(&trigger);
    let mut facts = Registry::new().kind("value").unwrap().facts().clone();
    facts.traits.change = ChangeEffect::Restart;
    let change = |carried: &str| {
        let present = Present::new().with_field("input", 1).with_triggers(Some(carried.to_owned()));
        let observed = Observation::Present(present);
        let body = record(&desired, &observed).body().unwrap();
        let begun = Record::begun(desired.relations_digest(), observed.fingerprint(), &body);
        let resolved =
            Resolved { triggers: Some(TriggerToken::Known("now".to_owned())), ..resolved(&desired) };
        let view = View {
            desired: &desired,
            resolved: &resolved,
            record: Some(&begun),
            renamed_from: None,
            observed: &observed,
        };
        Differ { facts: &facts, key: &MarkKey::new([1; 32]) }.change(view).unwrap()
    };
    let (restarted, adopted) = (change("before"), change("now"));
    assert_eq!((restarted.kind, adopted.kind), (ChangeKind::Adopt, ChangeKind::Adopt));
    assert_eq!(restarted.reason, Reason::Restarts(Box::new(Reason::Begun)));
    assert_eq!(adopted.reason, Reason::Begun);
}

#[test]
fn a_status_says_who_has_a_field_otherwise_than_it_is_recorded() {
    let recorded = Doc::new(&json!({ "replicas": 2, "size": 1, "mode": "a", "own": 1, "same": 3 }));
    let owned = |path: &str, owner: FieldOwner| (path.parse().unwrap(), owner);
    let extra = Extra {
        ownership: [
            owned("replicas", FieldOwner::Yield("autoscaler".to_owned())),
            owned("size", FieldOwner::Seed),
            owned("mode", FieldOwner::Observe),
            owned("own", FieldOwner::Own),
            owned("same", FieldOwner::Observe),
        ]
        .into(),
        ..Extra::default()
    };
    let seen = [
        ("replicas", json!(7)),
        ("size", json!(2)),
        ("mode", json!("b")),
        ("own", json!(2)),
        ("same", json!(3)),
    ];
    let present =
        seen.into_iter().fold(Present::new(), |present, (name, value)| present.with_field(name, value));
    let said = said_of_theirs(&recorded, &present, Some(&extra));
    expect!["`mode` is as somebody else has it, and not as recorded; `replicas` is as autoscaler has it, and not as recorded; `size` is as somebody else has it, and not as recorded"]
        .assert_eq(&said.unwrap_or_default());
    assert_eq!(said_of_theirs(&recorded, &Present::new(), Some(&extra)), None);
    assert_eq!(said_of_theirs(&recorded, &present, None), None);
}
