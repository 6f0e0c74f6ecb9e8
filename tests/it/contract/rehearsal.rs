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
        .shows("a person has to find out whether it was done: command/once.");
    assert!(!place.path("root").exists() && !place.path(".detc").exists());
    let rehearsal = place.fleet(&["--json", "plan", "--rehearse"]).exits(0).json()["rehearsal"].clone();
    assert_eq!(rehearsal["needs_a_person"], json!(["command/once"]));
    assert_eq!((&rehearsal["violations"], &rehearsal["seed"]), (&json!([]), &json!(null)));
    assert!(
        rehearsal["points"].as_u64() > Some(20) && rehearsal["deaths"] == rehearsal["points"],
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
