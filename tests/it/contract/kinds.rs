//! The kinds: directory, file, command, value.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::Place;

fn mode(place: &Place, name: &str) -> u32 {
    std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_directory_makes_missing_parents_and_has_its_mode() {
    let place = Place::new();
    let desire = |mode: &str| {
        place.desire(&[
            json!({ "kind": "directory", "name": "d", "path": place.text("a/b/c"), "mode": mode }),
        ]);
    };
    desire("0750");
    place.apply();
    assert_eq!(mode(&place, "a/b/c"), 0o750);
    desire("0711");
    place.fleet(&["plan"]).exits(0).shows("0750").shows("0711");
    place.apply();
    assert_eq!(mode(&place, "a/b/c"), 0o711);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_file_has_its_content_and_mode_and_both_are_kept_so() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "x", "mode": "0640" }),
        json!({ "kind": "file", "name": "empty", "path": place.text("e"), "content": "" }),
    ]);
    place.apply();
    assert_eq!((place.read("f").as_str(), mode(&place, "f")), ("x", 0o640));
    assert!(place.path("e").exists());
    std::fs::set_permissions(place.path("f"), std::fs::Permissions::from_mode(0o777)).unwrap();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("drift");
    place.apply();
    assert_eq!(mode(&place, "f"), 0o640);
}

#[test]
fn a_path_has_one_owner_however_it_is_spelt_and_in_whatever_order() {
    let place = Place::new();
    let plain = place.text("a/f");
    for other in ["a/f", "a/./f", "a//f", "./a/f"] {
        for (kind, after) in [("file", json!([])), ("file", json!(["file/one"])), ("directory", json!([]))] {
            let mut two = json!({ "kind": kind, "name": "two", "path": place.text(other), "after": after });
            if kind == "file" {
                two["content"] = json!("2");
            }
            place.desire(&[json!({ "kind": "file", "name": "one", "path": plain, "content": "1" }), two]);
            for command in [&["plan"][..], &["apply", "--yes"]] {
                place.fleet(command).exits(64).complains("file/one").complains("/two").complains("both own");
            }
        }
    }
    assert!(!place.path("a").exists());
    place.desire(&[
        json!({ "kind": "directory", "name": "one", "path": place.text("a/") }),
        json!({ "kind": "directory", "name": "two", "path": place.text("a") }),
    ]);
    place.fleet(&["plan"]).exits(64).complains("both own");
}

#[test]
fn a_path_that_goes_up_or_can_be_no_files_is_refused() {
    let place = Place::new();
    for (path, why) in [("a/../f", "must not go up"), ("f/", "must name a file"), ("f/.", "must name a file")]
    {
        place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text(path), "content": "" })]);
        place.fleet(&["plan"]).exits(64).complains("file/f").complains(why);
    }
    place.desire(&[json!({ "kind": "directory", "name": "d", "path": "d" })]);
    place.fleet(&["plan"]).exits(64).complains("must be an absolute path, not `d`");
}

#[test]
fn a_command_may_write_what_a_file_owns_in_order() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "c", "creates": place.text("f"), "run": ["touch", place.text("f")] }),
        json!({ "kind": "file", "name": "f", "path": place.text("./f"), "content": "x", "after": ["command/c"] }),
    ]);
    place.apply();
    assert_eq!(place.read("f"), "x");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_directory_that_is_missing_is_named_with_who_needs_it_and_what_to_do() {
    let place = Place::new();
    let missing = place.text("no");
    for (mut resource, act) in [
        (json!({ "kind": "file", "path": place.text("no/f"), "content": "" }), "be written"),
        (json!({ "kind": "process", "command": ["sleep", "60"], "dir": missing }), "be started"),
        (
            json!({ "kind": "process", "command": ["sleep", "60"], "log": place.text("no/log") }),
            "write its log",
        ),
        (json!({ "kind": "command", "run": ["true"], "dir": missing }), "be run"),
    ] {
        resource["name"] = json!("x");
        place.desire(std::slice::from_ref(&resource));
        let error = &place.fleet(&["--json", "apply", "--yes"]).exits(1).json()["failures"][0]["error"];
        let kind = resource["kind"].as_str().unwrap();
        let wanted = format!(
            "{kind}/x can not {act}: its directory {missing} does not exist on here; manage it with a \
             `directory`, which comes before what lies in it, or correct the path"
        );
        assert_eq!(error, &wanted);
    }
}

