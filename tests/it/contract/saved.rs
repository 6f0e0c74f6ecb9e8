//! A saved plan is applied exactly, or refused.

use serde_json::json;

use crate::support::Place;

fn saved() -> Place {
    let place = Place::new();
    desire(&place, "one");
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place
}

fn desire(place: &Place, content: &str) {
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": content })]);
}

#[test]
fn a_saved_plan_is_applied_exactly_even_when_the_file_says_something_else_by_now() {
    let place = saved();
    desire(&place, "two");
    place.fleet(&["apply", "p", "--yes"]).exits(0);
    assert_eq!(place.read("f"), "one");
}

#[test]
fn a_saved_plan_is_refused_when_the_desired_state_given_with_it_has_moved() {
    let place = saved();
    desire(&place, "two");
    place.fleet(&["-f", "detc.json", "apply", "p", "--yes"]).exits(3).complains("stale").complains("file/f");
    assert!(!place.path("f").exists());
}

#[test]
fn a_saved_plan_is_refused_when_the_world_has_moved() {
    let place = saved();
    place.write("f", "somebody was faster");
    let error = place.fleet(&["--json", "apply", "p", "--yes"]).exits(3).json();
    assert_eq!((&error["code"], &error["resource"]), (&json!("stale"), &json!("file/f")));
    assert_eq!(place.read("f"), "somebody was faster");
}

#[test]
fn a_saved_plan_is_applied_once() {
    let place = saved();
    place.fleet(&["apply", "p", "--yes"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(3).complains("stale").complains("run-1 has done it already");
}

#[test]
fn a_saved_plan_that_was_altered_is_refused() {
    let place = saved();
    let text = place.read("p");
    for (from, to) in [("one", "two"), ("file/f", "file/g"), ("\"here\"", "\"there\"")] {
        assert!(text.contains(from), "{from} in {text}");
        place.write("altered", text.replace(from, to));
        let ran = place.fleet(&["apply", "altered", "--yes"]);
        assert!(matches!(ran.code, Some(3 | 64)), "{from} → {to}: {ran:?}");
        assert!(!place.path("f").exists());
    }
    place.write("altered", text.replace("one", "two"));
    place.fleet(&["apply", "altered", "--yes"]).exits(3).complains("altered");
}

#[test]
fn what_is_no_plan_is_bad_input() {
    let place = saved();
    for content in ["", "{}", "[]", "{\"format\": \"detc.plan/99\"}", "\0\u{1}\u{2}"] {
        place.write("p", content);
        place.fleet(&["apply", "p", "--yes"]).exits(64).complains("p");
    }
    place.fleet(&["apply", "none-such", "--yes"]).exits(64).complains("none-such");
    place.fleet(&["graph", "none-such"]).exits(64).complains("none-such");
}

#[test]
fn a_plan_of_another_store_is_refused() {
    let place = saved();
    let apply = ["--store", "other", "apply", "p", "--yes"];
    place.fleet(&apply).exits(3).complains("another store").complains("other");
    assert!(!place.path("other").exists(), "no store is made to refuse a plan");
    place.fleet(&["--store", "other", "plan", "--out", "q"]).exits(0);
    let error = place.fleet(&[&["--json"], &apply[..]].concat()).exits(3).json();
    assert_eq!(error["code"], "foreign");
    assert!(!place.path("f").exists());
}
