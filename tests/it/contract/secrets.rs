//! Sensitive values leave the process only to where they belong.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::Place;

const SECRETS: [&str; 4] =
    ["hunter2-in-the-file", "hunter3-in-a-value", "hunter4-in-a-variable", "hunter5-in-a-list"];

fn place(exit: u32) -> Place {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "value", "name": "v", "input": { "user": "web", "password": SECRETS[1] }, "sensitive": ["input.password"] }),
        json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": format!("key={}\n", SECRETS[0]),
                "sensitive": ["content"] }),
        json!({ "kind": "file", "name": "g", "path": place.text("g"), "mode": "0600",
                "content": { "from": "value/v", "output": "input.password" } }),
        json!({ "kind": "value", "name": "list", "input": ["a", SECRETS[3]], "sensitive": ["input"] }),
        json!({ "kind": "command", "name": "c", "env": { "TOKEN": SECRETS[2] }, "sensitive": ["env.TOKEN"],
                "after": ["file/f"],
                "run": ["/bin/sh", "-c", format!("cat {}; echo \"$TOKEN\" >&2; cat {} >&2; exit {exit}", place.text("f"), place.text("f"))] }),
    ]);
    place
}

/// That no secret is in any file below `dir`.
#[track_caller]
fn search(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in SECRETS {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[track_caller]
fn silent(place: &Place, args: &[&str], exit: i32) {
    let ran = place.fleet(args).exits(exit);
    for secret in SECRETS {
        assert!(
            !ran.out.contains(secret) && !ran.err.contains(secret),
            "`{}` tells {secret}: {ran:?}",
            ran.what
        );
    }
}

#[test]
fn sensitive_values_are_in_no_output_no_plan_and_no_store() {
    let place = place(0);
    silent(&place, &["plan", "-v", "--out", "plans"], 0);
    silent(&place, &["--json", "-v", "plan"], 0);
    silent(&place, &["graph"], 0);
    silent(&place, &["apply", "--yes", "-v"], 0);
    assert_eq!(place.read("f"), format!("key={}\n", SECRETS[0]));
    assert_eq!(place.read("g"), SECRETS[1]);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    for args in
        [&["status"][..], &["--json", "status"], &["history"], &["show", "1"], &["--json", "show", "1"]]
    {
        silent(&place, args, 0);
    }
    place.write("f", format!("key={} and more\n", SECRETS[0]));
    silent(&place, &["-v", "plan"], 0);
    silent(&place, &["status"], 0);
    silent(&place, &["--json", "plan"], 0);
    search(&place.path(".detc"));
    std::fs::create_dir(place.path("saved")).unwrap();
    std::fs::rename(place.path("plans"), place.path("saved/plan")).unwrap();
    search(&place.path("saved"));
}

#[test]
fn sensitive_values_are_in_no_message_of_a_failure() {
    let place = place(5);
    silent(&place, &["apply", "--yes", "-v"], 1);
    silent(&place, &["--json", "apply", "--yes"], 1);
    silent(&place, &["show", "2"], 0);
    search(&place.path(".detc"));
}

#[test]
fn a_secret_is_told_neither_as_a_number_nor_as_json_escapes_it() {
    // The last is what the shell's `echo` makes of the one before it.
    const TOLD: [&str; 4] = ["1234567890123", r#"pa"ss\word-42"#, r#"pa\"ss\\word-42"#, r#"pa\"ss\word-42"#];
    let quiet = |place: &Place, args: &[&str], exit: i32| {
        let ran = place.fleet(args).exits(exit);
        for secret in TOLD {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:?}");
        }
        ran
    };
    for (then, exit) in [("", 0), ("; echo \"$DETC_INPUTS\" >&2; exit 1", 1)] {
        let place = Place::new();
        place.desire(&[
            json!({ "kind": "value", "name": "pin", "input": 1_234_567_890_123_u64, "sensitive": ["input"] }),
            json!({ "kind": "script", "name": "s", "interpreter": ["/bin/sh"], "content": format!("printf %s \"$DETC_INPUTS\"{then}"),
                    "inputs": { "pin": { "from": "value/pin", "output": "input" }, "word": TOLD[1] },
                    "sensitive": ["inputs.word"] }),
            json!({ "kind": "value", "name": "again", "input": { "from": "script/s", "output": "result.pin" } }),
        ]);
        quiet(&place, &["apply", "--yes", "-v"], exit);
        quiet(&place, &["-v", "plan"], 0);
        for args in [&["show", "1"][..], &["--json", "show", "1"], &["--json", "-v", "plan"]] {
            quiet(&place, args, 0);
        }
        if exit == 0 {
            place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
        }
        let store = std::fs::read(place.path(".detc/store.redb")).unwrap();
        for secret in TOLD {
            let is_kept = store.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_kept, "{secret} is in the store");
        }
    }
}

#[test]
fn a_long_secret_that_a_program_prints_is_not_told_in_part() {
    let place = Place::new();
    let secret: String = (0..1000).map(|at| format!("hunter{at};")).collect();
    let shout = |what: &str| json!(["/bin/sh", "-c", format!("{what}; exit 3")]);
    let with = |name: &str, run: serde_json::Value| json!({ "kind": "command", "name": name, "run": run, "env": { "TOKEN": &secret }, "sensitive": ["env.TOKEN"] });
    place.desire(&[
        with("all", shout("echo \"the token $TOKEN is wrong\" >&2")),
        with("much", shout("head -c 1047000 /dev/zero | tr '\\0' '\\n' >&2; printf %s \"$TOKEN\" >&2")),
        json!({ "kind": "process", "name": "p", "command": shout("echo \"$TOKEN\""),
                "env": { "TOKEN": &secret }, "sensitive": ["env.TOKEN"], "dir": place.text("") }),
    ]);
    for args in
        [&["apply", "--yes"][..], &["--json", "apply", "--yes"], &["show", "1"], &["--json", "show", "1"]]
    {
        let ran = place.fleet(args);
        assert!(ran.out.contains("(sensitive)"), "{ran:?}");
        assert!(!ran.out.contains("hunter") && !ran.err.contains("hunter"), "{ran:?}");
    }
    let bytes = std::fs::read(place.path(".detc/store.redb")).unwrap();
    assert!(!bytes.windows(6).any(|six| six == b"hunter"));
}

#[test]
fn what_is_wrong_with_a_sensitive_value_is_told_without_it() {
    for (kind, fields, sensitive) in [
        ("file", json!({ "path": "/x", "content": "", "mode": "hunter2" }), "mode"),
        ("file", json!({ "path": "hunter2/x", "content": "" }), "path"),
        ("file", json!({ "path": "/x", "source": "hunter2" }), "source"),
        ("command", json!({ "run": "cat hunter2 hunter3" }), "run"),
        (
            "process",
            json!({ "command": ["true"], "health": { "http": "http://u:hunter2@h/" } }),
            "health.http",
        ),
        ("value", json!({ "input": [1, "hunter2", { "from": "hunter2", "output": "x" }] }), "input"),
    ] {
        let place = Place::new();
        let mut resource = fields.clone();
        (resource["kind"], resource["name"]) = (kind.into(), "it".into());
        resource["sensitive"] = json!([sensitive]);
        place.desire(&[resource]);
        for args in [&["plan"][..], &["--json", "plan"]] {
            let ran = place.fleet(args).exits(64);
            assert!(!ran.out.contains("hunter") && !ran.err.contains("hunter"), "{ran:?}");
            assert!(ran.out.contains("sensitive") || ran.err.contains("sensitive"), "{ran:?}");
        }
    }
}

#[test]
fn a_place_that_is_sensitive_is_not_told_when_two_write_it() {
    let place = Place::new();
    let file = |name: &str, sensitive: &[&str]| json!({ "kind": "file", "name": name, "path": "/srv/hunter2", "content": "", "sensitive": sensitive });
    place.desire(&[file("a", &["path"]), file("b", &[])]);
    let ran = place.fleet(&["plan"]).exits(64).complains("file/a and file/b");
    assert!(!ran.err.contains("hunter"), "{ran:?}");
}

#[test]
fn a_saved_plan_with_sensitive_values_is_applied_only_with_the_file_that_has_them() {
    let place = place(0);
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(64).complains("-f");
    assert!(!place.path("f").exists(), "it is refused before anything is done");
    place.fleet(&["-f", "detc.json", "apply", "p", "--yes"]).exits(0);
    assert_eq!(place.read("g"), SECRETS[1]);
}

#[test]
fn a_part_of_a_sensitive_value_can_be_referred_to_and_stays_sensitive() {
    let place = Place::new();
    let desire = |password: &str| {
        place.desire(&[
            json!({ "kind": "value", "name": "v", "input": { "password": password }, "sensitive": ["input"] }),
            json!({ "kind": "file", "name": "g", "path": place.text("g"),
                    "content": { "from": "value/v", "output": "input.password" } }),
        ]);
    };
    for secret in [SECRETS[1], SECRETS[2]] {
        desire(secret);
        silent(&place, &["plan"], 0);
        silent(&place, &["apply", "--yes"], 0);
        assert_eq!(place.read("g"), secret);
        place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    }
    search(&place.path(".detc"));
}

#[test]
fn a_sensitive_field_may_come_from_a_reference() {
    let place = Place::new();
    place.write("origin", "hunter6-made-up");
    let generator = json!({ "kind": "command", "name": "generate", "run": ["/bin/cat", place.text("origin")],
                            "sensitive": ["stdout"] });
    let user = json!({ "kind": "value", "name": "user", "input": "web" });
    let desire = |user: &serde_json::Value| {
        place.desire(&[
            generator.clone(),
            user.clone(),
            json!({ "kind": "file", "name": "key", "path": place.text("key"), "sensitive": ["content"],
                    "content": { "from": "command/generate", "output": "stdout" } }),
            json!({ "kind": "value", "name": "login", "sensitive": ["input"],
                    "input": { "user": { "from": "value/user", "output": "input" }, "password": "hunter7-given" } }),
            json!({ "kind": "file", "name": "login", "path": place.text("login"),
                    "content": { "from": "value/login", "output": "input.password" } }),
        ]);
    };
    desire(&user);
    let quiet = |args: &[&str]| {
        let ran = place.fleet(args).exits(0);
        for secret in ["hunter6", "hunter7"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:?}");
        }
        ran
    };
    quiet(&["plan", "-v"]).shows("(known after");
    quiet(&["apply", "--yes"]);
    assert_eq!(
        (place.read("key"), place.read("login")),
        ("hunter6-made-up".to_owned(), "hunter7-given".to_owned())
    );
    quiet(&["plan", "--detailed-exitcode"]);
    desire(&json!({ "kind": "value", "name": "user", "input": "app" }));
    quiet(&["plan", "--out", "p"]).shows("value/login");
    quiet(&["-f", "detc.json", "apply", "p", "--yes"]);
    quiet(&["plan", "--detailed-exitcode"]);
    for entry in
        std::fs::read_dir(place.path(".detc")).unwrap().chain(std::fs::read_dir(place.dir()).unwrap())
    {
        let path = entry.unwrap().path();
        if path.is_file()
            && !["detc.json", "key", "login", "origin"].map(|name| place.path(name)).contains(&path)
        {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(7).any(|seven| seven == b"hunter6" || seven == b"hunter7"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn what_is_found_by_its_secrets_has_not_drifted_while_they_are_the_same() {
    let place = Place::new();
    let desire = |command: &str, secret: &str| {
        place.write("page.tmpl", "key={{ key }}");
        place.desire(&[
            json!({ "kind": "process", "name": "p", "dir": place.text(""), "env": { "TOKEN": secret },
                    "sensitive": ["env.TOKEN"], "command": ["/bin/sleep", command] }),
            json!({ "kind": "file", "name": "t", "path": place.text("t"), "sensitive": ["template.vars.key"],
                    "template": { "source": "page.tmpl", "vars": { "key": secret } } }),
            json!({ "kind": "file", "name": "large", "path": place.text("large"), "sensitive": ["content"],
                    "content": secret.repeat(9000) }),
            json!({ "kind": "command", "name": "c", "dir": place.text(""), "sensitive": ["unless"],
                    "unless": ["/bin/grep", "-q", secret, place.text("marked")],
                    "run": ["/bin/sh", "-c", "cat t >> marked; echo x >> ledger"], "after": ["file/t"] }),
        ]);
    };
    desire("600", "hunter8-in-env");
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    let status = place.fleet(&["-f", "detc.json", "--json", "status"]).exits(0).json();
    for resource in status["resources"].as_array().unwrap() {
        assert_eq!(resource["state"], "present", "{resource}");
    }
    desire("601", "hunter8-in-env");
    place.fleet(&["plan", "--out", "p"]).exits(0).shows("process/p");
    place.fleet(&["-f", "detc.json", "apply", "p", "--yes"]).exits(0);
    desire("602", "hunter9-in-env");
    let ran = place.apply();
    assert!(!ran.out.contains("Held back"), "{}", ran.out);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!((place.read("t").as_str(), place.read("ledger").as_str()), ("key=hunter9-in-env", "x\nx\n"));
    // Without the secrets, what is found by them is unknown, and the others are not compared by them.
    let status = place.fleet(&["--json", "status"]).exits(1).json();
    for resource in status["resources"].as_array().unwrap() {
        let expected = if resource["resource"] == "command/c" { "unknown" } else { "present" };
        assert_eq!(resource["state"], expected, "{resource}");
    }
    let detail = status["resources"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("a sensitive value is needed and was not stored"), "{detail}");
}

#[test]
fn what_is_sensitive_hides_nothing_of_what_is_touched() {
    let place = Place::new();
    let folder = |of: &[&str]| json!({ "kind": "directory", "name": "d", "path": place.text("d"), "purge": true, "mode": "0755", "sensitive": of });
    let kept = |of: &[&str]| json!({ "kind": "file", "name": "c", "path": place.text("d/c"), "content": "kept", "sensitive": of });
    for (of_folder, of_file) in [(&[][..], &["content"][..]), (&["mode"], &[])] {
        place.desire(&[folder(of_folder), kept(of_file)]);
        place.apply();
        place.desire(&[kept(of_file)]);
        place.fleet(&["plan"]).exits(3).complains("file/c is in there and stays");
    }
}

#[test]
fn whatever_is_sensitive_can_be_removed_without_it() {
    let place = Place::new();
    let process = json!({
        "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
        "env": { "PW": "correct horse" }, "sensitive": ["env"],
    });
    let listed = json!({ "kind": "process", "name": "q", "dir": place.text(""), "command": ["/bin/sleep", "1001"], "sensitive": ["command"] });
    let numbered = json!({ "kind": "process", "name": "r", "dir": place.text(""), "command": ["/bin/sleep", "1002"], "memory_mib": 7, "sensitive": ["memory_mib"] });
    place.desire(&[process, listed, numbered]);
    place.apply();
    assert!(!place.processes().is_empty());
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(place.processes().is_empty());
}

#[test]
fn a_removal_needs_no_secret_but_the_place_of_what_is_removed() {
    let place = Place::new();
    let of = |mut resource: Value, sensitive: &[&str]| {
        resource["dir"] = place.text("").into();
        resource["sensitive"] = json!(sensitive);
        resource
    };
    let checked = json!({
        "kind": "process", "name": "p", "command": ["/bin/sleep", "1000"],
        "health": { "command": ["/bin/true"], "timeout_ms": 60_000 }, "stop": { "grace_ms": 4000 },
    });
    let made = json!({
        "kind": "command", "name": "made", "run": ["/usr/bin/touch", "made"], "creates": place.text("made"),
    });
    let guarded = json!({
        "kind": "command", "name": "guarded", "run": ["/bin/true"], "unless": ["/bin/sh", "-c", "exit 0", "hunter2-hunter2"],
    });
    let file = json!({
        "kind": "file", "name": "f", "path": place.text("secret-place"), "content": "x", "sensitive": ["path"],
    });
    let all = [of(checked, &["health", "stop"]), of(made, &["creates"]), of(guarded, &["unless.3"]), file];
    place.desire(&all);
    place.apply();
    // All but the file need no secret.
    place.desire(&all[3..]);
    place.apply().shows("delete process/p").shows("forget command/made").shows("forget command/guarded");
    assert!(place.processes().is_empty());
    place.write("old.json", place.read("detc.json"));
    place.desire(&[]);
    let left = place.fleet(&["apply", "--yes"]).exits(1);
    let told = format!("{}{}", left.out, left.err);
    assert!(told.contains("file/f: a sensitive value is needed") && told.contains("destroy -f"), "{told}");
    place.fleet(&["destroy", "--yes"]).exits(1).shows("destroy -f");
    assert!(place.path("secret-place").exists());
    place.fleet(&["-f", "old.json", "destroy", "--yes"]).exits(0).hides("secret-place");
    assert!(!place.path("secret-place").exists());
    place.fleet(&["status"]).exits(0).shows("Nothing is recorded here");
}

#[test]
fn a_field_is_no_longer_or_only_now_sensitive() {
    let place = Place::new();
    let file = |path: &str, content: &str, sensitive: &[&str]| json!({ "kind": "file", "name": "f", "path": place.text(path), "content": content, "sensitive": sensitive });
    place.desire(&[file("a", "one", &["content"])]);
    place.apply();
    place.desire(&[file("a", "two", &[])]);
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.desire(&[file("b", "three", &["content"])]);
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    assert!(!place.path("a").exists());
}

#[test]
fn what_was_made_of_a_part_of_something_sensitive_stays_and_stands_in_the_way_of_nothing() {
    let place = Place::new();
    let from = |output: &str| json!({ "from": "script/s", "output": output });
    let all = |asks: &str| {
        let answer = r#"{"password_hash": "x", "user": "u", "token": "hunter6-in-a-result"}"#;
        [
            json!({ "kind": "script", "name": "s", "interpreter": ["/bin/sh"], "content": format!("echo '{answer}' #{asks}"),
                    "sensitive": ["result"] }),
            json!({ "kind": "file", "name": "f", "path": place.text("f"), "mode": "0600", "content": from("result.token") }),
            // A field of this name gives the word away, so that all of it is marked.
            json!({ "kind": "value", "name": "word", "input": "password", "sensitive": ["input"] }),
            json!({ "kind": "script", "name": "t", "interpreter": ["/bin/sh"], "content": format!("echo '{answer}'") }),
            json!({ "kind": "value", "name": "v", "input": { "from": "script/t", "output": "result.user" }, "after": ["value/word"] }),
            json!({ "kind": "value", "name": "other", "input": asks }),
        ]
    };
    place.desire(&all("once"));
    place.apply();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    let mut other = all("once");
    other[5]["input"] = json!("else");
    place.desire(&other);
    place.apply().shows("update value/other").hides("file/f");
    place.desire(&all("once more"));
    place.apply();
    assert_eq!(place.read("f"), "hunter6-in-a-result");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}
