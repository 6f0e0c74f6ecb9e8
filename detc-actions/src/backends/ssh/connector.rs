//! Makes hosts from their specs: `"connect": "ssh://user@address:port"` and what stands beside it.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use detc_core::backend::{Host, HostError};
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector;
use tokio::sync::Semaphore;

use super::SshHost;
use super::auth::Passphrases;
use super::link::Link;
use super::settings::Settings;

/// How many handshakes are under way at once. More do not go faster, since each is a millisecond or more of computing on
/// either side, and an sshd that has ten unfinished ones begins to drop others (`MaxStartups`).
const HANDSHAKES_MAX: usize = 32;

/// Connects hosts of the scheme `ssh`.
#[derive(Clone, Debug)]
pub struct SshConnector {
    passphrases: Passphrases,
    handshakes: Arc<Semaphore>,
}

impl Default for SshConnector {
    fn default() -> Self {
        Self { passphrases: Passphrases::default(), handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)) }
    }
}

impl SshConnector {
    /// Asks `ask` for the passphrase of a key file, where the file has one and no agent holds the key. It is asked on a
    /// thread that others need, and so should answer from memory, or have asked the person before.
    #[must_use]
    pub fn with_passphrases(mut self, ask: impl Fn(&Path) -> Option<String> + Send + Sync + 'static) -> Self {
        self.passphrases = Passphrases(Some(Arc::new(ask)));
        self
    }
}

#[async_trait]
impl Connector for SshConnector {
    fn scheme(&self) -> &'static str {
        "ssh"
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        Settings::read(spec).map(drop)
    }

    /// Connects at once, so that a host that can not be reached is known before anything is planned for it.
    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        let settings =
            Settings::read(spec).map_err(|what| HostError::Invalid { host: name.to_string(), what })?;
        let dialer = Dialer {
            settings,
            passphrases: self.passphrases.clone(),
            handshakes: Arc::clone(&self.handshakes),
        };
        let host = SshHost::new(name.as_str(), dialer);
        host.link().await?;
        Ok(Arc::new(host))
    }
}

/// Makes the connections of one host, as often as needed.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: Settings,
    passphrases: Passphrases,
    handshakes: Arc<Semaphore>,
}

impl Dialer {
    pub(super) async fn dial(&self, name: &str) -> Result<Link, HostError> {
        let _place = self.handshakes.acquire().await.expect("invariant: the semaphore is never closed");
        Link::connect(name, &self.settings, &self.passphrases, None).await
    }
}

/// The user's own folder, where there is one.
pub(super) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}
