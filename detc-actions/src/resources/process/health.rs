//! Whether a process does its work.
//!
//! Requests are made from where the manager runs. A host that is elsewhere needs an address that can be reached from
//! here, or a `command`, which runs there; [`probe`] is the one place that would have to know better.

use std::io;
use std::time::Duration;

use detc_core::backend::host::Command;
use detc_core::backend::{Host, HostError};
use detc_core::resource::InvalidField;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::http::{self, HttpUrl};
use crate::resources::common::{check_argv, is_later, tail};

/// How a process's health is checked. Exactly one of `http`, `tcp` and `command` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// A URL, `http://host:port/path`: healthy when a GET is answered with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// An address, `host:port`: healthy when it takes a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// A command on the process's host: healthy when it ends with code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How long the process has to become healthy after its start; 30 seconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long to wait between two checks while it starts; 200 milliseconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
}

/// How long a process has to become healthy where the spec does not say: most servers need a second, those that replay
/// a log some more.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait between two checks where the spec does not say: a start is not held up much, a log not filled.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long one check may take: one that hangs must not use up the whole time.
const PROBE_MAX: Duration = Duration::from_secs(5);

impl HealthSpec {
    /// Healthy when a GET of `url` is answered.
    pub fn http(url: impl Into<String>) -> Self {
        Self { http: Some(url.into()), ..Self::default() }
    }

    /// Healthy when `address` takes a connection.
    pub fn tcp(address: impl Into<String>) -> Self {
        Self { tcp: Some(address.into()), ..Self::default() }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(TIMEOUT, Duration::from_millis)
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval_ms.map_or(INTERVAL, Duration::from_millis)
    }

    pub(super) fn check(&self) -> Result<(), InvalidField> {
        let given = [self.http.is_some(), self.tcp.is_some(), self.command.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err(InvalidField::new("health", "must have exactly one of `http`, `tcp` and `command`"));
        }
        if let Some(url) = self.http.as_ref().filter(|url| !is_later(url)) {
            HttpUrl::parse(url).map_err(|problem| InvalidField::new("health", problem))?;
        }
        if let Some(address) = self.tcp.as_ref().filter(|address| !is_later(address)) {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                let problem = format!("must have a `tcp` of the form host:port, not `{address}`");
                return Err(InvalidField::new("health", problem));
            }
        }
        if let Some(command) = &self.command {
            check_argv("health", command)?;
        }
        if self.timeout_ms == Some(0) || self.interval_ms == Some(0) {
            return Err(InvalidField::new("health", "must have times of more than 0"));
        }
        Ok(())
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probed {
    /// It works.
    Healthy,
    /// It does not, for this reason.
    Unhealthy(String),
    /// It could not be asked, for this reason: nothing follows for the process.
    Unknown(String),
}

/// Checks once.
pub(super) async fn probe(health: &HealthSpec, host: &dyn Host) -> Probed {
    let given = [&health.http, &health.tcp].into_iter().flatten().chain(health.command.iter().flatten());
    if given.into_iter().any(|text| is_later(text)) {
        return Probed::Unknown("its health check has a sensitive value that is not at hand".to_owned());
    }
    let limit = health.timeout().min(PROBE_MAX);
    let probed = tokio::time::timeout(limit, async {
        if let Some(url) = &health.http {
            return match HttpUrl::parse(url) {
                Ok(parsed) => judged(http::get(&parsed).await, &format!("GET {url}")),
                Err(why) => Probed::Unknown(why),
            };
        }
        if let Some(address) = &health.tcp {
            let connected = TcpStream::connect(address.as_str()).await.map(drop);
            return judged(connected, &format!("connect to {address}"));
        }
        let argv = health.command.as_deref().unwrap_or_default();
        let output = match host.run(&Command::new(argv).with_timeout(limit)).await {
            Ok(output) => output,
            Err(error @ HostError::TimedOut { .. }) => return Probed::Unhealthy(error.to_string()),
            Err(error) => return Probed::Unknown(error.to_string()),
        };
        if output.success() {
            return Probed::Healthy;
        }
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        let program = argv.first().map_or("", String::as_str);
        let said = tail(said, 3);
        let colon = if said.is_empty() { "" } else { ": " };
        Probed::Unhealthy(format!("`{program}` ended with {}{colon}{said}", output.status))
    });
    let silence = |_| Probed::Unhealthy(format!("no answer within {} ms", limit.as_millis()));
    probed.await.unwrap_or_else(silence)
}

/// What an answer, or none, says of the process: nothing where it was never asked.
fn judged(answer: io::Result<()>, what: &str) -> Probed {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidData, TimedOut, UnexpectedEof,
    };
    match answer {
        Ok(()) => Probed::Healthy,
        Err(error) => {
            let why = format!("{what}: {error}");
            match error.kind() {
                ConnectionAborted
                | ConnectionRefused
                | ConnectionReset
                | InvalidData
                | TimedOut
                | UnexpectedEof
                | io::ErrorKind::BrokenPipe => Probed::Unhealthy(why),
                // A name that is not resolved, a network that is not there, no file handle left.
                _ => Probed::Unknown(why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_check_is_given_and_it_is_well_formed() {
        let error = |health: HealthSpec| health.check().unwrap_err().to_string();
        assert!(HealthSpec::http("http://127.0.0.1:80/").check().is_ok());
        assert!(HealthSpec::tcp("[::1]:80").check().is_ok());
        assert_eq!(
            error(HealthSpec::default()),
            "`health` must have exactly one of `http`, `tcp` and `command`"
        );
        assert_eq!(
            error(HealthSpec::tcp("127.0.0.1")),
            "`health` must have a `tcp` of the form host:port, not `127.0.0.1`"
        );
        assert!(error(HealthSpec::http("https://a/")).contains("https"));
    }
}
