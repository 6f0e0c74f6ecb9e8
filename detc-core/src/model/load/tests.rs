use std::path::Path;

use expect_test::{Expect, expect};

use super::{Format, merge, read_within};
use crate::model::{Desired, HostSpec, InvalidState};
use crate::resource::{Nowhere, Registry};

fn read(text: &str, format: Format) -> Result<Desired, InvalidState> {
    let mut desired = Desired::new();
    let registry = Registry::new();
    merge(&mut desired, "fleet", text, format, Path::new("."), &registry)?;
    desired.check(&registry)?;
    Ok(desired)
}

#[track_caller]
fn refuses(text: &str, expected: &Expect) {
    let error = read(text, Format::Json).unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[cfg(all(feature = "yaml", feature = "toml"))]
const GOOD: &str = r#"{
  "version": 1,
  "resources": [
    { "kind": "value", "name": "v1", "input": { "b": 1, "a": "x" }, "labels": { "app": "web" } },
    { "kind": "value", "name": "v2", "after": ["value/v1"],
      "input": { "any": ["json", { "from": "value/v1", "output": "input" }] }, "protect": false }
  ],
  "invariants": [ { "name": "up", "available": { "kind": "value" }, "at_least": 1 } ]
}"#;

#[test]
#[cfg(all(feature = "yaml", feature = "toml"))]
fn a_file_reads_the_same_in_all_three_formats() {
    let json = read(GOOD, Format::Json).unwrap();
    let yaml = "
version: 1
resources:
  - kind: value
    name: v1
    input: { b: 1, a: x }
    labels: { app: web }
  - kind: value
    name: v2
    after: [value/v1]
    input:
      any: [json, { from: value/v1, output: input }]
    protect: false
invariants:
  - { name: up, available: { kind: value }, at_least: 1 }
";
    let toml = r#"
version = 1
[[resources]]
kind = "value"
name = "v1"
input = { b = 1, a = "x" }
labels = { app = "web" }
[[resources]]
kind = "value"
name = "v2"
after = ["value/v1"]
input.any = ["json", { from = "value/v1", output = "input" }]
protect = false
[[invariants]]
name = "up"
available = { kind = "value" }
at_least = 1
"#;
    for (text, format, lines) in [(yaml, Format::Yaml, [4, 8]), (toml, Format::Toml, [3, 8])] {
        let mut other = read(text, format).unwrap();
        let found: Vec<u32> = other.resources.values().map(|resource| resource.origin.line).collect();
        assert_eq!(found, lines, "{format:?}");
        for (resource, original) in other.resources.values_mut().zip(json.resources.values()) {
            resource.origin = original.origin;
            assert_eq!(resource, original, "{format:?}");
        }
        assert_eq!(other.invariants, json.invariants);
    }
    assert_eq!(json.resources[0].spec.text(), r#"{"input":{"a":"x","b":1}}"#);
}

#[test]
fn an_unknown_field_is_refused() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"a","input":1},
  {"kind":"value","name":"b","inptu":1}]}"#,
        &expect!["fleet:3: value/b: unknown field `inptu`: did you mean `input`?"],
    );
    refuses(
        r#"{"version":1,"resource":[]}"#,
        &expect!["fleet:1: unknown field `resource`: did you mean `resources`?"],
    );
}

#[test]
fn a_duplicate_is_refused_wherever_it_is() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"a","input":1},
  {"kind":"value","name":"a","input":2}]}"#,
        &expect!["fleet:3: value/a: is given twice; first at fleet:2"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,"input":2}]}"#,
        &expect!["fleet:1: value/a: `input` is given twice"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":{"x":1,"x":2}}]}"#,
        &expect!["fleet:1: value/a: `input`: `x` is given twice"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,"labels":{"app":"web","app":"db"}}]}"#,
        &expect!["fleet:1: value/a: `labels`: `app` is given twice"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,
  "ownership":{"input":"seed","input":"own"}}]}"#,
        &expect!["fleet:2: value/a: `ownership`: `input` is given twice"],
    );
}

