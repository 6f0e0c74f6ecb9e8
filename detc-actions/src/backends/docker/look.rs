//! Looks at one object, and takes none for it that only begins with its name.

use bollard::errors::Error;
use bollard::models::{IpamConfig, NetworkInspect};
use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{
    Container, Image, Network, NetworkSpec, Networking, ObjectKind, ObjectRef, Subnet, Volume, VolumeSpec,
};

use super::container::{given, told};
use super::words::Fault;
use super::{DockerEngine, image};

/// Makes a look, and once more when its answer was lost: looking changes nothing.
pub(super) async fn twice<T, F>(look: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Error>>,
{
    match look().await.map_err(Fault::from) {
        Err(Fault::Lost) => look().await.map_err(Fault::from),
        done => done,
    }
}

/// Whether an object can be called so: what can not is not there. What is asked for becomes a part of a path.
pub(super) fn can_be_called(kind: ObjectKind, name: &str) -> bool {
    let is_letter = |letter: u8| {
        letter.is_ascii_alphanumeric()
            || b"_.-".contains(&letter)
            || (kind == ObjectKind::Image && b":@/+".contains(&letter))
    };
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.bytes().all(is_letter) && name.split('/').all(is_part)
}

/// Makes a look. `None`: it is not there.
async fn look<T, F>(
    engine: &DockerEngine,
    object: &ObjectRef,
    call: impl Fn() -> F,
) -> Result<Option<T>, ContainersError>
where
    F: Future<Output = Result<T, Error>>,
{
    if !can_be_called(object.kind, &object.name) {
        return Ok(None);
    }
    match twice(call).await {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Said(said)) if said.code == 404 => Ok(None),
        Err(fault) => Err(engine.words(&format!("look at {object}")).no_answer(fault)),
    }
}

pub(super) async fn container(
    engine: &DockerEngine,
    name: &str,
) -> Result<Option<Container>, ContainersError> {
    let object = ObjectRef::container(name);
    let call = || engine.client().inspect_container(name, None::<InspectContainerOptions>);
    let found = look(engine, &object, call).await?.map(told);
    let Some(mut found) = found.filter(|found| found.name == name || found.id == name) else {
        return Ok(None);
    };
    if let Networking::Container(other) = &found.spec.networking
        && let Some(other) = name_of(engine, other).await?
    {
        found.spec.networking = Networking::Container(other);
    }
    Ok(Some(found))
}

/// What the container of this id is called now. An engine tells the id of one whose network another has; that it is gone, or has given
/// its name to another, is to be seen.
async fn name_of(engine: &DockerEngine, id: &str) -> Result<Option<String>, ContainersError> {
    let call = || engine.client().inspect_container(id, None::<InspectContainerOptions>);
    Ok(look(engine, &ObjectRef::container(id), call).await?.map(|found| told(found).name))
}

pub(super) async fn image(engine: &DockerEngine, name: &str) -> Result<Option<Image>, ContainersError> {
    let call = || engine.client().inspect_image(name);
    let found = look(engine, &ObjectRef::image(name), call).await?.map(image::told);
    Ok(found.filter(|found| found.id == name || image::has_reference(found, name)))
}

pub(super) async fn network(engine: &DockerEngine, name: &str) -> Result<Option<Network>, ContainersError> {
    let call = || engine.client().inspect_network(name, None::<InspectNetworkOptions>);
    let found = look(engine, &ObjectRef::network(name), call).await?.map(told_network);
    Ok(found.filter(|found| found.name == name || found.id == name))
}

pub(super) async fn volume(engine: &DockerEngine, name: &str) -> Result<Option<Volume>, ContainersError> {
    let call = || engine.client().inspect_volume(name);
    Ok(look(engine, &ObjectRef::volume(name), call).await?.map(told_volume))
}

fn told_network(told: NetworkInspect) -> Network {
    let mut spec = NetworkSpec::default();
    spec.driver = told.driver.unwrap_or_default();
    spec.options = told.options.unwrap_or_default().into_iter().collect();
    spec.is_internal = told.internal == Some(true);
    spec.has_ipv6 = told.enable_ipv6 == Some(true);
    let subnets = told.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    spec.subnets = subnets.into_iter().filter_map(told_subnet).collect();
    spec.labels = told.labels.unwrap_or_default().into_iter().collect();
    let mut network = Network::new(told.id.unwrap_or_default(), told.name.unwrap_or_default(), spec);
    let members = told.containers.unwrap_or_default();
    network.members = members.into_values().filter_map(|member| given(member.name)).collect();
    network
}

fn told_subnet(told: IpamConfig) -> Option<Subnet> {
    let mut subnet = Subnet::new(given(told.subnet)?);
    subnet.range = given(told.ip_range);
    subnet.gateway = told.gateway.and_then(|gateway| gateway.parse().ok());
    Some(subnet)
}

pub(super) fn told_volume(told: bollard::models::Volume) -> Volume {
    let mut spec = VolumeSpec::default();
    spec.driver = told.driver;
    spec.options = told.options.into_iter().collect();
    spec.labels = told.labels.into_iter().collect();
    Volume::new(told.name, spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_elsewhere_is_the_name_of_nothing() {
        for name in ["web", "web-1.a_b", "f00d"] {
            assert!(can_be_called(ObjectKind::Container, name), "{name}");
        }
        for name in ["", "..", ".", "a/b", "a?force=1", "a%2fb", "a b", "ü", "a\0"] {
            assert!(!can_be_called(ObjectKind::Container, name), "{name}");
        }
        for name in ["web:1", "r.example:5000/a/b@sha256:00", "sha256:00"] {
            assert!(can_be_called(ObjectKind::Image, name), "{name}");
        }
        for name in ["a/../b", "a//b", "/a", "a/", "a?b", "../containers/x"] {
            assert!(!can_be_called(ObjectKind::Image, name), "{name}");
        }
    }
}
