//! A field with a sensitive value, by a process that was given it and by one that was not.

use serde_json::json;

use super::*;
use crate::execute::journal::RunNumber;
use crate::model::secret::MarkKey;
use crate::resource::Registry;

const KEY: [u8; 32] = [7; 32];

/// What surrounds actions in a process that knows these secrets.
fn knowing(secrets: &[&str]) -> Surroundings {
    let around = Surroundings::new(Registry::new(), MarkKey::new(KEY), "store", RunNumber(1));
    for secret in secrets {
        around.vault().seal(&mut json!({ "field": secret }), &["field".parse().unwrap()], &around.key);
    }
    around
}

/// The mark of a secret.
fn mark(secret: &str) -> Value {
    let mut value = json!({ "field": secret });
    Vault::new().seal(&mut value, &["field".parse().unwrap()], &MarkKey::new(KEY));
    value["field"].take()
}

fn spec(fields: &Value) -> Doc {
    Doc::new(fields)
}

/// A record of `spec`, whose field `password` had this trace.
fn recorded(spec: &Doc, trace: Option<&str>) -> RecordBody {
    let record = json!({"spec": spec, "changed": "run-1/create", "schema": ""});
    let mut body: RecordBody = serde_json::from_value(record).unwrap();
    let trace = trace.map(|trace| ("password".to_owned(), MarkKey::new(KEY).of_trace(trace)));
    body.traces.extend(trace);
    body
}

fn seen(password: impl Into<Value>) -> Present {
    Present::new().with_field("user", "app").with_field("password", password)
}

/// Which value of `password` is gone by.
fn told(around: &Surroundings, present: Present, spec: &Doc, base: Option<&RecordBody>) -> Present {
    let lost = around.lost(spec);
    match around.as_told(Observation::Present(present), spec, base, &lost) {
        Observation::Present(present) => present,
        other => panic!("{other:?}"),
    }
}

#[test]
fn those_fields_are_lost_whose_secrets_were_not_given() {
    let around = knowing(&["known"]);
    let lost = |fields| around.lost(&spec(&fields));
    assert_eq!(lost(json!({"user": "app", "password": "open"})), [""; 0]);
    assert_eq!(lost(json!({"user": "app", "password": mark("known")})), [""; 0]);
    assert_eq!(lost(json!({"user": "app", "password": mark("lost")})), ["password"]);
    assert_eq!(lost(json!({"env": {"a": 1, "key": mark("lost")}, "password": mark("known")})), ["env"]);
}

#[test]
fn a_field_that_is_as_it_was_left_is_as_its_record_says() {
    let wanted = spec(&json!({"user": "app", "password": mark("new")}));
    let left = recorded(&spec(&json!({"user": "app", "password": mark("old")})), Some("trace of old"));
    let present = seen("(made up)").with_trace("password", "trace of old");
    let present = told(&knowing(&["new"]), present, &wanted, Some(&left));
    assert_eq!(present.fields["password"], mark("old"), "it is still the old one: there is something to do");
    assert_eq!(present.fields["user"], "app");
}

#[test]
fn a_field_that_is_other_than_it_was_left_is_what_was_seen_and_told_apart_where_nothing_was() {
    let wanted = spec(&json!({"user": "app", "password": mark("new")}));
    let left = recorded(&spec(&json!({"user": "app", "password": mark("old")})), Some("trace of old"));
    let around = knowing(&["new"]);
    let present = seen("of somebody").with_trace("password", "another trace");
    assert_eq!(told(&around, present, &wanted, Some(&left)).fields["password"], "of somebody");
    let unseen = Present::new().with_field("user", "app").with_trace("password", "another trace");
    assert_eq!(told(&around, unseen, &wanted, Some(&left)).fields["password"], OTHER);
}

#[test]
fn a_field_that_is_as_wanted_needs_no_trace() {
    let wanted = spec(&json!({"user": "app", "password": mark("new")}));
    let left = recorded(&spec(&json!({"user": "app", "password": mark("old")})), Some("trace of old"));
    let around = knowing(&["new"]);
    // The trace says that it is as it was left, and the look that it is as wanted: the look was at it just now.
    let present = seen(mark("new")).with_trace("password", "trace of old");
    assert_eq!(told(&around, present, &wanted, Some(&left)).fields["password"], mark("new"));
    // Of a lost one a look tells nothing: what was looked for was made up.
    let lost = spec(&json!({"user": "app", "password": mark("lost")}));
    let present = seen(mark("lost")).with_trace("password", "another trace");
    let present = told(&around, present, &lost, Some(&recorded(&lost, Some("trace of lost"))));
    assert_eq!(present.fields["password"], mark("lost"));
    let unseen = Present::new().with_trace("password", "another trace");
    let unseen = told(&around, unseen, &lost, Some(&recorded(&lost, Some("trace of lost"))));
    assert_eq!(unseen.fields["password"], OTHER);
}

