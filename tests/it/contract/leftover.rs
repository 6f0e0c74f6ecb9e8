//! What a process had started and left behind carries its mark: it is seen, and ended with it.

use serde_json::json;

use crate::support::{Place, until};

/// Desires a process that leaves a child behind when it is killed.
fn desire(place: &Place) {
    place.desire(&[json!({
        "kind": "process", "name": "m", "dir": place.text(""),
        "command": ["/bin/sh", "-c", "sleep 666671 & exec sleep 666670"],
    })]);
}

fn running(place: &Place, line: &str) -> Vec<u32> {
    let is_one =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|found| found == line.as_bytes());
    place.processes().into_iter().filter(is_one).collect()
}

/// Kills the process itself, and waits until its keeper has noted that.
fn kill(place: &Place) {
    let main = running(place, "sleep\x00666670\x00");
    assert_eq!(main.len(), 1, "{main:?}");
    assert!(
        std::process::Command::new("kill").args(["-9", &main[0].to_string()]).status().unwrap().success()
    );
    until("it has ended", || running(place, "sleep\x00666670\x00").is_empty());
    let records = place.path(".detc/hosts/here/process");
    let is_end = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".end"))
    };
    until("its end is noted", || std::fs::read_dir(&records).unwrap().any(is_end));
}

#[test]
fn destroy_ends_what_a_process_that_died_had_left_behind() {
    let place = Place::new();
    desire(&place);
    place.apply();
    kill(&place);
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let found = &status["resources"][0];
    assert_eq!((&found["state"], &found["health"]), (&json!("drifted"), &json!("unhealthy")));
    assert!(found["detail"].as_str().unwrap().contains("what it had started still runs"), "{found}");
    place.fleet(&["destroy", "--yes"]).exits(0).shows("delete process/m");
    assert!(running(&place, "sleep\x00666671\x00").is_empty());
    place.fleet(&["status"]).exits(0).shows("Nothing is recorded here");
}

#[test]
fn apply_starts_it_again_without_what_the_last_one_had_left_behind() {
    let place = Place::new();
    desire(&place);
    place.apply();
    let before = running(&place, "sleep\x00666671\x00");
    kill(&place);
    place.apply();
    let after = running(&place, "sleep\x00666671\x00");
    assert!(before.len() == 1 && after.len() == 1 && before != after, "{before:?} {after:?}");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn destroy_ends_the_daemon_of_a_program_that_leaves_the_foreground() {
    let place = Place::new();
    let command = ["/bin/sh", "-c", "sleep 666671 & exit 0"];
    place.desire(&[json!({ "kind": "process", "name": "m", "dir": place.text(""), "command": command })]);
    place.fleet(&["apply", "--yes"]).exits(1);
    assert_eq!(running(&place, "sleep\x00666671\x00").len(), 1);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(running(&place, "sleep\x00666671\x00").is_empty());
}

#[test]
fn no_purge_takes_the_store_along() {
    let place = Place::new();
    std::fs::create_dir(place.path("d")).unwrap();
    let directory = json!({ "kind": "directory", "name": "d", "path": place.text("d"), "purge": true });
    let process = json!({
        "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
    });
    place.desire(&[directory.clone(), process]);
    // It was made by detc, so that it is detc's to remove.
    std::fs::remove_dir(place.path("d")).unwrap();
    place.fleet(&["--store", "s", "apply", "--yes"]).exits(0);
    std::fs::rename(place.path("s"), place.path("d/s")).unwrap();
    let store = |args: &[&str]| place.fleet(&[&["--store", "d/s"], args].concat());
    store(&["destroy", "--yes"]).exits(3).complains("where detc keeps its own things, is in there");
    place.desire(&[]);
    store(&["plan"]).exits(3).complains("directory/d would be removed with all that is in");
    assert!(place.path("d/s").is_dir());
    // The way out that is told.
    let mut kept = directory;
    kept["purge"] = false.into();
    place.desire(&[kept]);
    store(&["apply", "--yes"]).exits(0);
    store(&["destroy", "--yes"]).exits(0).shows("stays, since it is not empty");
    assert!(place.path("d/s").is_dir());
}
