//! What a kind says of itself decides which change comes of a view.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{record, resolved, value};
use crate::diff::{ChangeKind, Differ, TriggerToken, View};
use crate::model::secret::MarkKey;
use crate::model::{DesiredResource, Doc, HostName, Observation, Present, Record};
use crate::resource::{ChangeEffect, KindFacts, KindTraits, Registry};

/// One view of a thing, of a kind that is like `value` but for what it says of itself.
struct Case {
    facts: KindFacts,
    before: DesiredResource,
    wanted: DesiredResource,
    is_begun: bool,
    triggers: Option<&'static str>,
}

fn case(traits: KindTraits, before: &Value, wanted: &Value) -> Case {
    let mut facts = Registry::new().kind("value").unwrap().facts().clone();
    facts.traits = traits;
    facts.fields = None;
    let of = |spec: &Value| {
        let mut resource = value(&json!(0));
        resource.spec = Doc::new(spec);
        resource
    };
    Case { facts, before: of(before), wanted: of(wanted), is_begun: false, triggers: None }
}

fn traits(change: ChangeEffect) -> KindTraits {
    KindTraits { change, in_place: &["label"], replace_on: &["path"], ..KindTraits::default() }
}

fn present(fields: &Value) -> Observation {
    let fields = fields.as_object().unwrap().iter();
    let none = Present::new();
    let present = fields.fold(none, |present, (name, value)| present.with_field(name, value.clone()));
    Observation::Present(present.with_triggers(Some("then".to_owned())))
}

impl Case {
    fn begun(self) -> Self {
        Self { is_begun: true, ..self }
    }

    fn triggered(mut self) -> Self {
        self.triggers = Some("now");
        self.wanted = self.wanted.restart_on(&"value/config".parse().unwrap());
        self
    }

    fn hosts(mut self, before: &str, now: &str) -> Self {
        self.before.host = Some(HostName::new(before));
        self.wanted.host = Some(HostName::new(now));
        self
    }

    #[track_caller]
    fn sees(&self, observed: &Observation, expected: &Expect) {
        let whole = record(&self.before, observed);
        let record = match self.is_begun {
            true => Record::begun(whole.relations(), observed.fingerprint(), &whole.body().unwrap()),
            false => whole,
        };
        let triggers = self.triggers.map(|token| TriggerToken::Known(token.to_owned()));
        let resolved = crate::diff::Resolved { triggers, ..resolved(&self.wanted) };
        let view = View {
            desired: &self.wanted,
            resolved: &resolved,
            record: Some(&record),
            renamed_from: None,
            observed,
        };
        let differ = Differ { facts: &self.facts, key: &MarkKey::new([1; 32]) };
        let change = differ.change(view).unwrap();
        let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
        expected.assert_eq(&format!("{}: {} [{}]", change.kind, change.reason, fields.join(" ")));
        assert_eq!(change.to.is_some(), !matches!(change.kind, ChangeKind::Keep | ChangeKind::Unknown));
    }
}

#[test]
fn what_was_begun_and_is_not_there_is_new_unless_its_place_is_another() {
    let (old, new) = (json!({"path": "/a", "size": 1}), json!({"path": "/b", "size": 1}));
    let in_place = || traits(ChangeEffect::InPlace);
    let absent = Observation::Absent;
    case(in_place(), &old, &old).begun().sees(&absent, &expect!["create: it is not there yet []"]);
    case(in_place(), &old, &new)
        .begun()
        .sees(&absent, &expect!["replace: `path` can not change in place []"]);
    let other = case(in_place(), &old, &old).begun().hosts("h1", "h2");
    other.sees(&absent, &expect!["replace: `host` can not change in place []"]);
    // What was whole and is gone is that wherever it is to be.
    case(in_place(), &old, &old).sees(&absent, &expect!["create: drift: it was there and is gone []"]);
    case(in_place(), &old, &old)
        .begun()
        .sees(&Observation::Unobservable, &expect!["create: it is not there yet []"]);
}

#[test]
fn what_moves_is_replaced_because_of_its_host_whatever_else_differs() {
    let (old, new) = (json!({"args": 1, "z": 1}), json!({"args": 2, "z": 2}));
    case(traits(ChangeEffect::InPlace), &old, &new)
        .hosts("h1", "h2")
        .sees(&present(&old), &expect!["replace: `host` can not change in place [args host z]"]);
    // A field that is called like it is not it.
    case(traits(ChangeEffect::InPlace), &json!({"host": 1}), &json!({"host": 2}))
        .sees(&present(&json!({"host": 1})), &expect!["update: the desired state changed [host]"]);
}

#[test]
fn what_was_begun_is_restarted_where_its_kind_restarts() {
    let spec = json!({"label": "a"});
    for (change, expected) in [
        (ChangeEffect::Restart, expect!["adopt: an earlier run had begun to make it; it is restarted []"]),
        (ChangeEffect::Rerun, expect!["adopt: an earlier run had begun to make it []"]),
        (ChangeEffect::InPlace, expect!["adopt: an earlier run had begun to make it []"]),
    ] {
        case(traits(change), &spec, &spec).begun().triggered().sees(&present(&spec), &expected);
    }
}

#[test]
fn a_trigger_counts_before_fields_that_restart_nothing_and_after_those_that_do() {
    let restart = || traits(ChangeEffect::Restart);
    let (a, b) = (json!({"label": "a", "port": 1}), json!({"label": "b", "port": 1}));
    let c = json!({"label": "a", "port": 2});
    let triggered = |to: &Value| case(restart(), &a, to).triggered();
    triggered(&a).sees(&present(&a), &expect!["update: it restarts on value/config, which changes []"]);
    triggered(&b).sees(&present(&a), &expect!["update: it restarts on value/config, which changes [label]"]);
    triggered(&c).sees(&present(&a), &expect!["update: the desired state changed [port]"]);
    case(restart(), &a, &b).sees(&present(&a), &expect!["update: the desired state changed [label]"]);
    // Nothing but what is desired otherwise is nothing to restart for.
    case(traits(ChangeEffect::InPlace), &a, &a)
        .triggered()
        .sees(&present(&a), &expect!["update: only what is recorded of it changes [restart_on]"]);
}

#[test]
fn what_runs_once_more_says_for_which_fields_and_that_others_are_only_recorded() {
    let rerun = || traits(ChangeEffect::Rerun);
    let old = json!({"label": "a", "run": {"a": 1, "b": 1}});
    let unseen = Observation::Unobservable;
    case(rerun(), &old, &json!({"label": "b", "run": {"a": 2, "b": 2}}))
        .sees(&unseen, &expect!["update: it is done once more, since `run` changed [label run.a run.b]"]);
    case(rerun(), &old, &json!({"label": "b", "run": {"a": 1, "b": 1}}))
        .sees(&unseen, &expect!["update: only what is recorded of it changes [label]"]);
    let drifted = present(&json!({"run": {"a": 3, "b": 1}}));
    case(rerun(), &old, &old).sees(&drifted, &expect!["keep: nothing differs []"]);
}
