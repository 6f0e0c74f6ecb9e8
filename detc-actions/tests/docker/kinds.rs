//! Whole plans of images, networks and volumes: each field, on a real engine.

use detc_core::content::Content;
use detc_core::model::Desired;
use detc_core::resource::Registry;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Looks, desired, on_engine, source};
use crate::dockerd::Dockerd;
use crate::raw;
use crate::registry::Served;
use crate::support::name;

/// Another driver than `bridge` takes what not every kernel has, or a swarm.
fn networks(mark: &str, dockerd: &Dockerd) -> [Vec<Value>; 3] {
    let (one, other) = (dockerd.subnet(221), dockerd.subnet(222));
    let inside = |subnet: &str, last: &str| subnet.replace("0/24", last);
    let net = |at: usize, fields: Value| {
        let mut spec = json!({ "network": format!("{mark}-{at}") });
        let Value::Object(fields) = fields else { panic!("not fields") };
        spec.as_object_mut().unwrap().extend(fields);
        spec
    };
    let all = |all: Vec<Value>| all.into_iter().enumerate().map(|(at, fields)| net(at, fields)).collect();
    [
        all(vec![
            json!({ "driver": "bridge" }),
            json!({ "options": { "com.docker.network.bridge.enable_icc": "false" } }),
            json!({ "internal": true }),
            json!({ "ipv6": true, "subnets": [{ "subnet": "fd00:77::/64" }] }),
            json!({ "subnets": [{ "subnet": one, "range": inside(&one, "128/25"), "gateway": inside(&one, "9") }] }),
            json!({ "engine_labels": { "a": "1" } }),
        ]),
        all(vec![
            json!({ "driver": "bridge", "engine_labels": { "of": "the same driver" } }),
            json!({ "options": { "com.docker.network.bridge.enable_icc": "true" } }),
            json!({ "internal": false }),
            json!({ "ipv6": true, "subnets": [{ "subnet": "fd00:78::/64", "gateway": "fd00:78::9" }] }),
            json!({ "subnets": [{ "subnet": other }] }),
            json!({ "engine_labels": { "a": "2", "b": "" } }),
        ]),
        all(vec![json!({}); 6]),
    ]
}

