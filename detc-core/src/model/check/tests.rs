//! What is wrong with a desired state, told where it is and with what to write instead.

use std::path::Path;

use async_trait::async_trait;
use expect_test::expect;
use serde::{Deserialize, Serialize};

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::model::load::{Format, merge};
use crate::model::{Edge, Observation};
use crate::resource::{InvalidField, KindTraits, Nowhere, Removed, Resource};

/// Lives on a host at a path, and has fields of every sort.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    path: String,
    #[serde(default)]
    reads: Option<String>,
    #[serde(default)]
    width: Option<u64>,
    #[serde(default)]
    open: Option<bool>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    limits: Option<Limits>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    is_only_read: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    cpu: u64,
    #[serde(default)]
    memory: u64,
}

#[async_trait]
impl Resource for Door {
    const KIND: &'static str = "door";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { host: HostNeed::Required, sensitive: &["code"], ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        if !self.path.starts_with('/') && self.path != crate::resource::LATER {
            return Err(InvalidField::new("path", "must be absolute"));
        }
        if self.code.as_deref().is_some_and(|code| code.len() < 4) {
            return Err(InvalidField::new("code", format!("is too short: {:?}", self.code)));
        }
        let footprint = Footprint::new(CrashClass::DeterministicName);
        let footprint = if self.is_only_read { footprint } else { footprint.owning(Place::path(&self.path)) };
        Ok(match &self.reads {
            Some(path) => footprint.reading(Place::path(path)),
            None => footprint,
        })
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("checks are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("checks are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("checks are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("checks are pure")
    }
}

fn registry() -> Registry {
    Registry::new().with_resource::<Door>().with_connector(Nowhere)
}

/// A desired state of these lines, each a resource; those without a host are on `h`.
fn desired(resources: &[&str], invariants: &str) -> Result<Desired, InvalidState> {
    let text = format!(
        "{{\"version\":1,\"hosts\":{{\"h\":{{\"connect\":\"local\"}},\"i\":{{\"connect\":\"local\"}}}},\
         \"invariants\":[{invariants}],\"resources\":[\n{}]}}",
        resources.join(",\n")
    );
    let mut desired = Desired::new();
    merge(&mut desired, "f", &text, Format::Json, Path::new("."), &registry())?;
    Ok(desired)
}

fn door(name: &str, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!("{{\"kind\":\"door\",\"name\":\"{name}\",\"host\":\"h\"{comma}{fields}}}")
}

