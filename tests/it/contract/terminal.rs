//! A person at a terminal, a real one: `fleet` behind a pseudo-terminal that Python holds, since the standard library here
//! has none.

use std::process::Command;

use serde_json::json;

use crate::support::{Place, TERMINAL, at_terminal, fleet};

#[test]
fn who_wants_no_colour_gets_none_at_a_terminal_either() {
    let place = one_file();
    let coloured = |no_color: Option<&str>, args: &[&str]| {
        let mut command = Command::new("python3");
        command.current_dir(place.dir()).args(["-c", TERMINAL, "[]"]).arg(fleet()).args(args);
        match no_color {
            Some(value) => command.env("NO_COLOR", value),
            None => command.env_remove("NO_COLOR"),
        };
        place.start_as(command, args).wait().exits(0).out.contains("\u{1b}[3")
    };
    assert!(coloured(None, &["plan"]), "somebody watches");
    assert!(!coloured(Some("1"), &["plan"]));
    assert!(coloured(Some(""), &["plan"]), "an empty variable asks for nothing");
    assert!(coloured(Some("1"), &["--color", "always", "plan"]), "what is asked for in words wins");
    assert!(!coloured(None, &["--color", "never", "plan"]));
}

#[test]
fn a_terminal_that_only_adds_lines_gets_lines_without_colours_and_bars() {
    let place = one_file();
    let at = |terminal: &str, args: &[&str]| {
        let mut command = Command::new("python3");
        command.current_dir(place.dir()).args(["-c", TERMINAL, "[]"]).arg(fleet()).args(args);
        command.env_remove("NO_COLOR").env("TERM_OF_TEST", terminal);
        place.start_as(command, args).wait().exits(0).out
    };
    assert!(at("xterm", &["apply", "--yes"]).contains('\u{1b}'));
    let shown = at("dumb", &["destroy", "--yes"]);
    assert!(shown.contains("delete:file/f") && !shown.contains('\u{1b}'), "{shown:?}");
    assert!(!shown.replace("\r\n", "\n").contains('\r'), "{shown:?}");
    assert!(at("dumb", &["--color", "always", "plan"]).contains('\u{1b}'), "what is asked for in words wins");
}

fn one_file() -> Place {
    let place = Place::new();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "one\n" })]);
    place
}

#[test]
fn who_answers_yes_has_it_done() {
    for answer in ["y\r", "Yes\r"] {
        let place = one_file();
        let ran = at_terminal(&place, &[("Apply 1 action? [y/N]", answer)], &["apply"]).exits(0);
        let ran = ran.shows("+ create\u{1b}[0m file/f").shows("create:file/f").shows("Done: 1 of 1 actions");
        assert!(ran.out.contains("A new store was made in"), "{}", ran.out);
        assert_eq!(place.read("f"), "one\n");
        at_terminal(&place, &[("Destroy 1 resource? [y/N]", answer)], &["destroy"]).exits(0);
        assert!(!place.path("f").exists());
    }
}

#[test]
fn who_answers_anything_else_is_told_that_nothing_was_changed() {
    let place = one_file();
    // The last is the end of the input.
    for answer in ["n\r", "\r", "yo\r", "\u{4}"] {
        let ran = at_terminal(&place, &[("[y/N]", answer)], &["apply"]).exits(3);
        assert!(ran.out.ends_with("\nNothing was changed.\r\n"), "{:?}", ran.out);
        assert!(!ran.out.contains("error"), "{}", ran.out);
        assert!(!place.path("f").exists());
    }
    place.fleet(&["history"]).exits(0).shows("No run is recorded");
}

#[test]
fn an_interrupt_before_anything_is_begun_leaves() {
    let place = one_file();
    let ran = at_terminal(&place, &[("[y/N]", "\u{3}")], &["apply"]).exits(130);
    assert!(ran.out.ends_with("\nInterrupted: nothing was changed.\r\n"), "{:?}", ran.out);
    assert!(!place.path("f").exists());
    place.apply();
}

#[test]
fn nothing_to_do_is_neither_asked_about_nor_said_twice() {
    let place = one_file();
    place.apply();
    let ran = at_terminal(&place, &[], &["apply"]).exits(0);
    assert_eq!(ran.out.matches("othing to do").count(), 1, "{}", ran.out);
}

#[test]
fn an_interrupted_run_is_not_given_up_to_destroy_before_somebody_says_so() {
    let place = slow();
    let running = place.start(&["apply", "--yes"]);
    assert!(running.saw(1, |line| line.contains("failed after")));
    assert!(running.kill().is_none());
    let asked = "run-1 was interrupted. Give it up? [y/N]";
    at_terminal(&place, &[(asked, "n\r")], &["destroy"]).exits(3).shows("\nNothing was changed.");
    place.fleet(&["history"]).exits(0).shows("interrupted");
}

