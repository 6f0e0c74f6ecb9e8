//! The kind `process`: a daemon that outlives the manager, is there once, and is restarted when it has to be.

use serde_json::{Value, json};

use crate::support::{Place, fleet, until};

/// A daemon that writes a line for each start, in that line what its configuration was.
fn daemon(place: &Place) -> Value {
    json!({
        "kind": "process", "name": "web", "dir": place.text(""), "restart_on": ["file/conf"],
        "command": ["/bin/sh", "-c", "echo started with $(cat conf) >> starts; exec sleep 1000"],
    })
}

/// The processes of the daemon itself, without the shell that waits for its end.
fn daemons(place: &Place) -> Vec<u32> {
    called(place, "sleep\0")
}

/// The processes on this folder whose command line begins so.
fn called(place: &Place, begin: &str) -> Vec<u32> {
    let is_called = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(begin.as_bytes()))
    };
    place.processes().into_iter().filter(is_called).collect()
}

fn desire(place: &Place, conf: &str, other: &str) {
    place.desire(&[
        json!({ "kind": "file", "name": "conf", "path": place.text("conf"), "content": conf }),
        json!({ "kind": "file", "name": "other", "path": place.text("other"), "content": other }),
        daemon(place),
    ]);
}

#[test]
fn a_process_is_restarted_once_when_what_it_restarts_on_changed_and_only_then() {
    let place = Place::new();
    desire(&place, "1", "a");
    place.apply();
    until("it has started", || place.read("starts").lines().count() == 1);
    let first = daemons(&place);
    assert_eq!(first.len(), 1);
    place.apply();
    desire(&place, "1", "b");
    place.apply();
    assert_eq!(daemons(&place), first, "nothing that concerns it has changed");
    desire(&place, "2", "b");
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    assert!(
        plan["changes"].as_array().unwrap().iter().any(|change| change["resource"] == "process/web"),
        "{plan}"
    );
    place.apply();
    until("it has started again", || place.read("starts").lines().count() == 2);
    assert_eq!(place.read("starts"), "started with 1\nstarted with 2\n");
    let second = daemons(&place);
    assert!(second.len() == 1 && second != first);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_the_manager_is_made_to_ignore_a_process_does_not() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "process", "name": "web", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "stop": { "signal": "HUP", "grace_ms": 20_000 },
    })]);
    let mut ignoring = std::process::Command::new("/bin/sh");
    ignoring.current_dir(place.dir()).args(["-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"]);
    ignoring.arg(fleet()).args(["apply", "--yes"]);
    place.start_as(ignoring, &["apply", "--yes"]).wait().exits(0);
    let pids = place.processes();
    assert!(!pids.is_empty());
    for pid in pids {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        assert_eq!(ignored & 0b111, 0, "of {pid}: HUP, INT, QUIT: {ignored:x}");
    }
    place.fleet(&["destroy", "--yes"]).exits(0);
}

#[test]
fn a_process_that_died_is_drift_and_is_started_again() {
    let place = Place::new();
    desire(&place, "1", "a");
    place.apply();
    place.end_processes();
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let web =
        status["resources"].as_array().unwrap().iter().find(|it| it["resource"] == "process/web").unwrap();
    assert_eq!(web["state"], "absent");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2);
    place.apply();
    assert_eq!(daemons(&place).len(), 1);
}

#[test]
fn how_a_process_ended_is_told_where_it_is_missed() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "process", "name": "web", "dir": place.text(""),
        "command": ["/bin/sh", "-c", "until [ -e go ]; do sleep 0.02; done; exit 7"],
    })]);
    place.apply();
    place.write("go", "");
    place.wait_for_processes();
    place.fleet(&["status"]).exits(0).shows("absent  it ended with exit code 7; all it said is in ");
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("create process/web on here (it is needed: it ended with exit code 7; ");
}

#[test]
fn a_process_ends_when_it_is_no_longer_desired() {
    let place = Place::new();
    desire(&place, "1", "a");
    place.apply();
    place.desire(&[]);
    place.apply();
    assert!(place.processes().is_empty());
}

#[test]
fn a_process_that_ends_at_once_has_failed_and_its_last_words_are_told() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "process", "name": "web",
        "command": ["/bin/sh", "-c", "echo no configuration >&2; exit 4", place.text("mark")],
    })]);
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(1);
    let error = ran.json()["failures"][0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("no configuration"), "{error}");
}

#[test]
fn a_process_that_ends_before_the_run_does_has_failed_and_its_last_words_are_told() {
    let place = Place::new();
    let web = "echo $$ > pid; until [ -e go ]; do sleep 0.02; done; echo out of memory; exit 4";
    let waits = "while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done";
    place.desire(&[
        json!({ "kind": "process", "name": "web", "dir": place.text(""), "command": ["/bin/sh", "-c", web] }),
        json!({ "kind": "file", "name": "go", "path": place.text("go"), "content": "", "after": ["process/web"] }),
        json!({
            "kind": "command", "name": "waits", "dir": place.text(""), "run": ["/bin/sh", "-c", waits],
            "after": ["file/go"],
        }),
    ]);
    place.fleet(&["apply", "--yes"]).exits(1).shows(
        "✗ create:process/web: a second look could not confirm it: process/web ended with exit code 4 soon after \
         its start; it said:\n    out of memory",
    );
}

