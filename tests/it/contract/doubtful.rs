//! What an earlier run was cut off in may be at work: a plan is not to take it down as if it were not.

use serde_json::{Value, json};

use crate::support::{Place, until};

/// Desires four servers, of which three are to stay up.
fn desire(place: &Place, seconds: &str) {
    let server = |n: u32| {
        json!({
            "kind": "process", "name": format!("w{n}"), "host": "here", "dir": place.text(""),
            "command": ["/bin/sleep", seconds], "labels": { "app": "w" },
        })
    };
    let all: Vec<Value> = (0..4).map(server).collect();
    let of = json!({ "kind": "process", "labels": { "app": "w" } });
    let state = json!({
        "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": all,
        "invariants": [{ "name": "three serve", "available": of, "at_least": 3 }],
    });
    place.write("detc.json", state.to_string());
}

fn serving(place: &Place) -> usize {
    let is_one = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/bin/sleep\0"))
    };
    place.processes().iter().filter(|pid| is_one(pid)).count()
}

#[test]
fn servers_that_a_killed_first_apply_had_started_are_restarted_one_after_the_other() {
    let place = Place::new();
    desire(&place, "1000");
    let running = place.start(&["apply", "--yes"]);
    until("all four run", || serving(&place) == 4);
    assert!(running.kill().is_none());
    // As they are desired, they are only taken over.
    place.fleet(&["plan"]).exits(0).shows("4 actions, none of which waits for another").hides("restarted");
    desire(&place, "1001");
    let plan =
        place.fleet(&["plan"]).exits(0).shows("it is restarted)").shows("nor than 3 if all of that works");
    assert!(plan.out.contains("by 3 waits that were added"), "{}", plan.out);
    place.apply();
    assert_eq!(serving(&place), 4);
    place.fleet(&["destroy", "--yes"]).exits(0);
}
