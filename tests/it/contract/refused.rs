//! What would be misread, or take away what somebody wrote, is refused with its place.

use serde_json::json;

use crate::support::Place;

#[test]
fn a_list_is_no_desired_state_no_selector_and_no_part_of_a_spec() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
    place.apply();
    place.write("detc.json", "\n[1]");
    place.fleet(&["apply", "--yes"]).exits(64).complains("detc.json:2: a desired state must be an object");
    place.fleet(&["status"]).exits(0).shows("value/v");
    let invariants = |invariant: serde_json::Value| json!({ "version": 1, "invariants": [invariant] });
    for (invariant, says) in [
        (json!({ "name": "i", "available": ["value"], "at_least": 0 }), "`available` must be an object"),
        (json!({ "name": "i", "total": ["input", ["value"]], "at_least": 0 }), "`total` must be an object"),
        (
            json!({ "name": "i", "total": { "field": "input", "of": ["value"] }, "at_least": 0 }),
            "`total.of` must be an object",
        ),
    ] {
        place.write("detc.json", invariants(invariant).to_string());
        place.fleet(&["plan"]).exits(64).complains(says).complains("invariant `i`");
    }
    for (field, value) in
        [("stop", json!(["TERM", 100])), ("health", json!([null, "127.0.0.1:1", null, 300, 100]))]
    {
        let mut process = json!({ "kind": "process", "name": "p", "command": ["/bin/true"] });
        process[field] = value;
        place.desire(std::slice::from_ref(&process));
        let says = format!("process/p: `{field}` must be an object, not a list");
        place.fleet(&["plan"]).exits(64).complains(&says);
        // The same where a part is known only later, and in the other formats.
        process["env"] = json!({ "A": { "from": "value/w", "output": "input" } });
        place.desire(&[process, json!({ "kind": "value", "name": "w", "input": "x" })]);
        place.fleet(&["plan"]).exits(64).complains(&says);
        let text = place.read("detc.json");
        place.write("same.yaml", &text);
        place.fleet(&["-f", "same.yaml", "plan"]).exits(64).complains(&says);
    }
    place.write(
        "detc.toml",
        "version = 1\n[hosts.here]\nconnect = \"local\"\n[[resources]]\nkind = \"process\"\nname = \"p\"\nhost = \"here\"\n\
         command = [\"/bin/true\"]\nstop = [\"TERM\", 100]\n",
    );
    place.fleet(&["-f", "detc.toml", "plan"]).exits(64).complains("`stop` must be an object, not a list");
}

#[test]
fn a_plan_is_saved_over_no_file_that_somebody_wrote() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
    let wanted = place.read("detc.json");
    place.write("notes", "mine");
    for (args, says) in [
        (&["plan", "--out", "detc.json"][..], "it is the desired state itself"),
        (&["-f", "./detc.json", "plan", "--out", "detc.json"], "it is the desired state itself"),
        (&["plan", "--out", "notes"], "it is there already, and is no saved plan"),
    ] {
        place.fleet(args).exits(64).complains("the plan can not be saved as").complains(says);
    }
    assert_eq!((place.read("detc.json"), place.read("notes")), (wanted, "mine".to_owned()));
    assert!(!place.path(".detc").exists());
    // A plan is replaced by the next, and an empty file is nothing.
    place.write("p", "");
    for _ in 0..2 {
        place.fleet(&["plan", "--out", "p"]).exits(0).complains("does exactly this");
    }
}

#[test]
fn a_refused_plan_is_not_said_to_be_applicable() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "value", "name": "v", "input": 1 })]);
    let mut state: serde_json::Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    state["invariants"] = json!([{ "name": "none", "available": { "kind": "value" }, "at_most": 0 }]);
    place.write("detc.json", state.to_string());
    let plan = place.fleet(&["plan", "--out", "p"]).exits(3).complains("`apply` refuses it as it is");
    assert!(!plan.err.contains("does exactly this"), "{}", plan.err);
    place.fleet(&["apply", "p", "--yes"]).exits(3);
}

