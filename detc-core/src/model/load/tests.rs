use std::path::Path;

use expect_test::{Expect, expect};

use super::{Format, merge};
use crate::model::{Desired, InvalidState};
use crate::resource::Registry;

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
    let hint = error.hint.as_ref().map(|hint| format!("\n  {hint}")).unwrap_or_default();
    expected.assert_eq(&format!("{error}{hint}"));
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
        &expect!["fleet:3: value/b: unknown field `inptu`: value has input"],
    );
    refuses(
        r#"{"version":1,"resource":[]}"#,
        &expect![
            "fleet:1: unknown field `resource`, expected one of `version`, `hosts`, `resources`, `invariants`"
        ],
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
}

#[test]
fn a_dangling_id_is_refused_with_the_nearest() {
    refuses(
        r#"{"version":1,"resources":[
  {"kind":"value","name":"alpha","input":1},
  {"kind":"value","name":"b","input":2,"after":["value/alhpa"]}]}"#,
        &expect![[r#"
            fleet:3: value/b: is after value/alhpa, which is not in the desired state
              did you mean `value/alpha`?"#]],
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
        &expect![[r#"
            fleet:3: value/b: a loop: value/b → value/c → value/b; each one comes after the next
              remove one of these `after`, references or `restart_on`"#]],
    );
}

#[test]
fn syntax_kinds_hosts_ids_and_versions_are_checked() {
    refuses("{\"version\":1,\n\"resources\":[}", &expect!["fleet:2: expected value"]);
    refuses(
        r#"{"version":1,"resources":[{"kind":"valeu","name":"a","input":1}]}"#,
        &expect![[r#"
            fleet:1: valeu/a: unknown kind `valeu`: this program has value
              did you mean `value`?"#]],
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
        &expect!["fleet:1: value/a: `b` is not a resource id: expected `kind/name`"],
    );
    refuses(r#"{"version":2}"#, &expect!["fleet: `version` is 2: this program reads version 1"]);
    refuses(r#"{}"#, &expect!["fleet:1: missing field `version`"]);
    refuses(
        r#"{"version":1,"hosts":{"h":{"connect":"carrier-pigeon://x"}}}"#,
        &expect!["fleet: host h: no connector for `carrier-pigeon://x`: this program has "],
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
        &expect!["fleet: invariant `up`: expected one of `at_least` and `at_most`"],
    );
    refuses(
        r#"{"version":1,"invariants":[{"name":"up","available":{"kidn":"x"},"at_least":1}]}"#,
        &expect!["fleet: invariant `up`: unknown field `kidn`, expected one of `kind`, `host`, `labels`"],
    );
}
