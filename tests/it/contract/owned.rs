//! What detc made is removed again, whatever became of the run; what it has come upon is shown before it is changed, and left.

use serde_json::{Value, json};

use crate::support::{Place, until};

fn file(place: &Place, path: &str, content: &str) -> Value {
    json!({ "kind": "file", "name": "f", "path": place.text(path), "content": content })
}

fn purged(place: &Place, path: &str) -> Value {
    json!({ "kind": "directory", "name": "d", "path": place.text(path), "purge": true })
}

fn here(mut resource: Value) -> Value {
    resource["host"] = "here".into();
    resource
}

#[test]
fn what_is_at_the_place_that_something_moves_to_is_held_back_and_shown_before_it_is_changed() {
    let place = Place::new();
    place.desire(&[file(&place, "a", "ours")]);
    place.apply();
    place.write("b", "theirs");
    place.desire(&[file(&place, "b", "ours")]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let ran = place.fleet(&["apply", "p", "--yes"]).exits(3);
    assert!(ran.out.contains("something is there already"), "{}", ran.out);
    assert_eq!(place.read("b"), "theirs");
    let plan = place.fleet(&["plan"]).exits(0).shows("adopt file/f").shows("\"theirs\" → \"ours\"");
    assert!(!plan.out.contains("create"), "{}", plan.out);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0).shows("it was there before detc and is left as it is");
    assert_eq!(place.read("b"), "ours");
}

#[test]
fn a_directory_that_moves_onto_another_one_does_not_take_that_with_it_later() {
    let place = Place::new();
    std::fs::create_dir(place.path("theirs")).unwrap();
    place.write("theirs/kept", "kept");
    place.desire(&[purged(&place, "ours")]);
    place.apply();
    place.desire(&[purged(&place, "theirs")]);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(place.read("theirs/kept"), "kept");
    assert!(!place.path("ours").exists());
}

#[test]
fn a_place_that_is_known_late_is_looked_at_like_any_other() {
    let place = Place::new();
    place.write("theirs", "theirs");
    let tell =
        here(json!({ "kind": "command", "name": "tell", "run": ["/usr/bin/printf", place.text("theirs")] }));
    let mut late = file(&place, "", "ours");
    late["path"] = json!({ "from": "command/tell", "output": "stdout" });
    place.desire(&[tell, late]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(3);
    assert_eq!(place.read("theirs"), "theirs");
    place.apply().shows("adopt file/f");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(
        place.read("theirs"),
        "ours",
        "it was shown, and then brought to what is desired; and it is left"
    );
}

/// A process that never becomes healthy, killed in the midst of its start.
fn started_and_killed(place: &Place) {
    place.desire(&[here(json!({
        "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "health": { "tcp": "127.0.0.1:1", "timeout_ms": 20_000 },
    }))]);
    let running = place.start(&["apply", "--yes"]);
    until("it has started", || sleeps(place) == 1);
    assert!(running.kill().is_none());
}

fn sleeps(place: &Place) -> usize {
    let is_one = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/bin/sleep\0"))
    };
    place.processes().iter().filter(|pid| is_one(pid)).count()
}

#[test]
fn what_was_in_flight_at_a_kill_is_removed_with_everything_else() {
    for commands in [
        &[&["destroy", "--yes"][..]][..],
        &[&["-f", "none.json", "apply", "--yes"]],
        &[&["-f", "none.json", "apply", "--yes", "--abandon"], &["destroy", "--yes"]],
    ] {
        let place = Place::new();
        place.write("none.json", json!({ "version": 1 }).to_string());
        started_and_killed(&place);
        for command in commands {
            place.fleet(command).exits(0);
        }
        assert_eq!(sleeps(&place), 0, "{commands:?}");
        assert_eq!(place.fleet(&["--json", "status"]).exits(0).json()["resources"], json!([]));
    }
}

#[test]
fn what_takes_the_place_of_what_detc_made_is_detc_s_own() {
    let place = Place::new();
    place.desire(&[file(&place, "f", "x")]);
    place.apply();
    let mut other = file(&place, "f", "y");
    other["name"] = "other".into();
    place.desire(&[other]);
    place.apply();
    assert_eq!(place.read("f"), "y");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("f").exists());
}

#[test]
fn a_purged_directory_never_takes_along_what_stays() {
    let place = Place::new();
    let inner = |protect: bool| json!({ "kind": "file", "name": "c", "path": place.text("d/c"), "content": "3", "protect": protect });
    place.desire(&[purged(&place, "d"), inner(true)]);
    place.apply();
    let swept = "directory/d would be removed with all that is in ";
    place.desire(&[inner(true)]);
    place.fleet(&["plan"]).exits(3).complains(swept).complains("file/c is in there and stays");
    place.fleet(&["apply", "--yes"]).exits(3).complains(swept);
    place.desire(&[purged(&place, "e"), inner(false)]);
    place.fleet(&["plan"]).exits(3).complains(swept);
    assert_eq!(place.read("d/c"), "3");
    // What is not removed takes nothing along, and what goes as well may go along.
    place.desire(&[inner(false)]);
    place.fleet(&["apply", "--yes", "--except", "directory/d"]).exits(0);
    place.desire(&[]);
    place.apply();
    assert!(!place.path("d").exists());
}
