//! Bad input: exit code 64, with the file, the line and the resource.

use serde_json::json;

use crate::support::{Place, Ran};

#[track_caller]
fn plan(name: &str, text: &str) -> Ran {
    let place = Place::new();
    place.write(name, text);
    place.fleet(&["-f", name, "plan"]).exits(64).complains(name)
}

/// A desired state with this resource on its third line.
fn with(resource: &str) -> String {
    format!(
        "{{\"version\": 1, \"hosts\": {{\"here\": {{\"connect\": \"local\"}}}},\n\"resources\": [\n{resource}\n]}}"
    )
}

#[test]
fn every_kind_of_wrong_resource_names_file_line_and_resource() {
    for (resource, says) in [
        (r#"{"kind": "fil", "name": "f", "host": "here", "path": "/x"}"#, "fil/f"),
        (r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "contnet": ""}"#, "contnet"),
        (r#"{"kind": "file", "name": "f", "host": "her", "path": "/x", "content": ""}"#, "her"),
        (r#"{"kind": "file", "name": "f", "path": "/x", "content": ""}"#, "host"),
        (r#"{"kind": "file", "name": "f", "host": "here", "content": ""}"#, "path"),
        (r#"{"kind": "file", "name": "f", "host": "here", "path": "x", "content": ""}"#, "absolute"),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "mode": "999", "content": ""}"#,
            "999",
        ),
        (r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "content": 7}"#, "content"),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "content": "", "after": ["file/g"]}"#,
            "file/g",
        ),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "content": "", "after": ["file/f"]}"#,
            "file/f",
        ),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "content": {"from": "value/v", "output": "input"}}"#,
            "value/v",
        ),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "source": "none-such"}"#,
            "none-such",
        ),
        (
            r#"{"kind": "file", "name": "f", "host": "here", "path": "/x", "source": "a", "content": "b"}"#,
            "file/f",
        ),
        (r#"{"kind": "command", "name": "f", "host": "here", "run": []}"#, "run"),
        (r#"{"kind": "command", "name": "f", "host": "here", "run": "ls -l"}"#, "run"),
        (r#"{"kind": "value", "name": "f", "input": 1, "sensitive": "input"}"#, "value/f"),
        (r#"{"kind": "value", "name": "f", "input": 1, "name": "g"}"#, "name"),
        (r#"{"kind": "value", "name": "", "input": 1}"#, "name"),
        (r#"{"kind": "value", "input": 1}"#, "name"),
        (r#"{"name": "f", "input": 1}"#, "kind"),
        (r#""value/f""#, "resource"),
    ] {
        plan("s.json", &with(resource)).complains(says).complains("s.json:3");
    }
}

#[test]
fn a_misspelt_reference_or_sensitive_name_says_what_was_meant() {
    for (resource, says, hint) in [
        (
            r#"{"kind": "value", "name": "a", "input": [{"from": "value/b", "ouput": "input"}]}"#,
            "value/a: `input`: in the reference",
            "did you mean `output` by `ouput`?",
        ),
        (
            r#"{"kind": "process", "name": "p", "host": "here", "command": ["/x"], "sensitive": ["pidd"]}"#,
            "`pidd` names no field or output: process has command, dir, env, health, log, stop, memory_mib, \
             and the outputs pid, started, log",
            "did you mean `pid`?",
        ),
    ] {
        plan("s.json", &with(resource)).complains(says).complains(hint).complains("s.json:3");
    }
}

#[test]
fn a_reference_to_what_does_not_fit_is_found_before_anything_is_done() {
    let place = Place::new();
    let number = json!({ "kind": "value", "name": "port", "input": { "number": 8081 } });
    let hop = json!({ "kind": "value", "name": "hop", "input": { "from": "value/port", "output": "input.number" } });
    let process = json!({ "kind": "process", "name": "web", "command": ["/bin/sleep", "600"] });
    let command = |name: &str, from: &str, output: &str| {
        json!({
            "kind": "command", "name": name, "run": ["/bin/true"],
            "env": { "A": { "from": from, "output": output } },
        })
    };
    let mut secret = json!({ "kind": "value", "name": "secret", "input": 4711 });
    secret["sensitive"] = json!(["input"]);
    let mut word = json!({ "kind": "value", "name": "word", "input": "opensesame" });
    word["sensitive"] = json!(["input"]);
    place.desire(&[
        number,
        hop,
        process.clone(),
        secret,
        command("literal", "value/port", "input.number"),
        command("hop", "value/hop", "input"),
        command("output", "process/web", "pid"),
        command("secret", "value/secret", "input"),
        command("code", "command/code-of", "code"),
        json!({ "kind": "command", "name": "wait", "run": ["/bin/true"], "timeout_ms": { "from": "process/web", "output": "started" } }),
        json!({ "kind": "process", "name": "big", "command": ["/bin/true"], "memory_mib": { "from": "value/word", "output": "input" } }),
        word,
        json!({ "kind": "command", "name": "code-of", "run": ["/bin/true"], "creates": { "from": "value/port", "output": "input.number" } }),
    ]);
    let ran = place.fleet(&["plan"]).exits(64);
    for says in [
        "command/literal: `env.A` must be text, not the number 8081: write \"8081\", with quotes\n \
         hint: correct `input.number` of value/port, which stands there\n",
        "command/hop: `env.A` must be text, not the number 8081: write \"8081\", with quotes\n",
        "command/output: `env.A` must be text, not a number, which `pid` of process/web is\n \
         hint: refer to a text instead; such outputs of a process: log, started\n",
        "command/secret: `env.A` must be text, not a number, which `input` of value/secret is\n",
        "command/code: `env.A` must be text, not a number, which `code` of command/code-of is\n \
         hint: refer to a text instead; such outputs of a command: stdout\n",
        "command/code-of: `creates` must be text, not the number 8081",
        "command/wait: `timeout_ms` must be a whole number, 0 or more, not a text, which `started` of process/web is\n \
         hint: refer to a number instead; such outputs of a process: pid\n",
        "process/big: `memory_mib` must be a whole number, 0 or more, not a text, which `input` of value/word is\n",
    ] {
        assert!(ran.err.contains(says), "{says:?} is not in\n{}", ran.err);
    }
    assert!(!ran.err.contains("4711") && !ran.err.contains("opensesame"), "{}", ran.err);
    let text = json!({ "kind": "value", "name": "port", "input": { "number": "8081" } });
    place.desire(&[
        text,
        process,
        command("literal", "value/port", "input.number"),
        command("output", "process/web", "started"),
    ]);
    place.fleet(&["plan"]).exits(0);
}

#[test]
fn of_a_template_whose_variables_are_known_only_later_the_syntax_is_checked_and_all_of_it_once_they_are_known()
 {
    let place = Place::new();
    let log = json!({ "from": "process/p", "output": "log" });
    let desire = |template: &str| {
        place.write("app.j2", template);
        place.desire(&[
            json!({ "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"] }),
            json!({ "kind": "file", "name": "t", "path": place.text("t"),
                    "template": { "source": "app.j2", "vars": { "log": log } } }),
        ]);
    };
    desire("{{ log }}\n{% if %}");
    place.fleet(&["plan"]).exits(64).complains("file/t: line 2 of the template app.j2: ");
    desire("{{ log }}\n{{ nope }}");
    place.fleet(&["plan"]).exits(0).shows("create file/t");
    desire("{{ log }}\n");
    place.apply();
    desire("{{ log }}\n{{ nope }}\n");
    let ran = place.fleet(&["plan"]).exits(64);
    ran.complains(
        "file/t: line 2 of the template app.j2: `nope` is not defined\n hint: give it under `vars`",
    );
}

#[test]
fn a_template_that_can_not_be_rendered_is_found_before_anything_is_done() {
    let place = Place::new();
    let desire = |vars: serde_json::Value, template: &str| {
        place.write("app.j2", template);
        let template = json!({ "source": "app.j2", "vars": vars });
        place.desire(&[
            json!({ "kind": "file", "name": "t", "path": place.text("t"), "template": template }),
            json!({ "kind": "value", "name": "v", "input": { "name": "known" } }),
            json!({ "kind": "command", "name": "c", "run": ["/usr/bin/printf", "late"] }),
        ]);
    };
    desire(json!({ "port": 1 }), "a\n{{ prot }}\n");
    place
        .fleet(&["plan"])
        .exits(64)
        .complains("detc.json:8: file/t: line 2 of the template app.j2: `prot` is not defined\n hint: give it under `vars`");
    desire(json!({}), "{% if %}");
    place.fleet(&["plan"]).exits(64).complains("file/t: line 1 of the template app.j2: ");
    let known = json!({ "peer": { "from": "value/v", "output": "input" } });
    desire(known.clone(), "{{ peer.port }}");
    place.fleet(&["plan"]).exits(64).complains("`peer.port` is not defined");
    // What is known only later is rendered later.
    let late = json!({ "peer": { "from": "command/c", "output": "stdout" } });
    let partly = json!({ "kind": "value", "name": "v", "input": { "name": { "from": "value/w", "output": "input" } } });
    desire(known.clone(), "{{ peer.name.first }}");
    let mut state: serde_json::Value = serde_json::from_str(&place.read("detc.json")).unwrap();
    state["resources"][1] = partly;
    state["resources"][2] = json!({ "kind": "value", "name": "w", "input": { "first": "a" } });
    place.write("detc.json", state.to_string());
    place.fleet(&["plan"]).exits(0);
    desire(late, "{{ peer }} {{ prot }}");
    place.fleet(&["plan"]).exits(0);
    place.fleet(&["apply", "--yes"]).exits(1).shows("`prot` is not defined");
    desire(known, "{{ peer.name }}\n");
    place.apply();
    assert_eq!(place.read("t"), "known\n");
}

#[test]
fn all_that_is_wrong_with_the_fields_of_a_resource_is_told_at_once() {
    let told = |resource: &str| {
        let ran = plan("s.json", &with(resource));
        let errors = ran.err.lines().filter_map(|line| line.strip_prefix("error: s.json:3: "));
        errors.map(str::to_owned).collect::<Vec<_>>()
    };
    let process = r#"{"kind": "process", "name": "p", "host": "here", "command": "x y", "cwd": "/x", "dir": "rel", "env": {"A": 1, "B": true}, "health": {"http": "http://127.0.0.1:1/", "interval": 1, "timeout_ms": "1"}}"#;
    assert_eq!(
        told(process),
        [
            r#"process/p: `command` must be a list, not the text "x y": write ["x", "y"]"#,
            "process/p: unknown field `cwd`: process has command, dir, env, health, log, stop, memory_mib",
            r#"process/p: `env.A` must be text, not the number 1: write "1", with quotes"#,
            "process/p: `env.B` must be text, not true: write it with quotes",
            "process/p: `health`: unknown field `interval`: expected http, tcp, command, timeout_ms, interval_ms",
            r#"process/p: `health.timeout_ms` must be a whole number, 0 or more, not the text "1": write 1, without quotes"#,
            "process/p: `dir` must be an absolute path, not `rel`",
        ]
    );
    let file =
        r#"{"kind": "file", "name": "f", "mode": "999", "owner": 1, "content": 2, "sensitive": ["mode"]}"#;
    assert_eq!(
        told(file),
        [
            "file/f: a file lives on a host: `host` is missing",
            r#"file/f: `content` must be text, not the number 2: write "2", with quotes"#,
            r#"file/f: `owner` must be text, not the number 1: write "1", with quotes"#,
            "file/f: `path` is missing",
            r#"file/f: `mode` must be three or four octal digits, such as "0644", not "(sensitive)""#,
        ]
    );
    assert_eq!(
        told(r#"{"kind": "value", "name": "v", "inptu": 1, "output": 2}"#),
        [
            "value/v: unknown field `inptu`: did you mean `input`?",
            "value/v: unknown field `output`: value has input"
        ]
    );
}

#[test]
fn a_cycle_is_refused_and_told() {
    let one = r#"{"kind": "value", "name": "a", "input": 1, "after": ["value/b"]},"#;
    let other = r#"{"kind": "value", "name": "b", "input": {"from": "value/a", "output": "input"}}"#;
    plan("s.json", &with(&format!("{one}\n{other}"))).complains("value/a").complains("value/b");
}

#[test]
fn two_resources_of_one_id_and_two_writers_of_one_path_are_refused() {
    let value = r#"{"kind": "value", "name": "a", "input": 1}"#;
    plan("s.json", &with(&format!("{value},\n{value}"))).complains("value/a").complains("s.json:4");
    let file = |name: &str| {
        format!(r#"{{"kind": "file", "name": "{name}", "host": "here", "path": "/x/y", "content": ""}}"#)
    };
    let both = with(&format!("{},\n{}", file("a"), file("b")));
    plan("s.json", &both).complains("file/a").complains("file/b").complains("/x/y");
}

#[test]
fn what_is_wrong_around_the_resources_is_told_with_its_place() {
    for (text, says) in [
        ("", "s.json"),
        ("{", "s.json"),
        ("[]", "s.json"),
        ("{}", "version"),
        (r#"{"version": 2}"#, "version"),
        (r#"{"version": 1, "resource": []}"#, "resource"),
        (r#"{"version": 1, "hosts": {"h": {}}}"#, "connect"),
        (r#"{"version": 1, "hosts": {"h": {"connect": "carrier-pigeon://x"}}}"#, "carrier-pigeon"),
        (r#"{"version": 1, "hosts": {"h": {"connect": "local", "colour": 1}}}"#, "colour"),
        (r#"{"version": 1, "invariants": [{"name": "i"}]}"#, "invariant"),
        (r#"{"version": 1, "version": 1}"#, "version"),
        ("{\"version\": 1,\n \"resources\": [}\n", "s.json:2"),
    ] {
        plan("s.json", text).complains(says);
    }
}

#[test]
fn yaml_and_toml_name_the_line_too() {
    plan("s.yaml", "version: 1\nresources:\n- kind: value\n  name: v\n  inptu: 1\n")
        .complains("s.yaml:3")
        .complains("inptu");
    plan("s.yaml", "version: 1\nresources: [\n").complains("s.yaml:");
    plan("s.yaml", "version: 1\na: &a [*a]\n");
    let toml = "version = 1\n\n[[resources]]\nkind = \"value\"\nname = \"v\"\ninptu = 1\n";
    plan("s.toml", toml).complains("s.toml:3").complains("inptu");
    plan("s.toml", "version = \n").complains("s.toml:1");
}

#[test]
fn bad_usage_is_told_with_code_64() {
    let place = Place::new();
    place.desire(&[]);
    for args in [
        &[][..],
        &["frobnicate"],
        &["plan", "--frobnicate"],
        &["--parallel", "0", "plan"],
        &["--parallel", "many", "plan"],
        &["--color", "perhaps", "plan"],
        &["graph", "--format", "crayon"],
        &["show"],
        &["show", "the-last"],
        &["plan", "--only", ""],
        &["-q", "-v", "plan"],
        &["apply", "--settle", "x"],
        &["-f"],
        &["-f", "state.ini", "plan"],
        &["-f", "none-such.json", "plan"],
    ] {
        let ran = place.fleet(args).exits(64);
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{ran:?}");
    }
    let elsewhere = Place::new();
    elsewhere.fleet(&["plan"]).exits(64).complains("-f");
}

#[test]
fn help_and_version_are_no_errors() {
    let place = Place::new();
    place.fleet(&["--help"]).exits(0).shows("plan").shows("destroy").shows("130  interrupted");
    place.fleet(&["apply", "--help"]).exits(0).shows("--settle");
    place.fleet(&["--version"]).exits(0).shows("fleet");
    let help = place.fleet(&["apply", "--help"]).exits(0).out;
    let (own, common) = help.split_once("Options of every command:").unwrap();
    assert!(own.contains("--settle") && !own.contains("--store"), "{help}");
    assert!(common.contains("--store") && !common.contains("--settle"), "{help}");
    for command in ["plan", "apply", "status", "destroy", "graph", "history", "show"] {
        let help = place.fleet(&[command, "--help"]).exits(0).out;
        let (_, example) = help.split_once("Example: ").unwrap_or_else(|| panic!("no example: {help}"));
        let typed = example.lines().nth(1).unwrap_or_default().trim();
        assert!(typed.starts_with("fleet ") && typed.contains(command), "{help}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_no_store_is_made_for_it() {
    let place = Place::new();
    let wrong = [
        json!({ "kind": "file", "name": "a", "path": place.text("a"), "content": "x", "mode": 644 }),
        json!({ "kind": "file", "name": "b", "path": place.text("b"), "contnet": "x" }),
        json!({ "kind": "value", "name": "c", "input": 1, "after": ["file/aa"] }),
    ];
    place.desire(&wrong);
    let ran = place.fleet(&["apply", "--yes"]).exits(64);
    let errors: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("error: detc.json:")).collect();
    assert_eq!(errors.len(), 3, "{}", ran.err);
    for told in ["`mode` must be text", "did you mean `content`?", "did you mean `file/a`?"] {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
    assert!(!place.path(".detc").exists(), "nothing is made for what can not be read");
    let error = place.fleet(&["--json", "plan"]).exits(64).json();
    assert_eq!((&error["resource"], &error["others"][0]["resource"]), (&json!("file/a"), &json!("file/b")));
    assert_eq!(error["others"].as_array().map(Vec::len), Some(2));
}

#[test]
fn bad_usage_is_one_line_with_a_hint_where_a_program_reads() {
    let place = Place::new();
    for (args, message) in [(&["--json", "pln"][..], "pln"), (&["--json", "plan", "--nope"], "--nope")] {
        let error = place.fleet(args).exits(64).json();
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(message) && !told.contains('\n'), "{told}");
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[test]
fn three_writers_of_one_path_are_in_order_or_refused() {
    let place = Place::new();
    let made = place.text("made");
    let writer = |name: &str, after: &[&str]| json!({ "kind": "command", "name": name, "run": ["/bin/sh", "-c", "true"], "creates": made, "after": after });
    // The one in the middle of the file comes first: the other two are in no order.
    place.desire(&[writer("a", &["command/b"]), writer("b", &[]), writer("c", &["command/b"])]);
    place.fleet(&["plan"]).exits(64).complains("command/a and command/c both write");
    place.desire(&[writer("a", &["command/b"]), writer("b", &[]), writer("c", &["command/a"])]);
    place.fleet(&["plan"]).exits(0);
}

#[test]
fn an_id_that_is_near_one_is_led_to_it_and_a_wrong_kind_is_told_once() {
    let command = r#"{"kind": "command", "name": "app/migrate", "host": "here", "run": ["/bin/true"]}"#;
    let after = r#"{"kind": "value", "name": "v", "input": 1, "after": ["app/migrate"]}"#;
    plan("s.json", &with(&format!("{command},\n{after}"))).complains("did you mean `command/app/migrate`?");
    let wrong = r#"{"kind": "fil", "name": "f", "host": "here", "path": "/x", "content": ""}"#;
    let after = r#"{"kind": "value", "name": "v", "input": 1, "after": ["file/f"]}"#;
    let ran = plan("s.json", &with(&format!("{wrong},\n{after}"))).complains("did you mean `file`?");
    assert!(!ran.err.contains("value/v"), "{}", ran.err);
}

#[test]
fn a_number_that_is_none_is_refused_in_every_format() {
    let toml = "version = 1\n\n[[resources]]\nkind = \"value\"\nname = \"v\"\ninput = [1, { a = nan }]\n";
    plan("s.toml", toml).complains("s.toml:3").complains("`input.1.a`: NaN is no number");
    plan("s.toml", &toml.replace("nan", "-inf")).complains("`input.1.a`: -inf is no number");
    plan("s.yaml", "version: 1\nresources:\n- kind: value\n  name: v\n  input: [.inf]\n")
        .complains("s.yaml:5: .inf is no number");
}

#[test]
fn what_yaml_is_wrong_in_is_told_in_words() {
    let head = "version: 1\nresources:\n- kind: value\n  name: v\n";
    for (rest, says) in [
        ("  name: w\n", "s.yaml:5: `name` is given twice\n"),
        ("  ~: 2\n", "s.yaml:5: a field's name is null: write it as text\n"),
        (
            "  input: *nope\n",
            "s.yaml:5: an alias (`*name`) names what no anchor (`&name`) has named before\n",
        ),
        (
            &format!("  input: {}{}\n", "[".repeat(99), "]".repeat(99)),
            "s.yaml:5: is nested too deeply: more than 64 levels\n",
        ),
        (&format!("  input: [1{}]\n", ",1".repeat(300_000)), "s.yaml:5: is larger than what is read as YAML"),
        ("---\nversion: 1\n", "s.yaml:6: holds several YAML documents: write each in a file of its own\n"),
    ] {
        plan("s.yaml", &format!("{head}{rest}")).complains(says);
    }
    plan("s.yaml", "- a\n").complains("s.yaml:1: must be an object");
}

#[test]
fn a_rename_from_what_is_still_there_is_refused() {
    let old = r#"{"kind": "value", "name": "old", "input": 1},"#;
    let new = r#"{"kind": "value", "name": "new", "input": 1, "renamed_from": "value/old"}"#;
    plan("s.json", &with(&format!("{old}\n{new}")))
        .complains("s.json:4: value/new: `renamed_from` names value/old, which is still in the desired state")
        .complains("remove value/old when value/new is what it is called now");
    let itself = r#"{"kind": "value", "name": "old", "input": 1, "renamed_from": "value/old"}"#;
    plan("s.json", &with(itself)).complains("value/old: `renamed_from` names value/old itself");
}

#[test]
fn a_rename_to_another_kind_is_refused_and_who_names_the_old_name_is_told_the_new_one() {
    let (old, file) =
        (r#""renamed_from": "value/old""#, r#""kind": "file", "host": "here", "path": "/x", "content": "x""#);
    plan("s.json", &with(&format!(r#"{{{file}, "name": "new", {old}}}"#)))
        .complains("s.json:3: file/new: `renamed_from` names value/old, which is of another kind")
        .complains("remove `renamed_from`");
    let twice = |name: &str| format!(r#"{{"kind": "value", "name": "{name}", "input": 1, {old}}}"#);
    plan("s.json", &with(&format!("{},\n{}", twice("b"), twice("c"))))
        .complains("s.json:4: value/c: `renamed_from` names value/old, which value/b was called as well");
    let new = format!(r#"{{"kind": "value", "name": "quite-another", "input": 1, {old}}},"#);
    let after = r#"{"kind": "value", "name": "olt", "input": 1, "after": ["value/old"]}"#;
    plan("s.json", &with(&format!("{new}\n{after}")))
        .complains("s.json:4: value/olt: is after value/old, which is not in the desired state")
        .complains("did you mean `value/quite-another`?");
}

#[test]
fn what_names_a_resource_as_a_reference_does_and_is_none_is_refused() {
    let with_input = |input: &str| {
        with(&format!(
            "{{\"kind\": \"value\", \"name\": \"v\", \"input\": 1}},\n{{\"kind\": \"value\", \"name\": \"w\", \"input\": {input}}}"
        ))
    };
    for input in [r#"{"from": "value/v", "field": "input"}"#, r#"[{"a": {"from": "value/v"}}]"#] {
        plan("s.json", &with_input(input))
            .complains("s.json:4: value/w: {\"")
            .complains("names value/v, and is no reference: it has no `output`")
            .complains(r#"write { "from": "value/v", "output": … }, with one of its outputs or fields"#);
    }
    for data in [r#"{"from": "value/other", "field": "input"}"#, r#"{"from": "value/v", "to": 1, "by": 2}"#] {
        let place = Place::new();
        place.write("detc.json", with_input(data));
        place.fleet(&["plan"]).exits(0);
    }
}

#[test]
fn what_is_sensitive_within_a_field_is_there() {
    let value = |input: &str, path: &str| {
        with(&format!(r#"{{"kind": "value", "name": "v", "input": {input}, "sensitive": ["{path}"]}}"#))
    };
    plan("s.json", &value(r#"{"password": "hunter2"}"#, "input.pasword"))
        .complains("s.json:3: value/v: `sensitive` names `input.pasword`, and there is no `pasword`")
        .complains("did you mean `password`?");
    plan("s.json", &value(r#"{"a": {"b": 1}}"#, "input.a.c")).complains("there is no `c`");
    for (input, path) in [
        (r#"{"password": "hunter2"}"#, "input.password"),
        (r#"{"from": "value/w", "output": "input"}"#, "input.password"),
        (r#"[{"a": 1}]"#, "input.0.a"),
        ("null", "input.a"),
    ] {
        let other = r#",{"kind": "value", "name": "w", "input": 1}]}"#;
        let place = Place::new();
        place.write("s.json", value(input, path).replace("\n]}", other));
        place.fleet(&["-f", "s.json", "plan"]).exits(0);
    }
}

#[test]
fn a_desired_state_is_a_regular_file() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("s.json")).status().unwrap().success());
    place
        .fleet(&["-f", "s.json", "plan"])
        .exits(64)
        .complains("s.json: can not be read: it is no regular file");
}

#[test]
fn a_desired_state_may_come_by_standard_input() {
    let given = |text: &str| {
        let place = Place::new();
        place.write(
            "base.json",
            r#"{ "version": 1, "resources": [{ "kind": "value", "name": "a", "input": 1 }] }"#,
        );
        place.write("given", text);
        let args = ["-f", "base.json", "-f", "-", "apply", "--yes"];
        let mut command = place.command(&args);
        command.stdin(std::fs::File::open(place.path("given")).unwrap());
        place.start_as(command, &args).wait()
    };
    given(r#"{ "version": 1, "resources": [{ "kind": "value", "name": "b", "input": 1 }] }"#)
        .exits(0)
        .shows("Done: 2 of 2");
    given("version: 1\nresources:\n- { kind: value, name: b, input: 1 }\n").exits(0).shows("Done: 2 of 2");
    given(r#"{ "version": 1, "resources": [{ "kind": "value", "name": "b", "inptu": 1 }] }"#)
        .exits(64)
        .complains("standard input:1: value/b: unknown field `inptu`");
}

#[test]
fn a_desired_state_that_would_fill_the_memory_is_refused() {
    let place = Place::new();
    std::fs::File::create(place.path("s.json")).unwrap().set_len((1 << 30) + 1).unwrap();
    place.fleet(&["-f", "s.json", "plan"]).exits(64).complains("s.json: is longer than 1024 MiB");
}

#[test]
fn a_path_that_no_host_can_have_is_refused() {
    let long = "/a".repeat(2049);
    let file =
        |path: &str| json!({ "kind": "file", "name": "f", "host": "here", "path": path, "content": "" });
    plan("long.json", &with(&file(&long).to_string())).complains("more than 4096 bytes").complains("file/f");
}
