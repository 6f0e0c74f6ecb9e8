//! What goes where: results to standard output, progress and diagnostics to standard error, JSON alone.

use serde_json::{Value, json};

use crate::support::{Place, quickstart, until};

fn place() -> Place {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "c", "run": ["/bin/echo", "x"] }),
        json!({ "kind": "file", "name": "f", "path": place.text("f"),
                "content": { "from": "command/c", "output": "stdout" } }),
    ]);
    place
}

#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(*key).is_some(), "no `{key}` in {value}");
    }
}

#[test]
fn a_plan_as_json_is_one_object_of_the_promised_shape() {
    let place = place();
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    assert_eq!(plan["format"], "detc.plan/1");
    has(&plan, &["id", "changes", "actions", "proof", "kept"]);
    let change =
        plan["changes"].as_array().unwrap().iter().find(|change| change["resource"] == "file/f").unwrap();
    assert_eq!(change["change"], "create");
    has(change, &["fields", "reason"]);
    for field in change["fields"].as_array().unwrap() {
        has(field, &["path", "from", "to"]);
        if field["path"] == "content" {
            assert!(field["to"].as_str().unwrap().starts_with("(known after "), "{field}");
        }
    }
    let action =
        plan["actions"].as_array().unwrap().iter().find(|action| action["resource"] == "file/f").unwrap();
    has(action, &["id", "kind", "resource", "summary", "reason", "after", "effects"]);
    assert_eq!(action["after"], json!(["create:command/c"]));
}

#[test]
fn kept_resources_are_counted_and_listed_only_with_verbose() {
    let place = place();
    place.apply();
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    assert_eq!((&plan["kept"], &plan["changes"]), (&json!(2), &json!([])));
    let plan = place.fleet(&["--json", "-v", "plan"]).exits(0).json();
    let kept = plan["changes"].as_array().unwrap().iter().filter(|change| change["change"] == "keep").count();
    assert_eq!(kept, 2, "{plan}");
}

#[test]
fn a_run_and_a_status_as_json_are_one_object_each() {
    let place = place();
    let run = place.fleet(&["--json", "apply", "--yes"]).exits(0).json();
    assert_eq!(
        (&run["format"], &run["outcome"], &run["run"]),
        (&json!("detc.run/1"), &json!("done"), &json!("run-1"))
    );
    assert_eq!(run["actions"], json!({ "done": 2, "satisfied": 0, "failed": 0, "not_reached": 0 }));
    has(&run, &["failures", "duration_ms"]);
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    assert_eq!(status["format"], "detc.status/1");
    has(&status["resources"][0], &["resource", "state", "health"]);
    has(&place.fleet(&["--json", "history"]).exits(0).json(), &["runs"]);
    has(&place.fleet(&["--json", "show", "1"]).exits(0).json(), &["run", "actions"]);
    let gone = place.fleet(&["--json", "destroy", "--yes"]).exits(0).json();
    assert_eq!(gone["format"], "detc.run/1");
}

#[test]
fn an_error_as_json_is_one_object_on_standard_output() {
    let place = place();
    for (args, exit, code) in [
        (&["--json", "apply"][..], 3, "not_confirmed"),
        (&["--json", "show", "run-7"], 64, "usage"),
        (&["--json", "-f", "none.json", "plan"], 64, "invalid"),
        (&["--json", "no-such-command"], 64, "usage"),
        (&["plan", "--json", "--no-such-option"], 64, "usage"),
    ] {
        let error = place.fleet(args).exits(exit).json();
        assert_eq!((&error["format"], &error["code"]), (&json!("detc.error/1"), &json!(code)), "{error}");
        has(&error, &["message", "resource", "hint"]);
    }
}

