//! One host hands large content on to another, so that it does not all come from here.
//!
//! ```text
//! us ── agent ──▶ holder: ssh host 'cat >>…'  ══ the content ══▶  host ── sum ──▶ us
//! ```
//!
//! On the holder there has to be OpenSSH's own client. It logs in to the host with a signature of ours, by an [`agent`] that signs just
//! that; it is told the host's key, which is in a file there while it runs, and public. What arrived is compared by whoever asked for it.
//! Who hands on to whom is for [`exchange`](crate::artifact::exchange) to say.

use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::keys::{Algorithm, PublicKey};
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::link::Link;
use super::settings::Settings;
use super::{Inner, SshHost};
use crate::artifact::exchange::Member;

mod agent;

use agent::{Agent, Lent, Permit, Permits};

/// How long a host may take to be logged in to from another. Where it is not reached from there, it gets the content from here.
const CONNECT_TIMEOUT_S: u32 = 10;

/// How many agents are spoken to at once over a connection: a login opens one, and a host hands on to two at once.
const AGENTS_MAX: usize = 8;

/// What the agents of one connection may sign, and the tasks that answer for them.
#[derive(Debug, Default)]
pub(super) struct Agents {
    permits: Arc<Permits>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

impl Agents {
    /// Whether somebody may ask.
    pub(super) fn are_wanted(&self) -> bool {
        !self.permits.is_empty()
    }

    /// Answers on a channel that the host has opened.
    pub(super) fn answer(&self, channel: Channel<russh::client::Msg>) {
        let mut agent = Agent::new(Arc::clone(&self.permits));
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let is_one_too_many = tasks.len() >= AGENTS_MAX;
        tasks.spawn(async move {
            if is_one_too_many {
                let _closed = channel.close().await;
                return;
            }
            let _closed = agent.serve(channel.into_stream()).await;
        });
    }
}

/// A host in the exchange.
#[derive(Clone, Debug)]
pub(super) struct Peer(Weak<Inner>);

impl Peer {
    pub(super) fn of(host: &SshHost) -> Self {
        Self(Arc::downgrade(&host.inner))
    }

    /// The host, while it is there.
    pub(super) fn host(&self) -> Option<SshHost> {
        self.0.upgrade().map(|inner| SshHost { inner })
    }
}

impl Member for Peer {
    fn is(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }

    fn may_hand_on_to(&self, other: &Self) -> bool {
        let word = |peer: &Self| peer.host().and_then(|host| host.settings().relays().map(str::to_owned));
        word(self).is_some_and(|own| word(other) == Some(own))
    }
}

/// Where content is to go.
pub(super) struct To<'a> {
    pub(super) settings: &'a Settings,
    pub(super) link: &'a Link,
    /// The file that is written on.
    pub(super) path: &'a str,
    /// How much of it is there already.
    pub(super) from: u64,
}

/// How long what is ended on the holder may take to be gone.
const GRACE: Duration = Duration::from_secs(5);

/// Lets `holder` hand its file `path` on. Dropped, the holder is told to end that, as long as there is a connection to it.
///
/// # Errors
/// What went wrong, in words. Some may have arrived.
pub(super) async fn hand_on(holder: &SshHost, path: &str, to: &To<'_>) -> Result<(), String> {
    let script = script(path, to).ok_or("it can not be told how")?;
    let host_key = to.link.host_key().ok_or("its key is vouched for by a certificate")?.clone();
    let link = holder.link().await.map_err(|error| error.to_string())?;
    let permit = Permit { proof: to.link.proof().clone(), user: to.settings.user.clone(), host_key };
    let (mut done, waits) = oneshot::channel();
    // A task of its own: the session takes its place until it is closed, whether or not anybody waits for it.
    holder.spawn(async move {
        let place = tokio::select! {
            place = link.sessions.acquire() => place,
            () = done.closed() => return,
        };
        let _place = place.expect("invariant: the semaphore is never closed");
        let lent = link.agents().permits.lend(permit);
        let ended = run(&link, script, lent, &mut done).await;
        let _given_up = done.send(ended);
    });
    match waits.await {
        Ok(Ok((Some(0), _))) => Ok(()),
        Ok(Ok((_, said))) => Err(said),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is managed no more".to_owned()),
    }
}

/// The status of a script, and the end of what it said.
type Ended = (Option<u32>, String);

/// Runs a script, with an agent at hand, until it ends or nobody waits for that.
async fn run(
    link: &Link,
    script: String,
    lent: Lent<'_>,
    done: &mut oneshot::Sender<Result<Ended, russh::Error>>,
) -> Result<Ended, russh::Error> {
    let channel = link.session().await?;
    // OpenSSH's server says yes once for each connection, and keeps to it: what it says is not asked for.
    channel.agent_forward(false).await?;
    channel.exec(true, "exec /bin/sh").await?;
    let (mut read, write) = channel.split();
    let send = async {
        write.data_bytes(script.into_bytes()).await?;
        write.eof().await
    };
    let mut heard = Heard::default();
    tokio::select! {
        heard = heard.all(&mut read, send) => heard?,
        () = done.closed() => {
            drop(lent);
            // The shell waits for what it has started, and cleans up. What that prints is read meanwhile: as long as it is not, nothing
            // else comes over the connection.
            if let Some(group) = heard.group() {
                let both = async { tokio::join!(terminate(link, group), heard.all(&mut read, async { Ok(()) })) };
                let _too_slow = tokio::time::timeout(2 * GRACE, both).await;
            }
        }
    }
    let _closed = write.close().await;
    Ok(heard.ended())
}

