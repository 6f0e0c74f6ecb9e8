//! The commands and their exit codes.

use serde_json::{Value, json};

use crate::support::{Place, Ran};

fn one_file() -> Place {
    let place = Place::new();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "one\n" })]);
    place
}

#[test]
fn plan_shows_what_would_be_done_and_changes_nothing() {
    let place = one_file();
    place.fleet(&["plan"]).exits(0).shows("file/f").shows("1 to create");
    assert!(!place.path("f").exists());
    assert!(!place.path(".detc").exists(), "a plan that is not saved needs no store");
}

#[test]
fn plan_exits_with_2_only_when_asked_to_tell_changes_apart() {
    let place = one_file();
    place.fleet(&["plan"]).exits(0);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2);
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn apply_does_it_and_a_second_apply_has_nothing_to_do() {
    let place = one_file();
    place.apply().shows("Done");
    assert_eq!(place.read("f"), "one\n");
    let again = place.fleet(&["--json", "apply", "--yes"]).exits(0).json();
    assert_eq!(again["actions"], json!({ "done": 0, "satisfied": 0, "failed": 0, "not_reached": 0 }));
    assert_eq!(again["run"], json!(null));
}

#[test]
fn apply_and_destroy_refuse_without_yes_where_nobody_can_be_asked() {
    let place = one_file();
    place.fleet(&["apply"]).exits(3).complains("--yes");
    assert!(!place.path("f").exists());
    place.apply();
    place.fleet(&["destroy"]).exits(3).complains("--yes");
    assert!(place.path("f").exists());
}

#[test]
fn status_tells_present_drifted_and_absent_apart() {
    let place = one_file();
    let state = || {
        let status = place.fleet(&["--json", "-f", "detc.json", "status"]).exits(0).json();
        status["resources"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "absent");
    place.apply();
    assert_eq!(state(), "present");
    place.write("f", "else");
    assert_eq!(state(), "drifted");
    std::fs::remove_file(place.path("f")).unwrap();
    assert_eq!(state(), "absent");
}

#[test]
fn status_says_of_what_is_not_recorded_what_a_look_shows() {
    let place = Place::new();
    place.write("there", "x");
    let file = |name: &str, content: Value| json!({ "kind": "file", "name": name, "path": place.text(name), "content": content });
    place.desire(&[
        json!({ "kind": "command", "name": "once", "run": ["/bin/true"] }),
        json!({ "kind": "command", "name": "odd", "run": ["/bin/true"], "unless": [place.text("there")] }),
        file("there", "x".into()),
        file("not", "x".into()),
        file("late", json!({ "from": "command/once", "output": "stdout" })),
    ]);
    let status = place.fleet(&["--json", "-f", "detc.json", "status"]).exits(1).json();
    let told: Vec<String> = status["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{} {}: {}",
                it["resource"].as_str().unwrap(),
                it["state"].as_str().unwrap(),
                it["detail"].as_str().unwrap()
            )
        })
        .collect();
    let told = told.join("\n").replace(&place.text(""), "");
    let expected = [
        "command/odd unknown: here refused to run there: Permission denied (os error 13)",
        "command/once absent: desired, and not made yet",
        "file/late absent: desired, and not made yet",
        "file/not absent: desired, and not made yet",
        "file/there present: not recorded: apply adopts it",
    ];
    assert_eq!(told, expected.join("\n"));
}

#[test]
fn destroy_removes_everything_recorded_dependants_first() {
    let place = Place::new();
    let (dir, file) = (place.text("d"), place.text("d/f"));
    place.desire(&[
        json!({ "kind": "directory", "name": "d", "path": dir }),
        json!({ "kind": "file", "name": "f", "path": file, "content": "x" }),
    ]);
    place.apply();
    let ran = place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("d").exists());
    let at = |what: &str| ran.err.find(what).unwrap_or_else(|| panic!("{what} in {}", ran.err));
    assert!(at("delete:file/f") < at("delete:directory/d"));
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    assert_eq!(status["resources"], json!([]));
}

#[test]
fn history_lists_the_newest_run_first_and_show_tells_one_with_reasons() {
    let place = one_file();
    place.apply();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "two\n" })]);
    place.apply();
    let listed = place.fleet(&["history"]).exits(0);
    assert!(listed.out.find("run-2").unwrap() < listed.out.find("run-1").unwrap(), "{}", listed.out);
    assert_eq!(listed.out.matches("  1 of 1 done  ").count(), 2, "{}", listed.out);
    place.fleet(&["show", "run-2"]).exits(0).shows("update:file/f").shows("the desired state changed");
    place.fleet(&["show", "1"]).exits(0).shows("create:file/f");
    place.fleet(&["show", "run-9"]).exits(64).complains("run-9");
}

