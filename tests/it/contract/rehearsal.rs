//! `plan --rehearse`: the plan dies at each of its points in a simulated world, and nothing is done.

use serde_json::json;

use crate::support::Place;

/// A directory, a file in it, a command that copies that, one of which nobody can tell whether it ran, and a server.
fn place(port: u16) -> Place {
    let place = Place::new();
    desire(&place, port);
    place
}

fn desire(place: &Place, port: u16) {
    let (root, conf, copy) = (place.text("root"), place.text("root/conf"), place.text("root/copy"));
    place.desire(&[
        json!({ "kind": "directory", "name": "root", "path": root }),
        json!({ "kind": "file", "name": "conf", "path": conf, "content": format!("port={port}\n") }),
        json!({ "kind": "command", "name": "copy", "run": ["/bin/cp", conf, copy], "creates": copy, "restart_on": ["file/conf"] }),
        json!({ "kind": "command", "name": "once", "run": ["/bin/true"], "after": ["command/copy"] }),
        json!({ "kind": "process", "name": "web", "command": ["/bin/sleep", "1000"], "restart_on": ["file/conf"] }),
        json!({ "kind": "value", "name": "pid", "input": { "from": "process/web", "output": "pid" } }),
    ]);
}

#[test]
fn a_plan_is_rehearsed_and_nothing_is_done() {
    let place = place(1);
    place
        .fleet(&["plan", "--rehearse"])
        .exits(0)
        .shows("from each it goes on, to the same end, with nothing lost and nothing doubled.")
        .shows("a person has to find out whether it was done: command/once.")
        .shows("No way back from here on, in this order: create:command/once.");
    assert!(!place.path("root").exists() && !place.path(".detc").exists());
    let rehearsal = place.fleet(&["--json", "plan", "--rehearse"]).exits(0).json()["rehearsal"].clone();
    assert_eq!(rehearsal["needs_a_person"], json!(["command/once"]));
    assert_eq!(rehearsal["no_return"], json!(["create:command/once"]));
    assert_eq!((&rehearsal["violations"], &rehearsal["seed"]), (&json!([]), &json!(null)));
    assert!(
        rehearsal["points"].as_u64() > Some(20) && rehearsal["covered"] == rehearsal["points"],
        "{rehearsal}"
    );
    place.apply();
    desire(&place, 2);
    place
        .fleet(&["plan", "--rehearse", "--detailed-exitcode"])
        .exits(2)
        .shows("with nothing lost and nothing doubled.");
    place.fleet(&["plan", "--rehearse", "--only", "file/*"]).exits(0).shows("nothing doubled.");
    place.fleet(&["destroy", "--yes"]).exits(0);
}

#[test]
fn what_is_refused_is_shown_and_not_rehearsed_and_of_nothing_there_is_nothing_to_rehearse() {
    let place = Place::new();
    let value = |input: u8| json!({ "kind": "value", "name": "v", "input": input });
    let state = |at_most: u8, input: u8| {
        let invariant = json!({ "name": "few", "total": { "field": "input", "of": { "kind": "value" } }, "at_most": at_most });
        json!({ "version": 1, "resources": [value(input)], "invariants": [invariant] }).to_string()
    };
    place.write("detc.json", state(5, 4));
    place.apply();
    place.fleet(&["plan", "--rehearse"]).exits(0).shows("Rehearsed: 0 of 0 points");
    place.write("detc.json", state(5, 6));
    place.fleet(&["plan", "--rehearse"]).exits(3).shows("BROKEN: few").hides("Rehearsed");
}
