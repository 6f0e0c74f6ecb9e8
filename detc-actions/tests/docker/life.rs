//! The life of a container, from its image to its end.

use detc_core::backend::Containers;
use detc_core::backend::containers::{
    Access, Build, Change, FileInside, ImageFrom, Mount, New, ObjectKind, ObjectRef, Phase, Query, Source,
};

use crate::dockerd::Dockerd;
use crate::support::{IMAGE, context, idle, name, remove, run};

#[tokio::test]
async fn a_container_is_made_started_listed_looked_at_and_removed() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    let image_id = dockerd.image().await;
    let name = name("life");
    let mut spec = idle();
    spec.labels.insert("life".into(), name.clone());

    let id = engine.create(&New::container(&name, spec.clone())).await.unwrap();
    let found = engine.container(&name).await.unwrap().unwrap();
    assert_eq!((found.status.phase, &found.id, &found.image), (Phase::Created, &id, &image_id.to_owned()));

    engine.change(&Change::start(&name)).await.unwrap();
    let query = Query::new(ObjectKind::Container).with_label("life", &name);
    let listed = engine.list(&query).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name(), &listed[0].id), (name.as_str(), &id));
    assert_eq!(listed[0].status.as_ref().unwrap().phase, Phase::Running);
    assert_eq!(listed[0].image.as_deref(), Some(image_id));

    let defaults = engine.image(IMAGE).await.unwrap().unwrap().defaults;
    let found = engine.container(&id).await.unwrap().unwrap();
    assert!(found.status.is_ready());
    let mut told = found.spec.beside(&defaults);
    // What was left to the engine.
    told.logging = None;
    assert_eq!(told, spec.beside(&defaults));

    remove(engine, ObjectKind::Container, &name).await;
    assert_eq!(engine.inspect(&ObjectRef::container(&name)).await.unwrap(), None);
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn what_is_there_is_not_taken_over() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("taken");
    run(engine, &name, idle()).await;
    let error = engine.create(&New::container(&name, idle())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("container `{name}` is there already on dockerd"));
    remove(engine, ObjectKind::Container, &name).await;
}

async fn volumes(engine: &dyn Containers) -> Vec<String> {
    let listed = engine.list(&Query::new(ObjectKind::Volume)).await.unwrap();
    listed.iter().map(|volume| volume.name().to_owned()).collect()
}

/// An engine of its own, so that no other test makes volumes meanwhile.
#[tokio::test]
async fn files_reach_places_that_only_what_runs_can_see_and_nothing_is_left_of_how() {
    let dockerd = Dockerd::start();
    let engine: &dyn Containers = &dockerd.engine();
    let mut build = Build::new(context("VOLUME /image\nCMD [\"sleep\", \"600\"]\n"));
    build.tags.insert(IMAGE.to_owned());
    engine.create(&New::image(ImageFrom::Build(build))).await.unwrap();
    let name = name("secret");
    let mut spec = idle();
    spec.root = Access::ReadOnly;
    spec.mounts.insert("/run".into(), Mount::new(Source::Memory { size: Some(1 << 20), mode: Some(0o755) }));
    let paths = ["/run/secrets/key", "/etc/secrets/key", "/image/key", "/srv/a/b"];
    let files = paths.map(|path| FileInside::new(path, path.as_bytes())).to_vec();
    let boxed = Box::new(spec.clone());
    engine.create(&New::Container { name: name.clone(), spec: boxed, files }).await.unwrap();
    let all = engine.list(&Query::new(ObjectKind::Container)).await.unwrap();
    assert_eq!(all.iter().map(|container| container.name()).collect::<Vec<_>>(), [&name]);

    engine.change(&Change::start(&name)).await.unwrap();
    let host = engine.host(&name);
    for path in paths {
        assert_eq!(host.read(path, 100).await.unwrap(), path.as_bytes(), "{path}");
    }
    let passwd = host.read("/etc/passwd", 1000).await.unwrap();
    assert!(passwd.starts_with(b"root:"), "what the image has beside a secret is still there");
    assert!(host.write("/srv/c", b"", &Default::default()).await.is_err(), "its root can only be read");

    let defaults = engine.image(IMAGE).await.unwrap().unwrap().defaults;
    let mut told = engine.container(&name).await.unwrap().unwrap().spec.beside(&defaults);
    told.logging = None;
    assert_eq!(told, spec.beside(&defaults));

    assert_ne!(volumes(engine).await, [""; 0]);
    remove(engine, ObjectKind::Container, &name).await;
    assert_eq!(volumes(engine).await, [""; 0]);
}
