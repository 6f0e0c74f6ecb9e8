//! Ports of a service.

use std::net::IpAddr;

use super::node::{Errors, Fields, Node, Raw};
use crate::resources::container::{PortProtocol, PortSpec, PublishSpec};

/// The ports that are published.
pub(super) fn publish(fields: &mut Fields, errors: &mut Errors) -> Vec<PortSpec> {
    let path = fields.path("ports");
    let Some(node) = fields.take("ports") else { return Vec::new() };
    let Some(items) = node.list(&path, errors) else { return Vec::new() };
    let mut ports = Vec::new();
    for item in items {
        let read = match &item.value {
            Raw::Map(_) => long(item, &path, errors),
            _ => item.text(&path, errors).and_then(|text| match short(&text) {
                Ok(ports) => Some(ports),
                Err(why) => errors.wrong(item.line, format!("`{path}`: `{text}` {why}")),
            }),
        };
        ports.extend(read.unwrap_or_default());
        if has_too_many(&ports, item, &path, errors) {
            return Vec::new();
        }
    }
    ports
}

fn has_too_many(ports: &[PortSpec], item: &Node, path: &str, errors: &mut Errors) -> bool {
    const PORTS_MAX: usize = 1000;
    let has_too_many = ports.len() > PORTS_MAX;
    if has_too_many {
        let () =
            errors.wrong(item.line, format!("`{path}` has more than {PORTS_MAX} ports")).unwrap_or_default();
    }
    has_too_many
}

/// Adds the ports that are only there for containers, but for those that are published anyhow.
pub(super) fn expose(fields: &mut Fields, ports: &mut Vec<PortSpec>, errors: &mut Errors) {
    let path = fields.path("expose");
    let Some(node) = fields.take("expose") else { return };
    let Some(items) = node.list(&path, errors) else { return };
    for item in items {
        let Some(text) = item.text(&path, errors) else { continue };
        let read = protocol(&text).and_then(|(range, protocol)| Ok((range_of(range)?, protocol)));
        let (range, protocol) = match read {
            Ok(read) => read,
            Err(why) => {
                let () = errors.wrong(item.line, format!("`{path}`: `{text}` {why}")).unwrap_or_default();
                continue;
            }
        };
        for port in range {
            if has_too_many(ports, item, &path, errors) {
                return;
            }
            let is_there = |it: &PortSpec| it.port == port && same(it.protocol, protocol);
            if !ports.iter().any(is_there) {
                ports.push(PortSpec { port, protocol, publish: None });
            }
        }
    }
}

fn same(a: Option<PortProtocol>, b: Option<PortProtocol>) -> bool {
    a.unwrap_or(PortProtocol::Tcp) == b.unwrap_or(PortProtocol::Tcp)
}

/// A port of the machine that only one container can have.
pub(super) fn shared_port(ports: &[PortSpec]) -> Option<u16> {
    ports.iter().find_map(|port| port.publish?.port)
}

/// A port of the machine that is given to two ports of a container.
pub(super) fn port_twice(ports: &[PortSpec]) -> Option<u16> {
    let published: Vec<_> =
        (ports.iter()).filter_map(|it| Some((it.publish?.port?, it.publish?.address, it.protocol))).collect();
    // `::` is, as a rule, all of both families.
    let is_all = |a: IpAddr, b: IpAddr| a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    let overlap = |a: Option<IpAddr>, b: Option<IpAddr>| match (a, b) {
        (Some(a), Some(b)) => a == b || is_all(a, b) || is_all(b, a),
        (_, _) => true,
    };
    let is_again = |at: usize, &(port, address, protocol): &(u16, Option<IpAddr>, Option<PortProtocol>)| {
        let before = published[..at].iter();
        let mut others = before.filter(|(other, _, theirs)| *other == port && same(*theirs, protocol));
        others.any(|(_, theirs, _)| overlap(*theirs, address))
    };
    published.iter().enumerate().find(|(at, it)| is_again(*at, it)).map(|(_, (port, ..))| *port)
}

/// `[[ADDRESS:][PORT]:]PORT[/PROTOCOL]`, where a port may be a range.
fn short(text: &str) -> Result<Vec<PortSpec>, String> {
    let (text, protocol) = protocol(text)?;
    let (outside, inside) = match text.rsplit_once(':') {
        Some((outside, inside)) => (Some(outside), inside),
        None => (None, text),
    };
    let inside = range_of(inside)?;
    let (address, outside) = match outside {
        None => (None, None),
        Some(outside) => {
            let (address, port) = match outside.rsplit_once(':') {
                Some((address, port)) => (Some(address_of(address)?), port),
                None => (None, outside),
            };
            (address, Some(port).filter(|port| !port.is_empty()).map(range_of).transpose()?)
        }
    };
    if outside.as_ref().is_some_and(|outside| outside.len() != inside.len()) {
        return Err("has not as many ports outside as inside: expected ranges of the same length".to_owned());
    }
    let first = outside.map(|outside| *outside.start());
    let port = |(at, port): (u16, u16)| {
        let publish = PublishSpec { address, port: first.map(|first| first + at) };
        PortSpec { port, protocol, publish: Some(publish) }
    };
    Ok((0..).zip(inside).map(port).collect())
}

