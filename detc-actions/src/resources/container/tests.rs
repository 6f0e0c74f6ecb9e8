//! Containers on an engine in memory.

use detc_core::testing::resource::check_resource;
use serde_json::{Value, json};

use super::*;
use crate::test_engine::{engine, trial};

mod completes;
mod serving;
mod told;

/// The container `web` of the image `web:1`, with more fields.
fn with(fields: Value) -> Value {
    let mut spec = json!({ "container": "web", "image": "web:1" });
    let Value::Object(fields) = fields else { panic!("not fields: {fields}") };
    spec.as_object_mut().unwrap().extend(fields);
    spec
}

fn spec(fields: Value) -> ContainerSpec {
    serde_json::from_value(with(fields)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_container_keeps_the_contract_when_the_new_one_is_started_first() {
    let specs = || {
        [
            with(json!({ "secrets": { "key": "s3cret" } })),
            with(json!({ "secrets": { "key": "s3cret" }, "limits": { "memory_mib": 64 } })),
            with(json!({ "secrets": { "key": "other" }, "limits": { "memory_mib": 32 }, "image": "web:2" })),
        ]
    };
    let trial = || {
        let engine = engine();
        let (ended, removed, seen) = (engine.clone(), engine.clone(), engine.clone());
        trial(&engine, specs())
            .tampered("it ends", move || ended.exit("web", 1))
            .tampered("it is removed", move || crate::test_engine::remove(&removed, "web"))
            .measuring("limits.memory_mib".parse().unwrap(), move || crate::test_engine::memory_mib(&seen))
    };
    assert_eq!(check_resource::<ContainerSpec>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_container_keeps_the_contract_when_the_old_one_is_stopped_first() {
    let at = |port: u16, fields: Value| {
        let mut spec = with(fields);
        spec["ports"] = json!([{ "port": 80, "publish": { "port": port } }]);
        spec
    };
    let specs = || {
        [
            at(8080, json!({ "networks": { "back": {} } })),
            at(
                8080,
                json!({ "networks": { "back": { "aliases": ["api"] }, "front": {} }, "container": "api" }),
            ),
            at(8080, json!({ "networks": { "front": {} }, "container": "api", "image": "web:2" })),
            at(8081, json!({ "container": "web", "image": "web:2", "restart": "always" })),
        ]
    };
    let trial = || {
        let engine = engine();
        let (ended, removed) = (engine.clone(), engine.clone());
        trial(&engine, specs())
            .tampered("it ends", move || ended.exit("web", 1))
            .tampered("it is removed", move || crate::test_engine::remove(&removed, "web"))
    };
    assert_eq!(check_resource::<ContainerSpec>(trial).await, []);
}

/// Each field that a container has beside its name and its image, twice.
fn fields() -> Vec<(Value, Value)> {
    [
        (json!({ "entrypoint": ["sleep"] , "command": ["9"] }), json!({ "entrypoint": ["sleep", "8"] })),
        (json!({ "command": ["sleep", "5"] }), json!({ "command": ["sleep", "6"] })),
        (
            json!({ "completes": true, "command": ["pwd"] }),
            json!({ "completes": true, "command": ["pwd"], "ready_timeout_ms": 5000 }),
        ),
        (json!({ "env": { "A": "1" } }), json!({ "env": { "A": "2", "VERSION": "x" } })),
        (json!({ "secrets": { "A": "1" } }), json!({ "secrets": { "A": "2", "B": "1" } })),
        (
            json!({ "dir": "/run", "secrets": { "A": "1" } }),
            json!({ "dir": "/run/secrets", "secrets": { "A": "1" } }),
        ),
        (json!({ "user": "www" }), json!({ "user": "33:33" })),
        (json!({ "hostname": "a" }), json!({ "hostname": "b" })),
        (json!({ "engine_labels": { "a": "1" } }), json!({ "engine_labels": { "a": "2" } })),
        (
            json!({ "ports": [{ "port": 80 }, { "port": 53, "protocol": "udp", "publish": {} }] }),
            json!({ "ports": [{ "port": 80, "publish": { "address": "127.0.0.1", "port": 8080 } }] }),
        ),
        (
            json!({ "mounts": { "/d": { "volume": "data" }, "/a": {} } }),
            json!({ "mounts": { "/d": { "bind": "/srv", "read_only": true },
                                "/m": { "memory": { "size_mib": 8, "mode": "1777" } } } }),
        ),
        (
            json!({ "networks": { "back": { "aliases": ["b", "a"] } } }),
            json!({ "networks": { "back": { "aliases": ["a"], "addresses": ["10.0.0.9"] }, "front": {} } }),
        ),
        (json!({ "network_mode": "none" }), json!({ "network_mode": "host" })),
        (
            json!({ "limits": { "memory_mib": 64, "memory_reserved_mib": 32, "swap_mib": 0, "cpu_millis": 500 } }),
            json!({ "limits": { "cpu_weight": 512, "cpu_set": "0", "pids_max": 99, "memory_mib": 64 } }),
        ),
        (json!({ "read_only_root": true }), json!({ "read_only_root": false })),
        (
            json!({ "capabilities": { "add": ["NET_ADMIN"], "drop": ["ALL"] } }),
            json!({ "capabilities": { "drop": ["cap_chown"] } }),
        ),
        (json!({ "restart": "always" }), json!({ "restart": { "on_failure": { "retries_max": 3 } } })),
        (
            json!({ "health": { "command": ["printf", "ok"], "interval_ms": 100, "retries": 1 } }),
            json!({ "health": { "off": true } }),
        ),
        (json!({ "stop": { "signal": "INT", "grace_s": 2 } }), json!({ "stop": { "signal": "SIGQUIT" } })),
        (
            json!({ "logging": { "size_mib_max": 1, "files_max": 2 } }),
            json!({ "logging": { "driver": "syslog", "options": { "tag": "x" } } }),
        ),
        (json!({ "init": true }), json!({ "init": false })),
        (json!({ "order": "stop_first" }), json!({ "order": "start_first" })),
        (json!({ "min_ready_ms": 0 }), json!({ "min_ready_ms": 8000 })),
        (json!({ "ready_timeout_ms": 9000 }), json!({ "ready_timeout_ms": 8000 })),
    ]
    .into()
}

#[tokio::test(start_paused = true)]
async fn each_field_is_given_changed_and_left_out_and_then_there_is_nothing_more_to_do() {
    for (one, other) in fields() {
        // What is as the engine has it where it is left out is no difference.
        let is_default = |fields: &Value| {
            ["read_only_root", "init"].iter().any(|name| fields[name] == json!(false))
                || fields["health"] == json!({ "off": true })
        };
        let mut specs = vec![with(one.clone()), with(other.clone()), with(json!({}))];
        // What has ended well is not what is wanted to serve.
        if is_default(&other) || other.get("completes").is_some() {
            specs.pop();
        }
        let trial = || {
            trial(&engine(), specs.clone()).untampered("it ends and is removed in the trials of each order")
        };
        assert_eq!(check_resource::<ContainerSpec>(trial).await, [], "{one} {other}");
    }
}

#[test]
fn each_field_is_tried() {
    let spec = serde_json::to_value(ContainerSpec::new("a", "b")).unwrap();
    let tried: Vec<String> = fields()
        .into_iter()
        .flat_map(|(one, other)| [one, other])
        .flat_map(|fields| fields.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    let registry = detc_core::resource::Registry::new().with_resource::<ContainerSpec>();
    for field in registry.kind("container").unwrap().facts().fields.unwrap() {
        assert!(spec.get(field).is_some() || tried.iter().any(|it| it == field), "{field}");
    }
}

#[test]
fn what_can_not_be_is_refused_with_the_field_that_is_wrong() {
    let wrong = |fields| spec(fields).inspect().unwrap_err().to_string();
    let at = |port: u16| json!([{ "port": 80, "publish": { "port": port } }]);
    expect_test::expect![[r#"
        `container` must be 2 to 200 letters, digits, `_`, `.` and `-`, a letter or digit first, not `-x`
        `image` must name an image
        `env` can not set `A_FILE`, which says where a secret is
        `secrets` must be called by letters, digits, `_`, `-` and `.`, not `a/b`
        `engine_labels` can not set `detc.spec`, which is detc's
        `mounts` must be an absolute path, not `data`
        `mounts` must have one of `volume`, `bind` and `memory` at `/d`
        `network_mode` can not be given beside `networks`
        `ports` can not be published without networks of its own
        `health` must have exactly one of `command`, `shell` and `off`
        `order` can not be `start_first`: a port of the machine can only be had by one"#]]
    .assert_eq(
        &[
            wrong(json!({ "container": "-x" })),
            wrong(json!({ "image": "" })),
            wrong(json!({ "env": { "A_FILE": "x" }, "secrets": { "A": "y" } })),
            wrong(json!({ "secrets": { "a/b": "y" } })),
            wrong(json!({ "engine_labels": { "detc.spec": "y" } })),
            wrong(json!({ "mounts": { "data": {} } })),
            wrong(json!({ "mounts": { "/d": { "volume": "data", "bind": "/srv" } } })),
            wrong(json!({ "network_mode": "none", "networks": { "back": {} } })),
            wrong(json!({ "network_mode": "host", "ports": at(80) })),
            wrong(json!({ "health": {} })),
            wrong(json!({ "order": "start_first", "ports": at(80) })),
        ]
        .join("\n"),
    );
}
