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
    assert!(detail.contains("its health check needs a sensitive value that was not given"), "{detail}");
    assert!(!place.path("ran").exists());
    place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("healthy");
    assert_eq!(place.read("ran").trim(), "ran abcdefgh");
}
