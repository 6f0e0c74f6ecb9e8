//! Lists objects: one call, however many there are.

use std::collections::BTreeMap;

use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Listed, Listing, ObjectKind, Query};

use super::container::status_of_listing;
use super::look::twice;
use super::{DockerEngine, image};

/// Networks that are none: what is said of a container that has no network, or its machine's.
const NONE: [&str; 2] = ["none", "host"];

pub(super) async fn list(engine: &DockerEngine, query: &Query) -> Result<Listing, ContainersError> {
    let listed = twice(|| async move {
        match query.kind {
            ObjectKind::Container => containers(engine, query).await,
            ObjectKind::Image => images(engine, query).await,
            ObjectKind::Network => networks(engine, query).await,
            ObjectKind::Volume => volumes(engine, query).await,
        }
    });
    let mut listed =
        listed.await.map_err(|fault| engine.words(&format!("list its {}s", query.kind)).no_answer(fault))?;
    // An engine's filter knows no label without a value from one with an empty one.
    listed.retain(|object| query.wants(&object.labels));
    listed.sort_by(|one, other| (one.name(), &one.id).cmp(&(other.name(), &other.id)));
    Ok(listed.into())
}

/// What the engine is asked for, in a map of its own making.
fn filters<M: FromIterator<(String, Vec<String>)>>(query: &Query) -> Option<M> {
    let labels: Vec<_> = query.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!labels.is_empty()).then(|| [("label".to_owned(), labels)].into_iter().collect())
}

fn labels(told: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    told.into_iter().collect()
}

async fn containers(engine: &DockerEngine, query: &Query) -> Result<Vec<Listed>, Error> {
    let options =
        ListContainersOptions { all: true, filters: filters(query), ..ListContainersOptions::default() };
    let told = engine.client().list_containers(Some(options)).await?;
    Ok(told
        .into_iter()
        .map(|told| {
            let status = status_of_listing(&told);
            // A container that others are linked to has further names, with theirs in front.
            let names = told.names.unwrap_or_default().into_iter();
            let own = names.filter_map(|name| name.strip_prefix('/').map(str::to_owned));
            let own = own.filter(|name| !name.contains('/')).collect();
            let mut listed = Listed::new(ObjectKind::Container, told.id.unwrap_or_default(), own);
            listed.labels = labels(told.labels.unwrap_or_default());
            listed.status = Some(status);
            listed.image = told.image_id;
            let networks = told.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
            listed.networks = networks.into_keys().filter(|name| !NONE.contains(&name.as_str())).collect();
            listed
        })
        .collect())
}

async fn images(engine: &DockerEngine, query: &Query) -> Result<Vec<Listed>, Error> {
    let options = ListImagesOptions { filters: filters(query), ..ListImagesOptions::default() };
    let told = engine.client().list_images(Some(options)).await?;
    Ok(told
        .into_iter()
        .map(|told| {
            let references = image::references(Some(told.repo_tags), Some(told.repo_digests));
            let mut listed = Listed::new(ObjectKind::Image, told.id, references.into_iter().collect());
            listed.labels = labels(told.labels);
            listed
        })
        .collect())
}

async fn networks(engine: &DockerEngine, query: &Query) -> Result<Vec<Listed>, Error> {
    let options = ListNetworksOptions { filters: filters(query) };
    let told = engine.client().list_networks(Some(options)).await?;
    Ok(told
        .into_iter()
        .map(|told| {
            let names = told.name.into_iter().collect();
            let mut listed = Listed::new(ObjectKind::Network, told.id.unwrap_or_default(), names);
            listed.labels = labels(told.labels.unwrap_or_default());
            listed
        })
        .collect())
}

async fn volumes(engine: &DockerEngine, query: &Query) -> Result<Vec<Listed>, Error> {
    let options = ListVolumesOptions { filters: filters(query) };
    let told = engine.client().list_volumes(Some(options)).await?;
    Ok(told
        .volumes
        .unwrap_or_default()
        .into_iter()
        .map(|told| {
            let mut listed = Listed::new(ObjectKind::Volume, told.name.clone(), vec![told.name]);
            listed.labels = labels(told.labels);
            listed
        })
        .collect())
}
