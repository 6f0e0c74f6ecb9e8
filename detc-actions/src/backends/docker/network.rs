//! Makes networks.

use std::collections::BTreeMap;

use bollard::BollardRequest;
use bollard::errors::Error;
use bollard::models::{Ipam, IpamConfig};
use bytes::Bytes;
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{NetworkSpec, ObjectRef, Subnet};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::DockerEngine;
use super::words::Fault;

/// What is asked for. The client's own words for it lack `CheckDuplicate`, without which older engines make a second network of the
/// same name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked<'a> {
    name: &'a str,
    check_duplicate: bool,
    driver: &'a str,
    internal: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM", skip_serializing_if = "Option::is_none")]
    ipam: Option<Ipam>,
    options: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// Far more than an engine says when it made a network, or says why not.
const LEN_MAX: usize = 1 << 20;

pub(super) async fn make(
    engine: &DockerEngine,
    name: &str,
    spec: &NetworkSpec,
) -> Result<String, ContainersError> {
    let object = ObjectRef::network(name);
    let what = format!("create {object}");
    let words = engine.words(&what);
    let config: Vec<_> = spec.subnets.iter().map(subnet).collect();
    let asked = Asked {
        name,
        check_duplicate: true,
        driver: &spec.driver,
        internal: spec.is_internal,
        enable_ipv6: spec.has_ipv6,
        ipam: (!config.is_empty()).then(|| Ipam { config: Some(config), ..Ipam::default() }),
        options: &spec.options,
        labels: &spec.labels,
    };
    match call(engine, &asked).await.map_err(Fault::from) {
        Ok(made) => Ok(made.id),
        Err(Fault::Said(said)) if said.has(&["already exists"]) => Err(words.taken(&object)),
        Err(Fault::Said(said)) if said.code == 404 => Err(words.invalid(&said.message)),
        Err(Fault::Said(said)) if said.has(&["invalid"]) => Err(words.invalid(&said.message)),
        Err(Fault::Said(said)) => Err(words.said(&said, None)),
        Err(fault) => Err(words.no_answer(fault)),
    }
}

async fn call(engine: &DockerEngine, asked: &Asked<'_>) -> Result<Made, Error> {
    let body = bollard::body_full(Bytes::from(serde_json::to_vec(asked)?));
    let request: BollardRequest =
        Request::post("/networks/create").header(CONTENT_TYPE, "application/json").body(body)?;
    let response = engine.raw(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LEN_MAX).collect().await;
    let body = body.map_err(|error| std::io::Error::other(error.to_string()))?.to_bytes();
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    let message = serde_json::from_slice::<Message>(&body)
        .map_or_else(|_| String::from_utf8_lossy(&body).into_owned(), |told| told.message);
    Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
}

fn subnet(subnet: &Subnet) -> IpamConfig {
    IpamConfig {
        subnet: Some(subnet.subnet.clone()),
        ip_range: subnet.range.clone(),
        gateway: subnet.gateway.map(|gateway| gateway.to_string()),
        auxiliary_addresses: None,
    }
}
