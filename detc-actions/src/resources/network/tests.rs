//! Networks on an engine in memory.

use detc_core::testing::resource::check_resource;
use serde_json::json;

use super::*;
use crate::resources::ContainerSpec;
use crate::test_engine::{Bench, engine, now, remove_object, trial};
use detc_core::backend::containers as api;

#[tokio::test(start_paused = true)]
async fn a_network_keeps_the_contract() {
    let specs = || {
        [
            json!({ "network": "own" }),
            json!({ "network": "own", "internal": true, "subnets": [{ "subnet": "10.9.0.0/16" }] }),
            json!({ "network": "own", "driver": "macvlan", "engine_labels": { "a": "b" } }),
        ]
    };
    let trial = || {
        let engine = engine();
        let removed = engine.clone();
        trial(&engine, specs())
            .tampered("it is removed", move || remove_object(&removed, api::ObjectRef::network("own")))
    };
    assert_eq!(check_resource::<NetworkSpec>(trial).await, []);
}

/// Which networks a container is in, and by which aliases.
async fn networks(bench: &Bench, name: &str) -> String {
    match bench.container(name).await.unwrap().spec.networking {
        Networking::Networks(all) => all
            .iter()
            .map(|(name, it)| format!("{name} {:?} ", it.aliases))
            .collect::<String>()
            .trim()
            .to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_in_it_is_connected_again_when_it_is_made_anew_and_what_is_foreign_keeps_it() {
    let mut bench = Bench::new("network/own", engine());
    let old = bench.apply(&NetworkSpec::new("own")).await;
    let mut web = bench.of("container/web");
    let attached =
        json!({ "container": "web", "image": "web:1", "networks": { "own": { "aliases": ["api"] } } });
    let web_spec: ContainerSpec = serde_json::from_value(attached).unwrap();
    web.apply(&web_spec).await;
    let closed = NetworkSpec { internal: Some(true), ..NetworkSpec::new("own") };
    let new = bench.apply(&closed).await;
    assert_ne!(old, new);
    assert_eq!(networks(&bench, "web").await, r#"own {"api"}"#);
    assert_eq!(bench.seen(&closed).await.fields["internal"], json!(true));

    let of_others = api::ContainerSpec::new("web:2");
    let id = now(bench.engine.create(&New::container("theirs", of_others))).unwrap();
    let network = "own".to_owned();
    let connect = Change::Connect { container: id, network, attachment: Attachment::default() };
    now(bench.engine.change(&connect)).unwrap();
    let error = bench.tried(&NetworkSpec::new("own")).await.unwrap_err().full_message();
    let why = "network/own can not be made anew: container `theirs` is in it, and is not of this cluster";
    assert_eq!(error, why);
    assert_eq!(networks(&bench, "web").await, r#"own {"api"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_one_of_its_name_is_never_touched() {
    let bench = Bench::new("network/back", engine());
    let before = bench.engine.changes();
    let wanted = NetworkSpec::new("back");
    assert_eq!(wanted.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    let error = bench.tried(&wanted).await.unwrap_err().full_message();
    assert_eq!(
        error,
        "network/back can not have its name: there is a network `back` on m that is not its own"
    );
    assert_eq!(wanted.delete(&bench.cx()).await.unwrap(), Removed::Gone);
    assert_eq!(bench.engine.changes(), before);
}
