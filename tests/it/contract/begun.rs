//! What is known of something whose making began: where it began, and until nothing of it is left.

use serde_json::{Value, json};

use crate::support::{Place, until};

fn file(place: &Place, name: &str, path: &str) -> Value {
    json!({ "kind": "file", "name": name, "path": place.text(path), "content": "ours" })
}

fn purged(place: &Place, path: &str) -> Value {
    json!({ "kind": "directory", "name": "d", "path": place.text(path), "purge": true })
}

/// A process that never becomes healthy.
fn process(place: &Place, host: &str) -> Value {
    json!({
        "kind": "process", "name": "p", "host": host, "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "health": { "tcp": "127.0.0.1:1", "timeout_ms": 20_000 },
    })
}

fn desire(place: &Place, resources: &[Value]) {
    let hosts = json!({ "here": { "connect": "local" }, "there": { "connect": "local" } });
    place.write("detc.json", json!({ "version": 1, "hosts": hosts, "resources": resources }).to_string());
}

/// The process, killed with its manager in the midst of its start, so that the manager did not see the end of it.
fn started_and_killed(place: &Place, process: &Value) {
    desire(place, std::slice::from_ref(process));
    let running = place.start(&["apply", "--yes"]);
    until("it has started", || sleeps(place).len() == 1);
    assert!(running.kill().is_none());
}

fn sleeps(place: &Place) -> Vec<u32> {
    let is_one = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/bin/sleep\0"))
    };
    place.processes().into_iter().filter(is_one).collect()
}

#[test]
fn what_failed_and_made_nothing_leaves_no_claim_on_what_is_found_later() {
    let place = Place::new();
    place.desire(&[file(&place, "f", "none/f")]);
    place.fleet(&["apply", "--yes"]).exits(1);
    place.fleet(&["status"]).exits(0).shows("Nothing is recorded here");
    place.write("theirs", "theirs");
    place.desire(&[file(&place, "f", "theirs")]);
    place.fleet(&["plan"]).exits(0).shows("adopt file/f");
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(place.read("theirs"), "ours", "it was shown, brought to what is desired, and is left");
}

#[test]
fn what_was_made_and_is_gone_is_still_recorded_when_it_can_not_be_made_again() {
    let place = Place::new();
    std::fs::create_dir(place.path("some")).unwrap();
    place.desire(&[file(&place, "f", "some/f")]);
    place.apply();
    std::fs::remove_dir_all(place.path("some")).unwrap();
    place.fleet(&["apply", "--yes"]).exits(1);
    place.fleet(&["status"]).exits(0).shows("it was made, and is gone");
}

#[test]
fn what_was_adopted_stays_adopted_when_its_change_fails() {
    let place = Place::new();
    std::fs::create_dir(place.path("theirs")).unwrap();
    place.write("theirs/kept", "kept");
    let mut folder = purged(&place, "theirs");
    folder["owner"] = "nobody-is-called-so".into();
    place.desire(&[folder.clone()]);
    place.fleet(&["apply", "--yes"]).exits(1);
    place.fleet(&["apply", "--yes"]).exits(1);
    place.desire(&[purged(&place, "theirs")]);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(place.read("theirs/kept"), "kept");
}

#[test]
fn what_began_on_a_host_is_removed_there_when_it_moves_to_another() {
    let place = Place::new();
    let mut moved = process(&place, "here");
    started_and_killed(&place, &moved);
    let before = sleeps(&place);
    moved["host"] = "there".into();
    moved.as_object_mut().unwrap().remove("health");
    desire(&place, &[moved]);
    place.apply();
    let after = sleeps(&place);
    assert!(after.len() == 1 && before != after, "{before:?} {after:?}");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(sleeps(&place).is_empty());
}

#[test]
fn status_tells_what_is_there_and_is_not_known_to_be_done() {
    let place = Place::new();
    started_and_killed(&place, &process(&place, "here"));
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let found = &status["resources"][0];
    assert_eq!(
        (&found["resource"], &found["state"], &found["detail"]),
        (&json!("process/p"), &json!("drifted"), &json!("its making had begun, and is not recorded as done"))
    );
}

#[test]
fn what_never_came_about_is_forgotten_although_it_was_to_be_protected() {
    let place = Place::new();
    let mut protected = process(&place, "here");
    protected["protect"] = true.into();
    started_and_killed(&place, &protected);
    place.end_processes();
    until("it has ended", || sleeps(&place).is_empty());
    desire(&place, &[]);
    place.apply();
    place.fleet(&["status"]).exits(0).shows("Nothing is recorded here");
}

