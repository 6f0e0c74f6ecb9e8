//! A program's own predicates, through a real program that has one: refusal, words, JSON, saved plans.

use serde_json::{Value, json};

use crate::support::{Place, fleet, guarded};

/// The schema, and servers that need one, after it or in no order.
fn desire(place: &Place, schema: u32, servers: usize, after: &[&str]) {
    let server = |at: usize| {
        json!({
            "kind": "value", "name": format!("web-{at}"), "input": { "schema": schema }, "labels": { "app": "web" },
            "after": after,
        })
    };
    let all: Vec<Value> = (0..servers)
        .map(server)
        .chain([json!({ "kind": "value", "name": "schema", "input": schema })])
        .collect();
    place.desire(&all);
}

const AFTER: [&str; 1] = ["value/schema"];

#[test]
fn a_plan_that_can_come_to_a_forbidden_state_is_refused_with_the_way_to_it() {
    let place = Place::of(guarded());
    desire(&place, 1, 2, &AFTER);
    place.fleet(&["plan"]).exits(0).shows("Proven: schema first: it holds in all 5 states.");
    place.apply();
    desire(&place, 2, 2, &[]);
    let story = "when update:value/web-0 had ended, value/web-0 needs schema 2, and there is 1";
    place.fleet(&["plan"]).exits(3).shows(&format!("BROKEN: schema first: {story}."));
    place.fleet(&["apply", "--yes"]).exits(3).complains("schema first").complains(story);
    let proof = place.fleet(&["--json", "plan"]).exits(3).json()["proof"][0].clone();
    assert_eq!((&proof["invariant"], &proof["holds"]), (&json!("schema first"), &json!(false)));
    assert_eq!(proof["counterexample"]["ended"], json!(["update:value/web-0"]));
    assert_eq!(proof["counterexample"]["story"], story);
    assert_eq!(proof["states"], json!({ "looked_at": 8, "of": { "exactly": 8 }, "drawn": null }));
    // A part of it that does not come there is not refused.
    place
        .fleet(&["plan", "--only", "value/schema"])
        .exits(0)
        .shows("Proven: schema first: it holds in all 2 states.");
    desire(&place, 2, 2, &AFTER);
    place.apply();
    place.fleet(&["plan"]).exits(0).shows("Nothing to do");
}

#[test]
fn what_was_only_sampled_says_so() {
    let place = Place::of(guarded());
    desire(&place, 1, 40, &AFTER);
    let sampled = "Sampled, not proven: schema first: it holds in ";
    place.fleet(&["plan"]).exits(0).shows(sampled).hides("Proven: schema first");
    let proof = place.fleet(&["--json", "plan"]).exits(0).json()["proof"][0].clone();
    let states = &proof["states"];
    assert!(states["looked_at"].as_u64().unwrap() > 1_000, "{states}");
    assert!(states["of"]["at_least"].as_u64().unwrap() > 1_000, "{states}");
    assert!(states["drawn"]["runs"].as_u64().unwrap() > 10 && states["drawn"]["seed"] == 1, "{states}");
}

#[test]
fn a_saved_plan_is_asked_again_and_not_applied_by_a_program_that_can_not_ask() {
    let place = Place::of(guarded());
    desire(&place, 1, 1, &AFTER);
    place.fleet(&["plan", "--out", "plan.json"]).exits(0);
    let other = std::process::Command::new(fleet())
        .args(["apply", "plan.json", "--yes"])
        .current_dir(place.dir())
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(3));
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(said.contains("this program has no such predicate"), "{said}");
    place.fleet(&["apply", "plan.json", "--yes"]).exits(0);
    // Refused already when it is planned, it is refused when it is applied too.
    desire(&place, 2, 1, &[]);
    place.fleet(&["plan", "--out", "plan.json"]).exits(3);
    place.fleet(&["apply", "plan.json", "--yes"]).exits(3).complains("needs schema 2");
}
