//! What is there is told by the record, though the sensitive values that it was made of were not kept.

use serde_json::{Value, json};

use crate::support::Place;

/// A file and a process that take a secret from elsewhere, and a file and a process that have it themselves.
fn desire(place: &Place, secret: &str) {
    let taken = json!({ "from": "value/tok", "output": "input" });
    let run = |n: &str| json!(["/bin/sleep", n]);
    place.desire(&[
        json!({ "kind": "value", "name": "tok", "input": secret, "sensitive": ["input"] }),
        json!({ "kind": "file", "name": "c", "path": place.text("c"), "content": &taken }),
        json!({ "kind": "file", "name": "t", "path": place.text("t"),
                "template": { "source": "t.j2", "vars": { "key": &taken } } }),
        json!({ "kind": "process", "name": "p", "dir": place.text(""), "command": run("1000"),
                "env": { "PLAIN": "a", "SECRET": &taken } }),
        json!({ "kind": "file", "name": "own", "path": place.text("own"), "sensitive": ["template"],
                "template": { "source": "t.j2", "vars": { "key": secret } } }),
        json!({ "kind": "file", "name": "large", "path": place.text("large"), "sensitive": ["content"],
                "content": secret.repeat(9000) }),
        json!({ "kind": "process", "name": "q", "dir": place.text(""), "command": run("1001"),
                "env": { "PLAIN": "a", "SECRET": secret }, "sensitive": ["env.SECRET"] }),
    ]);
}

fn place() -> Place {
    let place = Place::new();
    place.write("t.j2", "key={{ key }}\n");
    desire(&place, "hunter2-first");
    place.apply();
    place
}

/// The resources that are not as they were left, with what is said of each.
fn not_present(place: &Place, args: &[&str]) -> Vec<String> {
    let status = place.fleet(&[args, &["--json", "status"]].concat()).exits(0).json();
    let resources = status["resources"].as_array().unwrap();
    let others = resources.iter().filter(|it| it["state"] != "present" || it["uncompared"] != Value::Null);
    others.map(|it| format!("{} {} {}", it["resource"], it["state"], it["detail"])).collect()
}

