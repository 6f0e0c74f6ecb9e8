//! Commands that nothing guards: at most once. After a crash a person tells what became of those in flight.

use std::fs::OpenOptions;
use std::time::Duration;

use serde_json::json;

use super::ledger::{Guard, Kill, Ledger};
use crate::support::{Place, Random, seed, until};

/// A command that tells when it has begun, and ends when it is let go.
fn in_flight() -> Place {
    let place = Place::new();
    let (ledger, gate) = (place.text("ledger"), place.text("gate"));
    place.desire(&[json!({
        "kind": "command",
        "name": "once",
        "run": ["/bin/sh", "-c", "echo once >> \"$0\"; read -r go < \"$1\"; exit 0", ledger, gate],
    })]);
    let made = std::process::Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    place
}

/// Kills `apply` while the command is in flight, and lets the command come to its end.
fn kill_in_flight(place: &Place) {
    let running = place.start(&["apply", "--yes"]);
    until("the command has begun", || !place.read("ledger").is_empty());
    assert!(running.kill().is_none());
    open_gate(place);
    place.wait_for_processes();
}

fn open_gate(place: &Place) {
    use std::io::Write as _;
    OpenOptions::new().write(true).open(place.path("gate")).unwrap().write_all(b"go\n").unwrap();
}

#[test]
fn a_command_that_nothing_guards_is_in_doubt_after_a_kill_and_not_run_again() {
    let place = in_flight();
    kill_in_flight(&place);
    for _ in 0..2 {
        let ran = place.fleet(&["apply", "--yes"]).exits(1);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("command/once") && said.contains("--settle"), "{said}");
        assert_eq!(place.read("ledger"), "once\n");
    }
    for plan in [&["plan"][..], &["plan", "--detailed-exitcode"]] {
        place.fleet(plan).exits(1).shows("--settle").complains("1 resource is unknown: command/once");
    }
    let plan = place.fleet(&["--json", "plan"]).exits(1).json();
    assert_eq!(plan["changes"][0]["change"], "unknown", "{plan}");
    let status = place.fleet(&["--json", "status"]).exits(1).complains("unknown: command/once").json();
    assert_eq!(status["resources"][0]["resource"], "command/once", "{status}");
    assert_eq!(status["resources"][0]["state"], "unknown", "{status}");
}

#[test]
fn a_command_that_nothing_guards_and_that_detc_ended_is_in_doubt_for_that() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "once", "run": ["/bin/sleep", "600"], "timeout_ms": 100 }),
    ]);
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(1).json();
    let error = ran["failures"][0]["error"].as_str().unwrap();
    assert_eq!(
        error,
        "`/bin/sleep` of command/once was ended after its `timeout_ms`, 100 ms; give it more time with \
         `timeout_ms`, or find out what it waits for; it is in doubt: whether it happened can not be seen; it must \
         not be done twice: find out whether it was done, then settle it with `apply --settle done=command/once` or \
         `apply --settle not-done=command/once`"
    );
}

#[test]
fn the_result_of_a_run_says_to_settle_what_is_in_doubt_before_all_else() {
    let place = Place::new();
    let slow = json!({ "kind": "command", "name": "slow", "run": ["/bin/sleep", "600"], "timeout_ms": 100 });
    place.desire(&[
        slow,
        json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "x", "after": ["command/slow"] }),
    ]);
    place
        .fleet(&["apply", "--yes"])
        .exits(1)
        .shows("Failed: 0 done, 1 failed, 1 not reached. run-1, ")
        .shows("Find out whether the one in doubt was done, and say so with `apply --settle`: that does what is left")
        .hides("Apply again");
    place.fleet(&["apply", "--yes", "--settle", "done=command/slow"]).exits(0);
    assert_eq!(place.read("f"), "x");
}

