//! What happens when the world, or the desired state, moves between a plan and its actions.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{Place, Running, until};

/// A command that ends when its gate is opened, and holds the only slot until then.
fn gate(place: &Place) -> Value {
    let script = "echo begun >> begun; read go < gate; echo passed >> ledger";
    json!({ "kind": "command", "name": "gate", "dir": place.text(""), "run": ["/bin/sh", "-c", script] })
}

fn file(place: &Place, name: &str, content: &str) -> Value {
    json!({ "kind": "file", "name": name, "path": place.text(name), "content": content })
}

/// A gate, and files that wait behind it.
fn gated() -> Place {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    place.desire(&[gate(&place), file(&place, "kept", "ours"), file(&place, "taken", "ours")]);
    place
}

fn at_gate(place: &Place, args: &[&str]) -> Running {
    let running = place.start(&[&["--parallel", "1"], args].concat());
    until("the command has begun", || !place.read("begun").is_empty());
    running
}

fn open_gate(place: &Place) {
    std::fs::OpenOptions::new().write(true).open(place.path("gate")).unwrap().write_all(b"go\n").unwrap();
}

/// The same, with a run that was stopped at the gate.
fn interrupted() -> Place {
    let place = gated();
    let running = at_gate(&place, &["apply", "--yes"]);
    running.signal("INT");
    assert!(running.saw(1, |line| line.starts_with("Stopping")));
    open_gate(&place);
    running.wait().exits(130);
    place
}

#[test]
fn an_action_whose_ground_moved_since_the_review_is_held_back_and_the_rest_goes_on() {
    let place = gated();
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let running = at_gate(&place, &["--json", "apply", "p", "--yes"]);
    place.write("taken", "theirs");
    open_gate(&place);
    let ran = running.wait().exits(3).json();
    assert_eq!((&ran["outcome"], &ran["actions"]["held"]), (&json!("refused"), &json!(1)));
    let failure = &ran["failures"][0];
    assert_eq!(failure["resource"], "file/taken");
    assert!(failure["error"].as_str().unwrap().starts_with("something is there by now"), "{failure}");
    assert_eq!((place.read("taken"), place.read("kept")), ("theirs".to_owned(), "ours".to_owned()));
    place.fleet(&["show", "run-1"]).exits(0).shows("create:file/taken (it was not there): held back");
    place.fleet(&["plan"]).exits(0).shows("adopt");
}

