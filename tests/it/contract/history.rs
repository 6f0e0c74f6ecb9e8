//! What is told of past runs, and of one that has not ended.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{Place, Running, until};

/// Files, and a command that waits at a gate and then fails, with these further fields.
fn gated(fields: &Value) -> Place {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    let script = "echo begun >> begun; read go < gate; exit 1";
    let mut gate =
        json!({ "kind": "command", "name": "gate", "dir": place.text(""), "run": ["/bin/sh", "-c", script] });
    gate.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let file = |name| json!({ "kind": "file", "name": name, "path": place.text(name), "content": "x" });
    place.desire(&[gate, file("a"), file("b")]);
    place
}

fn at_gate(place: &Place) -> Running {
    let running = place.start(&["--parallel", "1", "apply", "--yes"]);
    until("the command has begun", || !place.read("begun").is_empty());
    running
}

#[test]
fn of_a_run_that_was_killed_it_is_told_how_far_it_came() {
    let place = gated(&json!({ "after": ["file/a"] }));
    let mut state: Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    state["resources"][2]["after"] = json!(["command/gate"]);
    place.write("detc.json", state.to_string());
    assert!(at_gate(&place).kill().is_none());
    for command in [&["history"][..], &["show", "run-1"]] {
        place.fleet(command).exits(0).shows("interrupted  1 of 3 done, 1 in flight, 1 not begun  not ended");
    }
    let told = json!({ "done": 1, "satisfied": 0, "failed": 0, "in_flight": 1, "not_reached": 1 });
    let history = place.fleet(&["--json", "history"]).exits(0).json();
    let run = place.fleet(&["--json", "show", "run-1"]).exits(0).json();
    assert_eq!((&history["runs"][0]["tally"], &run["tally"]), (&told, &told));
}

#[test]
fn history_counts_as_the_result_of_the_run_did() {
    let place = gated(&json!({}));
    let running = at_gate(&place);
    // It is as it should be when the run comes to it.
    place.write("a", "x");
    std::fs::OpenOptions::new().write(true).open(place.path("gate")).unwrap().write_all(b"go\n").unwrap();
    running.wait().exits(1).shows("Failed: 2 done, 1 failed, 0 not reached.");
    place.fleet(&["history"]).exits(0).shows("2 of 3 done, 1 of them as before, 1 failed  ");
}

#[test]
fn a_long_chain_is_shown_no_further_in_than_can_be_read() {
    let place = Place::new();
    let link = |at: u32| match at {
        0 => json!({ "kind": "value", "name": "v0", "input": 0 }),
        _ => {
            json!({ "kind": "value", "name": format!("v{at}"), "input": at, "after": [format!("value/v{}", at - 1)] })
        }
    };
    let links: Vec<Value> = (0..40).map(link).collect();
    place.write("detc.json", json!({ "version": 1, "resources": links }).to_string());
    place.fleet(&["apply", "--yes"]).exits(0);
    let (deepest, further) = (" ".repeat(60), " ".repeat(61));
    place
        .fleet(&["show", "run-1"])
        .exits(0)
        .shows(&format!("\n{deepest}✓ create:value/v29 "))
        .shows(&format!("\n{deepest}[40] ✓ create:value/v39 "))
        .hides(&further);
}