#[test]
fn a_process_is_healthy_when_its_address_answers_and_unhealthy_when_not() {
    let place = Place::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.write("server.py", SERVER);
    place.desire(&[json!({
        "kind": "process", "name": "web", "dir": place.text(""),
        "command": ["/usr/bin/env", "python3", place.text("server.py"), port.to_string()],
        "health": { "http": format!("http://127.0.0.1:{port}/"), "timeout_ms": 20_000 },
    })]);
    place.apply();
    let health = || {
        let status = place.fleet(&["--json", "status"]).exits(0).json();
        status["resources"][0]["health"].as_str().unwrap().to_owned()
    };
    assert_eq!(health(), "healthy");
    place.write("broken", "");
    assert_eq!(health(), "unhealthy");
}

const SERVER: &str = "\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists('broken') else 200)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";

#[test]
fn a_process_outlives_a_kill_of_the_manager_and_is_never_there_twice() {
    let place = Place::new();
    desire(&place, "1", "a");
    for _ in 0..5 {
        let running = place.start(&["apply", "--yes", "-v"]);
        running.saw(1, |line| line.contains("… create:process/web"));
        running.kill();
    }
    place.apply();
    assert_eq!(daemons(&place).len(), 1, "{}", place.read("starts"));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_change_that_restarts_is_called_so_and_one_that_does_not_is_not() {
    let place = Place::new();
    let process = |version: &str, grace: u32| {
        json!({
            "kind": "process", "name": "web", "dir": place.text(""), "env": { "VERSION": version },
            "command": ["/bin/sh", "-c", "exec sleep 1000"], "stop": { "grace_ms": grace }, "labels": { "app": "web" },
        })
    };
    let desire = |version: &str, grace: u32| {
        let mut process = process(version, grace);
        process["host"] = "here".into();
        let bound = json!([{ "name": "up", "available": { "kind": "process" }, "at_least": 1 }]);
        let state = json!({
            "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": [process], "invariants": bound,
        });
        place.write("detc.json", state.to_string());
    };
    desire("1", 100);
    place.apply();
    until("it runs", || daemons(&place).len() == 1);
    let first = daemons(&place);
    desire("1", 200);
    place.fleet(&["plan"]).exits(0).shows("~ update process/web").shows("never worse than 1");
    place.apply();
    assert_eq!(daemons(&place), first, "how it is stopped does not concern how it runs");
    desire("2", 200);
    place
        .fleet(&["plan"])
        .exits(3)
        .shows("~ restart process/web")
        .shows("BROKEN: up: at least 1; now 1, and when");
    assert_eq!(daemons(&place), first);
}

#[test]
fn what_was_changed_and_not_recorded_restarts_what_depends_on_it() {
    let place = Place::new();
    desire(&place, "1", "a");
    place.apply();
    until("it has started", || place.read("starts").lines().count() == 1);
    // As a run that was killed just then leaves it.
    place.write("conf", "2");
    desire(&place, "2", "a");
    place.apply();
    until("it has started again", || place.read("starts").lines().count() == 2);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_change_that_stays_in_place_does_not_hide_a_restart() {
    let place = Place::new();
    desire(&place, "1", "a");
    place.apply();
    until("it has started", || place.read("starts").lines().count() == 1);
    desire(&place, "2", "a");
    let mut all: Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    all["resources"][2]["memory_mib"] = 7.into();
    all["invariants"] = json!([{ "name": "up", "available": { "kind": "process" }, "at_least": 1 }]);
    place.write("detc.json", all.to_string());
    place.fleet(&["plan"]).exits(3).shows("restart");
}

#[test]
fn what_is_not_to_restart_it_any_more_does_not_count_though_it_restarted_on_it_before_a_kill() {
    let place = Place::new();
    let desire = |content: &str, version: u32, restart_on: &[&str]| {
        place.desire(&[
            json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": content }),
            json!({ "kind": "process", "name": "p", "dir": place.text(""), "restart_on": restart_on,
                    "command": ["sleep", format!("60{version}")], "stop": { "grace_ms": 100 },
                    "health": { "command": ["test", "-e", place.text("ok")], "interval_ms": 20 } }),
        ]);
    };
    place.write("ok", "");
    desire("1", 0, &["file/f"]);
    place.apply();
    std::fs::remove_file(place.path("ok")).unwrap();
    desire("2", 1, &["file/f"]);
    let running = place.start(&["apply", "--yes"]);
    until("the new one runs", || !called(&place, "sleep\x00601\0").is_empty());
    running.kill();
    place.write("ok", "");
    desire("2", 1, &[]);
    place.apply();
    place.fleet(&["status"]).exits(0).shows("All 2 resources are as they should be.");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}
