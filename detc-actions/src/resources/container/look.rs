//! What is there of a container.

use std::collections::BTreeSet;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::HostError;
use detc_core::backend::containers::{
    Container, Containers, Image, Listed, Networking, ObjectKind, Phase, Query, Readiness, Status,
};
use detc_core::model::{Health, Observation, Present};

use super::made::{MADE, TRIGGERS, Told, networking, secret_path};
use super::seen::Seen;
use super::{ContainerOutput, ContainerSpec};
use crate::resources::engines::{Engines, engine, ours};

/// How much of a secret is read to compare it: a longer one is another one.
const SECRET_LEN_MAX: u64 = 16 << 20;

/// Fields that a listing tells nothing of, also by labels: they are compared with what is recorded.
const BY_RECORD: [&str; 5] = ["secrets", "completes", "order", "min_ready_ms", "ready_timeout_ms"];

/// Looks at it: by the listing where that tells all.
pub(super) async fn observe(spec: &ContainerSpec, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
    let engine = engine(cx).await?;
    let all = ours(&*engine, ObjectKind::Container, cx).await?;
    if all.is_empty() {
        return Ok(Observation::Absent);
    }
    let Some(one) = best(spec, &all, cx) else { return Ok(Observation::Present(left(&all))) };
    let status = one.status.clone().unwrap_or_else(|| Status::new(Phase::Running));
    let by_listing = match cx.backend::<Engines>()?.looks_in_full() || is_aside(one) {
        true => None,
        false => told_by_listing(spec, cx, &*engine, one).await?,
    };
    let present = match by_listing {
        Some(present) => present,
        None => match engine.container(&one.id).await? {
            Some(container) => told_by_engine(spec, &*engine, (one, &container)).await?,
            // It went between the two calls: the next look knows more.
            None => return Ok(Observation::Unknown("it was removed while it was looked at".to_owned())),
        },
    };
    let names: Vec<&str> = all.iter().map(Listed::name).collect();
    let present =
        present.with_field("container", names.join(", ")).with_triggers(one.labels.get(TRIGGERS).cloned());
    if is_aside(one) {
        // It can not be counted on, and another takes its place.
        let why = "somebody who is gone has begun to stop it".to_owned();
        let present = present.with_field("image", format!("({why})"));
        return Ok(Observation::Present(present.with_health(Health::Unhealthy).with_detail(why)));
    }
    Ok(Observation::Present(healthy(spec, present, &status)))
}

/// How the name of one ends that goes.
pub(super) fn aside_suffix(one: &Listed) -> String {
    format!("-gone-{}", one.id.get(..12).unwrap_or(&one.id))
}

/// Whether it was to go: its engine may end it at any moment, though it runs.
pub(super) fn is_aside(one: &Listed) -> bool {
    one.name().ends_with(&aside_suffix(one))
}

/// What is left of it, of which nothing runs. It is there all the same: it has the name, and is to be removed.
fn left(all: &[Listed]) -> Present {
    let how = |one: &Listed| format!("{} ({})", one.name(), phase(one));
    let all = all.iter().map(how).collect::<Vec<_>>().join(", ");
    let why = format!("nothing of it runs: {all}");
    Present::new().with_field("container", all).with_health(Health::Unhealthy).with_detail(why)
}

/// Whether it runs, or would go on by itself or by a person.
pub(super) fn is_up(one: &Listed) -> bool {
    matches!(phase(one), Phase::Running | Phase::Paused | Phase::Restarting)
}

/// Whether it is there: it is up, or has done what it was to do.
pub(super) fn is_there(spec: &ContainerSpec, one: &Listed) -> bool {
    is_up(one) || (spec.completes() && phase(one) == Phase::Exited(0))
}

/// How far it is in its life.
pub(super) fn phase(one: &Listed) -> Phase {
    one.status.as_ref().map_or(Phase::Running, |status| status.phase)
}