/// A command that runs until its gate is opened, and one that fails.
fn slow() -> Place {
    let place = Place::new();
    let command = |name: &str, script: &str| json!({ "kind": "command", "name": name, "dir": place.text(""), "run": ["/bin/sh", "-c", script] });
    place.desire(&[
        command("slow", "echo begun > begun; read go < gate"),
        command("bad", "until test -s begun; do sleep 0.01; done; echo $((6 * 7)) is no luck >&2; exit 7"),
    ]);
    assert!(Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    place
}

#[test]
fn progress_at_a_terminal_is_a_bar_and_each_failure_is_told_once() {
    let place = slow();
    let gate = place.path("gate");
    // What opens the gate waits until it is read from.
    let opener = std::thread::spawn(move || std::fs::write(gate, "go\n").unwrap());
    let ran = at_terminal(&place, &[], &["apply", "--yes"]).exits(1);
    opener.join().unwrap();
    assert!(ran.out.contains("╌") && ran.out.contains("0/2"), "{}", ran.out);
    for (once, of) in [
        ("42 is no luck", "the reason"),
        ("failed after", "progress"),
        ("Failed: 1 done, 1 failed", "the end"),
    ] {
        assert_eq!(ran.out.matches(once).count(), 1, "{of}: {}", ran.out);
    }
}

#[test]
fn a_second_interrupt_at_a_terminal_clears_the_bar_and_says_what_may_still_be_at_work() {
    let place = slow();
    let types = [("failed after", "\u{3}"), ("Stopping:", "\u{3}")];
    let ran = at_terminal(&place, &types, &["apply", "--yes"]).exits(130);
    let last = ran.out.trim_end().lines().last().unwrap();
    assert!(last.starts_with("Left at once, with create:command/slow in flight."), "{:?}", ran.out);
}

#[test]
fn an_interrupted_run_is_finished_when_somebody_says_so_and_its_result_is_shown() {
    let place = Place::new();
    let value =
        |name: &str, after: &[&str]| json!({ "kind": "value", "name": name, "input": 1, "after": after });
    let gate = json!({ "kind": "command", "name": "gate", "dir": place.text(""), "run": ["/bin/sh", "-c", "read go < gate"] });
    place.desire(&[gate, value("last", &["command/gate"])]);
    assert!(Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    let running = place.start(&["-v", "apply", "--yes"]);
    assert!(running.saw(1, |line| line.contains("… create:command/gate")));
    running.signal("INT");
    assert!(running.saw(1, |line| line.starts_with("Stopping")));
    std::fs::write(place.path("gate"), "go\n").unwrap();
    running.wait().exits(130);
    let asked = "run-1 was interrupted, with 1 of 2 actions left. Finish it? [y/N]";
    let ran = at_terminal(&place, &[(asked, "n\r")], &["apply"]).exits(3);
    ran.shows("Nothing was changed. `apply --abandon` gives run-1 up");
    place.fleet(&["history"]).exits(0).shows("interrupted");
    let ran = at_terminal(&place, &[(asked, "y\r")], &["apply"]).exits(0);
    ran.shows("Done: 2 of 2 actions had an effect. run-1, ")
        .shows("Nothing to do: 2 resources are as desired.");
}

#[test]
fn whoever_says_no_to_what_is_done_instead_of_an_interrupted_run_has_changed_nothing() {
    let place = one_file();
    place.apply();
    let mut all: serde_json::Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    let slow: serde_json::Value = serde_json::from_str(&slow().read("detc.json")).unwrap();
    for mut resource in slow["resources"].as_array().unwrap().clone() {
        resource["dir"] = place.text("").into();
        all["resources"].as_array_mut().unwrap().push(resource);
    }
    place.write("detc.json", all.to_string());
    assert!(Command::new("mkfifo").arg(place.path("gate")).status().unwrap().success());
    let running = place.start(&["apply", "--yes"]);
    assert!(running.saw(1, |line| line.contains("failed after")));
    assert!(running.kill().is_none());
    let asked = "run-2 was interrupted. Give it up, and destroy 1 resource? [y/N]";
    at_terminal(&place, &[(asked, "n\r")], &["destroy"]).exits(3).shows("\nNothing was changed.");
    place.fleet(&["--json", "show", "run-2"]).exits(0).hides("superseded");
    place.fleet(&["destroy", "--yes"]).exits(0).complains("run-2 was interrupted, and is given up");
    place.fleet(&["--json", "show", "run-2"]).exits(0).shows("superseded");
    assert!(!place.path("f").exists());
}
