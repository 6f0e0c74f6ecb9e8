//! What a network and a volume are to be.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a network is to be. None of it can be changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkSpec {
    /// Which driver makes it.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Whether nothing leads out of it.
    pub is_internal: bool,
    /// Whether it has IPv6 beside IPv4.
    pub has_ipv6: bool,
    /// Its addresses; empty: the engine chooses.
    pub subnets: Vec<Subnet>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self {
            driver: "bridge".to_owned(),
            options: BTreeMap::new(),
            is_internal: false,
            has_ipv6: false,
            subnets: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// Addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Subnet {
    /// All of them, `10.1.0.0/16`.
    pub subnet: String,
    /// Which part of it containers get theirs from; `None`: all of it.
    pub range: Option<String>,
    /// The way out; `None`: the engine's choice.
    pub gateway: Option<IpAddr>,
}

impl Subnet {
    /// All addresses of `subnet`, `10.1.0.0/16`.
    pub fn new(subnet: impl Into<String>) -> Self {
        Self { subnet: subnet.into(), range: None, gateway: None }
    }
}

/// What a volume is to be. None of it can be changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeSpec {
    /// Which driver makes it.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Default for VolumeSpec {
    fn default() -> Self {
        Self { driver: "local".to_owned(), options: BTreeMap::new(), labels: BTreeMap::new() }
    }
}
