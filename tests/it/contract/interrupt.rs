//! Interrupts, and a store that another process holds.

use std::io::Write as _;

use serde_json::json;

use crate::support::{Place, Running, until};

/// Two commands in a row; the first ends when its gate is opened. Both leave a line.
fn gated() -> Place {
    let place = Place::new();
    let dir = place.text("");
    let command = |name: &str, script: &str| {
        json!({
            "kind": "command", "name": name, "dir": dir,
            "unless": ["/bin/grep", "-qx", name, place.text("ledger")], "run": ["/bin/sh", "-c", script],
        })
    };
    let first = command("first", "echo begun >> begun; read go < gate; echo first >> ledger");
    let mut second = command("second", "echo second >> ledger");
    second["after"] = json!(["command/first"]);
    place.desire(&[first, second]);
    assert!(std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    place
}

fn in_flight(place: &Place, args: &[&str]) -> Running {
    let running = place.start(args);
    until("the first command has begun", || !place.read("begun").is_empty());
    running
}

fn open_gate(place: &Place) {
    std::fs::OpenOptions::new().write(true).open(place.path("gate")).unwrap().write_all(b"go\n").unwrap();
}

#[test]
fn an_interrupt_finishes_what_is_in_flight_and_the_next_apply_goes_on() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes", "--json"]);
    running.signal("INT");
    assert!(running.saw(1, |line| line.starts_with("Stopping")));
    open_gate(&place);
    let ran = running.wait().exits(130).json();
    assert_eq!((&ran["outcome"], &ran["actions"]["done"]), (&json!("interrupted"), &json!(1)));
    assert_eq!(place.read("ledger"), "first\n");
    place.fleet(&["history"]).exits(0).shows("interrupted");
    for command in ["apply", "destroy"] {
        place.fleet(&[command]).exits(3).complains("--yes");
        place.fleet(&["history"]).exits(0).shows("interrupted");
    }
    place.fleet(&["apply"]).exits(3).complains("run-1");
    let resumed = place.apply();
    assert!(resumed.err.contains("run-1 was interrupted"), "{}", resumed.err);
    assert_eq!(place.read("ledger"), "first\nsecond\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_second_interrupt_ends_it_at_once_and_the_next_apply_goes_on() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    running.signal("INT");
    assert!(running.saw(1, |line| line.starts_with("Stopping")));
    running.signal("INT");
    let ran = running.wait().exits(130);
    let last = "Left at once, with create:command/first in flight. What was started may still be at work. \
                `apply` resumes the run.";
    assert_eq!(ran.err.lines().last(), Some(last), "{}", ran.err);
    open_gate(&place);
    place.wait_for_processes();
    place.apply();
    assert_eq!(place.read("ledger"), "first\nsecond\n");
}

#[test]
fn a_second_interrupt_is_one_object_where_a_program_reads() {
    let place = gated();
    let running = in_flight(&place, &["--json", "apply", "--yes"]);
    running.signal("INT");
    assert!(running.saw(1, |line| line.starts_with("Stopping")));
    running.signal("INT");
    let error = running.wait().exits(130).json();
    assert_eq!((&error["format"], &error["code"]), (&json!("detc.error/1"), &json!("interrupted")));
    assert!(error["message"].as_str().unwrap().contains("create:command/first"), "{error}");
    open_gate(&place);
}

#[test]
fn an_interrupted_run_can_be_given_up() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    running.signal("INT");
    open_gate(&place);
    running.wait().exits(130);
    // What is refused gives nothing up.
    let wanted = place.read("detc.json");
    let mut broken: serde_json::Value = serde_json::from_str(&wanted).unwrap();
    broken["invariants"] = json!([{ "name": "none", "available": { "kind": "command" }, "at_most": 0 }]);
    place.write("detc.json", broken.to_string());
    for (state, code, says) in [(broken.to_string(), 3, "`none`"), ("{}".to_owned(), 64, "`version`")] {
        place.write("detc.json", state);
        let refused = place.fleet(&["apply", "--yes", "--abandon"]).exits(code).complains(says);
        assert!(code == 64 || refused.err.contains("run-1 is not given up"), "{}", refused.err);
        place.fleet(&["status"]).complains("run-1 was interrupted");
    }
    place.write("detc.json", wanted);
    place.fleet(&["apply", "--yes", "--abandon"]).exits(0);
    assert_eq!(place.read("ledger"), "first\nsecond\n");
    place.fleet(&["--json", "show", "run-1"]).exits(0).shows("superseded");
}