#[test]
fn a_dangling_id_is_refused_with_the_nearest() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"alpha","input":1},
  {"kind":"value","name":"b","input":2,"after":["value/alhpa"]}]}"#,
        &expect![
            "fleet:3: value/b: is after value/alhpa, which is not in the desired state (did you mean `value/alpha`?)"
        ],
    );
}

#[test]
fn a_missing_output_is_refused_with_those_there_are() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"a","input":1},
  {"kind":"value","name":"b","input":{"from":"value/a","output":"output"}}]}"#,
        &expect!["fleet:3: value/b: a value has no output `output`: it has input"],
    );
}

#[test]
fn a_loop_is_refused_as_its_shortest() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"a","input":1,"after":["value/b"]},
  {"kind":"value","name":"b","input":1,"after":["value/c"]},
  {"kind":"value","name":"c","input":1,"after":["value/a", "value/b"]}]}"#,
        &expect![
            "fleet:3: value/b: a loop: value/b → value/c → value/b; each one comes after the next (remove one of these `after`, references or `restart_on`)"
        ],
    );
}

#[test]
fn syntax_kinds_hosts_ids_and_versions_are_checked() {
    refuses("{\"version\":1,\n\"resources\":[}", &expect!["fleet:2: a value is expected here"]);
    refuses(
        r#"{"version":1,"resources":[{"kind":"valeu","name":"a","input":1}]}"#,
        &expect!["fleet:1: valeu/a: unknown kind `valeu`: this program has value (did you mean `value`?)"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,"host":"h1"}]}"#,
        &expect!["fleet:1: value/a: a value lives on no host: remove `host: h1`"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","input":1}]}"#,
        &expect!["fleet:1: `name` is missing"],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,"after":["b"]}]}"#,
        &expect!["fleet:1: value/a: `after[0]`: `b` is not a resource id: expected `kind/name`"],
    );
    refuses(r#"{"version":2}"#, &expect!["fleet:1: `version` is 2: this program reads version 1"]);
    refuses(r#"{}"#, &expect!["fleet:1: `version` is missing (add the field `version`, which is 1)"]);
    refuses(
        r#"{"version":1,"hosts":{"h":{"connect":"carrier-pigeon://x"}}}"#,
        &expect![
            "fleet:1: host h: no connector for `carrier-pigeon://x`: this program has none (a program has those that it gives its registry: `Registry::with_connector`)"
        ],
    );
    refuses(
        r#"{"version":1,"resources":[{"kind":"value","name":"a","input":1,"restart_on":["value/a"]}]}"#,
        &expect!["fleet:1: value/a: a value has nothing to restart: remove `restart_on`"],
    );
}

#[test]
fn an_invariant_is_read_strictly() {
    refuses(
        r#"{"version":1,"invariants":[{"name":"up","available":{},"at_least":1,"at_most":2}]}"#,
        &expect!["fleet:1: invariant `up`: has `at_least` and `at_most`: expected one of them"],
    );
    refuses(
        r#"{"version":1,"invariants":[{"name":"up","available":{}}]}"#,
        &expect!["fleet:1: invariant `up`: expected one of `at_least` and `at_most`"],
    );
    refuses(
        r#"{"version":1,"invariants":[{"name":false,"available":{},"at_least":1}]}"#,
        &expect!["fleet: invariant `without a name`: `name` must be text, not false: write it with quotes"],
    );
    refuses(
        r#"{"version":1,"invariants":[{"name":"up","available":{"kidn":"x"},"at_least":1}]}"#,
        &expect!["fleet:1: invariant `up`: unknown field `kidn`: did you mean `kind`?"],
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    refuses(
        r#"{"version":1,"hosts":{"h":{"connect":"pigeon"}},"resources":[
  {"kind":"value","nam":"a","input":1},
  {"kind":"value","name":"b","input":1,"labels":{"tier":1}},
  {"kind":"value","name":"c","input":1},
  {"kind":"value","name":"d","input":1,"after":"value/c"}]}"#,
        &expect![[r#"
            fleet:1: host h: no connector for `pigeon`: this program has none (a program has those that it gives its registry: `Registry::with_connector`)
            fleet:2: `name` is missing: did you mean it by `nam`?
            fleet:3: value/b: `labels.tier` must be text, not the number 1: write "1", with quotes
            fleet:5: value/d: `after` must be a list, not the text "value/c": write ["value/c"]"#]],
    );
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"a","inptu":1},
  {"kind":"value","name":"alpha","input":1,"after":["value/aplha", "valve/b", "value/x"]},
  {"kind":"value","name":"b","input":1}]}"#,
        &expect![[r#"
            fleet:2: value/a: unknown field `inptu`: did you mean `input`?
            fleet:3: value/alpha: is after value/aplha, which is not in the desired state (add value/aplha, or remove what names it)
            fleet:3: value/alpha: is after valve/b, which is not in the desired state (did you mean `value/b`?)
            fleet:3: value/alpha: is after value/x, which is not in the desired state (did you mean `value/a`?)"#]],
    );
    let many: Vec<String> = (0..25).map(|n| format!(r#"{{"kind":"value","name":"n{n}"}}"#)).collect();
    let error =
        read(&format!(r#"{{"version":1,"resources":[{}]}}"#, many.join(",")), Format::Json).unwrap_err();
    assert_eq!(error.others.len(), 20);
    assert!(error.to_string().ends_with("\nand 5 more"), "{error}");
}

#[test]
fn a_number_that_would_be_rounded_is_refused_wherever_it_is() {
    let input = |input: &str| {
        format!(r#"{{"version":1,"resources":[{{"kind":"value","name":"a","input":{input}}}]}}"#)
    };
    for rounded in ["18446744073709551616", "-9223372036854775809", r#"{"x":[18446744073709551616]}"#] {
        let error = read(&input(rounded), Format::Json).unwrap_err().to_string();
        assert!(error.contains("64 bits"), "{rounded}: {error}");
    }
    for kept in
        ["18446744073709551615", "-9223372036854775808", "1e30", r#"{"n":1e30,"t":"\"18446744073709551616"}"#]
    {
        let desired = read(&input(kept), Format::Json).unwrap();
        let exact: serde_json::Value = serde_json::from_str(kept).unwrap();
        assert_eq!(desired.resources[0].spec.value()["input"], exact);
    }
}

#[test]
fn a_host_in_two_files_is_told_with_both() {
    let text = r#"{"version":1,
 "hosts":{"h":{"connect":"local"}}}"#;
    let registry = Registry::new().with_connector(Nowhere);
    let mut desired = Desired::new();
    let mut read = |name| merge(&mut desired, name, text, Format::Json, Path::new("."), &registry);
    read("a.json").unwrap();
    assert_eq!(read("b.json").unwrap_err().to_string(), "b.json:2: host `h` is given twice; first in a.json");
}

#[test]
fn a_host_is_called_by_what_can_be_the_name_of_a_folder() {
    let registry = Registry::new().with_connector(Nowhere);
    let refused = |name: &str| {
        let document = serde_json::json!({ "version": 1, "hosts": { name: { "connect": "local" } } });
        let mut desired = Desired::new();
        let text = document.to_string();
        merge(&mut desired, "fleet", &text, Format::Json, Path::new("."), &registry)
            .err()
            .map(|error| error.to_string())
    };
    for name in ["h1", "web-1.example.com", "[::1]", "Büro"] {
        assert_eq!(refused(name), None);
    }
    let long = "h".repeat(256);
    for name in ["", "../../esc", "a/b", ".", "..", "a b", "a\u{1b}[31m", "\u{202f}", &long] {
        let told = refused(name).unwrap_or_else(|| panic!("{name:?} is taken"));
        assert!(told.contains(&format!("{name:?} is not the name of a host")), "{told}");
    }
    expect![[r#"
        fleet:1: ".." is not the name of a host: expected 1 to 255 bytes without `/`, white space and control characters, and neither `.` nor `..` (a folder of detc's own is called by it, too)"#]]
    .assert_eq(&refused("..").unwrap_or_default());
    let made = Desired::new().host("../up", HostSpec::local());
    assert!(made.check(&registry).is_err(), "nor is one that a program gives");
}

#[test]
#[cfg(feature = "yaml")]
fn what_yaml_reads_otherwise_than_it_is_meant_is_told_with_what_to_write() {
    let refuses = |text: &str, expected: &Expect| {
        expected.assert_eq(&read(text, Format::Yaml).unwrap_err().to_string());
    };
    let of = |line: &str| format!("version: 1\nresources:\n- kind: value\n  name: a\n  input: 1\n  {line}\n");
    refuses(
        &of("labels: { v: 1.10 }"),
        &expect![[
            r#"fleet:3: value/a: `labels.v` must be text, not the number 1.1: write "1.1", with quotes"#
        ]],
    );
    refuses(
        &of("labels: { v: true }"),
        &expect!["fleet:3: value/a: `labels.v` must be text, not true: write it with quotes"],
    );
    refuses(
        &of("protect: yes"),
        &expect![[
            r#"fleet:3: value/a: `protect` must be true or false, not the text "yes": write true, without quotes"#
        ]],
    );
    let text = read(&of("labels: { v: y }"), Format::Yaml).unwrap();
    assert_eq!(text.resources[0].extra().labels["v"], "y");
    refuses(
        &of("after: value/b"),
        &expect![[r#"fleet:3: value/a: `after` must be a list, not the text "value/b": write ["value/b"]"#]],
    );
    refuses(
        "version: 1\nresources:\n- kind: value\n\tname: a\n",
        &expect!["fleet:3: YAML is indented with spaces, and there is a tab"],
    );
    refuses("version: 1\nresources:\n  kind: value\n", &expect!["fleet:3: `resources` must be a list"]);
    refuses(
        "version: 1\nresource: []\n",
        &expect!["fleet:2: unknown field `resource`: did you mean `resources`?"],
    );
    refuses("", &expect!["fleet: is empty (begin with the field `version`, which is 1)"]);
    refuses(
        "version: 1\nresources:\n- { kind: value, name: a, input: 18446744073709551616 }\n",
        &expect!["fleet:3: the number 18446744073709551616 takes more than 64 bits: write it as text"],
    );
}

#[test]
fn no_more_is_read_of_an_input_than_a_file_may_have() {
    assert_eq!(read_within(&b"abcd"[..], 4).unwrap().as_deref(), Some(&b"abcd"[..]));
    assert_eq!(read_within(&b"abcde"[..], 4).unwrap(), None);
    assert_eq!(read_within(std::io::repeat(b'a'), 4).unwrap(), None);
}

/// Who adds a property to the reader adds it to the list by which a kind's fields are refused, too.
#[test]
fn what_every_resource_may_have_is_no_field_of_its_kind() {
    for property in crate::model::PROPERTIES {
        let value = match property {
            "kind" | "name" => continue,
            "host" => r#""here""#,
            "protect" => "true",
            "labels" | "ownership" => "{}",
            "renamed_from" => r#""value/w""#,
            _ => "[]",
        };
        let resource = format!(r#"{{"kind":"value","name":"v","input":1,"{property}":{value}}}"#);
        let text = format!(r#"{{"version":1,"resources":[{resource}]}}"#);
        let mut desired = Desired::new();
        merge(&mut desired, "fleet", &text, Format::Json, Path::new("."), &Registry::new()).unwrap();
        assert_eq!(desired.resources[0].spec.text(), r#"{"input":1}"#, "{property}");
    }
}

mod files;
mod texts;