#[test]
fn a_failed_action_exits_with_1_and_names_what_was_not_reached() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "bad", "run": ["/bin/sh", "-c", "echo no luck >&2; exit 7"] }),
        json!({ "kind": "file", "name": "later", "path": place.text("f"), "content": "", "after": ["command/bad"] }),
        json!({ "kind": "file", "name": "apart", "path": place.text("g"), "content": "" }),
    ]);
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(1).json();
    assert_eq!(ran["outcome"], "failed");
    assert_eq!(ran["actions"], json!({ "done": 1, "satisfied": 0, "failed": 1, "not_reached": 1 }));
    let failure = &ran["failures"][0];
    assert_eq!(failure["resource"], "command/bad");
    assert_eq!(failure["unreached"], json!(["create:file/later"]));
    let error = failure["error"].as_str().unwrap();
    assert!(error.contains("exit code 7") && error.contains("no luck"), "{error}");
    assert!(place.path("g").exists(), "what does not depend on it goes on");
}

#[test]
fn a_failure_is_told_in_one_line_while_it_goes_on_and_in_full_once_in_the_result() {
    let place = failing();
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    let lines: Vec<&str> = ran.err.lines().filter(|line| line.contains("command/bad")).collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("  ✗ create:command/bad: failed after ")),
        "{lines:?}"
    );
    assert!(!ran.err.contains("no luck") && !ran.err.contains("not reached"), "{}", ran.err);
    let told = "✗ create:command/bad: `/bin/sh` of command/bad ended with exit code 7:\n    no luck\n    at all\n  \
                not reached because of it: create:file/later\n";
    assert_eq!(ran.out.matches(told).count(), 1, "{}", ran.out);
}

#[test]
fn show_tells_what_was_so_then_what_came_of_it_and_keeps_long_errors_in_the_tree() {
    let place = failing();
    place.fleet(&["apply", "--yes"]).exits(1);
    let shown = place.fleet(&["show", "1"]).exits(0).out;
    // Times differ.
    let lines: Vec<&str> = shown
        .lines()
        .skip(1)
        .map(|line| {
            line.split_once(" in ").filter(|(_, rest)| rest.contains("begun at")).map_or(line, |it| it.0)
        })
        .collect();
    let expected = [
        "  ✗ create:command/bad (it was not there): failed",
        "      `/bin/sh` of command/bad ended with exit code 7:",
        "      no luck",
        "      at all",
        "    - create:file/later (it was not there): not reached",
        "  ✓ create:file/apart (it was not there): done",
    ];
    assert_eq!(lines, expected, "{shown}");
}

/// A command that fails, with a file after it and one apart.
fn failing() -> Place {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "bad", "run": ["/bin/sh", "-c", "echo no luck >&2; echo at all >&2; exit 7"] }),
        json!({ "kind": "file", "name": "later", "path": place.text("f"), "content": "", "after": ["command/bad"] }),
        json!({ "kind": "file", "name": "apart", "path": place.text("g"), "content": "" }),
    ]);
    place
}

#[test]
fn a_plan_lists_changes_in_order_with_what_each_waits_for() {
    let place = Place::new();
    let all = [
        json!({ "kind": "file", "name": "a", "path": place.text("d/a"), "content": "" }),
        json!({ "kind": "directory", "name": "d", "path": place.text("d") }),
        json!({ "kind": "command", "name": "last", "run": ["/bin/true"], "after": ["file/a"] }),
    ];
    place.desire(&all);
    let titles = |ran: &Ran| {
        let is_title = |line: &&str| line.starts_with("+ ") || line.starts_with("- ");
        ran.out.lines().filter(is_title).map(str::to_owned).collect::<Vec<_>>()
    };
    let planned = place.fleet(&["plan"]).exits(0);
    assert_eq!(
        titles(&planned),
        [
            "+ create directory/d on here (it is not there yet)",
            "+ create file/a on here (it is not there yet; after directory/d)",
            "+ create command/last on here (it is not there yet; after file/a)",
        ]
    );
    place.apply();
    let destroyed = place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(
        titles(&destroyed),
        [
            "- forget command/last on here (it is to be destroyed)",
            "- delete file/a on here (it is to be destroyed; after command/last)",
            "- delete directory/d on here (it is to be destroyed; after file/a)",
        ]
    );
}

