//! One connection to a host: made, proven, logged in.
//!
//! What is asked over it is in [`files`](super::files) and [`run`](super::run); when it is made anew, in the parent.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use detc_core::backend::HostError;
use russh::client::{self, ChannelOpenHandle, Config, Handle, Msg};
use russh::keys::ssh_key::Algorithm;
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Preferred, cipher, kex};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::auth::{self, AuthError, Proof};
use super::become_user::{Becoming, ShellError};
use super::identity::{Distrust, Judge};
use super::known_hosts::{HostKeyName, KnownHosts};
use super::passphrases::Passphrases;
use super::relay::Agents;
use super::settings::{PostQuantum, Settings};
use super::sftp::{Sftp, SftpError};
use super::stream::Stream;

/// How long a handshake may take, from the first packet to the login: a host that is up answers in well under a second,
/// and a busy one in a few.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How often an idle connection is tried, and how often in vain before it counts as lost: 45 s, which a restart of a switch
/// takes.
const KEEP_ALIVE: (Duration, usize) = (Duration::from_secs(15), 3);

/// How many sessions are open at once on a connection. An sshd takes ten by default: one has the files, one is kept to end
/// what runs.
pub(super) const SESSIONS_MAX: usize = 8;

/// How long a host that opens no more sessions is asked again, and how often: first soon, then less often.
const SESSION_PATIENCE: Duration = Duration::from_secs(5);
const SESSION_WAITS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];

/// One connection.
pub(super) struct Link {
    handle: Handle<Verifier>,
    sftp: OnceCell<Sftp>,
    pub(super) sessions: Semaphore,
    /// Who sessions are another user's as.
    becoming: Option<Becoming>,
    proof: Proof,
    shown: Arc<OnceLock<PublicKey>>,
    agents: Arc<Agents>,
    /// What it goes through, kept open for as long as it.
    _through: Option<Arc<Link>>,
}

/// Why there is no connection to a host.
#[derive(Debug)]
pub(super) struct NoLink {
    pub(super) error: HostError,
    /// The key files by which there might be one, if somebody gave their passphrases.
    pub(super) locked: Vec<PathBuf>,
}