#[test]
fn where_nothing_tells_of_a_lost_field_it_is_taken_to_be_as_the_spec_says() {
    let lost = spec(&json!({"user": "app", "password": mark("lost")}));
    let around = knowing(&[]);
    for base in [None, Some(&recorded(&lost, None))] {
        let present = told(&around, seen("(made up)"), &lost, base);
        assert_eq!(present.fields["password"], mark("lost"));
        let unseen = told(&around, Present::new().with_field("user", "app"), &lost, base);
        assert!(!unseen.fields.contains_key("password"), "of a field that was not seen nothing is made up");
    }
    // Where a trace was recorded, it tells, if one was seen.
    let traced = recorded(&lost, Some("trace of lost"));
    assert_eq!(told(&around, seen("(made up)"), &lost, Some(&traced)).fields["password"], "(made up)");
    // Nothing is lost, and nothing sensitive is recorded: it is what was seen.
    let open = spec(&json!({"user": "app", "password": "open"}));
    let present = told(&around, seen("other"), &open, Some(&recorded(&open, None)));
    assert_eq!(present.fields["password"], "other");
}

#[test]
fn what_was_recorded_without_a_trace_and_is_lost_is_taken_to_be_as_it_was_left_where_another_is_wanted() {
    let left = recorded(&spec(&json!({"password": mark("lost")})), None);
    let wanted = spec(&json!({"password": mark("new")}));
    let around = knowing(&["new"]);
    let traced = |around: &Surroundings, wanted: &Doc, left| {
        let present = seen("(made up)").with_trace("password", "any trace");
        told(around, present, wanted, Some(left)).fields["password"].clone()
    };
    assert_eq!(traced(&around, &wanted, &left), mark("lost"));
    // It is known what it was: the look would have told.
    assert_eq!(traced(&knowing(&["new", "lost"]), &wanted, &left), "(made up)");
    // The same is wanted: a trace that is not recorded tells nothing.
    assert_eq!(traced(&knowing(&["lost"]), &spec(&json!({"password": mark("lost")})), &left), "(made up)");
}

#[test]
fn what_is_known_by_now_is_no_longer_said_not_to_be_compared() {
    let lost = spec(&json!({"user": "app", "password": mark("lost")}));
    let left = recorded(&lost, Some("trace of lost"));
    let present = |more: bool| {
        let present = Present::new().with_field("user", "app").with_trace("password", "trace of lost");
        let present = present.with_uncompared("password", "only root may read it");
        let present = if more { present.with_uncompared("key", "only root may read it") } else { present };
        told(&knowing(&[]), present.with_detail("only root may read it"), &lost, Some(&left))
    };
    let all = present(false);
    assert_eq!((all.uncompared.len(), all.detail), (0, None));
    let part = present(true);
    assert_eq!(part.uncompared.iter().collect::<Vec<_>>(), ["key"]);
    assert_eq!(part.detail.as_deref(), Some("only root may read it"));
    // What was said for another reason stays.
    let present = seen("(made up)").with_trace("password", "trace of lost").with_detail("since noon");
    let present = told(&knowing(&[]), present, &lost, Some(&left));
    assert_eq!(present.detail.as_deref(), Some("since noon"));
}

#[test]
fn traces_are_recorded_of_fields_with_secrets_and_kept_where_nothing_was_seen() {
    let around = knowing(&["new"]);
    let wanted = spec(&json!({"user": "app", "password": mark("new")}));
    let before = recorded(&wanted, Some("trace of old"));
    let key = MarkKey::new(KEY);
    let traces = |spec: &Doc, observed: &Observation| {
        let traces = around.traces(spec, observed, Some(&before));
        traces.into_iter().collect::<Vec<_>>()
    };
    let present =
        seen(mark("new")).with_trace("password", "trace of new").with_trace("user", "trace of user");
    let present = Observation::Present(present);
    assert_eq!(traces(&wanted, &present), [("password".to_owned(), key.of_trace("trace of new"))]);
    for unseen in [Observation::Absent, Observation::Unobservable, Observation::Unknown("why".to_owned())] {
        assert_eq!(traces(&wanted, &unseen), [("password".to_owned(), key.of_trace("trace of old"))]);
        let moved = spec(&json!({"key": mark("new")}));
        assert_eq!(traces(&moved, &unseen), [], "that field is no secret any more");
    }
    let open = spec(&json!({"user": "app", "password": "open"}));
    assert_eq!(traces(&open, &present), []);
    assert_eq!(traces(&open, &Observation::Absent), []);
}
