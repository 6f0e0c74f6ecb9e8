//! Ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{PortBinding, PortMap};
use detc_core::backend::containers::{HostPort, Port, Protocol, Published};

/// A port as engines write it, `80/tcp`.
fn written(port: &Port) -> String {
    format!("{}/{}", port.port, port.protocol.as_str())
}

/// A port as engines write it; `None`: it is none that we know.
pub(in super::super) fn parse(text: &str) -> Option<Port> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some(Port { port: port.parse().ok()?, protocol, at: None })
}

/// What is exposed, and what is published.
pub(super) fn asked(ports: &BTreeSet<Port>) -> (Vec<String>, PortMap) {
    let mut bindings = BTreeMap::<String, Vec<PortBinding>>::new();
    for port in ports {
        let Some(at) = port.at else { continue };
        bindings.entry(written(port)).or_default().push(PortBinding {
            host_ip: at.address.map(|address| address.to_string()),
            host_port: at.port.map(|port| port.to_string()),
        });
    }
    let exposed: BTreeSet<_> = ports.iter().map(written).collect();
    (exposed.into_iter().collect(), bindings.into_iter().map(|(port, at)| (port, Some(at))).collect())
}

pub(super) fn told(exposed: Option<Vec<String>>, bindings: Option<PortMap>) -> BTreeSet<Port> {
    let mut ports: BTreeSet<Port> =
        exposed.unwrap_or_default().iter().filter_map(|port| parse(port)).collect();
    for (text, at) in bindings.unwrap_or_default() {
        let Some(port) = parse(&text) else { continue };
        ports.extend(at.unwrap_or_default().into_iter().map(|at| Port { at: Some(host_port(&at)), ..port }));
    }
    ports
}

fn host_port(at: &PortBinding) -> HostPort {
    HostPort {
        address: at.host_ip.as_deref().and_then(|address| address.parse().ok()),
        port: at.host_port.as_deref().and_then(|port| port.parse().ok()).filter(|port| *port != 0),
    }
}

/// Where ports are reached now.
pub(super) fn published(told: Option<PortMap>) -> Vec<Published> {
    let mut published = BTreeSet::new();
    for (text, at) in told.unwrap_or_default() {
        let Some(port) = parse(&text) else { continue };
        for at in at.unwrap_or_default() {
            let HostPort { address, port: Some(host_port) } = host_port(&at) else { continue };
            let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            published.insert(Published { port: port.port, protocol: port.protocol, address, host_port });
        }
    }
    published.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_told_with_what_is_exposed_beside_it() {
        let at =
            |address: Option<&str>, port| HostPort { address: address.map(|it| it.parse().unwrap()), port };
        let udp = Port { protocol: Protocol::Udp, ..Port::published(53, at(Some("::1"), Some(5353))) };
        let wanted = BTreeSet::from([
            Port::inner(9000),
            Port::published(80, at(None, Some(8080))),
            Port::published(80, at(Some("127.0.0.1"), None)),
            udp,
        ]);
        let (exposed, bindings) = asked(&wanted);
        let mut found = told(Some(exposed), Some(bindings));
        assert!(found.is_superset(&wanted), "{found:?}");
        found.retain(|port| !wanted.contains(port));
        let beside = BTreeSet::from([Port::inner(80), Port { at: None, ..udp }]);
        assert_eq!(found, beside);
    }
}
