//! The health of a process, by each way in which it can be asked.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::Place;

fn desire(place: &Place, health: &Value) {
    place.desire(&[json!({
        "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"], "health": health,
    })]);
}

/// State and health of the process, and what is said of it.
fn status(place: &Place) -> (String, String, String) {
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let of = |field: &str| status["resources"][0][field].as_str().unwrap_or_default().to_owned();
    (of("state"), of("health"), of("detail"))
}

#[test]
fn a_port_that_answers_is_healthy_and_one_that_does_not_is_not() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    desire(&place, &json!({ "tcp": address, "timeout_ms": 5000 }));
    place.apply();
    assert_eq!(status(&place), ("present".to_owned(), "healthy".to_owned(), String::new()));
    drop(listener);
    let (state, health, detail) = status(&place);
    assert_eq!((state.as_str(), health.as_str()), ("present", "unhealthy"));
    assert!(detail.contains(&format!("connect to {address}: ")), "{detail}");
}

#[test]
fn a_command_that_succeeds_is_healthy_and_one_that_fails_or_hangs_is_not_for_what_it_says() {
    let place = Place::new();
    let script =
        format!("cd '{}'; [ -e hang ] && exec sleep 1000; cat sick >&2 && exit 3; exit 0", place.text(""));
    desire(&place, &json!({ "command": ["/bin/sh", "-c", script], "timeout_ms": 1500 }));
    place.apply();
    assert_eq!(status(&place).1, "healthy");
    place.write("sick", "I am not well\n");
    let (_, health, detail) = status(&place);
    assert_eq!(health, "unhealthy");
    assert!(detail.contains("I am not well") && detail.contains('3'), "{detail}");
    place.write("sick", "");
    assert_eq!(status(&place).2, "`/bin/sh` ended with exit code 3");
    place.write("hang", "");
    let (_, health, detail) = status(&place);
    assert_eq!(health, "unhealthy");
    assert!(detail.contains("no answer within 1500 ms") || detail.contains("1500"), "{detail}");
}

#[test]
fn a_process_that_does_not_become_healthy_in_time_fails_and_is_stopped() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    desire(&place, &json!({ "tcp": address, "timeout_ms": 600 }));
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    assert!(ran.out.contains(&address), "{}", ran.out);
    place.wait_for_processes();
}

/// Two processes, of which one lasts: each is sick while its file is there, and a start removes that.
fn two_that_can_be_sick(place: &Place, at_least: u32) {
    let process = |name: &str| {
        let sick = place.text(&format!("{name}.sick"));
        json!({ "kind": "process", "name": name, "host": "here", "dir": place.text(""), "labels": { "app": "web" },
                "command": ["/bin/sh", "-c", format!("rm -f '{sick}'; exec sleep 1000")],
                "health": { "command": ["/bin/sh", "-c", format!("[ ! -e '{sick}' ] || {{ echo sick; false; }}")], "timeout_ms": 5000 } })
    };
    let all = json!({
        "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": [process("a"), process("b")],
        "invariants": [{ "name": "web stays up", "available": { "labels": { "app": "web" } }, "at_least": at_least }],
    });
    place.write("detc.json", all.to_string());
}

#[test]
fn what_is_unhealthy_is_restarted_once_and_an_invariant_is_not_in_the_way() {
    let place = Place::new();
    two_that_can_be_sick(&place, 2);
    place.apply();
    let started = |name: &str| {
        let status = place.fleet(&["--json", "status"]).exits(0).json();
        let of = status["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["resource"] == format!("process/{name}"));
        of.unwrap()["health"].as_str().unwrap().to_owned()
    };
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.write("a.sick", "");
    assert_eq!(started("a"), "unhealthy");
    let plan = place.fleet(&["plan", "--detailed-exitcode", "--out", "p", "--rehearse"]).exits(2);
    let plan = plan
        .shows("~ restart process/a on here (it is unhealthy: `/bin/sh` ended with exit code 1: sick)")
        .hides("process/b");
    plan.shows("at least 2; now 1, never worse than 1");
    let before = place.processes();
    place.fleet(&["apply", "p", "--yes"]).exits(0).shows("Done: 1 of 1");
    assert_eq!(started("a"), "healthy");
    let kept = place.processes().iter().filter(|pid| before.contains(pid)).count();
    assert!(kept > 0 && kept < before.len(), "one was restarted, and one not");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.fleet(&["show", "2"]).exits(0).shows("it was unhealthy: ");
    // What has become healthy since the plan is not restarted.
    place.write("b.sick", "");
    place.fleet(&["plan", "--out", "q"]).exits(0).shows("restart process/b");
    std::fs::remove_file(place.path("b.sick")).unwrap();
    let before = place.processes();
    place.fleet(&["apply", "q", "--yes"]).exits(0).shows("1 had nothing to do");
    assert_eq!(place.processes(), before);
}

#[test]
fn a_frozen_process_is_healed_by_apply() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.desire(&[json!({
        "kind": "process", "name": "p", "dir": place.text(""),
        "command": ["/usr/bin/env", "python3", "-m", "http.server", "--bind", "127.0.0.1", port.to_string()],
        "health": { "http": format!("http://127.0.0.1:{port}/"), "timeout_ms": 20_000 },
    })]);
    place.apply();
    for pid in place.processes() {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        if cmdline.windows(11).any(|it| it == b"http.server") {
            let pid = pid.to_string();
            assert!(
                std::process::Command::new("kill").args(["-s", "STOP", &pid]).status().unwrap().success()
            );
        }
    }
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("it is unhealthy: no answer within 5000 ms");
    place.apply().shows("Done: 1 of 1");
    assert_eq!(status(&place).1, "healthy");
}

#[test]
fn what_could_not_be_asked_is_not_restarted() {
    let place = Place::new();
    place.write("check", "#!/bin/sh\n");
    std::fs::set_permissions(place.path("check"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    desire(&place, &json!({ "command": [place.text("check")], "timeout_ms": 5000 }));
    place.apply();
    std::fs::remove_file(place.path("check")).unwrap();
    assert_eq!(status(&place).1, "unknown");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_health_check_is_not_run_with_something_else_in_the_place_of_its_secret() {
    let place = Place::new();
    let script = format!("echo \"ran $0\" >> '{}'", place.text("ran"));
    place.desire(&[json!({
        "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "health": { "command": ["/bin/sh", "-c", script, "abcdefgh"] }, "sensitive": ["health.command.3"],
    })]);
    place.apply();
    std::fs::remove_file(place.path("ran")).unwrap();
    let (state, health, detail) = status(&place);
    assert_eq!((state.as_str(), health.as_str()), ("present", "unknown"));
    assert!(detail.contains("its health check has a sensitive value that is not at hand"), "{detail}");
    assert!(!place.path("ran").exists());
    place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("healthy");
    assert_eq!(place.read("ran").trim(), "ran abcdefgh");
}