#[test]
fn progress_and_errors_go_to_standard_error_and_results_to_standard_output() {
    let place = place();
    let ran = place.apply();
    assert!(ran.err.contains("✓ create:file/f") && !ran.out.contains('✓'), "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("Done"), "{}", ran.out);
    let failed = place.fleet(&["show", "run-7"]).exits(64).complains("error:");
    assert_eq!(failed.out, "");
    let quiet = place.fleet(&["-q", "destroy", "--yes"]).exits(0);
    assert_eq!(quiet.err, "");
}

#[test]
fn colours_come_only_when_asked_for_where_nobody_watches() {
    let place = place();
    let coloured = |args: &[&str], no_color: bool| {
        let mut command = place.command(args);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        place.start_as(command, args).wait().exits(0).out.contains('\x1b')
    };
    assert!(!coloured(&["plan"], false));
    assert!(!coloured(&["plan", "--color", "never"], false));
    assert!(coloured(&["plan", "--color", "always"], false));
    assert!(!coloured(&["plan", "--color", "auto"], true));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = place();
    let mut child = place
        .command(&["plan"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_quickstart_tells_its_story_from_nothing_to_nothing_left_to_do() {
    let place = Place::of(quickstart());
    let mut command = place.command(&[]);
    command.env("TMPDIR", place.dir());
    let ran = place.start_as(command, &[]).wait().exits(0);
    let mut rest = &ran.out[..];
    for told in [
        "3 to create",
        "create process/web-1",
        "after process/web-2",
        "→ v1",
        "3 to update",
        "\"v1\" → \"v2\"",
        "→ v2",
        "kills web-2",
        "1 to create; 2 as desired",
        "create process/web-2 on here (",
        "→ v2",
        "Nothing to do: 3 resources are as desired",
        "3 to delete",
        "Done: 3 of 3",
    ] {
        let Some(at) = rest.find(told) else { panic!("{told:?} does not come next in\n{}", ran.out) };
        rest = &rest[at + told.len()..];
    }
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "it has cleaned up");
}

#[test]
fn an_example_whose_reader_has_gone_comes_to_its_end_and_leaves_nothing() {
    let place = Place::of(quickstart());
    let mut command = place.command(&[]);
    command
        .env("TMPDIR", place.dir())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.is_empty(), "{:?}: {said}", ended.status);
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "its store is gone, with what it was for");
}

#[test]
fn an_example_that_is_asked_to_end_takes_away_what_it_made() {
    for signal in ["TERM", "HUP", "INT"] {
        let place = Place::of(quickstart());
        let mut command = place.command(&[]);
        command.env("TMPDIR", place.dir());
        let running = place.start_as(command, &[]);
        until("the first server is up", || place.processes().len() > 1);
        running.signal(signal);
        let ran = running.wait().exits(1);
        assert_eq!(place.processes(), [] as [u32; 0], "{signal}: its servers have ended");
        assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "{signal}: its store is gone");
        assert!(ran.err.starts_with("Error: the outcome is `interrupted`"), "{}", ran.err);
    }
}

#[test]
fn status_of_nothing_says_only_what_it_has_looked_at() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
    let ran = place.fleet(&["status"]).exits(0).shows("Nothing is recorded here. With `-f detc.json`");
    assert!(!ran.out.contains("desired"), "{}", ran.out);
    place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("desired, and not made yet");
}

#[test]
fn what_others_say_does_nothing_to_the_terminal() {
    let place = Place::new();
    let odd = place.text("a\u{1b}]0;t\u{7}\u{202e}b/f");
    place.desire(&[
        json!({ "kind": "command", "name": "c",
                "run": ["/bin/sh", "-c", "printf '\\033[31mred\\033]0;title\\007\\rover\\nnext\\n' >&2; exit 1"] }),
        json!({ "kind": "file", "name": "f", "path": odd, "content": "" }),
    ]);
    let says = r"\u{1b}[31mred\u{1b}]0;title\u{7}\u{d}over";
    for (args, says) in [
        (&["--color", "always", "apply", "--yes"][..], &format!("{says}\n    next")),
        (&["show", "1"], &format!("{says}\n      next")),
        (&["-f", "a\u{1b}]0;t\u{7}.json", "plan"], &r"a\u{1b}]0;t\u{7}.json".to_owned()),
    ] {
        let ran = place.fleet(args);
        let (out, err) = (ran.out.clone(), ran.err.clone());
        for raw in ["\u{1b}[31mred", "\u{1b}]", "\u{7}", "\r", "\u{202e}"] {
            assert!(!out.contains(raw) && !err.contains(raw), "{raw:?}: {ran:?}");
        }
        assert!(out.contains(says) || err.contains(says), "{says}: {ran:?}");
    }
    let shown = place.fleet(&["--json", "show", "1"]).exits(0).json();
    assert!(shown.to_string().contains(r"\u001b[31mred"), "JSON has it as it was: {shown}");
}

#[test]
fn what_can_not_be_written_is_told_once_and_is_no_success() {
    let place = place();
    for args in
        [&["--help"][..], &["--version"], &["--json", "status"], &["status"], &["--json", "show", "7"]]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = place.command(args).stdout(full).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_ne!(ran.status.code(), Some(0), "{args:?}: {said}");
        assert_eq!(said.matches("standard output can not be written").count(), 1, "{args:?}: {said}");
    }
}