#[test]
fn an_effect_that_does_not_last_is_counted_as_failed() {
    let place = Place::new();
    let path = place.text("f");
    place.desire(&[
        json!({ "kind": "file", "name": "f", "path": path, "content": "x" }),
        json!({ "kind": "command", "name": "c", "run": ["rm", path], "after": ["file/f"] }),
    ]);
    let ran = place.fleet(&["apply", "--yes"]).exits(1).shows("did not last").shows("1 done, 1 failed");
    assert!(!ran.out.contains(" 0 failed"), "{}", ran.out);
    let ran = place.fleet(&["--json", "show", "run-1"]).exits(0).json();
    assert_eq!(ran["outcome"], "failed", "{ran}");
}

#[test]
fn a_source_is_a_file_beside_the_desired_state_and_is_copied_to_the_byte() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    place.write("logo.bin", &bytes);
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "source": "logo.bin" })]);
    // It is beside the desired state, wherever the program is started.
    let file = place.text("detc.json");
    let elsewhere = Place::new();
    elsewhere.fleet(&["-f", &file, "apply", "--yes"]).exits(0);
    assert_eq!(std::fs::read(place.path("f")).unwrap(), bytes);
    elsewhere.fleet(&["-f", &file, "plan", "--detailed-exitcode"]).exits(0);
    place.write("logo.bin", "other");
    elsewhere.fleet(&["-f", &file, "plan", "--detailed-exitcode"]).exits(2);
}

#[test]
fn a_template_is_filled_and_follows_its_variables() {
    let place = Place::new();
    place.write("t.conf", "port={{ port }}\n{% for name in names %}name={{ name }}\n{% endfor %}");
    let desire = |port: u32| {
        place.desire(&[json!({
            "kind": "file", "name": "f", "path": place.text("f"),
            "template": { "source": "t.conf", "vars": { "port": port, "names": ["a", "b"] } },
        })]);
    };
    desire(80);
    place.apply();
    assert_eq!(place.read("f"), "port=80\nname=a\nname=b\n");
    desire(81);
    place.apply();
    assert!(place.read("f").starts_with("port=81\n"));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_template_that_asks_for_what_it_is_not_given_fails_and_says_so() {
    let place = Place::new();
    place.write("t.conf", "a\nport={{ prot }}\n");
    place.desire(&[json!({
        "kind": "file", "name": "f", "path": place.text("f"),
        "template": { "source": "t.conf", "vars": { "port": 1 } },
    })]);
    let ran = place.fleet(&["apply", "--yes"]);
    assert!(matches!(ran.code, Some(1 | 64)), "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("file/f") && said.contains('2'), "{said}");
    assert!(!place.path("f").exists());
}

#[test]
fn a_command_that_creates_is_run_until_its_path_is_there() {
    let place = Place::new();
    let (made, ledger) = (place.text("made"), place.text("ledger"));
    place.desire(&[json!({
        "kind": "command", "name": "c", "creates": made,
        "run": ["/bin/sh", "-c", "echo ran >> \"$0\"; : > \"$1\"", ledger, made],
    })]);
    place.apply();
    place.apply();
    assert_eq!(place.read("ledger"), "ran\n");
    std::fs::remove_file(&made).unwrap();
    place.apply();
    assert_eq!(place.read("ledger"), "ran\nran\n");
}

#[test]
fn a_guarded_command_is_run_again_when_what_it_runs_changes_and_the_plan_says_so() {
    let place = Place::new();
    let desire = |version: &str, timeout: u32, word: &str| {
        place.desire(&[json!({
            "kind": "command", "name": "c", "dir": place.text(""), "creates": place.text("made"), "timeout_ms": timeout,
            "run": ["/bin/sh", "-c", "echo $0 $VERSION >> ran; : > made", word], "env": { "VERSION": version },
        })]);
    };
    desire("1", 10_000, "a");
    place.apply();
    desire("2", 10_000, "a");
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("~ update command/c on here (it is done once more, since `env` changed)");
    place.apply();
    desire("3", 20_000, "b");
    place.fleet(&["plan"]).exits(0).shows("(it is done once more, since `env`, `run` changed)");
    place.apply();
    place.fleet(&["show", "run-3"]).exits(0).shows("it was done once more, since `env`, `run` changed");
    desire("3", 30_000, "b");
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("~ record command/c on here (only what is recorded of it changes)")
        .shows("timeout_ms: 20000 → 30000")
        .hides("a person has to look");
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(place.read("ran"), "a 1\na 2\nb 3\n");
}

#[test]
fn a_command_after_which_unless_still_fails_has_failed_with_what_that_said() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "command", "name": "c", "run": ["/bin/true"],
        "unless": ["/bin/sh", "-c", "echo no table >&2; exit 3"],
    })]);
    let why = "its `unless`, `/bin/sh`, ended with exit code 3: no table";
    place.fleet(&["plan"]).exits(0).shows(&format!("+ create command/c on here (it is needed: {why})"));
    place
        .fleet(&["apply", "--yes"])
        .exits(1)
        .shows(&format!("✗ create:command/c: it says that it is done, and it is not: {why}"));
}

