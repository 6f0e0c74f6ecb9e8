//! Brings files to places of a container that can not be written before it is started.
//!
//! ```text
//! a carrier, of the same image, with a volume without a name at each of the directories ── is made, and given the files
//! the container                                                                        ── is made with the carrier's volumes
//! the carrier                                                                          ── is removed; the volumes stay, and go
//!                                                                                         with the container
//! ```
//!
//! A volume without a name begins with what the image has at its place, so that nothing of that is missing. The carrier has the
//! container's labels: what a crash leaves of it is found by them, and is never started.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Access, ObjectRef};
use std::collections::BTreeSet;

use super::placed::Carried;
use super::{Volumes, discard, upload};
use crate::backends::docker::words::Words;
use crate::backends::docker::{DockerEngine, look};

/// Makes the carrier of what is to be made as `body`, which is changed to have its volumes; its id.
pub(super) async fn make(
    engine: &DockerEngine,
    name: &str,
    body: &mut ContainerCreateBody,
    carried: &Carried,
    words: Words<'_>,
) -> Result<String, ContainersError> {
    let image = body.image.clone().unwrap_or_default();
    let found = look::image(engine, &image).await?;
    let found = found.ok_or_else(|| words.not_found(&ObjectRef::image(&image)))?;
    let places = carried.dirs.iter().map(|dir| unnamed(dir));
    // Where the image has volumes, the carrier has none that would outlive it.
    let without = found.defaults.volumes.iter().filter(|place| !carried.dirs.contains(place));
    let without = without.map(|place| Mount { typ: Some(MountType::TMPFS), ..unnamed(place) });
    let mounts = places.chain(without).collect();
    let asked = ContainerCreateBody {
        image: Some(image),
        labels: body.labels.clone(),
        // It is never started, and an engine wants a command all the same.
        cmd: Some(vec!["none".to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(mounts),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = super::make(engine, &carrier_of(name), asked, words).await?;
    if let Err(error) = upload(engine, &id, "/", carried.archive.clone(), words).await {
        discard(engine, &id, Volumes::Go).await;
        return Err(error);
    }
    let host_config = body.host_config.get_or_insert_default();
    let access = if carried.access == Access::ReadOnly { "ro" } else { "rw" };
    host_config.volumes_from = Some(vec![format!("{id}:{access}")]);
    // Where the image has volumes, the container has its own.
    let mounts = host_config.mounts.get_or_insert_default();
    let taken: BTreeSet<_> = mounts.iter().filter_map(|mount| mount.target.clone()).collect();
    let own = found
        .defaults
        .volumes
        .iter()
        .filter(|place| !taken.contains(*place) && !carried.dirs.contains(place));
    mounts.extend(own.map(|place| unnamed(place)));
    Ok(id)
}

fn unnamed(place: &str) -> Mount {
    Mount { target: Some(place.to_owned()), typ: Some(MountType::VOLUME), ..Mount::default() }
}

/// A name that no other has.
fn carrier_of(name: &str) -> String {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).expect("invariant: the system has random bytes");
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}.files-{random}")
}