/// Which of several that run is it: one that works before one that does not, the recorded one before another.
fn best<'a>(spec: &ContainerSpec, all: &'a [Listed], cx: &ActionCx<'_>) -> Option<&'a Listed> {
    let recorded = cx.recorded().and_then(|body| body.output["id"].as_str());
    let rank = |one: &&Listed| {
        let is_ready = match spec.completes() {
            true => phase(one) == Phase::Exited(0),
            false => one.status.as_ref().is_some_and(Status::is_ready),
        };
        (!is_aside(one), is_ready, recorded == Some(&one.id))
    };
    all.iter().filter(|one| is_there(spec, one)).max_by_key(rank)
}

/// What is told of it, where its labels tell all: it was made from what is wanted now, that is what is recorded of this very one,
/// and so nothing was changed in place since. `None`: they do not.
async fn told_by_listing(
    spec: &ContainerSpec,
    cx: &ActionCx<'_>,
    engine: &dyn Containers,
    one: &Listed,
) -> Result<Option<Present>, ActionError> {
    let told = Told::of(spec);
    let is_made = one.mark().is_some_and(|mark| mark.spec == told.spec);
    let is_recorded = || {
        let body = cx.recorded()?;
        let is_it = body.output["id"].as_str() == Some(&one.id);
        let mut recorded = body.spec.value();
        // Secrets are marks there: they are compared with the record, and not here.
        if let Some(secrets) = recorded.get_mut("secrets").and_then(serde_json::Value::as_object_mut) {
            secrets.values_mut().for_each(|secret| *secret = "".into());
        }
        let recorded: ContainerSpec = serde_json::from_value(recorded).ok()?;
        (is_it && Told::of(&recorded) == told).then_some(())
    };
    if !is_made || is_recorded().is_none() || has_free_port(spec) {
        return Ok(None);
    }
    if let Networking::Networks(wanted) = networking(spec)
        && !wanted.keys().eq(&one.networks)
    {
        return Ok(None);
    }
    let image = one.image.clone().unwrap_or_default();
    if !is_of(spec, &image) && listed_image(engine, &spec.image).await?.as_ref() != Some(&image) {
        return Ok(None);
    }
    let written = serde_json::to_value(spec).expect("invariant: a spec is JSON");
    let fields =
        written.as_object().into_iter().flatten().filter(|(name, _)| !BY_RECORD.contains(&name.as_str()));
    let mut present = Present::new();
    present.fields = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Some(present.with_output(&ContainerOutput { id: one.id.clone(), image, published: [].into() })))
}

/// Whether an image is the wanted one, as far as that follows from how it is called: by its id, or by the digest that it was
/// made by.
fn is_of(spec: &ContainerSpec, image: &str) -> bool {
    spec.image == image || spec.image.contains("@sha256:")
}

fn has_free_port(spec: &ContainerSpec) -> bool {
    spec.ports.iter().any(|port| port.publish.is_some_and(|publish| publish.port.is_none()))
}

/// The id of the image that has this reference now. One listing serves all that are looked at together.
async fn listed_image(engine: &dyn Containers, reference: &str) -> Result<Option<String>, ActionError> {
    let images = engine.list(&Query::new(ObjectKind::Image)).await?;
    let full = if reference.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    };
    let named = images.iter().find(|image| image.names.iter().any(|name| *name == full || name == reference));
    Ok(named.map(|image| image.id.clone()))
}