#[test]
fn a_command_with_unless_is_not_run_when_that_ends_well() {
    let place = Place::new();
    let ledger = place.text("ledger");
    place.desire(&[json!({
        "kind": "command", "name": "c", "unless": ["/bin/grep", "-q", "ran", ledger],
        "run": ["/bin/sh", "-c", "echo ran >> \"$0\"", ledger],
    })]);
    place.write("ledger", "ran before\n");
    place.apply();
    assert_eq!(place.read("ledger"), "ran before\n");
    place.write("ledger", "");
    place.apply();
    assert_eq!(place.read("ledger"), "ran\n");
}

#[test]
fn a_command_that_nothing_guards_is_run_once_and_again_when_it_changes() {
    let place = Place::new();
    let desire = |word: &str| {
        place.desire(&[json!({
            "kind": "command", "name": "c", "env": { "WORD": word }, "dir": place.text(""),
            "run": ["/bin/sh", "-c", "echo $WORD >> ledger"],
        })]);
    };
    desire("one");
    place.apply();
    place.apply();
    desire("two");
    place.apply();
    assert_eq!(place.read("ledger"), "one\ntwo\n");
    place.desire(&[]);
    place.apply();
    assert_eq!(place.read("ledger"), "one\ntwo\n", "there is nothing to remove");
}

#[test]
fn arguments_reach_a_program_untouched_by_any_shell() {
    let place = Place::new();
    let argument = "a b\t$HOME `id` ; > x | & * ~ \" ' \\ é\n";
    place.desire(&[
        json!({ "kind": "command", "name": "c", "run": ["/usr/bin/printf", "%s", argument] }),
        json!({ "kind": "file", "name": "f", "path": place.text("f"),
                "content": { "from": "command/c", "output": "stdout" } }),
    ]);
    place.apply();
    assert_eq!(place.read("f"), argument);
}

#[test]
fn a_command_out_of_time_has_failed_and_leaves_no_process() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "command", "name": "slow", "timeout_ms": 100, "creates": place.text("never"),
        "run": ["/bin/sh", "-c", "echo $0 >> runs; sleep 600 & wait", place.text("mark")], "dir": place.text(""),
    })]);
    let ran = place.fleet(&["--json", "apply", "--yes"]).exits(1);
    let error = "`/bin/sh` of command/slow was ended after its `timeout_ms`, 100 ms; give it more time with `timeout_ms`, or \
                 find out what it waits for";
    assert_eq!(ran.json()["failures"][0]["error"], error, "{}", ran.out);
    place.wait_for_processes();
    // It would only run into its time again.
    assert_eq!(place.read("runs").lines().count(), 1);
}

#[test]
fn a_value_that_is_known_late_is_checked_like_one_that_is_written() {
    let place = Place::new();
    let late = json!({ "from": "command/c", "output": "stdout" });
    let desire = |says: &str, path: &serde_json::Value, mode: &serde_json::Value| {
        place.desire(&[
            json!({ "kind": "command", "name": "c", "run": ["/usr/bin/printf", "%s", says] }),
            json!({ "kind": "file", "name": "f", "path": path, "mode": mode, "content": "" }),
        ]);
    };
    desire(&place.text("x/../f"), &late, &json!("0600"));
    place
        .fleet(&["apply", "--yes"])
        .exits(1)
        .shows("the fields of file/f do not fit its kind: `path` must not go up");
    desire("0600\n", &place.text("f").into(), &late);
    place.fleet(&["apply", "--yes"]).exits(1).shows("`mode` must be three or four octal digits");
    assert!(!place.path("f").exists());
    desire("0600", &place.text("f").into(), &late);
    place.apply();
    place.desire(&[]);
    place.apply();
    assert!(!place.path("f").exists());
}
