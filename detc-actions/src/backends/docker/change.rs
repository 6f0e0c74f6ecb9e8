//! Changes and removes objects.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerUpdateBody, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{
    KillContainerOptions, ListContainersOptions, RemoveContainerOptions, RemoveImageOptions,
    RemoveVolumeOptions, RenameContainerOptions, StartContainerOptions, StopContainerOptions,
    WaitContainerOptions,
};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{
    Attachment, Change, Container, Limits, Networking, ObjectKind, ObjectRef, RemoveHow, Restart,
};
use futures_util::StreamExt;

use super::container::{endpoint, limits, restart_policy};
use super::look::can_be_called;
use super::turns::Step;
use super::words::{Fault, Words};
use super::{DockerEngine, image, look};

/// How long a container has to end where nothing is said: what engines take.
const GRACE: Duration = Duration::from_secs(10);

pub(super) async fn change(engine: &DockerEngine, change: &Change) -> Result<(), ContainersError> {
    let what = change.to_string();
    let words = engine.words(&what);
    match change {
        Change::Start { container } => start(engine, container, words).await,
        Change::Stop { container, grace } => stop(engine, container, *grace, words).await,
        Change::Signal { container, signal } => {
            let id = exact(engine, container, words).await?;
            let options = KillContainerOptions { signal: signal.clone() };
            match engine.client().kill_container(&id, Some(options)).await.map_err(Fault::from) {
                Err(Fault::Said(said)) if said.code == 409 && said.has(&["is not running"]) => {
                    Err(ContainersError::NotRunning {
                        engine: engine.to_string(),
                        container: container.clone(),
                    })
                }
                Err(Fault::Said(said)) if said.has(&["nvalid signal"]) => Err(words.invalid(&said.message)),
                done => of_container(done, container, words),
            }
        }
        Change::Rename { container, to } => rename(engine, container, to, words).await,
        Change::Update { container, limits, restart } => {
            update(engine, container, limits, *restart, words).await
        }
        Change::Connect { container, network, attachment } => {
            connect_as(engine, container, network, attachment, words).await
        }
        Change::Disconnect { container, network } => disconnect(engine, container, network, words).await,
        Change::Tag { image, tag } => {
            let object = ObjectRef::image(image);
            let found = look::image(engine, image).await?.ok_or_else(|| words.not_found(&object))?;
            image::tag(engine, &found.id, tag).await.map_err(|error| words.of(error, Some(&object)))
        }
        Change::Remove { object, how } => match object.kind {
            ObjectKind::Container => remove_container(engine, object, *how, words).await,
            ObjectKind::Image => remove_image(engine, object, words).await,
            ObjectKind::Network => remove_network(engine, object, words).await,
            ObjectKind::Volume => remove_volume(engine, object, words).await,
        },
        other => Err(words.invalid(&format!("it can not {other}"))),
    }
}

/// How a container is called that is meant. An engine takes the beginning of an id for all of it, so that what may be one is looked
/// up first.
async fn exact(engine: &DockerEngine, container: &str, words: Words<'_>) -> Result<String, ContainersError> {
    let object = ObjectRef::container(container);
    if !can_be_called(ObjectKind::Container, container) || container.is_empty() {
        return Err(words.not_found(&object));
    }
    if !may_be_cut(container) {
        return Ok(container.to_owned());
    }
    let found = look::container(engine, container).await?;
    found.map(|found| found.id).ok_or_else(|| words.not_found(&object))
}

