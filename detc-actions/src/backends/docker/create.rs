//! Makes containers and volumes.

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, UploadToContainerOptions};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{ContainerSpec, FileInside, Networking, ObjectRef, Source, VolumeSpec};
use futures_util::future::try_join_all;
use futures_util::stream;

use super::container::{asked, endpoint};
use super::turns::Step;
use super::words::{Fault, Words};
use super::{DockerEngine, change, look};

mod carry;
mod placed;

use placed::Placed;

/// Makes a container with all that it is to have, or none.
pub(super) async fn container(
    engine: &DockerEngine,
    name: &str,
    spec: &ContainerSpec,
    files: &[FileInside],
) -> Result<String, ContainersError> {
    let _turn = engine.turn(Step::Make(name.to_owned())).await;
    let what = format!("create container `{name}`");
    let words = engine.words(&what);
    let mut body = asked(spec).map_err(|what| words.invalid(&what))?;
    let placed = Placed::of(spec, files).map_err(|what| words.invalid(&what))?;
    tokio::try_join!(volumes_exist(engine, spec, words), networks_exist(engine, spec, words))?;
    let carrier = match &placed.carried {
        Some(carried) => Some(carry::make(engine, name, &mut body, carried, words).await?),
        None => None,
    };
    let made = async {
        let id = make(engine, name, body, words).await?;
        let finished = async {
            connect_further(engine, &id, spec).await?;
            for (root, archive) in placed.inside {
                upload(engine, &id, &root, archive, words).await?;
            }
            Ok(())
        };
        match finished.await {
            Ok(()) => Ok(id),
            Err(error) => {
                // What is only half of what was asked for is of no use. Where it stays, whoever finds it removes it.
                discard(engine, &id, Volumes::Go).await;
                Err(error)
            }
        }
    };
    let made = made.await;
    if let Some(carrier) = carrier {
        // An engine counts only the users of a volume that have run.
        let volumes = if made.is_ok() { Volumes::Stay } else { Volumes::Go };
        discard(engine, &carrier, volumes).await;
    }
    made
}

/// What becomes of the volumes without a name of a container that is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Volumes {
    Go,
    Stay,
}

/// Removes a container that is of no use any more, where that can be done.
async fn discard(engine: &DockerEngine, id: &str, volumes: Volumes) {
    let all = RemoveContainerOptions { force: true, v: volumes == Volumes::Go, link: false };
    let _stays = engine.client().remove_container(id, Some(all)).await;
}

async fn make(
    engine: &DockerEngine,
    name: &str,
    body: ContainerCreateBody,
    words: Words<'_>,
) -> Result<String, ContainersError> {
    let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
    let image = body.image.clone().unwrap_or_default();
    match engine.client().create_container(Some(options), body).await.map_err(Fault::from) {
        Ok(made) => Ok(made.id),
        Err(Fault::Said(said)) if said.code == 409 && said.has(&["already in use"]) => {
            Err(words.taken(&ObjectRef::container(name)))
        }
        Err(Fault::Said(said)) if said.code == 404 && said.has(&["o such image"]) => {
            Err(words.not_found(&ObjectRef::image(image)))
        }
        // Some of what is wrong with a spec is said as if it was the engine's fault.
        Err(Fault::Said(said)) if said.code == 500 && said.has(&["nvalid"]) => {
            Err(words.invalid(&said.message))
        }
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

/// An engine would make volumes by the way.
async fn volumes_exist(
    engine: &DockerEngine,
    spec: &ContainerSpec,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let names = spec.mounts.values().filter_map(|mount| match &mount.source {
        Source::Volume(name) => Some(name),
        _ => None,
    });
    let checks = names.map(|name| async move {
        let found = look::volume(engine, name).await?;
        found.map(drop).ok_or_else(|| words.not_found(&ObjectRef::volume(name)))
    });
    try_join_all(checks).await.map(drop)
}

/// An engine would tell only when the container is started.
async fn networks_exist(
    engine: &DockerEngine,
    spec: &ContainerSpec,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let Networking::Networks(networks) = &spec.networking else { return Ok(()) };
    let asked = networks.keys().filter(|name| *name != Networking::DEFAULT);
    let checks = asked.map(|name| async move {
        let found = look::network(engine, name).await?;
        found.map(drop).ok_or_else(|| words.not_found(&ObjectRef::network(name)))
    });
    try_join_all(checks).await.map(drop)
}

/// Connects it to all its networks but the first, which it has from its making.
async fn connect_further(
    engine: &DockerEngine,
    id: &str,
    spec: &ContainerSpec,
) -> Result<(), ContainersError> {
    let Networking::Networks(networks) = &spec.networking else { return Ok(()) };
    for (network, attachment) in networks.iter().skip(1) {
        change::connect(engine, id, network, endpoint(attachment)).await?;
    }
    Ok(())
}

async fn upload(
    engine: &DockerEngine,
    id: &str,
    root: &str,
    archive: bytes::Bytes,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let options = UploadToContainerOptions { path: root.to_owned(), ..UploadToContainerOptions::default() };
    // As a stream: what is sent at once is logged by the client, and may be secret.
    let body = bollard::body_stream(stream::once(async { archive }));
    let sent = engine.client().upload_to_container(id, Some(options), body).await;
    sent.map_err(|error| words.of(error, None))
}

pub(super) async fn volume(
    engine: &DockerEngine,
    name: &str,
    spec: &VolumeSpec,
) -> Result<String, ContainersError> {
    let object = ObjectRef::volume(name);
    let what = format!("create {object}");
    let words = engine.words(&what);
    // To an engine it is no error that one is there.
    if look::volume(engine, name).await?.is_some() {
        return Err(words.taken(&object));
    }
    let asked = VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some(spec.driver.clone()),
        driver_opts: Some(spec.options.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        cluster_volume_spec: None,
    };
    match engine.client().create_volume(asked).await.map_err(Fault::from) {
        // Somebody else may have made it since it was looked for.
        Ok(made) if look::told_volume(made.clone()).spec == *spec => Ok(made.name),
        Ok(_) => Err(words.taken(&object)),
        Err(Fault::Said(said)) if said.code == 409 => Err(words.taken(&object)),
        Err(Fault::Said(said)) if said.has(&["invalid"]) || said.has(&["plugin", "not found"]) => {
            Err(words.invalid(&said.message))
        }
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}