#[test]
fn what_references_stand_for_has_a_limit_that_is_told() {
    let place = Place::new();
    let value = |n: u32| {
        let before = json!({ "from": format!("value/v{}", n.saturating_sub(1)), "output": "input" });
        let input = if n == 0 { json!("x") } else { json!([before, before]) };
        json!({ "kind": "value", "name": format!("v{n}"), "input": input })
    };
    let file = json!({
        "kind": "command", "name": "c", "run": ["/bin/true"], "creates": "/",
        "env": { "A": { "from": "value/v39", "output": "input.0" } },
    });
    let mut all: Vec<_> = (0..40).map(value).collect();
    all.push(file);
    place.desire(&all);
    let says = "can not be planned: what its references stand for is larger than 4 MiB";
    let refused = place.fleet(&["plan"]).exits(64).complains(says);
    assert!(refused.err.contains("error: value/v"), "{}", refused.err);
    place.fleet(&["apply", "--yes"]).exits(64).complains(says);
    place.desire(&all[..10]);
    place.apply();
}

#[test]
fn a_part_that_a_value_does_not_have_is_found_before_anything_is_done() {
    let place = Place::new();
    let user = |output: &str| json!({ "kind": "value", "name": "u", "input": { "from": "value/v", "output": output } });
    let value = json!({ "kind": "value", "name": "v", "input": { "a": [1, 2], "b": { "from": "value/w", "output": "input" } } });
    let other = json!({ "kind": "value", "name": "w", "input": { "c": 1 } });
    for (output, says) in [
        ("input.a.5", "value/v has no `input.a.5`: its `input.a` has 2 items"),
        ("input.x", "value/v has no `input.x`: its `input` has no `x`"),
        ("input.a.0.y", "value/v has no `input.a.0.y`: its `input.a.0` has no parts"),
    ] {
        place.desire(&[value.clone(), other.clone(), user(output)]);
        place.fleet(&["plan"]).exits(64).complains("value/u").complains(says);
    }
    for output in ["input.a.1", "input.b.c"] {
        place.desire(&[value.clone(), other.clone(), user(output)]);
        place.apply();
    }
}

#[test]
fn what_yaml_says_beyond_json_is_refused_where_it_stands() {
    let place = Place::new();
    let with =
        |input: &str| format!("version: 1\nresources:\n  - kind: value\n    name: v\n    input: {input}\n");
    for (input, says) in [
        ("!env HOME", "detc.yaml:5: the tag `!env` is not known here"),
        ("{ a: !vault x }", "detc.yaml:5: the tag `!vault` is not known here"),
        (
            "0100",
            "detc.yaml:5: the number 0100 begins with 0; write it in quotes, \"0100\", or as a number without the 0",
        ),
        ("[08]", "detc.yaml:5: the number 08 begins with 0"),
    ] {
        place.write("detc.yaml", with(input));
        place.fleet(&["plan"]).exits(64).complains(says.split("; ").next().unwrap());
    }
    place.write("detc.yaml", with("{ 08: !!str 0100, b: \"08\", c: 0 }"));
    let plan = place.fleet(&["plan"]).exits(0);
    assert!(plan.out.contains(r#""0100""#), "{}", plan.out);
}

#[test]
fn what_is_no_regular_file_is_not_replaced_by_one() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for path in [place.text("pipe"), place.text("socket"), "/dev/null".to_owned()] {
        place.desire(&[json!({ "kind": "file", "name": "f", "path": path, "content": "n" })]);
        place.fleet(&["plan"]).exits(1).shows("is a device, socket or pipe, not a file");
        place.fleet(&["apply", "--yes"]).exits(1);
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_file(), "{path}");
    }
    // A link is replaced, and what it leads to stays as it is.
    place.write("target", "theirs");
    std::os::unix::fs::symlink("target", place.path("link")).unwrap();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("link"), "content": "n" })]);
    place.fleet(&["plan"]).exits(0).shows("\"(a symbolic link)\" → \"n\"");
    place.apply();
    assert_eq!((place.read("target"), place.read("link")), ("theirs".to_owned(), "n".to_owned()));
}
