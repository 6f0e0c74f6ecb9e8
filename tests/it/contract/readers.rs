//! Commands that only read: they keep nobody from the store, and not each other.

use serde_json::json;

use crate::support::{Place, Running, until};

/// A place with something recorded, and with a command at which those look long who are started [`slowly`].
fn place() -> Place {
    let place = Place::new();
    let guard = "[ -z \"$SLOWLY\" ] || { echo looking >> looks; until [ -e go ]; do sleep 0.01; done; }";
    place.desire(&[
        json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "x" }),
        json!({
            "kind": "command", "name": "slow", "dir": place.text(""),
            "run": ["/bin/true"], "unless": ["/bin/sh", "-c", guard],
        }),
    ]);
    place.apply();
    place
}

/// Starts one that looks until it is let go.
fn slowly(place: &Place, args: &[&str]) -> Running {
    let mut command = place.command(args);
    command.env("SLOWLY", "1");
    place.start_as(command, args)
}

fn let_go(place: &Place) {
    place.write("go", "");
}

/// How many looks are under way.
fn looks(place: &Place) -> usize {
    place.read("looks").lines().count()
}

#[test]
fn while_one_looks_at_the_world_others_read_and_write() {
    let place = place();
    let looking: Vec<Running> =
        [&["status"][..], &["plan"], &["graph", "--format", "dot"]].map(|args| slowly(&place, args)).into();
    until("each of them looks", || looks(&place) == 3);
    place.fleet(&["history"]).exits(0).shows("run-1");
    place.fleet(&["show", "run-1"]).exits(0).shows("create:file/f");
    place.desire(&[]);
    place.fleet(&["apply", "--yes", "--only", "file/f"]).exits(0).shows("Done: 1 of 1");
    assert!(!place.path("f").exists());
    let_go(&place);
    for running in looking {
        running.wait().exits(0);
    }
}

#[test]
fn who_only_reads_makes_nothing_in_a_folder_that_is_no_store() {
    let place = place();
    std::fs::create_dir(place.path("folder")).unwrap();
    for command in [&["status"][..], &["plan"], &["history"], &["destroy", "--yes"]] {
        let args = [&["--store", "folder"], command].concat();
        place.fleet(&args).exits(0).complains("There is no store in ");
    }
    assert_eq!(std::fs::read_dir(place.path("folder")).unwrap().count(), 0);
}

#[test]
fn many_read_at_once_and_after_a_kill_too() {
    let place = place();
    for _ in 0..2 {
        let reading: Vec<Running> =
            (0..8).map(|n| place.start(&[["status", "history", "plan"][n % 3]])).collect();
        for running in reading {
            running.wait().exits(0);
        }
        // It dies with the store open.
        let before = looks(&place);
        let applying = slowly(&place, &["apply", "--yes"]);
        until("it looks", || looks(&place) > before);
        assert!(applying.kill().is_none());
    }
}

#[test]
fn one_who_writes_keeps_everyone_else_from_the_store_and_is_named() {
    let place = place();
    let applying = slowly(&place, &["apply", "--yes"]);
    until("it looks", || looks(&place) == 1);
    let holder = format!("is held by a live manager (process {} on ", applying.id());
    for args in [&["status"][..], &["plan"], &["history"], &["apply", "--yes"]] {
        place.fleet(args).exits(3).complains(&holder);
    }
    let_go(&place);
    applying.wait().exits(0);
}