#[test]
fn what_comes_after_others_that_write_elsewhere_is_held_back_as_well() {
    let place = gated();
    let mut taken = file(&place, "taken", "ours");
    taken["after"] = json!(["file/kept"]);
    place.desire(&[gate(&place), file(&place, "kept", "ours"), taken]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let running = at_gate(&place, &["apply", "p", "--yes"]);
    assert_eq!(
        place.read("kept"),
        "ours",
        "it is done before the gate, and the one after it behind the gate"
    );
    place.write("taken", "theirs");
    open_gate(&place);
    running.wait().exits(3).shows("create:file/taken: something is there by now");
    assert_eq!(place.read("taken"), "theirs");
}

#[test]
fn what_is_held_back_is_planned_anew_in_the_same_apply() {
    let place = gated();
    let running = at_gate(&place, &["apply", "--yes"]);
    place.write("taken", "theirs");
    open_gate(&place);
    let ran = running.wait().exits(0).complains("planned anew");
    assert!(ran.out.contains("Held back: 1 of 3 actions"), "{}", ran.out);
    assert!(ran.out.contains("adopt"), "what is done to it now is shown: {}", ran.out);
    assert_eq!(place.read("taken"), "ours");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(place.read("ledger"), "passed\n");
}

#[test]
fn what_others_remove_or_change_before_it_is_removed_is_seen() {
    let place = gated();
    let before = [file(&place, "kept", "ours"), file(&place, "taken", "ours")];
    place.desire(&before);
    place.apply();
    place.desire(&[gate(&place), before[0].clone()]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let running = at_gate(&place, &["apply", "p", "--yes"]);
    place.write("taken", "changed by hand");
    open_gate(&place);
    running.wait().exits(3).shows("delete:file/taken: it has changed since");
    assert_eq!(place.read("taken"), "changed by hand");
}

#[test]
fn what_an_action_before_it_makes_does_not_hold_an_action_back() {
    let place = Place::new();
    let script = format!("echo made > {}", place.text("made"));
    let maker = json!({ "kind": "command", "name": "maker", "run": ["/bin/sh", "-c", script] });
    let mut made = file(&place, "made", "ours");
    made["after"] = json!(["command/maker"]);
    place.desire(&[maker, made]);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(0);
    assert_eq!(place.read("made"), "ours");
}

#[test]
fn a_field_that_another_decides_holds_nothing_back_and_is_not_written_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = gated();
    let desire = |content: &str| {
        let mut theirs = file(&place, "taken", content);
        theirs["mode"] = "0640".into();
        theirs["ownership"] = json!({ "mode": { "yield": "operator" } });
        theirs
    };
    let chmod =
        |mode| std::fs::set_permissions(place.path("taken"), std::fs::Permissions::from_mode(mode)).unwrap();
    let mode = || std::fs::metadata(place.path("taken")).unwrap().permissions().mode() & 0o777;
    place.desire(&[desire("one")]);
    place.apply();
    assert_eq!(mode(), 0o640);
    chmod(0o600);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.fleet(&["status"]).exits(0).shows("as it should be");
    place.desire(&[gate(&place), desire("two")]);
    let running = at_gate(&place, &["apply", "--yes"]);
    chmod(0o604);
    open_gate(&place);
    let ran = running.wait().exits(0);
    assert!(!ran.out.contains("Held back"), "{}", ran.out);
    assert_eq!((place.read("taken").as_str(), mode()), ("two", 0o604));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_run_is_resumed_only_where_the_world_is_as_it_was_planned_for() {
    let place = gated();
    at_gate(&place, &["apply", "--yes"]).kill();
    open_gate(&place);
    place.wait_for_processes();
    place.write("taken", "theirs");
    let ran = place.fleet(&["apply", "--yes", "--settle", "done=command/gate"]).exits(0);
    assert!(ran.err.contains("run-1 has ended"), "{}", ran.err);
    assert!(ran.out.contains("adopt"), "it is planned anew: {}", ran.out);
    assert_eq!((place.read("taken"), place.read("ledger")), ("ours".to_owned(), "passed\n".to_owned()));
}

#[test]
fn plan_and_status_tell_of_an_interrupted_run_and_apply_comes_to_its_end() {
    let place = interrupted();
    for command in [&["plan"][..], &["status"], &["--json", "plan"], &["--json", "status"]] {
        place.fleet(command).exits(0).complains("run-1 was interrupted").complains("--abandon");
    }
    let ran = place.apply();
    assert!(ran.out.contains("run-1, ") && ran.out.contains("Nothing to do"), "{}", ran.out);
    let plan = place.fleet(&["plan"]).exits(0);
    assert!(!plan.err.contains("interrupted"), "{}", plan.err);
}

#[test]
fn an_interrupted_run_is_given_up_when_something_else_is_desired_by_now() {
    let place = interrupted();
    place.desire(&[gate(&place), file(&place, "kept", "better")]);
    let ran = place.apply();
    assert!(ran.err.contains("run-1 is not gone on with: "), "{}", ran.err);
    assert_eq!((place.read("kept"), place.path("taken").exists()), ("better".to_owned(), false));
    assert_eq!(place.read("ledger"), "passed\n", "what was done is not done again");
}

#[test]
fn to_apply_after_an_interrupted_destroy_makes_what_is_gone_and_removes_nothing_more() {
    let place = Place::new();
    let script = "trap 'echo told > told; read go < gate; exit' TERM; while :; do sleep 0.05; done";
    let slow = json!({
        "kind": "process", "name": "slow", "command": ["/bin/sh", "-c", script],
        "dir": place.text(""), "after": ["file/kept"], "stop": { "grace_ms": 60_000 },
    });
    assert!(std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    place.desire(&[file(&place, "kept", "ours"), slow]);
    place.apply();
    let destroying = place.start(&["destroy", "--yes"]);
    until("the process is told to stop", || place.path("told").exists());
    destroying.signal("INT");
    assert!(destroying.saw(1, |line| line.starts_with("Stopping")));
    open_gate(&place);
    destroying.wait().exits(130);
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(place.path("kept")).unwrap());
    let before = inode();
    let ran = place.apply();
    assert!(
        ran.err.contains("is not gone on with: it would remove file/kept, which is desired"),
        "{}",
        ran.err
    );
    assert_eq!(inode(), before, "the file was never removed");
    place.fleet(&["status"]).exits(0).shows("All 2 resources are as they should be.");
}