#[test]
fn what_is_protected_keeps_everything_from_being_destroyed() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1, "protect": true })]);
    place.apply();
    let refused = place.fleet(&["destroy", "--yes"]).exits(3);
    let refused = refused.complains("value/v is protected, so nothing is destroyed");
    assert!(!refused.err.contains("no longer in the desired state"), "{}", refused.err);
}

#[test]
fn who_makes_a_store_says_where_and_a_mistyped_one_is_not_made_to_destroy_nothing() {
    let place = one_file();
    for command in [&["destroy", "--yes"][..], &["status"], &["history"]] {
        let ran = place.fleet(&[&["--store", "mistyped"], command].concat()).exits(0);
        ran.complains(&format!("There is no store in {} yet.\n", place.text("mistyped")));
    }
    assert!(!place.path("mistyped").exists());
    let said = format!("A new store was made in {}.\n", place.text("sub/store"));
    std::fs::create_dir(place.path("sub")).unwrap();
    let apply = ["--store", "sub/store", "apply", "--yes"];
    place.fleet(&apply).exits(0).complains(&said);
    assert!(!place.fleet(&apply).exits(0).err.contains("A new store"));
}

#[test]
fn a_graph_is_drawn_in_every_format() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "directory", "name": "d", "path": place.text("d") }),
        json!({ "kind": "file", "name": "f<&\">\\x", "path": place.text("d/f"), "content": "x" }),
    ]);
    let dot = place.fleet(&["graph"]).exits(0).out;
    assert!(dot.starts_with("digraph") && dot.trim_end().ends_with('}') && dot.contains("->"), "{dot}");
    let mermaid = place.fleet(&["graph", "--format", "mermaid"]).exits(0).out;
    assert!(mermaid.contains("flowchart") && mermaid.contains("-->"), "{mermaid}");
    let svg = place.fleet(&["graph", "--format", "svg"]).exits(0).out;
    well_formed(&svg);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    assert_eq!(place.fleet(&["graph", "p", "--format", "svg"]).exits(0).out, svg);
    let json = place.fleet(&["--json", "graph", "p"]).exits(0).json();
    assert_eq!(json, json!({ "format": "detc.graph/1", "language": "dot", "graph": dot }));
}

/// That every tag of an XML text is closed by its own, and that no text holds a bare `<` or `&`.
#[track_caller]
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.trim();
    while let Some(start) = rest.find('<') {
        for (at, _) in rest[..start].match_indices('&') {
            assert!(rest[at..start].contains(';'), "a bare & before {}", &rest[start..]);
        }
        let end =
            start + rest[start..].find('>').unwrap_or_else(|| panic!("an open tag: {}", &rest[start..]));
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "a bare < in {tag}");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
    assert!(xml.contains("<svg"));
}

#[test]
fn a_slip_in_what_every_resource_may_have_is_told_with_what_was_meant() {
    let place = Place::new();
    let file = |field: &str| json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "", field: ["value/v"] });
    for (kind, wrong, meant) in
        [("file", "afer", "after"), ("file", "sensitve", "sensitive"), ("value", "lables", "labels")]
    {
        let of_kind = if kind == "file" {
            file(wrong)
        } else {
            json!({ "kind": "value", "name": "w", "input": 1, wrong: {} })
        };
        place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 }), of_kind]);
        let ran = place.fleet(&["plan"]).exits(64);
        let ran = ran.complains(&format!("unknown field `{wrong}`: did you mean `{meant}`?"));
        assert_eq!(ran.err.matches("unknown field").count(), 1, "{}", ran.err);
        assert!(!ran.err.contains("There is no store"), "{}", ran.err);
    }
}

#[test]
fn what_a_program_said_and_what_is_said_of_it_stand_on_lines_of_their_own() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "process", "name": "p", "dir": place.text(""),
                           "command": ["/bin/sh", "-c", "echo one; echo two; exit 4"] })]);
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    ran.shows("it said:\n    one\n    two\n    all it said is in ");
}

#[test]
fn of_what_can_not_be_seen_it_is_said_once_that_it_is_unknown() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "" })]);
    place.apply();
    std::fs::remove_file(place.path("f")).unwrap();
    std::fs::create_dir(place.path("f")).unwrap();
    place.fleet(&["status"]).exits(1).shows("file/f  unknown  ").hides("unknown unknown");
}
