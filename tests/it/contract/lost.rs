//! What a command gave is lost when nobody was there at its end: that is said before anything is done.

use serde_json::{Value, json};

use crate::support::{Place, until};

/// A command that is done when `made` is there, and a value that needs what it printed.
fn desired(place: &Place) -> [Value; 2] {
    let script = "printf told; touch made begun; until [ -e go ]; do sleep 0.02; done";
    let command = json!({
        "kind": "command", "name": "c", "dir": place.text(""), "creates": place.text("made"),
        "run": ["/bin/sh", "-c", script],
    });
    let reference = json!({ "from": "command/c", "output": "stdout" });
    [command, json!({ "kind": "value", "name": "v", "input": reference })]
}

#[test]
fn what_a_killed_apply_did_not_hear_is_said_by_the_plan_with_a_way_out() {
    let place = Place::new();
    place.desire(&desired(&place));
    let running = place.start(&["apply", "--yes"]);
    until("it has begun", || place.path("begun").exists());
    assert!(running.kill().is_none());
    place.write("go", "");
    place.wait_for_processes();
    place.fleet(&["apply", "--yes"]).exits(1);
    for args in [&["plan"][..], &["apply", "--yes"]] {
        place
            .fleet(args)
            .exits(3)
            .complains("value/v refers to `stdout` of command/c, which was done")
            .complains("take away what its `creates`");
    }
    std::fs::remove_file(place.path("made")).unwrap();
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_was_done_before_detc_gives_nothing_and_the_plan_says_so() {
    let place = Place::new();
    place.write("made", "");
    place.write("go", "");
    let [mut command, mut value] = desired(&place);
    for output in ["stdout", "code"] {
        value["input"]["output"] = output.into();
        place.desire(&[command.clone(), value.clone()]);
        place.fleet(&["plan"]).exits(3).complains(&format!("`{output}` of command/c"));
    }
    let script = json!({
        "kind": "script", "name": "c", "creates": place.text("made"), "content": "echo 1", "interpreter": ["/bin/sh"],
    });
    value["input"] = json!({ "from": "script/c", "output": "result" });
    place.desire(&[script, value.clone()]);
    place.fleet(&["plan"]).exits(3).complains("`result` of script/c");
    // What is not referred to is adopted, and what is done once more gives what it prints.
    value["input"] = 1.into();
    place.desire(&[command.clone(), value.clone()]);
    place.apply();
    command["env"] = json!({ "A": "1" });
    value["input"] = json!({ "from": "command/c", "output": "stdout" });
    place.desire(&[command, value]);
    place.apply();
}

#[test]
fn a_sensitive_script_that_outlives_detc_removes_its_text() {
    let place = Place::new();
    place.desire(&[json!({
        "kind": "script", "name": "s", "dir": place.text(""), "interpreter": ["/bin/sh"], "sensitive": ["content"],
        "content": "touch begun; until [ -e go ]; do sleep 0.02; done; touch done # hush", "creates": place.text("done"),
    })]);
    let texts = || {
        let kept = place.path(".detc/hosts/here/scripts");
        std::fs::read_dir(kept).map_or(0, |texts| texts.count())
    };
    let running = place.start(&["apply", "--yes"]);
    until("it has begun", || place.path("begun").exists());
    assert_eq!(texts(), 1);
    assert!(running.kill().is_none());
    place.write("go", "");
    place.wait_for_processes();
    assert!(place.path("done").exists());
    assert_eq!(texts(), 0);
}

#[test]
fn what_is_looked_at_again_is_told_with_why() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "command", "name": "a", "dir": place.text(""), "run": ["/bin/touch", "bad"] }),
        json!({
            "kind": "command", "name": "c", "dir": place.text(""), "run": ["/bin/touch", "made"], "after": ["command/a"],
            "unless": ["/bin/sh", "-c", "if [ -e bad ]; then kill -9 $$; fi; exit 1"],
        }),
    ]);
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    let again: Vec<&str> = ran.err.lines().filter(|line| line.contains(": again in ")).collect();
    assert!(!again.is_empty(), "{}", ran.err);
    for line in again {
        assert!(line.ends_with(": its `unless`, `/bin/sh`, was ended by signal 9"), "{line}");
    }
    assert!(!place.path("made").exists(), "nobody could say that it was not done");
}
