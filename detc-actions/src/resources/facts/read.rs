//! Facts out of what the gathering command printed: text in, facts out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{DiskFacts, FactsOutput, OsFacts};

/// Reads the facts.
///
/// # Errors
/// What is missing or can not be read, in words that follow "could not find out".
pub(super) fn facts(text: &str) -> Result<FactsOutput, &'static str> {
    let parts = parts(text);
    let part = |name: &str| parts.get(name).map_or(&[][..], Vec::as_slice);
    // What comes last is there: nothing was cut off.
    parts.get("end").ok_or("all of it")?;
    let [hostname, kernel, architecture] = part("uname") else { return Err("its name and kernel") };
    let memory = part("memory").iter().find_map(|line| line.strip_prefix("MemTotal:"));
    let memory_kib = memory.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let addresses = ipv4(part("ipv4")).into_iter().map(|it| it.to_string());
    let addresses = addresses.chain(ipv6(part("ipv6")).into_iter().map(|it| it.to_string())).collect();
    let disks = disks(part("disks"));
    Ok(FactsOutput {
        hostname: (*hostname).to_owned(),
        os: os(part("os")),
        kernel: (*kernel).to_owned(),
        architecture: (*architecture).to_owned(),
        cpus: part("cpus")
            .first()
            .and_then(|it| it.trim().parse().ok())
            .ok_or("how many processors it has")?,
        memory_mib: memory_kib.ok_or("its memory")? / 1024,
        addresses,
        disks: if disks.is_empty() { return Err("its disks") } else { disks },
    })
}

/// The lines of each part.
fn parts(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut parts = BTreeMap::new();
    let mut now = "";
    for line in text.lines() {
        match line.strip_prefix('@') {
            Some(name) => {
                now = name;
                parts.insert(name, Vec::new());
            }
            None => parts.entry(now).or_default().push(line),
        }
    }
    parts
}

fn os(lines: &[&str]) -> OsFacts {
    let value = |key: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map_or_else(String::new, |value| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    OsFacts { id: value("ID"), version: value("VERSION_ID"), name: value("PRETTY_NAME") }
}

/// The addresses in the routing table of the kernel: after the line of an address comes what it is, and `/32 host LOCAL` is
/// one of this machine.
fn ipv4(lines: &[&str]) -> BTreeSet<Ipv4Addr> {
    let is_own = |pair: &&[&str]| pair[1].trim() == "/32 host LOCAL";
    let address = |pair: &[&str]| pair[0].trim().strip_prefix("|-- ")?.parse::<Ipv4Addr>().ok();
    lines.windows(2).filter(is_own).filter_map(address).filter(|it| !it.is_loopback()).collect()
}

/// The addresses of the kernel's table, which has them as 32 digits: those whose scope, the fourth field, is the whole network.
fn ipv6(lines: &[&str]) -> BTreeSet<Ipv6Addr> {
    let address = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = u128::from_str_radix(fields.first()?, 16).ok()?;
        (*fields.get(3)? == "00").then(|| Ipv6Addr::from(number))
    };
    lines.iter().filter_map(address).collect()
}

/// The file systems of `df -P`: device, blocks of 1 KiB, used, free, share, and the path, which may have spaces.
fn disks(lines: &[&str]) -> Vec<DiskFacts> {
    let disk = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [device, blocks, _, _, _, path @ ..] = fields.as_slice() else { return None };
        let (path, kib) = (path.join(" "), blocks.parse::<u64>().ok()?);
        // What a container has for its root is on no device that it knows.
        let is_own = device.starts_with('/') || path == "/";
        is_own.then(|| (path.clone(), DiskFacts { path, device: (*device).to_owned(), size_mib: kib / 1024 }))
    };
    // What is mounted over another hides it, and is listed after it.
    lines.iter().filter_map(disk).collect::<BTreeMap<_, _>>().into_values().collect()
}