impl From<HostError> for NoLink {
    fn from(error: HostError) -> Self {
        Self { error, locked: Vec::new() }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects to the host called `name` in messages.
    pub(super) async fn connect(
        name: &str,
        settings: &Settings,
        passphrases: &Passphrases,
        through: Option<Arc<Self>>,
    ) -> Result<Self, NoLink> {
        let unreachable = |what: String| HostError::Unreachable { host: name.to_owned(), what };
        let place = format!("{}:{}", settings.address, settings.port);
        let making = Self::make(name, settings, passphrases, through);
        match tokio::time::timeout(CONNECT_TIMEOUT, making).await {
            Ok(made) => made,
            Err(_) => {
                let within = CONNECT_TIMEOUT.as_secs();
                Err(unreachable(format!("{place} did not answer within {within} s")).into())
            }
        }
    }

    async fn make(
        name: &str,
        settings: &Settings,
        passphrases: &Passphrases,
        through: Option<Arc<Self>>,
    ) -> Result<Self, NoLink> {
        let place = format!("{}:{}", settings.address, settings.port);
        let unreachable = |what: String| HostError::Unreachable { host: name.to_owned(), what };
        let untrusted = |distrust: Distrust| HostError::Untrusted {
            host: name.to_owned(),
            what: distrust.what,
            hint: distrust.hint,
        };
        let known = KnownHosts::read(&settings.known_hosts)
            .map_err(|what| untrusted(Distrust { what, hint: "correct or remove the line".to_owned() }))?;
        let key_name = HostKeyName::new(&settings.address, settings.port);
        let config = Arc::new(config(&known, &key_name, settings.post_quantum));
        let judge = Judge {
            name: key_name,
            known,
            policy: settings.policy,
            written_as: settings.written_as,
            file: settings.known_hosts.first().cloned().unwrap_or_default(),
        };
        let (shown, agents) = (Arc::<OnceLock<PublicKey>>::default(), Arc::<Agents>::default());
        let verifier = Verifier { judge, shown: Arc::clone(&shown), agents: Arc::clone(&agents) };
        let connecting = match &through {
            None => {
                let tcp = TcpStream::connect((settings.address.as_str(), settings.port)).await;
                let stream =
                    tcp.and_then(Stream::new).map_err(|error| unreachable(format!("{place}: {error}")))?;
                client::connect_stream(config, stream, verifier).await
            }
            Some(link) => {
                let (host, port) = (settings.address.clone(), u32::from(settings.port));
                let opened = link.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await;
                let channel =
                    opened.map_err(|error| unreachable(format!("{place}, through another: {error}")))?;
                client::connect_stream(config, channel.into_stream(), verifier).await
            }
        };
        let mut handle = connecting.map_err(|error| match error {
            HandshakeError::Distrust(distrust) => untrusted(distrust),
            HandshakeError::Ssh(error) => unreachable(format!("{place}: {error}")),
        })?;
        let proof = match auth::log_in(&mut handle, settings, passphrases).await {
            Ok(proof) => proof,
            Err(AuthError::Lost(error)) => return Err(unreachable(format!("{place}: {error}")).into()),
            Err(AuthError::Refused { offered, problems, locked }) => {
                return Err(NoLink { error: not_let_in(name, &settings.user, &offered, &problems), locked });
            }
        };
        Ok(Self {
            handle,
            sftp: OnceCell::new(),
            sessions: Semaphore::new(SESSIONS_MAX),
            becoming: None,
            proof,
            shown,
            agents,
            _through: through,
        })
    }

    /// Does all as another user.
    pub(super) fn becoming(mut self, becoming: Option<Becoming>) -> Self {
        self.becoming = becoming;
        self
    }

    /// How we have logged in.
    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The key that the host has shown, where that was no certificate.
    pub(super) fn host_key(&self) -> Option<&PublicKey> {
        self.shown.get()
    }

    /// Who answers when the host asks for a signature.
    pub(super) fn agents(&self) -> &Agents {
        &self.agents
    }

    /// Whether nothing can be asked over it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Opens a session. A host that has too many of them is asked again for a while: it takes note of one's end a little
    /// later than we do.
    pub(super) async fn session(&self) -> Result<Channel<Msg>, russh::Error> {
        let [mut wait, longest] = SESSION_WAITS;
        let deadline = Instant::now() + SESSION_PATIENCE;
        loop {
            match self.handle.channel_open_session().await {
                Err(russh::Error::ChannelOpenFailure(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(longest);
                }
                opened => return opened,
            }
        }
    }

    /// A connection to a socket there, as the user that has logged in.
    #[cfg(feature = "docker")]
    pub(super) async fn socket(&self, path: &str) -> Result<russh::ChannelStream<Msg>, russh::Error> {
        Ok(self.handle.channel_open_direct_streamlocal(path).await?.into_stream())
    }

    /// A shell that waits for a script on its standard input, as the user that commands are run as.
    pub(super) async fn shell(&self) -> Result<Channel<Msg>, ShellError> {
        let mut channel = self.session().await?;
        match &self.becoming {
            None => channel.exec(true, SHELL).await?,
            Some(becoming) => drop(becoming.start(&mut channel, SHELL).await?),
        }
        Ok(channel)
    }

    /// Its one SFTP session, opened when it is first needed.
    pub(super) async fn sftp(&self) -> Result<&Sftp, SftpError> {
        self.sftp
            .get_or_try_init(|| async {
                let mut channel = self.session().await.map_err(|error| refused_session(&error))?;
                let mut begun = Vec::new();
                match &self.becoming {
                    None => {
                        channel.request_subsystem(true, "sftp").await.map_err(|_| SftpError::Lost)?;
                    }
                    Some(becoming) => match becoming.start(&mut channel, SFTP_SERVER).await {
                        Ok(already) => begun = already,
                        Err(ShellError::Ssh(_)) => return Err(SftpError::Lost),
                        Err(ShellError::Refused(why)) => return Err(SftpError::Broken(why)),
                    },
                }
                Sftp::start(channel, begun).await
            })
            .await
    }
}

/// The one command line that is given to login shells. All of them read it alike.
const SHELL: &str = "exec /bin/sh";

/// Becomes the SFTP server, wherever the host's packages have put it: as another user there is no subsystem.
const SFTP_SERVER: &str = "for p in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib/misc /usr/local/libexec; do test -x $p/sftp-server && exec $p/sftp-server; done";

fn refused_session(error: &russh::Error) -> SftpError {
    match error {
        russh::Error::ChannelOpenFailure(reason) => {
            SftpError::Broken(format!("the host opens no session: {reason:?}"))
        }
        _ => SftpError::Lost,
    }
}

fn not_let_in(host: &str, user: &str, offered: &[String], problems: &[String]) -> HostError {
    let mut what = if offered.is_empty() {
        "there was no key to offer".to_owned()
    } else {
        format!("it takes none of {}", offered.join(", "))
    };
    if !problems.is_empty() {
        what = format!("{what}; {}", problems.join("; "));
    }
    HostError::NotLetIn {
        host: host.to_owned(),
        user: user.to_owned(),
        what,
        hint: format!("add the public key to {user}'s authorized_keys there, or name another `identity`"),
    }
}

/// What is offered to a host of which these keys are known.
fn config(known: &KnownHosts, name: &HostKeyName, post_quantum: PostQuantum) -> Config {
    let mut config = Config::default();
    let usual = Preferred::DEFAULT;
    // The sorts that the host is known by come first: it has others, too, which would not be known.
    let mut algorithms: Vec<Algorithm> = Vec::new();
    let known_by = known.algorithms(name);
    let is_known = |algorithm: &Algorithm| known_by.iter().any(|known| same_sort(known, algorithm));
    let modern = usual.key.iter().filter(|algorithm| **algorithm != Algorithm::Rsa { hash: None });
    let (first, then): (Vec<_>, Vec<_>) = modern.cloned().partition(is_known);
    algorithms.extend(first);
    algorithms.extend(then);
    if !known.authorities(name).is_empty() {
        config.preferred.host_key_certificates = Cow::Owned(algorithms.clone());
    }
    config.preferred.key = Cow::Owned(algorithms);
    config.preferred.kex = exchanges(post_quantum);
    // AES-GCM has instructions of its own in each processor of the last decade; ChaCha20 is for those without.
    config.preferred.cipher =
        Cow::Borrowed(&[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR]);
    config.client_id =
        russh::SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-detc_", env!("CARGO_PKG_VERSION"))));
    (config.keepalive_interval, config.keepalive_max) = (Some(KEEP_ALIVE.0), KEEP_ALIVE.1);
    config
}

/// The ways to exchange keys, the best first. Those that are not ways, but marks of what else is understood, are always offered.
fn exchanges(post_quantum: PostQuantum) -> Cow<'static, [kex::Name]> {
    let all = Preferred::DEFAULT.kex;
    let is_way = |name: &kex::Name| {
        !name.as_ref().starts_with("ext-info-") && !name.as_ref().starts_with("kex-strict-")
    };
    let is_hybrid = |name: &kex::Name| *name == kex::MLKEM768X25519_SHA256;
    match post_quantum {
        PostQuantum::Prefer => all,
        PostQuantum::Require => all.iter().filter(|name| !is_way(name) || is_hybrid(name)).copied().collect(),
        PostQuantum::Never => all.iter().filter(|name| !is_hybrid(name)).copied().collect(),
    }
}

/// Whether a key of one sort can show itself by the other: RSA keys have three.
fn same_sort(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Decides about the host's key when it is shown.
pub(super) struct Verifier {
    judge: Judge,
    shown: Arc<OnceLock<PublicKey>>,
    agents: Arc<Agents>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum HandshakeError {
    Ssh(russh::Error),
    Distrust(Distrust),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Verifier {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        let judged = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.judge.key(key).inspect(|()| {
                // Later handshakes of one connection are with the same key, or fail.
                let _known = self.shown.set(key.clone());
            }),
            PublicKeyOrCertificate::Certificate(certificate) => {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "whether a certificate holds depends on the time of day"
                )]
                let now = std::time::SystemTime::now();
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                self.judge.certificate(certificate, seconds)
            }
        };
        judged.map(|()| true).map_err(HandshakeError::Distrust)
    }

    /// Only while the host hands something on to another; otherwise it is refused, by being dropped.
    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), HandshakeError> {
        if self.agents.are_wanted() {
            reply.accept().await;
            self.agents.answer(channel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_as_post_quantum_says() {
        let offered =
            |post_quantum| exchanges(post_quantum).iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ");
        let prefer = offered(PostQuantum::Prefer);
        assert!(prefer.starts_with("mlkem768x25519-sha256 curve25519-sha256 "), "{prefer}");
        let marks = "ext-info-c ext-info-s kex-strict-c-v00@openssh.com kex-strict-s-v00@openssh.com";
        assert_eq!(offered(PostQuantum::Require), format!("mlkem768x25519-sha256 {marks}"));
        assert_eq!(offered(PostQuantum::Never), prefer.replace("mlkem768x25519-sha256 ", ""));
    }
}