/// What is told of it by itself, field by field.
async fn told_by_engine(
    spec: &ContainerSpec,
    engine: &dyn Containers,
    (one, container): (&Listed, &Container),
) -> Result<Present, ActionError> {
    let image = engine.image(&container.image).await?;
    let seen = Seen::new(spec, container, image.as_ref());
    let mut present = seen.tell(Present::new());
    let is_of_image = is_image(spec, engine, container, image.as_ref()).await?;
    let is_made = one.labels.get(MADE) == Some(&Told::of(spec).made);
    present = present.with_field(
        "image",
        match (is_of_image, is_made) {
            (false, _) => container.image.clone(),
            // It has what is not given, or lacks what is: what a spec leaves out is not compared by itself.
            (true, false) if seen.is_given_as_wanted() => "(made from another spec)".to_owned(),
            (true, _) => spec.image.clone(),
        },
    );
    if !spec.secrets.is_empty() {
        let wrong = wrong_secrets(spec, engine, &container.id).await?;
        let told = spec.secrets.iter().map(|(name, value)| {
            let seen = if wrong.contains(name.as_str()) { "(another value)" } else { value.as_str() };
            (name.clone(), seen.into())
        });
        present = present.with_field("secrets", serde_json::Value::Object(told.collect()));
    }
    Ok(present.with_output(&output(spec, container)))
}

/// Whether a container is of the image that is wanted now.
pub(super) async fn is_image(
    spec: &ContainerSpec,
    engine: &dyn Containers,
    container: &Container,
    image: Option<&Image>,
) -> Result<bool, ActionError> {
    if spec.image == container.image || image.is_some_and(|image| image.references.contains(&spec.image)) {
        return Ok(true);
    }
    let wanted = engine.image(&spec.image).await?;
    Ok(wanted.is_some_and(|wanted| wanted.id == container.image))
}

/// The secrets that a container does not have as wanted: each is read, and none is told.
pub(super) async fn wrong_secrets<'a>(
    spec: &'a ContainerSpec,
    engine: &dyn Containers,
    id: &str,
) -> Result<BTreeSet<&'a str>, ActionError> {
    let inside = engine.host(id);
    let mut wrong = BTreeSet::new();
    for (name, value) in &spec.secrets {
        match inside.read(&secret_path(name), SECRET_LEN_MAX).await {
            Ok(content) if content[..] == *value.as_bytes() => {}
            Ok(_) | Err(HostError::NotFound { .. } | HostError::TooLarge { .. }) => {
                wrong.insert(name.as_str());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(wrong)
}

/// What it gives to others.
pub(super) fn output(spec: &ContainerSpec, container: &Container) -> ContainerOutput {
    let is_free = |port: u16, protocol: &str| {
        let inside = |it: &&super::PortSpec| {
            let made = super::made::port(it);
            (made.port, made.protocol.as_str()) == (port, protocol)
        };
        let publishes = |it: &super::PortSpec| it.publish.is_some_and(|publish| publish.port.is_none());
        spec.ports.iter().filter(inside).any(publishes)
    };
    let free = container.published.iter().filter(|at| is_free(at.port, at.protocol.as_str()));
    // An engine may publish at IPv4 and IPv6 alike: the first is told.
    let mut published = std::collections::BTreeMap::new();
    for at in free {
        let place = std::net::SocketAddr::new(at.address, at.host_port).to_string();
        published.entry(format!("{}/{}", at.port, at.protocol.as_str())).or_insert(place);
    }
    ContainerOutput { id: container.id.clone(), image: container.image.clone(), published }
}

/// Whether it works, as its health check says, or whether it has ended well.
fn healthy(spec: &ContainerSpec, present: Present, status: &Status) -> Present {
    match (status.phase, status.readiness) {
        (Phase::Exited(0), _) if spec.completes() => present,
        (Phase::Running, _) if spec.completes() => {
            present.with_health(Health::Unknown).with_detail("it has not ended yet")
        }
        (Phase::Running, Readiness::Healthy) => present.with_health(Health::Healthy),
        (Phase::Running, Readiness::Unchecked) => present,
        (Phase::Running, Readiness::Starting) => {
            present.with_health(Health::Unknown).with_detail("its health check has not passed yet")
        }
        (Phase::Running, Readiness::Unhealthy) => {
            present.with_health(Health::Unhealthy).with_detail("its health check fails")
        }
        (phase, _) => present.with_health(Health::Unhealthy).with_detail(format!("it is {phase}")),
    }
}