/// Whether it may be the beginning of an id.
fn may_be_cut(name: &str) -> bool {
    name.len() < 64 && name.bytes().all(|letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f'))
}

fn of_container(done: Result<(), Fault>, container: &str, words: Words<'_>) -> Result<(), ContainersError> {
    match done {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) => Err(words.said(&said, Some(&ObjectRef::container(container)))),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

async fn start(engine: &DockerEngine, container: &str, words: Words<'_>) -> Result<(), ContainersError> {
    let _turn = engine.turn(Step::Start).await;
    let id = exact(engine, container, words).await?;
    let _changed = engine.endpoints().await;
    match engine.client().start_container(&id, None::<StartContainerOptions>).await.map_err(Fault::from) {
        // An exec that finds no program is answered with 404 by some engines, and with 400 by others.
        Err(Fault::Said(said)) if !said.names_what_is_missing() => Err(words.not_started(container, &said)),
        done => of_container(done, container, words),
    }
}

async fn stop(
    engine: &DockerEngine,
    container: &str,
    grace: Option<Duration>,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let id = exact(engine, container, words).await?;
    let seconds = grace.map(|grace| grace.as_secs() + u64::from(grace.subsec_nanos() > 0));
    let options = StopContainerOptions {
        signal: None,
        t: seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
    };
    let longer = match grace {
        Some(grace) => grace,
        None => {
            let found = look::container(engine, container).await?;
            let found = found.ok_or_else(|| words.not_found(&ObjectRef::container(container)))?;
            found.spec.stop_grace.unwrap_or(GRACE)
        }
    };
    let _changed = engine.endpoints().await;
    let done = engine.patient(longer).stop_container(&id, Some(options)).await;
    of_container(done.map_err(Fault::from), container, words)?;
    // An engine may say so before it has taken it out of its networks, and does not answer this before. It has ended, whatever is said.
    let _seen = look::container(engine, &id).await;
    Ok(())
}

async fn rename(
    engine: &DockerEngine,
    container: &str,
    to: &str,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let id = exact(engine, container, words).await?;
    let options = RenameContainerOptions { name: to.to_owned() };
    let _rest = engine.endpoints_at_rest().await;
    match engine.client().rename_container(&id, options).await.map_err(Fault::from) {
        Err(Fault::Said(said)) if said.has(&["same name"]) => Ok(()),
        Err(Fault::Said(said)) if said.has(&["already in use"]) => {
            Err(words.taken(&ObjectRef::container(to)))
        }
        Err(Fault::Said(said)) if said.has(&["nvalid container name"]) => Err(words.invalid(&said.message)),
        // Of one that is started again and again it may miss the sandbox of its networks: it is there all the same.
        Err(Fault::Said(said)) if said.code == 404 && !said.names_what_is_missing() => {
            Err(words.refused(&said.message))
        }
        done => of_container(done, container, words),
    }
}

async fn found(
    engine: &DockerEngine,
    container: &str,
    words: Words<'_>,
) -> Result<Container, ContainersError> {
    let found = look::container(engine, container).await?;
    found.ok_or_else(|| words.not_found(&ObjectRef::container(container)))
}

async fn update(
    engine: &DockerEngine,
    container: &str,
    wanted: &Limits,
    restart: Restart,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let found = found(engine, container, words).await?;
    let body = update_body(&found.spec.limits, wanted).map_err(|limit| ContainersError::Unsupported {
        engine: engine.to_string(),
        what: format!("take the {limit} of a container away that was made with one"),
    })?;
    let body = ContainerUpdateBody { restart_policy: Some(restart_policy(restart)), ..body };
    let done = engine.client().update_container(&found.id, body).await;
    of_container(done.map_err(Fault::from), container, words)
}

/// What an engine is told so that limits become as wanted: what it is not told stays. `Err`: the limit that would have to be taken
/// away, which engines can do of processes alone.
fn update_body(now: &Limits, wanted: &Limits) -> Result<ContainerUpdateBody, &'static str> {
    let gone = [
        (now.memory_bytes.is_some() && wanted.memory_bytes.is_none(), "memory limit"),
        (now.memory_reserved_bytes.is_some() && wanted.memory_reserved_bytes.is_none(), "reserved memory"),
        (now.cpu_nanos.is_some() && wanted.cpu_nanos.is_none(), "limit of processors"),
        (now.cpu_weight.is_some() && wanted.cpu_weight.is_none(), "weight"),
        (now.cpu_set.is_some() && wanted.cpu_set.is_none(), "set of processors"),
    ];
    if let Some((_, limit)) = gone.into_iter().find(|(is_gone, _)| *is_gone) {
        return Err(limit);
    }
    let mut body = limits(wanted);
    if wanted.pids_max.is_none() && now.pids_max.is_some() {
        body.pids_limit = Some(-1);
    }
    // Memory can not become more than what memory and swap are together: where nothing is said of swap, it is as much as memory, as
    // for a new container.
    if let (Some(memory), None) = (body.memory, body.memory_swap) {
        body.memory_swap = Some(memory.saturating_mul(2));
    }
    Ok(body)
}

async fn connect_as(
    engine: &DockerEngine,
    container: &str,
    network: &str,
    attachment: &Attachment,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let _changed = engine.endpoints().await;
    let found = found(engine, container, words).await?;
    let Some(there) = look::network(engine, network).await? else {
        return Err(words.not_found(&ObjectRef::network(network)));
    };
    if let Networking::Networks(networks) = &found.spec.networking
        && let Some(now) = networks.get(&there.name)
    {
        if now == attachment {
            return Ok(());
        }
        let request = NetworkDisconnectRequest { container: found.id.clone(), force: Some(false) };
        let done = engine.client().disconnect_network(&there.id, request).await;
        done.map_err(|error| words.of(error, None))?;
    }
    connect(engine, &found.id, &there.id, endpoint(attachment)).await
}

/// Connects a container that is not connected there.
pub(super) async fn connect(
    engine: &DockerEngine,
    container: &str,
    network: &str,
    endpoint: EndpointSettings,
) -> Result<(), ContainersError> {
    let what = format!("connect container `{container}` to network `{network}`");
    let words = engine.words(&what);
    let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
    match engine.client().connect_network(network, request).await.map_err(Fault::from) {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) if said.code == 404 && said.has(&["No such container"]) => {
            Err(words.not_found(&ObjectRef::container(container)))
        }
        Err(Fault::Said(said)) if said.code == 404 => Err(words.not_found(&ObjectRef::network(network))),
        Err(Fault::Said(said)) if said.has(&["nvalid"]) => Err(words.invalid(&said.message)),
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

async fn disconnect(
    engine: &DockerEngine,
    container: &str,
    network: &str,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let found = found(engine, container, words).await?;
    let Some(there) = look::network(engine, network).await? else {
        return Err(words.not_found(&ObjectRef::network(network)));
    };
    let _changed = engine.endpoints().await;
    let request = NetworkDisconnectRequest { container: found.id, force: Some(false) };
    match engine.client().disconnect_network(&there.id, request).await.map_err(Fault::from) {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) if said.has(&["is not connected"]) => Ok(()),
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

async fn remove_container(
    engine: &DockerEngine,
    object: &ObjectRef,
    how: RemoveHow,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let id = match exact(engine, &object.name, words).await {
        Err(ContainersError::NotFound { .. }) => return Ok(()),
        id => id?,
    };
    let _changed = match how {
        RemoveHow::Running => Some(engine.endpoints().await),
        RemoveHow::Unused => None,
    };
    let options = RemoveContainerOptions { v: true, force: how == RemoveHow::Running, link: false };
    match engine.client().remove_container(&id, Some(options)).await.map_err(Fault::from) {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) if said.code == 404 => Ok(()),
        Err(Fault::Said(said)) if said.code == 409 && said.has(&["already in progress"]) => {
            gone(engine, &id, words).await
        }
        Err(Fault::Said(said)) if said.code == 409 => Err(words.in_use(object, &said.message)),
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

/// Waits until a container is gone that somebody else removes.
async fn gone(engine: &DockerEngine, id: &str, words: Words<'_>) -> Result<(), ContainersError> {
    let options = WaitContainerOptions { condition: "removed".to_owned() };
    let mut waited = engine.client().wait_container(id, Some(options));
    match waited.next().await.map_or(Ok(()), |ended| ended.map(drop)) {
        // With which code it had ended is nothing to us.
        Ok(()) | Err(Error::DockerContainerWaitError { .. }) => Ok(()),
        Err(error) => match Fault::from(error) {
            Fault::Said(said) if said.code == 404 => Ok(()),
            Fault::Said(said) => Err(words.said(&said, None)),
            fault => Err(words.no_answer(fault)),
        },
    }
}

async fn remove_image(
    engine: &DockerEngine,
    object: &ObjectRef,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    let Some(found) = look::image(engine, &object.name).await? else { return Ok(()) };
    let references: Vec<_> = if found.id == object.name && !found.references.is_empty() {
        // One that is in use loses none of them.
        if let Some(user) = user_of_image(engine, &found.id, words).await? {
            return Err(words.in_use(object, &format!("container `{user}` was made with it")));
        }
        found.references.into_iter().collect()
    } else {
        vec![object.name.clone()]
    };
    for reference in references {
        let options = RemoveImageOptions::default();
        match engine.client().remove_image(&reference, Some(options), None).await.map_err(Fault::from) {
            Ok(_) => {}
            Err(Fault::Said(said)) if said.code == 404 => {}
            Err(Fault::Said(said)) if said.code == 409 => return Err(words.in_use(object, &said.message)),
            Err(Fault::Said(said)) => return Err(words.said(&said, None)),
            Err(fault) => return Err(words.no_answer(fault)),
        }
    }
    Ok(())
}

/// A container that was made with an image.
async fn user_of_image(
    engine: &DockerEngine,
    image: &str,
    words: Words<'_>,
) -> Result<Option<String>, ContainersError> {
    let filters = [("ancestor".to_owned(), vec![image.to_owned()])].into_iter().collect();
    let options =
        ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let users = look::twice(|| engine.client().list_containers(Some(options.clone()))).await;
    let users = users.map_err(|fault| words.no_answer(fault))?;
    // An ancestor is also the image that another was built on.
    let user = users.into_iter().find(|user| user.image_id.as_deref() == Some(image));
    Ok(user.map(|user| {
        let name = user.names.into_iter().flatten().next().or(user.id).unwrap_or_default();
        name.trim_start_matches('/').to_owned()
    }))
}

async fn remove_network(
    engine: &DockerEngine,
    object: &ObjectRef,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    /// A defect of engines: github.com/moby/moby/issues/42119.
    const COUNTED: &str =
        "no container is in it, and it counts one that is gone: it forgets that when it is started again";
    let Some(found) = look::network(engine, &object.name).await? else { return Ok(()) };
    match engine.client().remove_network(&found.id).await.map_err(Fault::from) {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) if said.code == 404 => Ok(()),
        Err(Fault::Said(said)) if said.has(&["active endpoints"]) => {
            let by: Vec<_> = found.members.into_iter().collect();
            if by.is_empty() {
                Err(words.refused(COUNTED))
            } else {
                Err(words.in_use(object, &by.join(", ")))
            }
        }
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

async fn remove_volume(
    engine: &DockerEngine,
    object: &ObjectRef,
    words: Words<'_>,
) -> Result<(), ContainersError> {
    if !can_be_called(ObjectKind::Volume, &object.name) {
        return Ok(());
    }
    let options = None::<RemoveVolumeOptions>;
    match engine.client().remove_volume(&object.name, options).await.map_err(Fault::from) {
        Ok(()) => Ok(()),
        Err(Fault::Said(said)) if said.code == 404 => Ok(()),
        Err(Fault::Said(said)) if said.code == 409 => Err(words.in_use(object, &said.message)),
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_an_engine_can_not_take_away_is_named() {
        let with = |set: fn(&mut Limits)| {
            let mut limits = Limits::default();
            set(&mut limits);
            limits
        };
        let memory = with(|limits| limits.memory_bytes = Some(1 << 30));
        let pids = with(|limits| limits.pids_max = Some(10));
        assert_eq!(update_body(&memory, &pids).err(), Some("memory limit"));
        assert_eq!(update_body(&pids, &memory).unwrap().pids_limit, Some(-1));
        assert_eq!(update_body(&memory, &memory).unwrap().memory_swap, Some(2 << 30));
        assert_eq!(update_body(&Limits::default(), &pids).unwrap().pids_limit, Some(10));
    }

    #[test]
    fn what_may_be_the_beginning_of_an_id_is_looked_up() {
        assert!(may_be_cut("f00d") && may_be_cut("1") && !may_be_cut("web") && !may_be_cut("F00d"));
        assert!(!may_be_cut(&"0".repeat(64)));
    }
}
