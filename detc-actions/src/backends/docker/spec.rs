//! How an engine is declared.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dial::{Dial, Tcp, Tls, Unix};

/// How an engine is reached: `{ "connect": "unix:///run/docker.sock" }`, or
/// `{ "connect": "tcp://h1:2376", "tls": { "mutual": { "ca": …, "cert": …, "key": … } } }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DockerSpec {
    /// `unix://` and the path of a socket, or `tcp://` and a host and port.
    pub connect: String,
    /// How a connection over TCP is secured. It must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}

/// How a connection is secured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TlsSpec {
    /// Each side shows a certificate.
    Mutual {
        /// The authority that signed the engine's, in PEM.
        ca: PathBuf,
        /// Ours.
        cert: PathBuf,
        /// Our key.
        key: PathBuf,
    },
    /// Not at all: whoever reaches the port is root there. Only of an engine at a loopback address.
    Off,
}

impl DockerSpec {
    /// Where Debian and others have the engine's socket.
    pub const SOCKET: &str = "unix:///var/run/docker.sock";

    /// The engine at `connect`.
    pub fn new(connect: impl Into<String>) -> Self {
        Self { connect: connect.into(), tls: None }
    }

    /// Secures the connection so.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsSpec) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The engine that the environment names, as it does for Docker's own client: `DOCKER_HOST`, with the certificates in
    /// `DOCKER_CERT_PATH` where `DOCKER_TLS_VERIFY` is set; the [usual socket](Self::SOCKET) where it names none.
    pub fn from_env() -> Self {
        Self::of_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let Some(connect) = variable("DOCKER_HOST") else { return Self::new(Self::SOCKET) };
        let spec = Self::new(connect);
        if variable("DOCKER_TLS_VERIFY").is_some() {
            let dir = variable("DOCKER_CERT_PATH").map(PathBuf::from);
            let dir = dir.unwrap_or_else(|| {
                PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned())).join(".docker")
            });
            let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|file| dir.join(file));
            return spec.with_tls(TlsSpec::Mutual { ca, cert, key });
        }
        // Whoever sets the one variable without the other has said so.
        if spec.connect.starts_with("tcp://") { spec.with_tls(TlsSpec::Off) } else { spec }
    }

    pub(super) fn dial(&self) -> Result<Arc<dyn Dial>, String> {
        if let Some(path) = self.connect.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(format!("`{}` names no absolute path of a socket", self.connect));
            }
            if self.tls.is_some() {
                return Err("a socket of this machine is not reached by TLS".to_owned());
            }
            return Ok(Arc::new(Unix { path: path.into() }));
        }
        let Some(place) = self.connect.strip_prefix("tcp://") else {
            return Err(format!("`{}` begins neither with `unix://` nor with `tcp://`", self.connect));
        };
        let (host, port) = place_of(place).ok_or_else(|| {
            format!("`{}` is no host and port: the port is said, 2376 is usual", self.connect)
        })?;
        let tls = match &self.tls {
            Some(TlsSpec::Mutual { ca, cert, key }) => Some(Tls::read(&host, ca, cert, key)?),
            Some(TlsSpec::Off) if is_loopback(&host) => None,
            Some(TlsSpec::Off) => {
                return Err(format!(
                    "`{host}` is not this machine: without TLS whoever is on the way could be root there"
                ));
            }
            None => return Err("how TCP is secured is not said: `tls`".to_owned()),
        };
        Ok(Arc::new(Tcp { host, port, tls }))
    }
}

fn place_of(place: &str) -> Option<(String, u16)> {
    let (host, port) = place.trim_end_matches('/').rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains('/') {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &str, wrong: Option<&str>) {
        let spec: DockerSpec = serde_json::from_str(spec).unwrap();
        assert_eq!(spec.dial().err().as_deref(), wrong);
    }

    #[test]
    fn what_is_not_secured_is_refused_but_on_this_machine_when_it_is_said() {
        check(r#"{ "connect": "unix:///run/docker.sock" }"#, None);
        check(r#"{ "connect": "tcp://127.0.0.1:2375", "tls": "off" }"#, None);
        check(r#"{ "connect": "tcp://[::1]:2375", "tls": "off" }"#, None);
        check(r#"{ "connect": "tcp://localhost:2375" }"#, Some("how TCP is secured is not said: `tls`"));
        check(
            r#"{ "connect": "tcp://h1:2375", "tls": "off" }"#,
            Some("`h1` is not this machine: without TLS whoever is on the way could be root there"),
        );
        check(
            r#"{ "connect": "tcp://h1:2376", "tls": { "mutual": { "ca": "/no/ca", "cert": "/no/c", "key": "/no/k" } } }"#,
            Some("/no/ca can not be read: I/O error: No such file or directory (os error 2)"),
        );
        check(
            r#"{ "connect": "tcp://h1", "tls": "off" }"#,
            Some("`tcp://h1` is no host and port: the port is said, 2376 is usual"),
        );
        check(
            r#"{ "connect": "unix://docker.sock" }"#,
            Some("`unix://docker.sock` names no absolute path of a socket"),
        );
        check(
            r#"{ "connect": "ssh://h1" }"#,
            Some("`ssh://h1` begins neither with `unix://` nor with `tcp://`"),
        );
        assert!(serde_json::from_str::<DockerSpec>(r#"{ "connect": "", "insecure": true }"#).is_err());
    }

    #[test]
    fn the_environment_names_an_engine_as_it_does_for_docker_s_own_client() {
        let of = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
            serde_json::to_string(&DockerSpec::of_variables(find)).unwrap()
        };
        assert_eq!(of(&[]), r#"{"connect":"unix:///var/run/docker.sock"}"#);
        assert_eq!(of(&[("DOCKER_HOST", "unix:///run/d")]), r#"{"connect":"unix:///run/d"}"#);
        let at_loopback = ("DOCKER_HOST", "tcp://127.0.0.1:2375");
        assert_eq!(of(&[at_loopback]), r#"{"connect":"tcp://127.0.0.1:2375","tls":"off"}"#);
        let (far, verify) = (("DOCKER_HOST", "tcp://h1:2376"), ("DOCKER_TLS_VERIFY", "1"));
        assert_eq!(
            of(&[far, verify, ("DOCKER_CERT_PATH", "/c")]),
            r#"{"connect":"tcp://h1:2376","tls":{"mutual":{"ca":"/c/ca.pem","cert":"/c/cert.pem","key":"/c/key.pem"}}}"#
        );
        assert!(of(&[far, verify, ("HOME", "/root")]).contains("/root/.docker/key.pem"));
    }
}
