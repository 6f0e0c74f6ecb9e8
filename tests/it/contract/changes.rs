//! Which changes follow from what is desired, recorded and seen.

use serde_json::{Value, json};

use crate::support::Place;

fn file(place: &Place, name: &str, content: &str) -> Value {
    json!({ "kind": "file", "name": name, "path": place.text(name), "content": content })
}

#[test]
fn drift_is_repaired_and_told_apart_from_intent() {
    let place = Place::new();
    place.desire(&[file(&place, "a", "1"), file(&place, "b", "1")]);
    place.apply();
    place.write("a", "meddled");
    place.desire(&[file(&place, "a", "1"), file(&place, "b", "2")]);
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    let cause = |id: &str| {
        let changes = plan["changes"].as_array().unwrap();
        let change = changes.iter().find(|change| change["resource"] == id).unwrap();
        (
            change["fields"][0]["cause"].as_str().unwrap().to_owned(),
            change["reason"].as_str().unwrap().to_owned(),
        )
    };
    let (drift, intent) = (cause("file/a"), cause("file/b"));
    assert!(drift.0 == "drift" && drift.1.contains("drift"), "{drift:?}");
    assert!(intent.0 == "intent" && !intent.1.contains("drift"), "{intent:?}");
    place.apply();
    assert_eq!((place.read("a"), place.read("b")), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn what_is_no_longer_in_the_file_is_deleted_and_what_was_never_recorded_stays() {
    let place = Place::new();
    let dir = json!({ "kind": "directory", "name": "d", "path": place.text("d") });
    let inner = json!({ "kind": "file", "name": "in", "path": place.text("d/in"), "content": "x" });
    place.desire(&[dir, inner, file(&place, "keep", "k")]);
    place.write("foreign", "not ours");
    place.apply();
    place.desire(&[file(&place, "keep", "k")]);
    let ran = place.apply();
    assert!(!place.path("d").exists() && place.path("keep").exists() && place.path("foreign").exists());
    assert!(
        ran.err.find("delete:file/in").unwrap() < ran.err.find("delete:directory/d").unwrap(),
        "{}",
        ran.err
    );
}

#[test]
fn what_was_there_before_is_adopted_and_outlives_destroy() {
    let place = Place::new();
    place.write("precious", "data");
    place.desire(&[file(&place, "precious", "data"), file(&place, "made", "m")]);
    place.apply();
    place.desire(&[file(&place, "precious", "changed"), file(&place, "made", "m")]);
    place.apply();
    let plan = place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(plan.out.contains("it was there before detc and is left as it is"), "{}", plan.out);
    assert_eq!(place.read("precious"), "changed");
    assert!(!place.path("made").exists());
    assert!(place.fleet(&["--json", "status"]).exits(0).json()["resources"].as_array().unwrap().is_empty());
}

#[test]
fn a_directory_that_holds_what_detc_did_not_make_is_left() {
    let place = Place::new();
    place.desire(&[json!({ "kind": "directory", "name": "d", "path": place.text("d") })]);
    place.apply();
    place.write("d/precious", "data");
    place.desire(&[]);
    let ran = place.apply();
    assert_eq!(place.read("d/precious"), "data");
    assert!(ran.err.contains("stays"), "{}", ran.err);
    let left = format!("! delete:directory/d: {} stays, since it is not empty\n", place.text("d"));
    assert!(ran.out.contains(&left), "{}", ran.out);
    ran.shows("Done: 0 of 1 actions had an effect, 1 left something. ");
}

#[test]
fn a_reference_orders_and_carries_the_value() {
    let place = Place::new();
    place.desire(&[
        json!({ "kind": "file", "name": "out", "path": place.text("out"),
                "content": { "from": "command/ask", "output": "stdout" } }),
        json!({ "kind": "command", "name": "ask", "run": ["/bin/echo", "42"] }),
    ]);
    place.apply();
    assert_eq!(place.read("out"), "42\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_change_of_a_value_reaches_what_refers_to_it_in_the_same_run() {
    let place = Place::new();
    let desire = |port: u32| {
        place.desire(&[
            json!({ "kind": "value", "name": "port", "input": { "number": port, "text": port.to_string() } }),
            json!({ "kind": "file", "name": "f", "path": place.text("f"),
                    "content": { "from": "value/port", "output": "input.text" } }),
        ]);
    };
    for port in [80, 81] {
        desire(port);
        place.apply();
        assert_eq!(place.read("f"), port.to_string());
        place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn only_takes_what_is_needed_along_and_except_leaves_what_depends_out() {
    let place = Place::new();
    let dir = json!({ "kind": "directory", "name": "d", "path": place.text("d") });
    let inner = json!({ "kind": "file", "name": "in", "path": place.text("d/in"), "content": "x" });
    place.desire(&[dir, inner, file(&place, "other", "o")]);
    place.fleet(&["apply", "--yes", "--only", "file/in"]).exits(0);
    assert!(place.path("d/in").exists() && !place.path("other").exists());
    place.fleet(&["destroy", "--yes"]).exits(0);
    place.fleet(&["apply", "--yes", "--except", "directory/*"]).exits(0);
    assert!(!place.path("d").exists() && place.path("other").exists());
    place.fleet(&["plan", "--only", "file/none-such"]).exits(64).complains("file/none-such");
}

#[test]
fn several_files_are_merged_and_a_resource_in_two_of_them_is_refused() {
    let place = Place::new();
    let whole = |resources: Value| json!({ "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": resources });
    place.write("a.json", whole(json!([{ "kind": "value", "name": "a", "input": 1 }])).to_string());
    place.write("b.yaml", "version: 1\nresources:\n- kind: value\n  name: b\n  input: 2\n");
    place.write("c.toml", "version = 1\n[[resources]]\nkind = \"value\"\nname = \"c\"\ninput = 3\n");
    let all = ["-f", "a.json", "-f", "b.yaml", "-f", "c.toml"];
    place.fleet(&[&all[..], &["apply", "--yes"]].concat()).exits(0).shows("3 to create");
    place.fleet(&[&all[..], &["plan", "--detailed-exitcode"]].concat()).exits(0);
    place.fleet(&["-f", "a.json", "-f", "a.json", "plan"]).exits(64).complains("`here` is given twice");
    place.write("d.yml", "version: 1\nresources:\n- kind: value\n  name: b\n  input: 4\n");
    place.fleet(&["-f", "b.yaml", "-f", "d.yml", "plan"]).exits(64).complains("value/b").complains("d.yml");
}

#[test]
fn the_three_formats_say_the_same() {
    let place = Place::new();
    place.write("s.json", r#"{"version": 1, "resources": [{"kind": "value", "name": "v", "input": {"a": [1, 2.5, "x", true]}}]}"#);
    place.write(
        "s.yaml",
        "version: 1\nresources:\n- kind: value\n  name: v\n  input: {a: [1, 2.5, x, true]}\n",
    );
    place.write(
        "s.toml",
        "version = 1\n[[resources]]\nkind = \"value\"\nname = \"v\"\ninput = { a = [1, 2.5, \"x\", true] }\n",
    );
    let id = |file: &str| place.fleet(&["-f", file, "--json", "plan"]).exits(0).json()["changes"].clone();
    assert_eq!(id("s.json"), id("s.yaml"));
    assert_eq!(id("s.json"), id("s.toml"));
}

#[test]
fn a_protected_resource_is_not_deleted() {
    let place = Place::new();
    let mut kept = file(&place, "f", "x");
    kept["protect"] = true.into();
    place.desire(&[kept]);
    place.apply();
    place.desire(&[]);
    place.fleet(&["plan"]).exits(3).complains("file/f").complains("protect");
    place.fleet(&["destroy", "--yes"]).exits(3).complains("file/f");
    assert!(place.path("f").exists());
    place.desire(&[file(&place, "f", "x")]);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("f").exists());
}

#[test]
fn of_a_source_or_a_template_the_lines_that_change_are_shown() {
    let place = Place::new();
    let desire = |vars: &serde_json::Value, fields: &serde_json::Value| {
        let file = |name: &str, from: (&str, serde_json::Value)| {
            let mut file = json!({ "kind": "file", "name": name, "path": place.text(name) });
            file[from.0] = from.1;
            file.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            file
        };
        let template = json!({ "source": "t.in", "vars": vars });
        place.desire(&[file("s", ("source", json!("s.in"))), file("t", ("template", template))]);
    };
    let nothing = json!({});
    place.write("s.in", "one\ntwo\nthree\n");
    place.write("t.in", "port={{ port }}\nmode=fast\n");
    desire(&json!({ "port": 80 }), &nothing);
    place.apply();

    place.write("s.in", "one\n2\nthree\n");
    desire(&json!({ "port": 81 }), &nothing);
    let lines = "content: 1 line out, 1 in\n        one\n      - two\n      + 2\n        three\n";
    let rendered = "content: 1 line out, 1 in\n      - port=80\n      + port=81\n        mode=fast\n";
    let plan =
        place.fleet(&["plan"]).exits(0).shows(lines).shows(rendered).shows("template.vars.port: 80 → 81");
    assert!(plan.out.contains("source.digest: "), "{}", plan.out);
    let fields = place.fleet(&["--json", "plan"]).exits(0).json()["changes"][0]["fields"].clone();
    assert_eq!(
        fields[0],
        json!({ "path": "content", "from": "one\ntwo\nthree\n", "to": "one\n2\nthree\n", "cause": "intent" })
    );
    place.apply();

    // What drifted is told so, and a text of one line on its line.
    place.write("s", "one\nII\nthree\n");
    place.write("t", "gone");
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("content: 1 line out, 1 in (drift)\n")
        .shows("      - II\n")
        .shows("      - gone\n");
    place.apply();

    // Not where something is sensitive, or was: the text may hold it.
    let sensitive = json!({ "sensitive": ["mode"], "mode": "0600" });
    for (content, fields) in [("first\nthen\n", sensitive), ("first\nlast\n", nothing)] {
        place.write("s.in", content);
        desire(&json!({ "port": content }), &fields);
        place.fleet(&["plan"]).exits(0).shows("2 to update").hides("content").hides("- two");
        place.apply();
    }
    // Nor what is no text.
    place.write("s.in", [0xff, 0xfe]);
    place.fleet(&["plan"]).exits(0).shows("1 to update").hides("content");
}

#[test]
fn status_says_where_a_text_is_not_compared_for_want_of_its_template() {
    let place = Place::new();
    place.write("t.in", "port={{ port }}\n");
    let template = json!({ "source": "t.in", "vars": { "port": 80 } });
    place.desire(&[json!({ "kind": "file", "name": "t", "path": place.text("t"), "template": template })]);
    place.apply();
    let uncompared = "its text is not compared: the template that it was rendered from is not at hand";
    let status = place.fleet(&["status"]).exits(0).shows("file/t  present").shows(uncompared);
    status.shows("0 of 1 resources are as they should be. 1 could not be compared as a whole.");
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    assert_eq!(status["resources"][0]["uncompared"], json!(["template"]));
    let status =
        place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("file/t  present").hides(uncompared);
    status.shows("The only resource is as it should be.\n").hides("compared");
    place.write("t", "port=81\n");
    place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("file/t  drifted");
    place.write("t.in", "{{ port }}\n");
    place.fleet(&["-f", "detc.json", "status"]).exits(0).shows("file/t  present").shows(uncompared);
}
