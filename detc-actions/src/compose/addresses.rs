//! Whether services can have the addresses that they ask for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::node::Errors;
use super::service::Service;
use crate::resources::NetworkSpec;
use crate::resources::network::nets;

/// Tells of each address that a network, of those that are made here, will not give to the service that asks for it.
pub(super) fn check(networks: &BTreeMap<&str, &NetworkSpec>, services: &[Service], errors: &mut Errors) {
    let mut owners: BTreeMap<(&str, IpAddr), &Service> = BTreeMap::new();
    for service in services.iter().filter(|service| service.is_enabled && service.replicas > 0) {
        for (network, attachment) in &service.spec.networks {
            let Some(spec) = networks.get(network.as_str()) else { continue };
            for address in attachment.addresses.iter().flatten() {
                let owner = owners.insert((network, *address), service);
                if let Some(why) = refusal(spec, *address, owner) {
                    let path = format!("services.{}.networks", service.name);
                    let message = format!("`{path}` asks `{network}` for the address {address}, {why}");
                    let () = errors.wrong(service.line, message).unwrap_or_default();
                }
            }
        }
    }
}

/// Why a network does not give the address to one more.
fn refusal(network: &NetworkSpec, address: IpAddr, owner: Option<&Service>) -> Option<String> {
    if network.subnets.is_empty() {
        return Some("which only a network with a `subnet` gives".to_owned());
    }
    if nets::holds(&network.subnets, address) == Some(false) {
        return Some("which is in none of its subnets".to_owned());
    }
    if network.subnets.iter().any(|subnet| subnet.gateway == Some(address)) {
        return Some("which is that of its gateway".to_owned());
    }
    owner.map(|owner| format!("which `{}` on line {} has", owner.name, owner.line))
}