#[test]
fn a_guarded_command_that_is_to_run_once_more_is_in_doubt_after_a_kill_and_not_run_again() {
    let place = Place::new();
    let desire = |script: &str| {
        let script = format!("{script}; touch \"$2\"");
        place.desire(&[json!({
            "kind": "command", "name": "guarded", "creates": place.text("made"),
            "run": ["/bin/sh", "-c", script, place.text("ledger"), place.text("gate"), place.text("made")],
        })]);
    };
    assert!(std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    desire("true");
    place.apply();
    desire("echo once >> \"$0\"; read -r go < \"$1\"");
    place.fleet(&["plan"]).exits(0).shows("a person has to look: update:command/guarded");
    kill_in_flight(&place);
    for _ in 0..2 {
        let ran = place.fleet(&["apply", "--yes"]).exits(1);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("command/guarded") && said.contains("--settle"), "{said}");
        assert_eq!(place.read("ledger"), "once\n");
    }
    place.fleet(&["apply", "--yes", "--settle", "done=command/guarded"]).exits(0);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(place.read("ledger"), "once\n");
}

#[test]
fn a_command_in_doubt_that_is_settled_as_done_is_never_run_again() {
    let place = in_flight();
    kill_in_flight(&place);
    place.fleet(&["apply", "--yes", "--settle", "done=command/once"]).exits(0);
    assert_eq!(place.read("ledger"), "once\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_command_in_doubt_that_is_settled_as_not_done_is_run_once_more() {
    let place = in_flight();
    kill_in_flight(&place);
    place.fleet(&["apply", "--yes"]).exits(1);
    let again = place.start(&["apply", "--yes", "--settle", "not-done=command/once"]);
    until("the command has begun again", || place.read("ledger").lines().count() == 2);
    open_gate(&place);
    again.wait().exits(0);
    assert_eq!(place.read("ledger"), "once\nonce\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_command_can_be_settled_straight_after_the_kill_and_not_without_yes() {
    let place = in_flight();
    kill_in_flight(&place);
    place.fleet(&["apply", "--settle", "done=command/once"]).exits(3).complains("--yes");
    let settled = place.fleet(&["apply", "--yes", "--settle", "done=command/once"]).exits(0);
    settled.complains("settled: command/once was done");
    assert_eq!(place.read("ledger"), "once\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_is_not_in_doubt_can_not_be_settled() {
    let place = in_flight();
    place.fleet(&["apply", "--yes", "--settle", "done=command/once"]).exits(64).complains("command/once");
    place.fleet(&["apply", "--yes", "--settle", "perhaps=command/once"]).exits(64).complains("perhaps");
    assert_eq!(place.read("ledger"), "");
}

#[test]
fn kills_among_unguarded_commands_end_well_when_a_person_settles_what_is_in_doubt() {
    const ACTIONS: usize = 40;
    let mut random = Random::new(seed("kills_among_unguarded_commands"));
    let (mut kills, mut doubts) = (0, 0);
    for _ in 0..10 {
        let ledger = Ledger::new(ACTIONS, Guard::None);
        let mut settled: Vec<String> = Vec::new();
        loop {
            let kill = match random.below(2) {
                0 => Kill::AtPoint(1 + random.below(30) as usize),
                _ => Kill::After(Duration::from_micros(random.below(200_000))),
            };
            let ended = ledger.apply_and_kill(kill);
            kills += usize::from(ended.is_none());
            ledger.check_after_kill();
            let Some(ended) = ended else { continue };
            if ended.code == Some(0) {
                break;
            }
            // The person looks where detc can not: into the ledger.
            let ended = ended.exits(1);
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains("--settle"), "{said}");
            let status = ledger.place.fleet(&["--json", "status"]).exits(1).json();
            for resource in status["resources"].as_array().unwrap() {
                if resource["state"] == "unknown" {
                    let id = resource["resource"].as_str().unwrap();
                    let name = id.trim_start_matches("command/");
                    let what = if ledger.lines().contains_key(name) { "done" } else { "not-done" };
                    settled.push(format!("--settle={what}={id}"));
                }
            }
            doubts += settled.len();
            let mut args = vec!["apply", "--yes"];
            args.extend(settled.iter().map(String::as_str));
            ledger.place.fleet(&args).exits(0);
            break;
        }
        ledger.check_at_end();
    }
    println!("{kills} kills, {doubts} actions in doubt");
    assert!(kills > 0 && doubts > 0, "{kills} kills, {doubts} doubts");
}