/// Ends all that runs in a session.
async fn terminate(link: &Link, group: u32) -> Result<(), russh::Error> {
    let mut channel = link.session().await?;
    channel.exec(true, format!("exec /bin/sh -c 'kill -s TERM -- -{group}'")).await?;
    let ends = async {
        while !matches!(channel.wait().await, Some(ChannelMsg::Close | ChannelMsg::Failure) | None) {}
    };
    let _too_slow = tokio::time::timeout(GRACE, ends).await;
    channel.close().await
}

/// How the line begins by which the script says in which group of processes it runs.
const GROUP: &str = "detc-group ";

/// What came from the holder.
#[derive(Default)]
struct Heard {
    status: Option<u32>,
    /// The end of what it said.
    said: Vec<u8>,
    group: Option<u32>,
}

impl Heard {
    /// Listens until the end, while it sends.
    async fn all(
        &mut self,
        read: &mut ChannelReadHalf,
        send: impl Future<Output = Result<(), russh::Error>>,
    ) -> Result<(), russh::Error> {
        const SAID_MAX: usize = 2000;
        let mut send = std::pin::pin!(send);
        let mut is_sent = false;
        loop {
            tokio::select! {
                sent = &mut send, if !is_sent => {
                    sent?;
                    is_sent = true;
                }
                message = read.wait() => match message {
                    Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                    Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                        self.said.extend_from_slice(&data);
                        self.group = self.group();
                        self.said.drain(..self.said.len().saturating_sub(SAID_MAX));
                    }
                    Some(ChannelMsg::Failure) => {
                        self.said = b"it starts no shell".to_vec();
                        return Ok(());
                    }
                    Some(ChannelMsg::Close) | None => return Ok(()),
                    Some(_) => {}
                },
            }
        }
    }

    fn group(&self) -> Option<u32> {
        let number = |line: &str| line.strip_prefix(GROUP)?.parse().ok().filter(|group| *group > 1);
        let said = String::from_utf8_lossy(&self.said);
        self.group.or_else(|| said.split_inclusive('\n').find_map(|line| number(line.strip_suffix('\n')?)))
    }

    fn ended(self) -> Ended {
        let said = String::from_utf8_lossy(&self.said);
        let words: Vec<_> = said.lines().filter(|line| !line.starts_with(GROUP)).collect();
        (self.status, words.join("\n").trim().to_owned())
    }
}

/// What the holder does. `None`: a name in it is one that a shell could read otherwise.
fn script(path: &str, to: &To<'_>) -> Option<String> {
    let Settings { user, address, port, .. } = to.settings;
    let (key, proof) = (to.link.host_key()?, to.link.proof().public());
    let algorithms = match key.algorithm() {
        Algorithm::Rsa { .. } => "rsa-sha2-512,rsa-sha2-256".to_owned(),
        other => other.to_string(),
    };
    // The login shell of the host reads this, whichever it is.
    if ![to.path, user, address].iter().all(|text| is_plain(text)) {
        return None;
    }
    let (key, proof) = (line_of(key)?, line_of(proof)?);
    let first = to.from + 1;
    let path = format!("'{}'", path.replace('\'', r"'\''"));
    Some(format!(
        "g=$$
if read -r s </proc/$$/stat 2>/dev/null; then
  s=${{s##*) }}; s=${{s#* }}; s=${{s#* }}; g=${{s%% *}}
fi
echo \"{GROUP}$g\"
test -S \"$SSH_AUTH_SOCK\" || {{ echo it forwards no agent; exit 1; }}
umask 077
d=$(mktemp -d) || exit 1
trap 'rm -rf \"$d\"' EXIT
trap 'exit 1' HUP INT TERM
echo 'host {key}' >\"$d/host\" || exit 1
echo '{proof}' >\"$d/key.pub\" || exit 1
tail -c +{first} -- {path} | ssh -F none -T -x -p {port} -l {user} -o HostKeyAlias=host -o UserKnownHostsFile=\"$d/host\" \
-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o CheckHostIP=no -o UpdateHostKeys=no \
-o HostKeyAlgorithms={algorithms} -o IdentityAgent=SSH_AUTH_SOCK -o IdentityFile=\"$d/key.pub\" -o IdentitiesOnly=yes \
-o PreferredAuthentications=publickey -o BatchMode=yes -o ForwardAgent=no -o ClearAllForwardings=yes -o ControlPath=none \
-o ConnectTimeout={CONNECT_TIMEOUT_S} -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o Compression=no \
-c aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr \
-- {address} 'cat >>{to}'
exit $?
",
        to = to.path,
    ))
}

/// Whether every shell reads it as it stands.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@:".contains(&byte))
}

/// A key as it stands in a file, without a comment.
fn line_of(key: &PublicKey) -> Option<String> {
    let bare = PublicKey::new(key.key_data().clone(), "");
    Some(bare.to_openssh().ok()?.trim_end().to_owned())
}
