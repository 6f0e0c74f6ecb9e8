//! What somebody does behind the back of detc, found field by field and mended.

use expect_test::expect;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Looks, desired, on_engine, source};
use crate::dockerd::Dockerd;
use crate::raw;
use crate::support::{IMAGE, context};

/// The context of an image with a label.
fn labelled(word: &str) -> detc_core::content::Content {
    context(&format!("LABEL word={word}\nCMD [\"sleep\", \"600\"]\nSTOPSIGNAL SIGKILL\n"))
}

fn wanted() -> detc_core::model::Desired {
    let mut desired = desired();
    let context = source(&mut desired, labelled("one"));
    let image = json!({ "image": "drift:1", "context": context });
    desired = desired
        .with(on_engine("image", "drift", &image))
        .with(on_engine("network", "back", &json!({ "network": "drift-back" })))
        .with(on_engine("network", "front", &json!({ "network": "drift-front" })))
        .with(on_engine("volume", "data", &json!({ "volume": "drift-data", "removable": "drift-data" })));
    let back = json!({ "drift-back": { "aliases": ["api"] } });
    let containers = [
        ("limits", json!({ "limits": { "memory_mib": 64, "swap_mib": 0 } })),
        ("restart", json!({ "restart": "always" })),
        ("renamed", json!({})),
        ("aliases", json!({ "networks": back })),
        ("in-one-more", json!({ "networks": back })),
        ("in-none", json!({ "networks": back })),
        ("secret", json!({ "secrets": { "KEY": "s3cret" } })),
        ("ended", json!({})),
        ("paused", json!({})),
        ("removed", json!({})),
        ("of-a-tag", json!({ "image": "drift:1" })),
        ("as-it-is", json!({})),
    ];
    for (name, fields) in containers {
        let mut spec = json!({
            "container": format!("drift-{name}"), "image": IMAGE, "stop": { "signal": "SIGKILL" }
        });
        let Value::Object(fields) = fields else { panic!("not fields") };
        spec.as_object_mut().unwrap().extend(fields);
        let container = on_engine("container", name, &spec);
        desired = desired.with(match name {
            "of-a-tag" => container.after(&"image/drift".parse().unwrap()),
            _ => container,
        });
    }
    desired
}

/// What is another for each run is told in words.
fn plain(text: &str) -> String {
    let id = regex_lite::Regex::new("(sha256:)?[0-9a-f]{64}").unwrap();
    id.replace_all(text, "ID").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changes_is_found_field_by_field_and_mended() {
    // Images and networks of others are changed here: it is nobody else's engine.
    let dockerd = Dockerd::start();
    dockerd.image().await;
    let socket = dockerd.path("sock");
    let cluster = Cluster::new(dockerd.engine(), Looks::InFull).await;
    let wanted = wanted();
    cluster.brings_about(&wanted).await;

    // What takes no body closes the connection before one has been sent.
    let tamper =
        |path: &str, body: Value| raw::done(&socket, "POST", path, Some(&body).filter(|it| !it.is_null()));
    let on = |name: &str, what: &str| format!("/containers/drift-{name}/{what}");
    tamper(&on("limits", "update"), json!({ "Memory": 32 << 20, "MemorySwap": 32 << 20 }));
    tamper(&on("restart", "update"), json!({ "RestartPolicy": { "Name": "no" } }));
    tamper(&on("renamed", "rename?name=drift-another"), Value::Null);
    let cut = |network: &str, name: &str| {
        tamper(&format!("/networks/{network}/disconnect"), json!({ "Container": format!("drift-{name}") }))
    };
    let connect = |network: &str, name: &str, aliases: Value| {
        let body = json!({ "Container": format!("drift-{name}"), "EndpointConfig": { "Aliases": aliases } });
        tamper(&format!("/networks/{network}/connect"), body)
    };
    cut("drift-back", "aliases");
    connect("drift-back", "aliases", json!(["other"]));
    connect("drift-front", "in-one-more", json!([]));
    cut("drift-back", "in-none");
    let engine: &dyn detc_core::backend::Containers = &dockerd.engine();
    engine.host("drift-secret").write("/run/secrets/KEY", b"other", &Default::default()).await.unwrap();
    tamper(&on("ended", "kill"), Value::Null);
    tamper(&on("paused", "pause"), Value::Null);
    raw::done(&socket, "DELETE", &on("removed", "?force=1").replace("/?", "?"), None);
    raw::done(&socket, "DELETE", "/volumes/drift-data", None);
    tamper("/images/detc-test:1/tag?repo=drift&tag=1", Value::Null);

    expect![[r#"
        create container/removed: 
        create volume/data: 
        update container/aliases: networks.drift-back.aliases ["other"] -> ["api"]
        update container/ended: container "drift-ended (ended with exit code 137)" -> "drift-ended"
        update container/in-none: networks null -> {"drift-back":{"aliases":["api"]}}
        update container/in-one-more: networks.drift-front {} -> null
        update container/limits: limits.memory_mib 32 -> 64
        update container/of-a-tag: image "ID" -> "drift:1"
        update container/paused: 
        update container/renamed: container "drift-another" -> "drift-renamed"
        update container/restart: restart "never" -> "always"
        update container/secret: secrets {"$sensitive":"ID"} -> {"$sensitive":"ID"}
        update image/drift: context "(what ID came from)" -> {"digest":"ID","path":"content"}"#]]
    .assert_eq(&plain(&cluster.differences(&wanted).await));
    cluster.brings_about(&wanted).await;

    // A network that is gone is found, and who was in it.
    for name in ["aliases", "in-one-more", "in-none"] {
        cut("drift-back", name);
    }
    raw::done(&socket, "DELETE", "/networks/drift-back", None);
    raw::done(&socket, "DELETE", "/images/drift:1?force=1", None);
    expect![[r#"
        create image/drift: 
        create network/back: 
        update container/aliases: networks null -> {"drift-back":{"aliases":["api"]}}
        update container/in-none: networks null -> {"drift-back":{"aliases":["api"]}}
        update container/in-one-more: networks null -> {"drift-back":{"aliases":["api"]}}
        update container/of-a-tag: image "ID" -> "drift:1""#]]
    .assert_eq(&plain(&cluster.differences(&wanted).await));
    cluster.brings_about(&wanted).await;
    cluster.brings_about(&desired()).await;
    assert_eq!(raw::labelled(&socket, "detc.cluster"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_what_it_can_and_looking_in_full_the_rest() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let socket = dockerd.path("sock");
    let spec = |name: &str| {
        json!({ "container": format!("listed-{name}"), "image": IMAGE, "limits": { "memory_mib": 64, "swap_mib": 0 },
            "stop": { "signal": "SIGKILL" } })
    };
    let wanted = desired().with(on_engine("container", "updated", &spec("updated"))).with(on_engine(
        "container",
        "ended",
        &spec("ended"),
    ));
    let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
    cluster.brings_about(&wanted).await;
    let update = json!({ "Memory": 32 << 20, "MemorySwap": 32 << 20 });
    raw::done(&socket, "POST", "/containers/listed-updated/update", Some(&update));
    raw::done(&socket, "POST", "/containers/listed-ended/kill", None);
    expect![[
        r#"update container/ended: container "listed-ended (ended with exit code 137)" -> "listed-ended""#
    ]]
    .assert_eq(&plain(&cluster.differences(&wanted).await));
    cluster.brings_about(&desired()).await;
}