#[test]
fn a_saved_plan_is_not_begun_over_an_interrupted_run_without_finishing_that() {
    let place = gated();
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let running = in_flight(&place, &["apply", "p", "--yes"]);
    running.kill();
    open_gate(&place);
    place.wait_for_processes();
    // The run of this very plan is finished; there is nothing more to apply then.
    place.fleet(&["apply", "p", "--yes"]).exits(0).complains("run-1 was interrupted");
    assert_eq!(place.read("ledger"), "first\nsecond\n");
}

#[test]
fn what_is_left_of_an_interrupted_plan_is_not_done_by_half_without_the_contents_that_it_needs() {
    let place = gated();
    let mut state: serde_json::Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    place.write("page", "a page");
    let page = json!({
        "kind": "file", "name": "page", "host": "here", "path": place.text("page.html"), "source": "page", "after": ["command/first"],
    });
    state["resources"].as_array_mut().unwrap().push(page);
    place.write("detc.json", state.to_string());
    place.fleet(&["plan", "--out", "p"]).exits(0);
    let running = in_flight(&place, &["-f", "detc.json", "apply", "p", "--yes"]);
    running.kill();
    open_gate(&place);
    place.wait_for_processes();
    place.fleet(&["apply", "p", "--yes"]).exits(64).complains("file/page").complains("-f FILE");
    assert_eq!(place.read("ledger"), "first\n");
    place.fleet(&["-f", "detc.json", "apply", "p", "--yes"]).exits(0);
    assert_eq!(
        (place.read("ledger").as_str(), place.read("page.html").as_str()),
        ("first\nsecond\n", "a page")
    );
}

#[test]
fn a_store_that_a_live_manager_holds_is_refused_with_its_name_and_free_after_its_death() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    let holder = format!("process {}", running.id());
    for command in [&["apply", "--yes"][..], &["destroy", "--yes"], &["plan"], &["status"], &["history"]] {
        place.fleet(command).exits(3).complains(&holder).complains(".detc");
    }
    let error = place.fleet(&["--json", "apply", "--yes"]).exits(3).json();
    assert_eq!(error["code"], "held");
    assert!(running.kill().is_none());
    open_gate(&place);
    place.wait_for_processes();
    place.apply();
    assert_eq!(place.read("ledger"), "first\nsecond\n");
}

#[test]
fn nothing_of_an_interrupted_run_is_done_that_was_not_asked_for() {
    for by in [&["apply", "--yes", "--except", "command/second"][..], &["apply", "--yes", "other"]] {
        let place = gated();
        let all = place.read("detc.json");
        place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
        place.fleet(&["plan", "--out", "other"]).exits(0);
        place.write("detc.json", all);
        in_flight(&place, &["apply", "--yes"]).kill();
        open_gate(&place);
        place.wait_for_processes();
        let ran = place.fleet(by);
        let ran = ran.exits(0);
        assert!(ran.err.contains("run-1 was interrupted, and is given up: "), "{by:?}: {ran:?}");
        assert!(!place.read("ledger").contains("second"), "{by:?}");
        place.fleet(&["--json", "show", "run-1"]).exits(0).shows("superseded");
    }
}