#[test]
fn a_changed_secret_is_no_drift_and_a_saved_plan_brings_it_everywhere_in_one_run() {
    let place = place();
    desire(&place, "hunter3-other");
    place.write("t.j2", "the key={{ key }}\n");
    let plan = place.fleet(&["-f", "detc.json", "plan", "--out", "s.plan"]).exits(0).shows("7 to update");
    assert!(!plan.out.contains("drift") && !plan.out.contains("behind detc's back"), "{}", plan.out);
    place.fleet(&["-f", "detc.json", "apply", "s.plan", "--yes"]).exits(0).shows("Done: 7 of 7");
    for (file, content) in
        [("c", "hunter3-other"), ("t", "the key=hunter3-other\n"), ("own", "the key=hunter3-other\n")]
    {
        assert_eq!(place.read(file), content, "{file}");
    }
    let environs = place.processes().into_iter().map(|pid| std::fs::read(format!("/proc/{pid}/environ")));
    let environs: Vec<String> =
        environs.map(|it| String::from_utf8_lossy(&it.unwrap()).into_owned()).collect();
    assert!(environs.iter().filter(|it| it.contains("SECRET=hunter3-other")).count() >= 2, "{environs:?}");
    assert!(!environs.iter().any(|it| it.contains("hunter2")), "{environs:?}");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn status_without_the_secrets_finds_all_as_it_was_left_and_what_was_changed() {
    let place = place();
    assert_eq!(not_present(&place, &[]), [""; 0]);
    desire(&place, "hunter3-other");
    assert_eq!(not_present(&place, &["-f", "detc.json"]), [""; 0]);
    place.write("own", "changed");
    place.write("t", "changed");
    let other = "\"drifted\" \"`template` is \\\"(other than it was left)\\\", not ";
    let found = not_present(&place, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, file) in found.iter().zip(["own", "t"]) {
        assert!(found.starts_with(&format!("\"file/{file}\" {other}")), "{found}");
    }
    let plan = place.fleet(&["-f", "detc.json", "plan"]).exits(0);
    assert_eq!(plan.out.matches("behind detc's back").count(), 2, "{}", plan.out);
    assert!(!plan.out.contains("hunter") && !plan.err.contains("hunter"), "{plan:?}");
}

#[test]
fn what_became_sensitive_only_after_it_was_made_has_not_drifted_either() {
    let place = Place::new();
    let desire = |secret: &str, sensitive: &[&str]| {
        place.desire(&[
            json!({ "kind": "process", "name": "p", "dir": place.text(""), "command": ["/bin/sleep", "1000"],
                               "env": { "SECRET": secret }, "sensitive": sensitive }),
        ]);
    };
    desire("hunter2-first", &[]);
    place.apply();
    desire("hunter2-first", &["env.SECRET"]);
    place.apply();
    desire("hunter3-other", &["env.SECRET"]);
    place.fleet(&["plan"]).exits(0).shows("the desired state changed)").hides("drift");
    // And what is sensitive no longer is the same as long as it has the same value.
    place.apply();
    desire("hunter3-other", &[]);
    place.fleet(&["plan"]).exits(0).shows("~ record process/p");
}

#[test]
fn what_was_made_of_a_sensitive_template_is_removed_without_it() {
    let place = Place::new();
    place.write("t.j2", "key={{ key }}\n");
    let file = |name: &str, more: Value| {
        let mut file = more;
        (file["kind"], file["name"], file["path"]) = ("file".into(), name.into(), place.text(name).into());
        file
    };
    let given = json!({ "source": "t.j2", "vars": { "key": "hunter2-first" } });
    place.write("plain.j2", "no key\n");
    let plain = json!({ "source": "plain.j2", "vars": {} });
    let all = [
        file("whole", json!({ "template": &given, "sensitive": ["template"] })),
        file("vars", json!({ "template": &given, "sensitive": ["template.vars"] })),
        file("source", json!({ "template": &plain, "sensitive": ["template.source"] })),
        file("copy", json!({ "source": "plain.j2", "sensitive": ["source"] })),
    ];
    place.desire(&all);
    place.apply();
    place.fleet(&["status"]).exits(0).shows("All 4 resources are as they should be.");
    place.desire(&all[1..]);
    place.apply();
    assert!(!place.path("whole").exists());
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!["vars", "source", "copy"].iter().any(|name| place.path(name).exists()));
    place.fleet(&["status"]).exits(0).shows("Nothing is recorded here.");
}

#[test]
fn a_template_that_is_wrong_is_refused_where_its_values_are_sensitive_too() {
    let place = Place::new();
    place.write("t.j2", "ok\n{{ nope }}\n");
    for sensitive in [&[][..], &["template"]] {
        for input in [json!("hunter2"), json!({ "a": "hunter2" })] {
            place.desire(&[
                json!({ "kind": "value", "name": "tok", "input": input, "sensitive": ["input"] }),
                json!({ "kind": "file", "name": "t", "path": place.text("t"), "sensitive": sensitive,
                        "template": { "source": "t.j2", "vars": { "key": { "from": "value/tok", "output": "input" } } } }),
            ]);
            place
                .fleet(&["plan"])
                .exits(64)
                .complains("line 2 of the template")
                .complains("`nope` is not defined");
        }
    }
    // What is wrong is told without the secret.
    place.write("t.j2", "{{ key | int }}{{ key.nope.more }}");
    place.desire(&[
        json!({ "kind": "value", "name": "tok", "input": "hunter2", "sensitive": ["input"] }),
        json!({ "kind": "file", "name": "t", "path": place.text("t"),
                "template": { "source": "t.j2", "vars": { "key": { "from": "value/tok", "output": "input" } } } }),
    ]);
    let ran = place.fleet(&["plan"]).exits(64).complains("line 1 of the template t.j2");
    assert!(!ran.err.contains("hunter"), "{}", ran.err);
}

#[test]
fn two_sensitive_values_that_differ_are_not_told_as_the_same() {
    let place = Place::new();
    place
        .desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "hunter2-first",
                           "sensitive": ["content"] })]);
    place.apply();
    place.write("f", "hunter3-other");
    place.fleet(&["status"]).exits(0).shows("drifted  `content` is another value, which is sensitive");
}