#[test]
fn a_process_goes_on_under_a_new_name_and_its_start_that_began_under_the_old_one_too() {
    let place = Place::new();
    let mut named = process(&place, "here");
    named.as_object_mut().unwrap().remove("health");
    desire(&place, std::slice::from_ref(&named));
    place.apply();
    let before = sleeps(&place);
    (named["name"], named["renamed_from"]) = ("q".into(), "process/p".into());
    desire(&place, std::slice::from_ref(&named));
    place.fleet(&["plan"]).exits(0).hides("create");
    place.apply();
    assert_eq!(sleeps(&place), before);
    // What is done to it later finds it, too.
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    named["env"] = json!({ "A": "1" });
    desire(&place, std::slice::from_ref(&named));
    place.apply();
    let after = sleeps(&place);
    assert!(after.len() == 1 && before != after, "{before:?} {after:?}");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(sleeps(&place).is_empty());
    // The same with one that was killed in the midst of its start.
    let mut begun = process(&place, "here");
    started_and_killed(&place, &begun);
    begun.as_object_mut().unwrap().remove("health");
    (begun["name"], begun["renamed_from"]) = ("q".into(), "process/p".into());
    desire(&place, &[begun]);
    place.apply();
    assert_eq!(sleeps(&place).len(), 1);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(sleeps(&place).is_empty());
}

#[test]
fn what_moves_under_a_new_name_leaves_its_old_place_and_has_one_record() {
    let place = Place::new();
    place.desire(&[file(&place, "f", "a")]);
    place.apply();
    let mut moved = file(&place, "g", "b");
    moved["renamed_from"] = "file/f".into();
    place.desire(&[moved]);
    place.apply();
    assert!(!place.path("a").exists());
    assert_eq!(place.read("b"), "ours");
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let ids: Vec<&str> =
        status["resources"].as_array().unwrap().iter().map(|it| it["resource"].as_str().unwrap()).collect();
    assert_eq!(ids, ["file/g"]);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("b").exists());
}

#[test]
fn what_is_gone_and_to_be_elsewhere_does_not_take_what_is_there() {
    let place = Place::new();
    place.desire(&[file(&place, "f", "a")]);
    place.apply();
    std::fs::remove_file(place.path("a")).unwrap();
    place.write("theirs", "theirs");
    place.desire(&[file(&place, "f", "theirs")]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(3).shows("something is there already");
    assert_eq!(place.read("theirs"), "theirs");
    place.apply().shows("adopt file/f");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(place.read("theirs"), "ours", "it was shown, brought to what is desired, and is left");
}

#[test]
fn what_an_action_before_it_has_made_is_still_detc_s_own() {
    let place = Place::new();
    let install = json!({
        "kind": "command", "name": "install", "dir": place.text(""),
        "run": ["/bin/sh", "-c", "printf ours > f; chmod 644 f"],
    });
    let mut file = file(&place, "f", "f");
    file["after"] = json!(["command/install"]);
    place.desire(&[install, file]);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("f").exists());
}

#[test]
fn nothing_that_stays_is_swept_away_be_it_adopted_or_on_its_way_out() {
    let place = Place::new();
    place.desire(&[purged(&place, "d")]);
    place.apply();
    place.write("d/c", "theirs");
    place.desire(&[purged(&place, "d"), file(&place, "c", "d/c")]);
    place.apply().shows("adopt file/c");
    // Adopted, it would only be forgotten.
    place.desire(&[]);
    let swept = "directory/d would be removed with all that is in ";
    place.fleet(&["plan"]).exits(3).complains(swept);
    place.fleet(&["destroy", "--yes"]).exits(3).complains(swept);
    assert_eq!(place.read("d/c"), "ours");
}

#[test]
fn what_leaves_a_purged_directory_under_a_new_name_does_not_hold_it() {
    let place = Place::new();
    place.desire(&[purged(&place, "d"), file(&place, "c", "d/c")]);
    place.apply();
    let mut moved = file(&place, "e", "e");
    moved["renamed_from"] = "file/c".into();
    place.desire(&[moved]);
    place
        .apply()
        .shows("- delete directory/d with all that is in it on here (it is no longer in the desired state");
    assert!(!place.path("d").exists());
    assert_eq!(place.read("e"), "ours");
}

