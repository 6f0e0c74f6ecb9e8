//! Whether what is said of a network's addresses can be.

#[cfg(feature = "compose")]
use std::net::IpAddr;

use ipnet::IpNet;

use super::SubnetSpec;
use crate::resources::common::is_later;

/// What is wrong with these, in words. What is known only later is passed over.
///
/// # Errors
/// When addresses can not be read, overlap, or a gateway or range is not among them.
pub(crate) fn check(subnets: &[SubnetSpec]) -> Result<(), String> {
    let mut known: Vec<IpNet> = Vec::new();
    for spec in subnets {
        if is_later(&spec.subnet) {
            continue;
        }
        let net = read(&spec.subnet)?;
        if let Some(range) = spec.range.as_deref().filter(|range| !is_later(range)) {
            let range = read(range)?;
            if !net.contains(&range) {
                return Err(format!("have the range {range}, which is not within {net}"));
            }
        }
        if let Some(gateway) = spec.gateway.filter(|gateway| !net.contains(gateway)) {
            return Err(format!("have the gateway {gateway}, which is not within {net}"));
        }
        if let Some(other) = known.iter().find(|other| other.contains(&net) || net.contains(*other)) {
            return Err(format!("overlap: {other} and {net}"));
        }
        known.push(net);
    }
    Ok(())
}

/// Whether one of these has the address; `None` where it is known only later.
#[cfg(feature = "compose")]
pub(crate) fn holds(subnets: &[SubnetSpec], address: IpAddr) -> Option<bool> {
    let nets = subnets.iter().map(|spec| spec.subnet.parse::<IpNet>());
    let nets: Vec<IpNet> = nets.collect::<Result<_, _>>().ok()?;
    Some(nets.iter().any(|net| net.contains(&address)))
}

fn read(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| format!("must be addresses such as `10.1.0.0/16`, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// What is wrong with (subnet, range, gateway) each.
    fn told(subnets: &[(&str, &str, &str)]) -> String {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let specs = subnets.iter().map(|(subnet, range, gateway)| SubnetSpec {
            subnet: (*subnet).to_owned(),
            range: given(range),
            gateway: given(gateway).map(|it| it.parse().unwrap()),
        });
        check(&specs.collect::<Vec<_>>()).err().unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn addresses_that_no_engine_takes_are_refused() {
        let all: [&[(&str, &str, &str)]; 9] = [
            &[("10.1.0.0/16", "10.1.4.0/24", "10.1.0.1"), ("fd00::/64", "", "fd00::1")],
            &[("10.1.0.0", "", "")],
            &[("10.1.0.0/33", "", "")],
            &[("10.1.0.0/16", "10.2.0.0/24", "")],
            &[("10.1.0.0/16", "10.0.0.0/8", "")],
            &[("10.1.0.0/16", "", "10.2.0.1")],
            &[("10.1.0.0/16", "", "fd00::1")],
            &[("10.1.0.0/16", "", ""), ("10.0.0.0/8", "", "")],
            &[("10.0.0.0/8", "", ""), ("10.1.0.0/16", "", "")],
        ];
        expect![[r"
            nothing
            must be addresses such as `10.1.0.0/16`, not `10.1.0.0`
            must be addresses such as `10.1.0.0/16`, not `10.1.0.0/33`
            have the range 10.2.0.0/24, which is not within 10.1.0.0/16
            have the range 10.0.0.0/8, which is not within 10.1.0.0/16
            have the gateway 10.2.0.1, which is not within 10.1.0.0/16
            have the gateway fd00::1, which is not within 10.1.0.0/16
            overlap: 10.1.0.0/16 and 10.0.0.0/8
            overlap: 10.0.0.0/8 and 10.1.0.0/16"]]
        .assert_eq(&all.map(told).join("\n"));
    }
}
