//! What is told of a container, and what that costs.

use std::future::poll_fn;
use std::task::Poll;

use detc_core::backend::containers::{Change, Containers, ImageDefaults};
use serde_json::json;

use super::*;
use crate::test_engine::{Bench, now, world};

#[tokio::test(start_paused = true)]
async fn secrets_are_files_and_nowhere_else() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = |value: &str| spec(json!({ "secrets": { "KEY": value }, "user": "33:33" }));
    let first = bench.apply(&wanted("s3cret")).await;
    let container = bench.container("web").await.unwrap();
    assert_eq!(container.spec.env["KEY_FILE"], "/run/secrets/KEY");
    let inside = bench.engine.host("web");
    assert_eq!(inside.read("/run/secrets/KEY", 100).await.unwrap(), b"s3cret");
    let stat = inside.stat("/run/secrets/KEY").await.unwrap().unwrap();
    assert_eq!((stat.mode, stat.owner.is("33")), (0o400, true));
    let told = format!("{:?} {:?} {}", container, bench.seen(&wanted("s3cret")).await, world(&bench.engine));
    assert!(!told.contains("s3cret"), "{told}");
    assert!(ContainerSpec::traits().sensitive.contains(&"secrets"));

    // Its digest would tell whether a guess is right: labels are the same, whatever it is.
    let labels = container.spec.labels;
    let second = bench.apply(&wanted("other")).await;
    assert_ne!(first.id, second.id);
    assert_eq!(bench.container("web").await.unwrap().spec.labels, labels);
    assert_eq!(bench.engine.host("web").read("/run/secrets/KEY", 100).await.unwrap(), b"other");
    // One that was made by a try of which nothing is recorded is compared by reading.
    let other = bench.of("container/web");
    assert_eq!(other.seen(&wanted("other")).await.fields["secrets"], json!({ "KEY": "other" }));
    assert_eq!(other.seen(&wanted("third")).await.fields["secrets"], json!({ "KEY": "(another value)" }));
}

#[tokio::test(start_paused = true)]
async fn a_variable_that_is_sensitive_is_refused() {
    let mut bench = Bench::new("container/web", engine());
    bench.sensitive = vec!["env.KEY".parse().unwrap()];
    let error = bench.tried(&spec(json!({ "env": { "KEY": "s3cret" } }))).await.unwrap_err();
    let why = "container/web has a sensitive variable, which its engine would tell";
    assert_eq!(error.full_message(), why);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_that_are_as_wanted_are_looked_at_in_one_call() {
    const COUNT: usize = 500;
    let bench = Bench::new("container/none", engine());
    let mut defaults = ImageDefaults::default();
    defaults.command = vec!["sleep".into(), "9".into()];
    let image = bench.engine.add_image("web:3", defaults);
    let mut all = Vec::new();
    for at in 0..COUNT {
        let mut one = bench.of(&format!("container/web-{at}"));
        let wanted = ContainerSpec::new(format!("web-{at}"), &image);
        one.apply(&wanted).await;
        all.push((one, wanted));
    }
    let before = bench.engine.calls();
    let contexts: Vec<_> = all.iter().map(|(one, wanted)| (one.cx(), wanted)).collect();
    let mut looks: Vec<_> = contexts.iter().map(|(cx, wanted)| wanted.observe(cx)).collect();
    let mut seen = 0;
    poll_fn(|cx| {
        looks.retain_mut(|look| match look.as_mut().poll(cx) {
            Poll::Ready(Ok(Observation::Present(present))) => {
                assert_eq!(present.fields["image"], json!(image));
                seen += 1;
                false
            }
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => true,
        });
        if looks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert_eq!((seen, bench.engine.calls() - before), (COUNT, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_on_another_image_by_now_makes_another_container() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({}));
    let first = bench.apply(&wanted).await;
    now(bench.engine.change(&Change::Tag { image: "web:2".into(), tag: "web:1".into() })).unwrap();
    assert_eq!(bench.seen(&wanted).await.fields["image"], json!(first.image));
    let second = bench.apply(&wanted).await;
    assert_ne!(first.image, second.image);
    assert_eq!(bench.seen(&wanted).await.fields["image"], json!("web:1"));
    // One that is called by its id stays what it is.
    let by_id = spec(json!({ "image": second.image }));
    let third = bench.apply(&by_id).await;
    now(bench.engine.change(&Change::Tag { image: first.image.clone(), tag: "web:1".into() })).unwrap();
    assert_eq!(bench.apply(&by_id).await, third);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_changed_in_one_that_is_looked_at_in_full_is_told_field_by_field() {
    let mut bench = Bench::new("container/web", engine());
    bench.apply(&spec(json!({}))).await;
    let wanted =
        spec(json!({ "limits": { "memory_mib": 64 }, "restart": "always", "networks": { "back": {} } }));
    let id = bench.apply(&wanted).await.id;
    assert_eq!(
        bench.engine.changes().keys().filter(|what| what.starts_with("create container")).count(),
        1,
        "it was changed in place"
    );
    let update =
        Change::Update { container: id.clone(), limits: Default::default(), restart: Default::default() };
    now(bench.engine.change(&update)).unwrap();
    now(bench.engine.change(&Change::Disconnect { container: id.clone(), network: "back".into() })).unwrap();
    let seen = bench.seen(&wanted).await;
    assert_eq!(seen.fields["limits"], json!({}));
    assert_eq!(seen.fields["restart"], json!("never"));
    assert_eq!(seen.fields["networks"], json!(null));
    assert_eq!(seen.fields["image"], json!("web:1"));
    assert_eq!(bench.apply(&wanted).await.id, id);
    assert_eq!(bench.seen(&wanted).await.fields["limits"], json!({ "memory_mib": 64 }));
}

#[tokio::test(start_paused = true)]
async fn a_port_wherever_there_is_room_is_told_where_it_is() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({ "ports": [{ "port": 80, "publish": { "address": "127.0.0.1" } }] }));
    let output = bench.apply(&wanted).await;
    assert!(output.published["80/tcp"].starts_with("127.0.0.1:"), "{output:?}");
    assert_eq!(bench.seen(&wanted).await.output, Some(serde_json::to_value(output).unwrap()));
}
