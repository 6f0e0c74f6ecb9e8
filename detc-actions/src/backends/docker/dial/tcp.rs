//! An engine that is reached over the network: each side knows the other by its certificate.

use std::fmt::{self, Debug};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Dial, DialError, Duplex};

/// How long an idle connection is silent before it is tried, and how often: an engine whose machine has gone is noticed within a
/// minute, also where nobody asks it anything but only listens to its events.
const KEEP_ALIVE: (Duration, u32) = (Duration::from_secs(15), 3);

/// An engine at a port.
#[derive(Debug)]
pub(in super::super) struct Tcp {
    pub(in super::super) host: String,
    pub(in super::super) port: u16,
    /// `None`: in the clear.
    pub(in super::super) tls: Option<Tls>,
}

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self) -> Result<Box<dyn Duplex>, DialError> {
        let place = format!("{}:{}", self.host, self.port);
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = connected.and_then(prepared).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                DialError::Unreachable { what: format!("nobody listens at {place}") }
            }
            _ => DialError::Unreachable { what: format!("{place}: {error}") },
        })?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        match connector.connect(tls.name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(of_tls(&error)
                .unwrap_or_else(|| DialError::Unreachable { what: format!("{place}: {error}") })),
        }
    }
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    let (every, times) = KEEP_ALIVE;
    let keep_alive = TcpKeepalive::new().with_time(every).with_interval(every).with_retries(times);
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What an error says of trust, where it is about that.
pub(in super::super) fn of_tls(error: &io::Error) -> Option<DialError> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::InvalidCertificate(why) => DialError::Untrusted {
            what: format!("its certificate is not taken: {why:?}"),
            hint: "see that `ca` is the authority that signed its certificate, and that the certificate is for this address"
                .to_owned(),
        },
        rustls::Error::AlertReceived(alert) => DialError::NotLetIn {
            what: format!("it does not take our certificate: {alert:?}"),
            hint: "see that `cert` and `key` are signed by the authority that it asks for".to_owned(),
        },
        rustls::Error::InvalidMessage(_) => DialError::Untrusted {
            what: "it does not speak TLS".to_owned(),
            hint: "have it listen with `--tlsverify`".to_owned(),
        },
        other => DialError::Unreachable { what: other.to_string() },
    })
}

/// Who is trusted, and what we show.
pub(in super::super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts what the authority in `ca` has signed for `host`, and shows the certificate `cert`, of which `key` is the key.
    pub(in super::super) fn read(host: &str, ca: &Path, cert: &Path, key: &Path) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("`{host}` is no name that a certificate can be for"))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(ca)? {
            roots.add(root).map_err(|error| format!("{}: {error}", ca.display()))?;
        }
        let chain = certificates(cert)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private)
            .map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

impl Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| unread(path, &error))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate", path.display()));
    }
    Ok(certificates)
}

fn unread(path: &Path, error: &rustls::pki_types::pem::Error) -> String {
    format!("{} can not be read: {error}", PathBuf::from(path).display())
}
