//! A start is done when what was started is healthy, also when whoever started it is gone.

use serde_json::{Value, json};

use crate::support::{Place, Running, until};

/// A process that is healthy once nothing holds it any more. It notes its starts, and each check.
fn held(place: &Place, name: &str, timeout_ms: u32) -> Value {
    let start = format!(
        "rm -f {name}.ready; echo start >> {name}.starts; while [ -e {name}.hold ]; do sleep 0.05; done; \
         touch {name}.ready; exec sleep 1000"
    );
    let dir = place.text("");
    let check = format!("cd '{dir}'; echo check >> {name}.checks; [ -e {name}.ready ]");
    json!({
        "kind": "process", "name": name, "host": "here", "dir": dir, "labels": { "app": "web" },
        "command": ["/bin/sh", "-c", start],
        "health": { "command": ["/bin/sh", "-c", check], "timeout_ms": timeout_ms, "interval_ms": 50 },
    })
}

/// A command that notes whether the process is ready when it comes to it.
fn after(place: &Place, name: &str) -> Value {
    let note = format!("[ -e {name}.ready ] && echo ready > seen || echo early > seen");
    json!({
        "kind": "command", "name": "after", "dir": place.text(""), "run": ["/bin/sh", "-c", note],
        "creates": place.text("seen"), "after": [format!("process/{name}")],
    })
}

fn lines(place: &Place, name: &str) -> usize {
    place.read(name).lines().count()
}

/// Waits until the process was looked at some times more.
fn waited_for(place: &Place, name: &str) {
    let checks = format!("{name}.checks");
    let before = lines(place, &checks);
    until("it is looked at again and again", || lines(place, &checks) >= before + 4);
}

/// An apply that is killed when the process has started so many times, and is held.
fn killed(place: &Place, name: &str, starts: usize) {
    let running = place.start(&["apply", "--yes"]);
    until("it has started", || lines(place, &format!("{name}.starts")) >= starts);
    assert!(running.kill().is_none());
}

fn release(place: &Place, running: Running, names: &[&str]) {
    for name in names {
        std::fs::remove_file(place.path(&format!("{name}.hold"))).unwrap();
    }
    running.wait().exits(0);
}

#[test]
fn what_comes_after_a_start_that_was_cut_off_waits_until_that_is_healthy() {
    for args in [&["apply", "--yes"][..], &["apply", "--yes", "--abandon"]] {
        let place = Place::new();
        place.desire(&[held(&place, "p", 60_000), after(&place, "p")]);
        place.write("p.hold", "");
        killed(&place, "p", 1);
        let running = place.start(args);
        waited_for(&place, "p");
        release(&place, running, &["p"]);
        assert_eq!((place.read("seen").trim(), lines(&place, "p.starts")), ("ready", 1), "{args:?}");
    }
}

#[test]
fn a_start_that_was_cut_off_and_never_becomes_healthy_fails_like_any_other() {
    let place = Place::new();
    place.desire(&[held(&place, "p", 4000), after(&place, "p")]);
    place.write("p.hold", "");
    killed(&place, "p", 1);
    let ran = place.fleet(&["apply", "--yes"]).exits(1).shows("process/p is not healthy after 4000 ms");
    assert!(ran.out.contains("it was stopped") && !place.path("seen").exists(), "{}", ran.out);
    place.wait_for_processes();
}

#[test]
fn a_roll_that_was_cut_off_goes_on_when_what_it_had_restarted_is_healthy_and_restarts_it_no_more() {
    let place = Place::new();
    let desire = |version: &str| {
        let mut processes = ["a", "b"].map(|name| held(&place, name, 60_000));
        processes.iter_mut().for_each(|process| process["env"] = json!({ "VERSION": version }));
        let stays =
            json!({ "name": "web stays up", "available": { "labels": { "app": "web" } }, "at_least": 1 });
        let all = json!({ "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": processes,
                          "invariants": [stays] });
        place.write("detc.json", all.to_string());
    };
    desire("1");
    place.apply();
    desire("2");
    place.write("a.hold", "");
    place.write("b.hold", "");
    let running = place.start(&["apply", "--yes"]);
    let is_twice = |name: &str| lines(&place, &format!("{name}.starts")) == 2;
    until("one of them is restarted", || is_twice("a") || is_twice("b"));
    assert!(running.kill().is_none());
    let (first, other) = if is_twice("a") { ("a", "b") } else { ("b", "a") };
    let running = place.start(&["apply", "--yes"]);
    waited_for(&place, first);
    assert!(!is_twice(other), "{first} is not healthy yet, and {other} was restarted");
    release(&place, running, &["a", "b"]);
    assert!(is_twice("a") && is_twice("b"), "{} {}", lines(&place, "a.starts"), lines(&place, "b.starts"));
}

#[test]
fn what_a_run_started_and_broke_again_did_not_last() {
    let place = Place::new();
    let breaks = json!({
        "kind": "command", "name": "breaks", "dir": place.text(""), "run": ["/bin/rm", "p.ready"],
        "unless": ["/bin/sh", "-c", format!("[ ! -e '{}' ]", place.text("p.ready"))], "after": ["process/p"],
    });
    place.desire(&[held(&place, "p", 60_000), breaks]);
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    ran.shows("a second look found that it did not last: it is unhealthy: ").shows("process.create");
}
