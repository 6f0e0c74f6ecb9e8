//! Whole plans of containers: each field is given, changed and left out on a real engine, and the plan after each finds nothing.

use detc_core::resource::Registry;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Looks, desired, on_engine};
use crate::dockerd::Dockerd;
use crate::support::{IMAGE, name};

/// Each field that a container has beside its name and its image, twice. `MARK` is a word that no other test has.
fn fields(subnet: &str, port: u16) -> Vec<(&'static str, Value, Value)> {
    let address = subnet.replace(".0/24", ".9");
    vec![
        (
            "entrypoint",
            json!({ "entrypoint": ["sleep"], "command": ["900"] }),
            json!({ "entrypoint": ["sleep", "800"] }),
        ),
        ("command", json!({ "command": ["sleep", "500"] }), json!({ "command": ["sleep", "600"] })),
        ("env", json!({ "env": { "A": "1" } }), json!({ "env": { "A": "2", "PATH": "/bin:/usr/bin" } })),
        ("secrets", json!({ "secrets": { "A": "1" } }), json!({ "secrets": { "A": "2", "B": "1" } })),
        (
            "dir",
            json!({ "dir": "/run", "secrets": { "A": "1" } }),
            json!({ "dir": "/run/secrets", "secrets": { "A": "1" } }),
        ),
        ("user", json!({ "user": "web" }), json!({ "user": "33:33", "secrets": { "A": "1" } })),
        ("hostname", json!({ "hostname": "a" }), json!({ "hostname": "b" })),
        ("engine_labels", json!({ "engine_labels": { "a": "1" } }), json!({ "engine_labels": { "a": "2" } })),
        (
            "ports",
            json!({ "ports": [{ "port": 80 }, { "port": 53, "protocol": "udp", "publish": {} }] }),
            json!({ "ports": [{ "port": 80, "publish": { "address": "127.0.0.1", "port": port } }] }),
        ),
        (
            "mounts",
            json!({ "mounts": { "/d": { "volume": "MARK-data" }, "/a": {} } }),
            json!({ "mounts": { "/d": { "bind": "/srv", "read_only": true },
                                "/m": { "memory": { "size_mib": 8, "mode": "1777" } } } }),
        ),
        (
            "networks",
            json!({ "networks": { "MARK-back": { "aliases": ["b", "a"] } } }),
            json!({ "networks": { "MARK-back": { "aliases": ["a"], "addresses": [address] }, "MARK-front": {} } }),
        ),
        ("network_mode", json!({ "network_mode": "none" }), json!({ "network_mode": "host" })),
        (
            "network_mode of another",
            json!({ "network_mode": { "container": "MARK-other" } }),
            json!({ "network_mode": "none" }),
        ),
        (
            "limits",
            json!({ "limits": { "memory_mib": 64, "memory_reserved_mib": 32, "swap_mib": 0, "cpu_millis": 500 } }),
            json!({ "limits": { "cpu_weight": 512, "cpu_set": "0", "pids_max": 99, "memory_mib": 128,
                "memory_reserved_mib": 16, "swap_mib": 0, "cpu_millis": 250 } }),
        ),
        ("read_only_root", json!({ "read_only_root": true }), json!({ "read_only_root": false })),
        (
            "capabilities",
            json!({ "capabilities": { "add": ["NET_ADMIN"], "drop": ["ALL"] } }),
            json!({ "capabilities": { "drop": ["cap_chown"] } }),
        ),
        (
            "restart",
            json!({ "restart": "always" }),
            json!({ "restart": { "on_failure": { "retries_max": 3 } } }),
        ),
        (
            "health",
            json!({ "health": { "command": ["true"], "interval_ms": 100, "timeout_ms": 5000, "start_period_ms": 10, "retries": 1 } }),
            json!({ "health": { "shell": "exit 0", "interval_ms": 200 } }),
        ),
        ("health off", json!({ "health": { "off": true } }), json!({})),
        (
            "stop",
            json!({ "stop": { "signal": "INT", "grace_s": 1 } }),
            json!({ "stop": { "signal": "SIGQUIT", "grace_s": 2 } }),
        ),
        (
            "logging",
            json!({ "logging": { "size_mib_max": 1, "files_max": 2 } }),
            json!({ "logging": { "driver": "local", "options": { "compress": "false" } } }),
        ),
        ("init", json!({ "init": true }), json!({ "init": false })),
        (
            "completes",
            json!({ "completes": true, "command": ["true"] }),
            json!({ "completes": true, "command": ["pwd"] }),
        ),
        ("order", json!({ "order": "stop_first" }), json!({ "order": "start_first" })),
        ("min_ready_ms", json!({ "min_ready_ms": 0 }), json!({ "min_ready_ms": 500 })),
        ("ready_timeout_ms", json!({ "ready_timeout_ms": 90_000 }), json!({ "ready_timeout_ms": 80_000 })),
    ]
}

