//! Images of an engine in memory.

use detc_core::backend::containers::{ContainerSpec, Containers, ImageDefaults, MemoryContainers, ObjectRef};
use detc_core::model::Digest;
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};

use super::*;
use crate::test_engine::{Bench, engine, now, remove_object, trial};

fn registry() -> MemoryContainers {
    let engine = engine();
    for reference in ["app@sha256:1", "app@sha256:2", "app@sha256:3", "app:1"] {
        engine.add_to_registry(reference, ImageDefaults::default());
    }
    engine
}

fn source(content: &[u8]) -> Value {
    json!({ "path": "a.tar", "digest": Digest::of(content) })
}

fn with_blobs(trial: Trial) -> Trial {
    trial.with_blob(&b"one"[..]).with_blob(&b"two"[..])
}

#[tokio::test(start_paused = true)]
async fn an_image_keeps_the_contract_wherever_it_comes_from() {
    let pulled = [json!({ "image": "app@sha256:1" })];
    let loaded = [
        json!({ "image": "app:1", "archive": source(b"one") }),
        json!({ "image": "app:1", "archive": source(b"two") }),
    ];
    let built = [
        json!({ "image": "app:1", "context": source(b"one") }),
        json!({ "image": "app:1", "context": source(b"two"), "retain": 1 }),
        json!({ "image": "app:1", "context": source(b"two"), "build": { "args": { "A": "1" } }, "retain": 1 }),
    ];
    let of = [&pulled[..], &loaded, &built];
    for specs in of {
        let trial = || {
            let engine = registry();
            let (removed, name) = (engine.clone(), specs[0]["image"].as_str().unwrap().to_owned());
            with_blobs(trial(&engine, specs.to_vec()))
                .tampered("it is removed", move || remove_object(&removed, ObjectRef::image(&name)))
        };
        assert_eq!(check_resource::<ImageSpec>(trial).await, [], "{specs:?}");
    }
}

/// The references of images, but for those that were there before.
fn references(engine: &MemoryContainers) -> Vec<String> {
    let dump = engine.dump();
    let images = dump.lines().filter(|line| line.starts_with("image ") && !line.contains("web:"));
    let mut all: Vec<String> = images
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|name| !name.starts_with("detc/"))
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn as_many_as_are_said_are_kept_and_what_is_in_use_is_never_removed() {
    let mut bench = Bench::new("image/app", registry());
    let version = |at: u32, retain: u32| ImageSpec {
        retain: Some(retain),
        ..ImageSpec::new(format!("app@sha256:{at}"))
    };
    bench.apply(&version(1, 1)).await;
    bench.apply(&version(2, 1)).await;
    assert_eq!(references(&bench.engine), ["app@sha256:1", "app@sha256:2"]);
    bench.apply(&version(3, 1)).await;
    assert_eq!(references(&bench.engine), ["app@sha256:2", "app@sha256:3"]);

    // The way back needs no registry, and what is current is not counted among those that are kept.
    let pulls = |engine: &MemoryContainers| {
        engine
            .changes()
            .into_iter()
            .filter(|(what, _)| what.starts_with("pull"))
            .map(|(_, count)| count)
            .sum()
    };
    let before: usize = pulls(&bench.engine);
    bench.apply(&version(2, 1)).await;
    assert_eq!((before, pulls(&bench.engine)), (3, 3));
    assert_eq!(references(&bench.engine), ["app@sha256:2", "app@sha256:3"]);

    // Somebody's container is made of the one that is to go.
    let user = New::container("theirs", ContainerSpec::new("app@sha256:3"));
    now(bench.engine.create(&user)).unwrap();
    bench.apply(&version(1, 0)).await;
    assert_eq!(references(&bench.engine), ["app@sha256:1", "app@sha256:3"]);
    let left = version(1, 0).delete(&bench.cx()).await.unwrap();
    assert!(matches!(left, Removed::Left(_)), "{left:?}");
    crate::test_engine::remove(&bench.engine, "theirs");
    assert_eq!(version(1, 0).delete(&bench.cx()).await.unwrap(), Removed::Gone);
    assert_eq!(references(&bench.engine), [] as [&str; 0]);
}

#[test]
fn what_can_not_be_is_refused() {
    let wrong = |fields: Value| {
        let mut spec = json!({ "image": "app:1" });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value::<ImageSpec>(spec).unwrap().inspect().unwrap_err().to_string()
    };
    expect_test::expect![[r#"
        `image` must be `name@sha256:…` or `name:tag`, not `sha256:1`
        `archive` can not be given beside `context`
        `build` needs a `context` that it is built from
        `platform` is only for what is pulled
        `image` must be `name:tag` where it is loaded or built"#]]
    .assert_eq(
        &[
            wrong(json!({ "image": "sha256:1" })),
            wrong(json!({ "archive": source(b"a"), "context": source(b"b") })),
            wrong(json!({ "build": {} })),
            wrong(json!({ "platform": "linux/arm64", "archive": source(b"a") })),
            wrong(json!({ "image": "a@sha256:1", "archive": source(b"a") })),
        ]
        .join("\n"),
    );
}
