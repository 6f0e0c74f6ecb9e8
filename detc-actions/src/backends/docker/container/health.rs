//! Health checks.

use std::time::Duration;

use bollard::models::HealthConfig;
use detc_core::backend::containers::{HealthCheck, Probe, Test};

/// What stands for no start period. Where 0 is said, an engine takes the image's; this is so odd that nobody asks for it.
const NO_START_PERIOD: i64 = 1_000_001;

pub(super) fn asked(check: &HealthCheck) -> HealthConfig {
    let HealthCheck::Probe(probe) = check else {
        return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
    };
    let test = match &probe.test {
        Test::Command(argv) => std::iter::once("CMD").chain(argv.iter().map(String::as_str)).collect(),
        Test::Shell(line) => vec!["CMD-SHELL", line],
    };
    let start_period = if probe.start_period.is_zero() { NO_START_PERIOD } else { nanos(probe.start_period) };
    HealthConfig {
        test: Some(test.into_iter().map(str::to_owned).collect()),
        interval: Some(nanos(probe.interval)),
        timeout: Some(nanos(probe.timeout)),
        start_period: Some(start_period),
        retries: Some(i64::from(probe.retries)),
        start_interval: None,
    }
}

pub(in super::super) fn told(config: Option<HealthConfig>) -> Option<HealthCheck> {
    let config = config?;
    let mut words = config.test?.into_iter();
    let test = match words.next()?.as_str() {
        "NONE" => return Some(HealthCheck::Off),
        "CMD" => Test::Command(words.collect()),
        "CMD-SHELL" => Test::Shell(words.next().unwrap_or_default()),
        _ => return None,
    };
    // Where nothing is said, it is as the engine does it, which is what a new probe is.
    let mut probe = Probe::new(test);
    let duration = |told: Option<i64>, usual: Duration| {
        told.filter(|nanos| *nanos > 0).map_or(usual, |nanos| Duration::from_nanos(nanos.unsigned_abs()))
    };
    probe.interval = duration(config.interval, probe.interval);
    probe.timeout = duration(config.timeout, probe.timeout);
    let start_period = config.start_period.filter(|nanos| *nanos != NO_START_PERIOD);
    probe.start_period = duration(start_period, probe.start_period);
    let retries = config.retries.and_then(|retries| u32::try_from(retries).ok());
    probe.retries = retries.filter(|retries| *retries > 0).unwrap_or(probe.retries);
    Some(HealthCheck::Probe(probe))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_told() {
        let mut probe = Probe::new(Test::Shell("up || exit 1".into()));
        probe.interval = Duration::from_millis(100);
        probe.start_period = Duration::from_millis(1);
        let checks = [
            HealthCheck::Off,
            HealthCheck::Probe(Probe::new(Test::Command(vec!["/up".into(), "a b".into()]))),
            HealthCheck::Probe(probe),
        ];
        for check in checks {
            assert_eq!(told(Some(asked(&check))), Some(check));
        }
        assert_eq!(told(None), None);
    }
}
