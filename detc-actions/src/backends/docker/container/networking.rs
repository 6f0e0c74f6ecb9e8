//! What a container is connected to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{EndpointIpamConfig, EndpointSettings};
use detc_core::backend::containers::{Attachment, Networking};

/// How many letters of its id a container has as an alias, and as its host name, where nothing else is said.
pub(super) const SHORT_ID: usize = 12;

/// The mode; and what is connected when it is made. All but the first network are connected afterwards: older engines take no more.
pub(super) fn asked(networking: &Networking) -> Result<String, String> {
    Ok(match networking {
        Networking::Networks(networks) => {
            let first = networks.keys().next();
            first.cloned().ok_or("a container that is connected to networks has at least one")?
        }
        Networking::None => "none".to_owned(),
        Networking::Host => "host".to_owned(),
        Networking::Container(other) => format!("container:{other}"),
        other => return Err(format!("{other:?} is not known")),
    })
}

/// As what a container is connected to one network.
pub(in super::super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let address = |is_family: fn(&IpAddr) -> bool| {
        attachment.addresses.iter().copied().find(is_family).map(|address| address.to_string())
    };
    let ipam_config = EndpointIpamConfig {
        ipv4_address: address(IpAddr::is_ipv4),
        ipv6_address: address(IpAddr::is_ipv6),
        link_local_ips: None,
    };
    EndpointSettings {
        aliases: Some(attachment.aliases.iter().cloned().collect()),
        ipam_config: (!attachment.addresses.is_empty()).then_some(ipam_config),
        ..EndpointSettings::default()
    }
}

/// What is told of one network.
fn attachment(id: &str, told: &EndpointSettings) -> Attachment {
    let mut attachment = Attachment::aliased(told.aliases.clone().unwrap_or_default());
    attachment.aliases.remove(id.get(..SHORT_ID).unwrap_or(id));
    if let Some(config) = &told.ipam_config {
        let addresses = [&config.ipv4_address, &config.ipv6_address];
        attachment.addresses =
            addresses.into_iter().flatten().filter_map(|address| address.parse().ok()).collect();
    }
    attachment
}

pub(super) fn told(
    id: &str,
    mode: Option<&str>,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Networking {
    match mode.unwrap_or("default") {
        "none" => Networking::None,
        "host" => Networking::Host,
        mode => match mode.strip_prefix("container:") {
            Some(other) => Networking::Container(other.to_owned()),
            None => Networking::of(networks.iter().map(|(name, told)| (name.clone(), attachment(id, told)))),
        },
    }
}

/// Its address in each network.
pub(super) fn addresses(networks: &BTreeMap<String, EndpointSettings>) -> BTreeMap<String, IpAddr> {
    let address = |told: &EndpointSettings| {
        [&told.ip_address, &told.global_ipv6_address].into_iter().flatten().find_map(|it| it.parse().ok())
    };
    networks.iter().filter_map(|(name, told)| Some((name.clone(), address(told)?))).collect()
}