/// What is said of each of these doors beside a value.
fn said<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let value = r#"{"kind":"value","name":"v","input":{"n":7,"b":true,"list":[1,2],"t":"text","later":{"from":"value/w","output":"input"}}}"#;
    let other = r#"{"kind":"value","name":"w","input":"a"}"#;
    let said = |fields: &str| {
        let beside = door("other", r#""path":"/other""#);
        let checked = desired(&[value, other, &door("d", fields), &beside], "")
            .and_then(|desired| desired.check(&registry()).map(drop));
        checked.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    };
    fields.into_iter().map(said).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_that_is_wrong_with_fields_is_told_at_once() {
    let fields = [
        r#""path":"/d""#,
        r#""#,
        r#""path":"d","width":"w","open":7,"keys":"k","limits":[]"#,
        r#""path":"/d","wdith":7,"oepn":"true""#,
        r#""path":"/d","limits":{}"#,
        r#""path":"/d","limits":{"cpu":"x","memroy":1}"#,
        r#""path":"/d","keys":[1,2]"#,
        r#""path":"/d","limits":{"cpu":"x","memory":"y"},"keys":{}"#,
        r#""path":1,"reads":2,"width":"3","open":4,"keys":5,"limits":6,"code":7,"a":8,"b":9,"c":10,"e":11,"f":12"#,
    ];
    expect![[r#"
        nothing
        f:4: door/d: `path` is missing
        f:4: door/d: `keys` must be a list, not the text "k": write ["k"]
        f:4: door/d: `limits` must be an object, not a list
        f:4: door/d: `open` must be true or false, not the number 7
        f:4: door/d: `width` must be a whole number, 0 or more, not the text "w"
        f:4: door/d: `path` must be absolute
        f:4: door/d: unknown field `oepn`: did you mean `open`?
        f:4: door/d: `open` must be true or false, not the text "true": write true, without quotes
        f:4: door/d: unknown field `wdith`: did you mean `width`?
        f:4: door/d: `limits`: `cpu` is missing
        f:4: door/d: `limits.cpu` must be a whole number, 0 or more, not the text "x"
        f:4: door/d: `limits`: unknown field `memroy`: did you mean `memory`?
        f:4: door/d: `limits`: `cpu` is missing
        f:4: door/d: `keys[0]` must be text, not the number 1: write "1", with quotes
        f:4: door/d: `keys` must be a list, not an object
        f:4: door/d: `limits.cpu` must be a whole number, 0 or more, not the text "x"
        f:4: door/d: `limits.memory` must be a whole number, 0 or more, not the text "y"
        f:4: door/d: `limits`: `cpu` is missing
        f:4: door/d: unknown field `a`: door has path, reads, width, open, keys, limits, code, is_only_read
        f:4: door/d: unknown field `b`: door has path, reads, width, open, keys, limits, code, is_only_read
        f:4: door/d: unknown field `c`: door has path, reads, width, open, keys, limits, code, is_only_read
        f:4: door/d: `code` must be text, not the number (sensitive): write "(sensitive)", with quotes
        f:4: door/d: unknown field `e`: door has path, reads, width, open, keys, limits, code, is_only_read
        f:4: door/d: unknown field `f`: door has path, reads, width, open, keys, limits, code, is_only_read
        f:4: door/d: `keys` must be a list, not the number 5
        f:4: door/d: `limits` must be an object, not the number 6
        f:4: door/d: `open` must be true or false, not the number 4
        f:4: door/d: `path` must be text, not the number 1: write "1", with quotes"#]]
    .assert_eq(&said(fields));
}

#[test]
fn what_is_sensitive_is_not_told_and_has_to_be_there() {
    let fields = [
        r#""path":"/d","code":"abc""#,
        r#""path":"/d","code":777"#,
        r#""path":"s3cret","sensitive":["path"]"#,
        r#""path":"/d","limits":{"cpu":1},"sensitive":["limits.cpu"]"#,
        r#""path":"/d","limits":{"cpu":1},"sensitive":["limits.cup"]"#,
        r#""path":"/d","limits":{"cpu":1},"sensitive":["limits.cpu.x"]"#,
        r#""path":"/d","sensitive":["limits.cpu"]"#,
        r#""path":"/d","sensitive":["limit"]"#,
        r#""path":"/d","limits":{"from":"value/v","output":"input"},"sensitive":["limits.x"]"#,
    ];
    expect![[r#"
        f:4: door/d: `code` is too short: Some("(sensitive)")
        f:4: door/d: `code` must be text, not the number (sensitive): write "(sensitive)", with quotes
        f:4: door/d: `path` must be absolute
        nothing
        f:4: door/d: `sensitive` names `limits.cup`, and there is no `cup` (did you mean `cpu`?)
        nothing
        nothing
        f:4: door/d: `limit` names no field or output: door has path, reads, width, open, keys, limits, code, is_only_read (did you mean `limits`?)
        nothing"#]].assert_eq(&said(fields));
}

#[test]
fn what_is_taken_from_others_has_to_be_there_and_to_fit() {
    let fields = [
        r#""path":{"from":"value/v","output":"input.t"}"#,
        r#""path":"/d","code":{"from":"value/v","output":"input.t"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.n"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.t"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.b"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.none"}"#,
        r#""path":"/d","code":{"from":"door/other","output":"reads"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.n.m"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.list.2"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.list.1"}"#,
        r#""path":"/d","width":{"from":"value/v","output":"input.later.x"}"#,
        r#""path":"/d","code":{"from":"value/v","output":"input.later"}"#,
        r#""path":"/d","code":{"from":"value/v","output":"put"}"#,
        r#""path":"/d","code":{"from":"value/u","output":"input"}"#,
        r#""path":"/d","code":{"from":"value/v"}"#,
    ];
    expect![[r#"
        f:4: door/d: `path` must be absolute (correct `input.t` of value/v, which stands there)
        nothing
        nothing
        f:4: door/d: `width` must be a whole number, 0 or more, not the text "text" (correct `input.t` of value/v, which stands there)
        f:4: door/d: `width` must be a whole number, 0 or more, not true (correct `input.b` of value/v, which stands there)
        f:4: door/d: value/v has no `input.none`: its `input` has no `none`
        f:4: door/d: door/other has no `reads`: it is not given
        f:4: door/d: value/v has no `input.n.m`: its `input.n` has no parts
        f:4: door/d: value/v has no `input.list.2`: its `input.list` has 2 items
        nothing
        nothing
        f:4: door/d: `code` is too short: Some("a") (correct `input.later` of value/v, which stands there)
        f:4: door/d: a value has no output `put`: it has input
        f:4: door/d: needs an output of value/u, which is not in the desired state (did you mean `value/v`?)
        f:4: door/d: {"from":"(sensitive)"} names (sensitive), and is no reference: it has no `output` (write { "from": "(sensitive)", "output": … }, with one of its outputs or fields)
        f:4: door/d: `code` must be text, not an object"#]].assert_eq(&said(fields));
}

#[test]
fn of_what_is_taken_from_a_secret_only_the_sort_is_told() {
    let secret =
        r#"{"kind":"value","name":"s","input":{"n":7,"t":"hidden","b":true,"l":[1]},"sensitive":["input"]}"#;
    let said = |field: &str| {
        let door = door("d", &format!("\"path\":\"/d\",{field}"));
        let checked = desired(&[secret, &door], "").and_then(|desired| desired.check(&registry()).map(drop));
        checked.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    };
    let fields = [
        r#""width":{"from":"value/s","output":"input.n"}"#,
        r#""width":{"from":"value/s","output":"input.t"}"#,
        r#""width":{"from":"value/s","output":"input.b"}"#,
        r#""open":{"from":"value/s","output":"input.n"}"#,
        r#""open":{"from":"value/s","output":"input.b"}"#,
        r#""code":{"from":"value/s","output":"input.t"}"#,
        r#""code":{"from":"value/s","output":"input.n"}"#,
        r#""width":{"from":"value/s","output":"input.l"}"#,
    ];
    expect![[r#"
        nothing
        f:3: door/d: `width` must be a whole number, 0 or more, not a text, which `input.t` of value/s is (refer to a number instead)
        f:3: door/d: `width` must be a whole number, 0 or more, not true or false, which `input.b` of value/s is (refer to a number instead)
        f:3: door/d: `open` must be true or false, not a number, which `input.n` of value/s is (refer to true or false instead)
        nothing
        nothing
        f:3: door/d: `code` must be text, not a number, which `input.n` of value/s is (refer to a text instead)
        nothing"#]].assert_eq(&fields.map(said).join("\n"));
}

#[test]
fn hosts_are_told_by_those_there_are() {
    let said = |resource: &str| desired(&[resource], "").unwrap().check(&registry()).unwrap_err().to_string();
    let none = said(r#"{"kind":"door","name":"d","path":"/d"}"#);
    let other = said(r#"{"kind":"door","name":"d","path":"/d","host":"j"}"#);
    expect![[r#"
        f:2: door/d: a door lives on a host: `host` is missing (declared hosts: h, i)
        f:2: door/d: host `j` is not declared (declared hosts: h, i)"#]]
    .assert_eq(&format!("{none}\n{other}"));
    let door = DesiredResource::from_value("door", "d", &serde_json::json!({"path": "/d"})).unwrap();
    let alone = Desired::new().with(door);
    expect![[r#"door/d: a door lives on a host: `host` is missing (declared hosts: none; add `"hosts": { "here": { "connect": "local" } }`)"#]].assert_eq(&alone.check(&registry()).unwrap_err().to_string());
}

#[test]
fn what_is_changed_outside_of_the_roots_of_its_host_is_told() {
    let said = |roots: &[&str], path: &str| {
        let door = format!(r#"{{"kind":"door","name":"d","path":"{path}","host":"h"}}"#);
        let mut desired = desired(&[door.as_str()], "").unwrap();
        let host = desired.hosts.get_mut(&HostName::new("h")).unwrap();
        host.roots = roots.iter().map(|root| (*root).to_owned()).collect();
        desired.check(&registry()).map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
    };
    let all = [
        said(&[], "/etc/door"),
        said(&["/srv/", "/etc/door"], "/etc/door"),
        said(&["/srv"], "/srv//a/../b"),
        said(&["/srv"], "/srv/a"),
        said(&["/srv"], "/srvs"),
        said(&["srv"], "/srv"),
        said(&["/srv/.."], "/srv"),
    ];
    expect![[r#"
        nothing
        nothing
        f:2: door/d: /srv/a/../b is beneath none of the `roots` of host h: /srv
        nothing
        f:2: door/d: /srvs is beneath none of the `roots` of host h: /srv
        host h: `roots` must be absolute paths without `..`, not "srv"
        host h: `roots` must be absolute paths without `..`, not "/srv/..""#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn what_a_program_adds_to_a_file_is_told_without_a_place_in_it() {
    let desired = desired(&[&door("a", r#""path":"/a""#)], "").unwrap();
    let added = DesiredResource::from_value("door", "b", &serde_json::json!({"path": "b"})).unwrap().on("h");
    expect!["door/b: `path` must be absolute"]
        .assert_eq(&desired.with(added).check(&registry()).unwrap_err().to_string());
}

#[test]
fn what_invariants_sum_is_a_number_known_before() {
    let value = r#"{"kind":"value","name":"v","input":7}"#;
    let said = |field: &str, fields: &str| {
        let sum = format!(
            "{{\"name\":\"sum\",\"total\":{{\"field\":\"{field}\",\"of\":{{\"kind\":\"door\"}}}},\"at_most\":9}}"
        );
        let door = door("d", &format!("\"path\":\"/d\"{fields}"));
        let checked = desired(&[value, &door], &sum).and_then(|desired| desired.check(&registry()).map(drop));
        checked.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    };
    let all = [
        said("width", r#","width":7"#),
        said("width", ""),
        said("width", r#","width":7,"sensitive":["width"]"#),
        said("limits.cpu", r#","limits":{"cpu":7},"sensitive":["limits"]"#),
        said("limits.cpu", r#","limits":{"cpu":7},"sensitive":["limits.memory"]"#),
        said("width", r#","width":{"from":"value/v","output":"input"}"#),
        said("path", ""),
        said("widht", ""),
        said("kinds", ""),
    ];
    expect![[r#"
        nothing
        nothing
        f:3: door/d: `width` is sensitive, and the invariant `sum` sums it (take it out of `sensitive`: a sum tells it)
        f:3: door/d: `limits.cpu` is sensitive, and the invariant `sum` sums it (take it out of `sensitive`: a sum tells it)
        f:3: door/d: `sensitive` names `limits.memory`, and there is no `memory` (correct it, or remove it)
        f:3: door/d: `width` is known only later, and the invariant `sum` sums it (write the number itself)
        f:3: door/d: `path` is no whole number, and the invariant `sum` sums it (write a whole number of at most 64 bits)
        f:1: invariant `sum`: `widht` names no field: door has code, is_only_read, keys, limits, open, path, reads, width (did you mean `width`?)
        f:1: invariant `sum`: `kinds` names no field: door has code, is_only_read, keys, limits, open, path, reads, width"#]].assert_eq(&all.join("\n"));
    let any = r#"{"name":"sum","total":{"field":"cpu","of":{}},"at_most":9}"#;
    let checked = desired(&[&door("d", r#""path":"/d""#), value], any).unwrap().check(&registry());
    expect!["f:1: invariant `sum`: `cpu` names no field of any kind"]
        .assert_eq(&checked.unwrap_err().to_string());
}

#[test]
fn order_follows_from_places() {
    let edges = |doors: &[&str]| {
        let desired = desired(doors, "").unwrap();
        let said = |edge: &Edge| {
            let name = |index: u32| desired.resources[index as usize].id.name().to_owned();
            format!("{} after {}", name(edge.dependent), name(edge.dependency))
        };
        let placed = placed::footprint_edges(&desired, &registry());
        placed.edges.iter().map(said).collect::<Vec<_>>()
    };
    let (root, within) = (door("root", r#""path":"/""#), door("within", r#""path":"/a/b""#));
    let (above, reader) = (door("above", r#""path":"/a""#), door("reader", r#""path":"/r","reads":"/a/b""#));
    let all = [&*root, &within, &above, &reader];
    assert_eq!(edges(&all), ["within after above", "reader after within", "reader after above"]);
    let (itself, twice) =
        (door("itself", r#""path":"/s","reads":"/s""#), door("twice", r#""path":"/a/c","reads":"/a""#));
    assert_eq!(edges(&[&itself, &above, &twice]), ["twice after above"]);
    let only_reads = door("only-reads", r#""path":"/x","reads":"/a","is_only_read":true"#);
    assert_eq!(edges(&[&above, &only_reads]), ["only-reads after above"]);
    // Where it lives is known only later: nothing follows from a made-up path.
    let later = r#"{"from":"value/w","output":"input"}"#;
    let value = r#"{"kind":"value","name":"w","input":{"from":"value/x","output":"input"}}"#;
    let first = r#"{"kind":"value","name":"x","input":"/a"}"#;
    let placed = door("placed", &format!("\"path\":{later}"));
    let beside = door("beside", &format!("\"path\":\"/b\",\"reads\":{later}"));
    assert_eq!(
        edges(&[first, value, &placed, &beside, &above]),
        ["beside after placed", "beside after above"]
    );
    // Of a secret it is never known: two that are at such a place are not at the same one.
    let secret = r#"{"kind":"value","name":"s","input":"/a","sensitive":["input"]}"#;
    let hidden = |name: &str| door(name, r#""path":{"from":"value/s","output":"input"}"#);
    assert_eq!(edges(&[secret, &hidden("a"), &hidden("b"), &reader]), [""; 0]);
    let both = desired(&[secret, &hidden("a"), &hidden("b")], "").unwrap();
    assert_eq!(both.check(&registry()).map(drop).map_err(|error| error.to_string()), Ok(()));
}