#[test]
fn a_run_is_not_given_up_for_what_is_refused() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    running.signal("INT");
    open_gate(&place);
    running.wait().exits(130);
    place.fleet(&["apply", "--yes", "--abandon", "--only", "value/nothing"]).exits(64);
    place.write("stale", "no plan");
    place.fleet(&["apply", "stale", "--yes", "--abandon"]).exits(64);
    place.fleet(&["--json", "show", "run-1"]).exits(0).shows("interrupted");
    place.apply();
    assert_eq!(place.read("ledger"), "first\nsecond\n");
}

#[test]
fn a_saved_plan_of_nothing_does_nothing_beside_an_interrupted_run() {
    let place = gated();
    let all = place.read("detc.json");
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
    place.apply();
    place.fleet(&["plan", "--out", "nothing"]).exits(0);
    place.write("detc.json", all);
    in_flight(&place, &["apply", "--yes", "--except", "value/v"]).kill();
    open_gate(&place);
    place.wait_for_processes();
    for args in [&["apply", "nothing", "--yes"][..], &["--json", "apply", "nothing", "--yes"]] {
        place.fleet(args).exits(0);
    }
    place.fleet(&["--json", "show", "run-2"]).exits(0).hides("superseded");
}

#[test]
fn every_signal_that_asks_a_program_to_end_finishes_what_is_in_flight() {
    for signal in ["TERM", "HUP"] {
        let place = gated();
        let args = ["apply", "--yes", "--json"];
        // The tests themselves may have been started to ignore a hangup, which is inherited.
        let mut command = std::process::Command::new("env");
        command.arg(format!("--default-signal={signal}")).arg(place.command(&[]).get_program()).args(args);
        command.current_dir(place.dir()).stdin(std::process::Stdio::null());
        let running = place.start_as(command, &args);
        until("the first command has begun", || !place.read("begun").is_empty());
        running.signal(signal);
        assert!(running.saw(1, |line| line.starts_with("Stopping")), "{signal}");
        open_gate(&place);
        let ran = running.wait().exits(130).json();
        assert_eq!(
            (&ran["outcome"], &ran["actions"]["done"]),
            (&json!("interrupted"), &json!(1)),
            "{signal}"
        );
        place.apply();
        assert_eq!(place.read("ledger"), "first\nsecond\n");
    }
}

#[test]
fn a_hangup_does_not_end_what_was_started_to_ignore_it() {
    let place = gated();
    let mut command = std::process::Command::new("nohup");
    command.arg(place.command(&[]).get_program()).args(["apply", "--yes"]).current_dir(place.dir());
    command.stdin(std::process::Stdio::null());
    let running = place.start_as(command, &["apply", "--yes"]);
    until("the first command has begun", || !place.read("begun").is_empty());
    running.signal("HUP");
    open_gate(&place);
    running.wait().exits(0);
    assert_eq!(place.read("ledger"), "first\nsecond\n");
}

#[test]
fn a_run_that_is_resumed_is_told_where_a_program_reads() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    running.signal("INT");
    open_gate(&place);
    running.wait().exits(130);
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(0).json();
    assert_eq!((&ran["run"], &ran["outcome"]), (&json!("run-1"), &json!("done")));
    assert_eq!(ran["actions"]["done"], 2, "{ran}");
    assert!(ran["earlier"].is_null(), "{ran}");
}

#[test]
fn a_run_that_is_resumed_before_another_one_is_told_beside_it() {
    let place = gated();
    let running = in_flight(&place, &["apply", "--yes"]);
    running.signal("INT");
    open_gate(&place);
    running.wait().exits(130);
    let mut all: serde_json::Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    let more = json!({ "kind": "value", "name": "more", "input": 1 });
    all["resources"].as_array_mut().unwrap().push(more);
    place.write("detc.json", all.to_string());
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(0).json();
    assert_eq!((&ran["run"], &ran["actions"]["done"]), (&json!("run-2"), &json!(1)));
    let earlier = &ran["earlier"][0];
    assert_eq!((&earlier["run"], &earlier["outcome"]), (&json!("run-1"), &json!("done")));
    assert_eq!(earlier["actions"]["done"], 2, "{earlier}");
}