fn protocol(text: &str) -> Result<(&str, Option<PortProtocol>), String> {
    let Some((ports, protocol)) = text.rsplit_once('/') else { return Ok((text, None)) };
    Ok((ports, Some(protocol_of(protocol)?)))
}

fn protocol_of(text: &str) -> Result<PortProtocol, String> {
    match text {
        "tcp" => Ok(PortProtocol::Tcp),
        "udp" => Ok(PortProtocol::Udp),
        "sctp" => Ok(PortProtocol::Sctp),
        _ => Err(format!("has the protocol `{text}`: expected `tcp`, `udp` or `sctp`")),
    }
}

fn address_of(text: &str) -> Result<IpAddr, String> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    plain.parse().map_err(|_| format!("has the address `{text}`: expected one by numbers"))
}

/// `80`, or `80-89`.
fn range_of(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("has `{text}`, which is no port: expected 1 to 65535, or a range of them")),
    }
}

fn long(node: &Node, path: &str, errors: &mut Errors) -> Option<Vec<PortSpec>> {
    let mut fields = node.fields(path, errors)?;
    let target = fields.count("target", errors);
    let _name = fields.text("name", errors);
    let line = fields.line_of("mode");
    if let Some(mode) = fields.text("mode", errors).filter(|mode| mode != "host" && mode != "ingress") {
        let () = errors
            .wrong(line, format!("`{path}.mode` is `{mode}`: expected `host` or `ingress`"))
            .unwrap_or_default();
    }
    let (published, address) = (fields.text("published", errors), fields.text("host_ip", errors));
    let protocol = fields.text("protocol", errors).map(|text| protocol_of(&text)).transpose();
    fields.finish(&["target", "name", "mode", "published", "host_ip", "protocol"], errors);
    let read = || {
        let target = target.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        let port = target.ok_or_else(|| "has no `target`: expected the port inside".to_owned())?;
        let published = published.as_deref().filter(|text| !text.is_empty()).map(range_of).transpose()?;
        if published.as_ref().is_some_and(|range| range.len() != 1) {
            return Err(
                "is published at whichever port of a range is free, which is not supported".to_owned()
            );
        }
        let publish = PublishSpec {
            address: address.as_deref().map(address_of).transpose()?,
            port: published.map(|range| *range.start()),
        };
        Ok(vec![PortSpec { port, protocol: protocol?, publish: Some(publish) }])
    };
    match read() {
        Ok(ports) => Some(ports),
        Err(why) => errors.wrong(node.line, format!("`{path}`: it {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let one = |it: &PortSpec| {
            let publish = it.publish.unwrap_or_default();
            let address = publish.address.map(|address| format!("{address} ")).unwrap_or_default();
            let port = publish.port.map_or("any".to_owned(), |port| port.to_string());
            let protocol = it.protocol.map(|protocol| format!(" {protocol:?}")).unwrap_or_default();
            format!("{address}{port}->{}{protocol}", it.port)
        };
        match short(text) {
            Ok(ports) => ports.iter().map(one).collect::<Vec<_>>().join(", "),
            Err(why) => why,
        }
    }

    #[test]
    fn ports_are_read_as_compose_writes_them() {
        for (text, read) in [
            ("3000", "any->3000"),
            ("3000-3002", "any->3000, any->3001, any->3002"),
            ("8000:80", "8000->80"),
            ("9090-9091:8080-8081", "9090->8080, 9091->8081"),
            ("127.0.0.1:8001:8001", "127.0.0.1 8001->8001"),
            ("127.0.0.1::5000", "127.0.0.1 any->5000"),
            ("[::1]:80:80", "::1 80->80"),
            ("6060:6060/udp", "6060->6060 Udp"),
        ] {
            assert_eq!(said(text), read, "{text}");
        }
    }

    #[test]
    fn a_port_of_the_machine_is_given_once() {
        for (ports, twice) in [
            (vec!["80:80", "80:81"], Some(80)),
            (vec!["80:80", "80:80/udp"], None),
            (vec!["0.0.0.0:80:80", "127.0.0.1:80:81"], Some(80)),
            (vec!["127.0.0.1:80:80", "127.0.0.2:80:81"], None),
            (vec!["[::]:80:80", "127.0.0.1:80:81"], Some(80)),
            (vec!["[::1]:80:80", "0.0.0.0:80:81"], None),
            (vec!["8000-8009:80-89", "8009:90"], Some(8009)),
            (vec!["80", "80"], None),
        ] {
            let all: Vec<PortSpec> = ports.iter().flat_map(|text| short(text).unwrap()).collect();
            assert_eq!(port_twice(&all), twice, "{ports:?}");
        }
    }

    #[test]
    fn what_is_no_port_is_told() {
        for (text, why) in [
            ("0", "has `0`, which is no port: expected 1 to 65535, or a range of them"),
            ("70000:80", "has `70000`, which is no port: expected 1 to 65535, or a range of them"),
            ("81-80", "has `81-80`, which is no port: expected 1 to 65535, or a range of them"),
            ("80/icmp", "has the protocol `icmp`: expected `tcp`, `udp` or `sctp`"),
            ("here:80:80", "has the address `here`: expected one by numbers"),
            ("8000-9000:80", "has not as many ports outside as inside: expected ranges of the same length"),
        ] {
            assert_eq!(said(text), why, "{text}");
        }
    }
}
