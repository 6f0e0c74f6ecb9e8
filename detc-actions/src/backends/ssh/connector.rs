//! Makes hosts from their specs: `"connect": "ssh://user@address:port"` and what stands beside it.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use detc_core::backend::{Host, HostError};
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector;
use tokio::sync::Semaphore;

use super::SshHost;
use super::become_user::{Becoming, Passwords};
use super::link::{Link, NoLink};
use super::passphrases::Passphrases;
use super::relay::Peer;
use super::settings::Settings;
use crate::artifact::exchange::Exchange;

/// How many handshakes are under way at once. More do not go faster, since each is a millisecond or more of computing on
/// either side, and an sshd that has ten unfinished ones begins to drop others (`MaxStartups`).
const HANDSHAKES_MAX: usize = 32;

/// Connects hosts of the scheme `ssh`.
#[derive(Clone, Debug)]
pub struct SshConnector {
    passphrases: Passphrases,
    passwords: Passwords,
    shared: Arc<Shared>,
}

impl Default for SshConnector {
    fn default() -> Self {
        let shared = Shared {
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            jumps: Mutex::default(),
            exchange: Exchange::default(),
        };
        Self {
            passphrases: Passphrases::default(),
            passwords: Passwords::default(),
            shared: Arc::new(shared),
        }
    }
}

impl SshConnector {
    /// Asks `ask` for the passphrase of a key file, where the file has one, no agent holds the key, and the host takes no other. It
    /// is asked on a thread of its own, for one file at a time, and once for each as it is: what was opened serves all hosts of
    /// this connector, and a wrong passphrase is not asked for again. Who answers `None` is asked again by the next host.
    #[must_use]
    pub fn with_passphrases(mut self, ask: impl Fn(&Path) -> Option<String> + Send + Sync + 'static) -> Self {
        self.passphrases = Passphrases::of_program(ask);
        self
    }

    /// Asks the person at the terminal of this process for passphrases, where there is one: for programs that a person runs. What is
    /// typed is not shown, and is kept nowhere. It is asked for as [`with_passphrases`](Self::with_passphrases) says; the time that
    /// it takes is part of that which the manager gives a connection, a minute when nothing else was said.
    #[must_use]
    pub fn with_passphrases_typed(mut self) -> Self {
        self.passphrases = Passphrases::of_person();
        self
    }

    /// Asks `ask` for the password by which a host's user becomes another (`"become"`), by the host's name. It is asked for
    /// where the host wants one, and goes to `sudo`'s standard input and nowhere else.
    #[must_use]
    pub fn with_passwords(mut self, ask: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.passwords = Passwords(Some(Arc::new(ask)));
        self
    }
}

impl SshConnector {
    /// The host called `name`, connected as `spec` says.
    ///
    /// # Errors
    /// See [`Connector::connect`].
    pub async fn host(&self, name: &HostName, spec: &HostSpec) -> Result<SshHost, HostError> {
        let settings =
            Settings::read(spec).map_err(|what| HostError::Invalid { host: name.to_string(), what })?;
        let dialer = Dialer {
            settings,
            passphrases: self.passphrases.clone(),
            passwords: self.passwords.clone(),
            shared: Arc::clone(&self.shared),
        };
        let host = SshHost::new(name.as_str(), dialer);
        host.link().await?;
        Ok(host)
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
        Ok(Arc::new(self.host(name, spec).await?))
    }
}

/// What all hosts of a connector share.
#[derive(Debug)]
struct Shared {
    handshakes: Semaphore,
    /// Connections to hosts that others are reached through, by the way to them; each for as long as one needs it.
    jumps: Mutex<BTreeMap<String, Way>>,
    /// Who has which large content.
    exchange: Exchange<Peer>,
}

/// A connection that there may be; whoever needs it waits for the one that is being made.
type Way = Arc<tokio::sync::Mutex<Weak<Link>>>;

/// Makes the connections of one host, as often as needed.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: Settings,
    passphrases: Passphrases,
    passwords: Passwords,
    shared: Arc<Shared>,
}

impl Dialer {
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn exchange(&self) -> &Exchange<Peer> {
        &self.shared.exchange
    }

    pub(super) async fn dial(&self, name: &str) -> Result<Link, HostError> {
        let mut through = None;
        let mut way = String::new();
        for jump in &self.settings.jumps {
            write!(way, "{}@{}:{} ", jump.user, jump.address, jump.port)
                .expect("invariant: writing to a text does not fail");
            through = Some(self.jump(&way, name, jump, through).await?);
        }
        let link = self.connect(name, &self.settings, through).await?;
        let becoming = self.settings.becoming.clone();
        Ok(link.becoming(becoming.map(|user| Becoming::new(user, name, self.passwords.clone()))))
    }

    async fn connect(
        &self,
        name: &str,
        settings: &Settings,
        through: Option<Arc<Link>>,
    ) -> Result<Link, HostError> {
        loop {
            let made = {
                let place = self.shared.handshakes.acquire().await;
                let _place = place.expect("invariant: the semaphore is never closed");
                Link::connect(name, settings, &self.passphrases, through.clone()).await
            };
            let NoLink { mut error, locked } = match made {
                Ok(link) => return Ok(link),
                Err(no_link) => no_link,
            };
            if !self.opens_one(&locked, &mut error).await {
                return Err(error);
            }
        }
    }

    /// Whether one of the key files could be opened now. Why others could not is added to `error`.
    async fn opens_one(&self, locked: &[PathBuf], error: &mut HostError) -> bool {
        for file in locked {
            match (self.passphrases.open(file).await, &mut *error) {
                (Ok(()), _) => return true,
                (Err(why), HostError::NotLetIn { what, .. }) => *what = format!("{what}; {why}"),
                (Err(_), _) => {}
            }
        }
        false
    }

    async fn jump(
        &self,
        way: &str,
        name: &str,
        settings: &Settings,
        through: Option<Arc<Link>>,
    ) -> Result<Arc<Link>, HostError> {
        let slot = {
            let mut jumps = self.shared.jumps.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(jumps.entry(way.to_owned()).or_default())
        };
        let mut known = slot.lock().await;
        if let Some(link) = known.upgrade().filter(|link| !link.is_closed()) {
            return Ok(link);
        }
        let name = format!("{} (on the way to {name})", settings.address);
        let link = Arc::new(self.connect(&name, settings, through).await?);
        *known = Arc::downgrade(&link);
        Ok(link)
    }
}

/// The user's own folder, where there is one.
pub(super) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}