/// Containers with these fields, with what they need: networks, a volume, and another container.
fn containers(mark: &str, subnet: &str, all: &[(&'static str, Value)]) -> detc_core::model::Desired {
    let fitted = |fields: &Value| -> Value {
        serde_json::from_str(&fields.to_string().replace("MARK", mark)).unwrap()
    };
    let mut wanted = desired()
        .with(on_engine(
            "network",
            "back",
            &json!({ "network": format!("{mark}-back"), "subnets": [{ "subnet": subnet }] }),
        ))
        .with(on_engine("network", "front", &json!({ "network": format!("{mark}-front") })))
        .with(on_engine(
            "volume",
            "data",
            &json!({ "volume": format!("{mark}-data"), "removable": format!("{mark}-data") }),
        ));
    let other =
        json!({ "container": format!("{mark}-other"), "image": IMAGE, "stop": { "signal": "SIGKILL" } });
    wanted = wanted.with(on_engine("container", "other", &other));
    for (at, (_, fields)) in all.iter().enumerate() {
        let mut spec = json!({ "container": format!("{mark}-{at}"), "image": IMAGE });
        if fields["stop"].is_null() {
            // Those that end at once by their image's signal: a shell that sleeps hears no other.
            spec["stop"] = json!({ "signal": "SIGKILL" });
        }
        let Value::Object(fields) = fitted(fields) else { panic!("not fields") };
        spec.as_object_mut().unwrap().extend(fields);
        wanted = wanted.with(on_engine("container", &format!("c{at}"), &spec));
    }
    wanted
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_container_is_given_changed_and_left_out_and_each_second_plan_is_empty() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let (mark, subnet) = (name("fields"), dockerd.subnet(210));
    let all = fields(&subnet, free_port());
    let states: [Vec<(&'static str, Value)>; 3] = [
        all.iter().map(|(name, one, _)| (*name, one.clone())).collect(),
        all.iter().map(|(name, _, other)| (*name, other.clone())).collect(),
        all.iter()
            .map(|(name, _, other)| {
                // An engine can not take limits away from what runs, which is told then.
                let fields = if *name == "limits" { other.clone() } else { json!({}) };
                (*name, fields)
            })
            .collect(),
    ];
    for looks in [Looks::InFull, Looks::Usual] {
        let cluster = Cluster::new(dockerd.engine(), looks).await;
        for state in &states {
            cluster.brings_about(&containers(&mark, &subnet, state)).await;
        }
        cluster.brings_about(&desired()).await;
    }
}

#[test]
fn each_field_is_tried() {
    let tried: Vec<String> = fields("10.0.0.0/24", 1)
        .into_iter()
        .flat_map(|(_, one, other)| [one, other])
        .flat_map(|fields| fields.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .chain(["container".to_owned(), "image".to_owned()])
        .collect();
    let registry = detc_actions::resources::register(Registry::new());
    for field in registry.kind("container").unwrap().facts().fields.unwrap() {
        assert!(tried.iter().any(|it| it == field), "{field}");
    }
}
