//! The life of a container, from its image to its end.

use detc_core::backend::Containers;
use detc_core::backend::containers::{Change, New, ObjectKind, ObjectRef, Phase, Query};

use crate::dockerd::Dockerd;
use crate::support::{IMAGE, idle, image, name, remove, run};

#[tokio::test]
async fn a_container_is_made_started_listed_looked_at_and_removed() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    let image_id = image(engine).await;
    let name = name("life");
    let mut spec = idle();
    spec.labels.insert("life".into(), name.clone());

    let id = engine.create(&New::container(&name, spec.clone())).await.unwrap();
    let found = engine.container(&name).await.unwrap().unwrap();
    assert_eq!((found.status.phase, &found.id, &found.image), (Phase::Created, &id, &image_id));

    engine.change(&Change::start(&name)).await.unwrap();
    let query = Query::new(ObjectKind::Container).with_label("life", &name);
    let listed = engine.list(&query).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name(), &listed[0].id), (name.as_str(), &id));
    assert_eq!(listed[0].status.as_ref().unwrap().phase, Phase::Running);
    assert_eq!(listed[0].image.as_ref(), Some(&image_id));

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
    image(engine).await;
    let name = name("taken");
    run(engine, &name, idle()).await;
    let error = engine.create(&New::container(&name, idle())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("container `{name}` is there already on dockerd"));
    remove(engine, ObjectKind::Container, &name).await;
}