/// Every network has a container in it, which is in it afterwards.
fn with_networks(mark: &str, networks: &[Value]) -> Desired {
    networks.iter().enumerate().fold(desired(), |desired, (at, network)| {
        desired.with(on_engine("network", &format!("{mark}-{at}"), network))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_network_is_given_changed_and_left_out_and_each_second_plan_is_empty() {
    // A parent of its own for what needs one, and no addresses that others have: it is nobody else's engine.
    let dockerd = Dockerd::start();
    let mark = name("net");
    let states = networks(&mark, &dockerd);
    let cluster = Cluster::new(dockerd.engine(), Looks::InFull).await;
    for state in &states {
        cluster.brings_about(&with_networks(&mark, state)).await;
    }
    cluster.brings_about(&desired()).await;
    assert_eq!(raw::labelled(&dockerd.path("sock"), "detc.cluster"), [""; 0]);
    all_are_tried("network", states.into_iter().flatten());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_volume_is_given_and_the_second_plan_is_empty_and_a_change_is_refused() {
    let dockerd = Dockerd::shared();
    let mark = name("vol");
    let volume = |at: usize, fields: Value| {
        let mut spec = json!({ "volume": format!("{mark}-{at}") });
        let Value::Object(fields) = fields else { panic!("not fields") };
        spec.as_object_mut().unwrap().extend(fields);
        spec
    };
    let tmpfs = json!({ "type": "tmpfs", "device": "tmpfs" });
    let states = [
        volume(0, json!({ "driver": "local", "removable": format!("{mark}-0") })),
        volume(1, json!({ "options": tmpfs, "removable": format!("{mark}-1") })),
        volume(2, json!({ "engine_labels": { "a": "1" } })),
    ];
    let wanted = |states: &[Value]| {
        states.iter().enumerate().fold(desired(), |desired, (at, volume)| {
            desired.with(on_engine("volume", &format!("v{at}"), volume))
        })
    };
    let cluster = Cluster::new(dockerd.engine(), Looks::InFull).await;
    cluster.brings_about(&wanted(&states)).await;
    let mut others = states.clone();
    others[2]["engine_labels"]["a"] = json!("2");
    let told = cluster.fails(&wanted(&others)).await;
    assert!(told.contains("is there with another driver, other options or labels"), "{told}");
    cluster.brings_about(&wanted(&states)).await;
    let applied = cluster.manager.apply(cluster.manager.plan(&desired()).await.unwrap()).await.unwrap();
    let told = applied.to_string();
    assert!(told.contains(&format!("volume `{mark}-2` and what is in it are kept")), "{told}");
    let socket = dockerd.path("sock");
    let there: Vec<String> = raw::labelled(&socket, "detc.cluster");
    let ours: Vec<&String> = there.iter().filter(|it| it.contains(&mark)).collect();
    assert_eq!(ours, [&format!("volume {mark}-2")]);
    raw::done(&socket, "DELETE", &format!("/volumes/{mark}-2"), None);
    all_are_tried("volume", states);
}

/// A recipe of two stages, with an argument that is told.
const STAGES: &str = "FROM scratch AS bare\nCOPY root /\nENV PATH=/bin\nARG WORD=none\nENV WORD=$WORD\nCMD [\"sleep\", \"600\"]\n\
    STOPSIGNAL SIGKILL\nFROM bare\nENV STAGE=last\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_an_image_is_given_changed_and_left_out_and_each_second_plan_is_empty() {
    let dockerd = Dockerd::start();
    let id = dockerd.image().await;
    let socket = dockerd.path("sock");
    let archive = Content::from(raw::done(&socket, "GET", &format!("/images/{id}/get"), None));
    let served = Served::of(&archive);
    let staged = || support_recipe(STAGES);
    let with = |images: Vec<(&str, Value, Option<Content>)>| {
        let mut desired = desired();
        for (name, mut spec, content) in images {
            if let Some(content) = content {
                let field = if spec["archive"].is_null() { "context" } else { "archive" };
                spec[field] = source(&mut desired, content);
            }
            desired = desired.with(on_engine("image", name, &spec));
        }
        desired
    };
    let built = |build: Value| {
        let mut spec = json!({ "image": "kinds-built:1", "retain": 1 });
        if !build.is_null() {
            spec["build"] = build;
        }
        ("built", spec, Some(staged()))
    };
    let pulled = |reference: String| json!({ "image": reference, "platform": "linux/amd64" });
    let states = [
        vec![
            built(
                json!({ "dockerfile": "Recipe", "args": { "WORD": "one" }, "target": "bare", "labels": { "a": "1" } }),
            ),
            ("loaded", json!({ "image": "kinds-loaded:1", "archive": {} }), Some(archive.clone())),
            ("tagged", pulled(served.by_tag()), None),
            ("exact", pulled(served.by_digest()), None),
        ],
        vec![
            built(json!({ "dockerfile": "Recipe", "args": { "WORD": "two" }, "labels": { "a": "2" } })),
            ("loaded", json!({ "image": "kinds-loaded:1", "archive": {} }), Some(archive.clone())),
            ("tagged", json!({ "image": served.by_tag() }), None),
            ("exact", json!({ "image": served.by_digest() }), None),
        ],
        // The engine forgets digests with the last tag of a repository, so that one stays, too.
        vec![
            built(Value::Null),
            ("tagged", json!({ "image": served.by_tag() }), None),
            ("exact", json!({ "image": served.by_digest() }), None),
        ],
    ];
    let cluster = Cluster::new(dockerd.engine(), Looks::InFull).await;
    for state in states.clone() {
        cluster.brings_about(&with(state)).await;
    }
    let kept = raw::look(&socket, "/images/json");
    let kept: Vec<&Value> = kept.as_array().unwrap().iter().map(|image| &image["RepoTags"]).collect();
    assert!(kept.iter().any(|tags| tags.to_string().contains("detc/")), "the one before is kept: {kept:?}");
    cluster.brings_about(&desired()).await;
    let left = raw::look(&socket, "/images/json");
    assert_eq!(left.as_array().unwrap().len(), 1, "the tests' own: {left}");
    let specs = states.into_iter().flatten().map(|(_, mut spec, content)| {
        if content.is_some() && spec["archive"].is_null() {
            spec["context"] = json!({});
        }
        spec
    });
    all_are_tried("image", specs);
}

/// A context with another recipe beside its own.
fn support_recipe(recipe: &str) -> Content {
    crate::support::context_with(&[("Recipe", recipe)], "CMD [\"sleep\", \"600\"]\n")
}

#[track_caller]
fn all_are_tried(kind: &str, specs: impl IntoIterator<Item = Value>) {
    let tried: Vec<String> = specs
        .into_iter()
        .flat_map(|spec| spec.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    let registry = detc_actions::resources::register(Registry::new());
    for field in registry.kind(kind).unwrap().facts().fields.unwrap() {
        assert!(tried.iter().any(|it| it == field), "{kind}: {field}");
    }
}