#[test]
fn what_is_to_be_made_nobody_knows_where_waits_until_a_directory_is_purged() {
    let place = Place::new();
    place.desire(&[purged(&place, "d")]);
    place.apply();
    let tell = json!({ "kind": "command", "name": "tell", "run": ["/usr/bin/printf", place.text("d/c")] });
    let mut late = file(&place, "c", "");
    late["path"] = json!({ "from": "command/tell", "output": "stdout" });
    place.desire(&[tell, late]);
    place.fleet(&["plan"]).exits(3).complains("where file/c is to be made is not known yet");
    place.fleet(&["apply", "--yes", "--except", "directory/d"]).exits(0);
    assert_eq!(place.read("d/c"), "ours");
    place.fleet(&["plan"]).exits(3).complains("file/c is in there and stays");
}

#[test]
fn what_is_desired_and_left_out_is_not_swept_away() {
    let place = Place::new();
    place.desire(&[purged(&place, "d")]);
    place.apply();
    place.write("d/c", "theirs");
    place.desire(&[file(&place, "c", "d/c")]);
    place.fleet(&["apply", "--yes", "--except", "file/c"]).exits(3).complains("file/c is in there and stays");
    assert_eq!(place.read("d/c"), "theirs");
}

#[test]
fn what_is_gone_and_made_elsewhere_holds_no_directory() {
    let place = Place::new();
    place.desire(&[purged(&place, "d"), file(&place, "c", "d/c")]);
    place.apply();
    std::fs::remove_file(place.path("d/c")).unwrap();
    place.desire(&[file(&place, "c", "e")]);
    place.apply();
    assert!(!place.path("d").exists());
    assert_eq!(place.read("e"), "ours");
}

/// A process whose start takes a while, and `more` actions that could be at work meanwhile.
fn slowly(place: &Place) -> Value {
    json!({
        "kind": "process", "name": "slow", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "health": { "command": ["/bin/sh", "-c", "until [ -e go ]; do sleep 0.02; done"], "timeout_ms": 60_000 },
    })
}

#[test]
fn nothing_begins_before_its_turn_and_what_somebody_makes_until_then_is_theirs() {
    let place = Place::new();
    let value = |name: &str| json!({ "kind": "value", "name": name, "input": 1, "after": ["process/slow"] });
    place.desire(&[slowly(&place), value("a"), value("b"), file(&place, "f", "f")]);
    let running = place.start(&["--parallel", "1", "apply", "--yes"]);
    until("the process has started", || sleeps(&place).len() == 1);
    place.write("f", "theirs");
    place.write("go", "");
    running.wait().exits(0).shows("adopt file/f");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(place.read("f"), "ours", "it was shown, brought to what is desired, and is left");
}

#[test]
fn what_was_to_be_adopted_and_is_made_is_detc_s_own() {
    let place = Place::new();
    let many = |name: &str| -> Vec<Value> {
        (0..40).map(|n| file(&place, &format!("{name}{n}"), &format!("f{n}"))).collect()
    };
    place.desire(&many("a"));
    place.apply();
    place.desire(&many("b"));
    let running = place.start(&["apply", "--yes"]);
    running.saw(3, |line| line.contains("adopt:"));
    running.kill();
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!((0..40).all(|n| !place.path(&format!("f{n}")).exists()));
}

#[test]
fn a_run_that_kept_invariants_is_proven_anew_when_it_was_interrupted() {
    let place = Place::new();
    let slow = slowly(&place);
    place.desire(&[slow]);
    let mut all: Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    all["invariants"] = json!([{ "name": "few", "available": { "kind": "process" }, "at_most": 1 }]);
    place.write("detc.json", all.to_string());
    let running = place.start(&["apply", "--yes"]);
    until("the process has started", || sleeps(&place).len() == 1);
    assert!(running.kill().is_none());
    place.write("go", "");
    place.apply().shows("Proven: few").complains("run-1 is not gone on with: it was proven");
    assert_eq!(sleeps(&place).len(), 1);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(sleeps(&place).is_empty());
}

#[test]
fn nothing_is_left_of_a_file_that_was_cut_off_while_it_was_written() {
    let place = Place::new();
    let many: Vec<Value> = (0..300).map(|n| file(&place, &format!("f{n}"), &format!("w/f{n}"))).collect();
    std::fs::create_dir(place.path("w")).unwrap();
    for round in 0..5 {
        place.desire(&many);
        let running = place.start(&["apply", "--yes"]);
        until("some are written", || std::fs::read_dir(place.path("w")).unwrap().count() > 30 * round);
        running.kill();
        place.fleet(&["destroy", "--yes"]).exits(0);
        let left: Vec<_> = std::fs::read_dir(place.path("w")).unwrap().map(|it| it.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
