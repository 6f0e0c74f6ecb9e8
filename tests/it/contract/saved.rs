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

#[test]
fn to_save_a_plan_touches_nothing_but_the_file_of_its_name() {
    let place = saved();
    place.write("p.new", "somebody's own");
    place.write("target", "somebody's own");
    std::os::unix::fs::symlink(place.path("target"), place.path("q.new")).unwrap();
    std::os::unix::fs::symlink(place.path("target"), place.path("linked")).unwrap();
    for out in ["p", "q", "linked"] {
        place.fleet(&["plan", "--out", out]).exits(0);
        assert!(place.read(out).contains("detc.plan-file"), "{out}");
    }
    assert_eq!(
        (place.read("p.new"), place.read("target")),
        ("somebody's own".into(), "somebody's own".into())
    );
    assert!(place.path("q.new").is_symlink() && !place.path("linked").is_symlink());
    place.fleet(&["plan", "--out", "."]).exits(1).complains("can not be written");
    let left = std::fs::read_dir(place.dir()).unwrap().flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".detc", "detc.json", "linked", "p", "p.new", "q", "q.new", "target"]);
}

#[test]
fn a_saved_plan_says_with_which_words_it_is_applied() {
    let place = saved();
    place.fleet(&["plan", "--out", "p"]).exits(0).complains("Saved. `apply p` does exactly this.");
    place.write("text", "of a source");
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "source": "text" })]);
    let said = "Saved. `apply -f detc.json 'my plan'` does exactly this.";
    place.fleet(&["plan", "--out", "my plan"]).exits(0).complains(said);
    place.fleet(&["apply", "my plan", "--yes"]).exits(64).complains("`-f FILE`");
    place.fleet(&["apply", "-f", "detc.json", "my plan", "--yes"]).exits(0);
    assert_eq!(place.read("f"), "of a source");
}

/// Three files of which two have to be there, one of which is to be made elsewhere, as a plan says that is saved.
fn proven(at_least: u32, moved_to: &str) -> Place {
    let place = Place::new();
    let desire = |moved: &str, at_least: u32| {
        let file = |name: &str, at: &str| json!({ "kind": "file", "name": name, "host": "here", "path": place.text(at), "content": "" });
        let state = json!({
            "version": 1, "hosts": { "here": { "connect": "local" } },
            "resources": [file("a", "a"), file("b", "b"), file("c", moved)],
            "invariants": [{ "name": "enough", "available": { "kind": "file" }, "at_least": at_least }],
        });
        place.write("detc.json", state.to_string());
    };
    desire("c", 2);
    place.apply();
    desire(moved_to, 2);
    place.fleet(&["plan", "--out", "p"]).exits(0).shows("Proven: enough");
    desire(moved_to, at_least);
    place
}

#[test]
fn a_saved_plan_is_proven_anew_for_the_world_as_it_is() {
    let place = proven(2, "d");
    std::fs::remove_file(place.path("a")).unwrap();
    let ran = place.fleet(&["apply", "p", "--yes"]).exits(3);
    ran.complains("this plan could break the invariant `enough`: when ").complains("it is 1");
    assert!(place.path("c").exists() && !place.path("d").exists());
    place.write("a", "");
    place.fleet(&["apply", "p", "--yes"]).exits(0);
    assert!(!place.path("c").exists() && place.path("d").exists());
}

#[test]
fn a_saved_plan_is_refused_where_the_desired_state_asks_for_more_than_it_was_proven_to_keep() {
    let place = proven(3, "d");
    let ran = place.fleet(&["-f", "detc.json", "apply", "p", "--yes"]).exits(3);
    ran.complains("the plan was not proven to keep the invariant `enough` as it is now");
    assert!(!place.path("d").exists());
}

#[test]
fn a_saved_plan_is_refused_when_a_value_that_it_uses_is_another_by_now() {
    let place = Place::new();
    let desire = |input: &str, mode: &str| {
        place.desire(&[
            json!({ "kind": "value", "name": "v", "input": input }),
            json!({ "kind": "file", "name": "f", "path": place.text("f"), "mode": mode,
                    "content": { "from": "value/v", "output": "input" } }),
        ]);
    };
    desire("one", "0644");
    place.apply();
    desire("one", "0600");
    place.fleet(&["plan", "--out", "p"]).exits(0);
    desire("two", "0644");
    place.fleet(&["apply", "--yes", "--only", "value/v"]).exits(0);
    place
        .fleet(&["apply", "p", "--yes"])
        .exits(3)
        .complains("stale")
        .complains("a value of value/v that it uses has changed");
    desire("one", "0600");
    place.fleet(&["apply", "--yes", "--only", "value/v"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(0);
}
