//! Becomes another user on the host, by `sudo`.
//!
//! ```text
//! exec sudo … ─┬─▶ MARK on standard output: it is done
//!              └─▶ MARK on standard error: a password is wanted ─ password ─▶ …
//! ```
//!
//! The password is sent only when it is asked for, so that it is never taken for something else; it is on the standard
//! input of `sudo` alone, in no argument, variable or log.

use std::fmt::{self, Debug};
use std::sync::Arc;

use russh::client::Msg;
use russh::{Channel, ChannelMsg};

use super::run::{ENDLESS, SHELL_TIMEOUT};
use crate::backends::shell::kept::START_UP_MAX;
use crate::backends::shell::script::Mark;

/// Gives the password of a host, by its name.
type Ask = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Asks for passwords, where the program has a way to.
#[derive(Clone, Default)]
pub(super) struct Passwords(pub(super) Option<Arc<Ask>>);

impl Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Passwords(asked for)" } else { "Passwords(none)" })
    }
}

/// Why there is no shell.
#[derive(Debug)]
pub(super) enum ShellError {
    Ssh(russh::Error),
    /// What the host said.
    Refused(String),
}

impl From<russh::Error> for ShellError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// Who to become on one host.
#[derive(Debug)]
pub(super) struct Becoming {
    user: String,
    host: Arc<str>,
    passwords: Passwords,
}

impl Becoming {
    /// `user` must be a plain name: a login shell reads it.
    pub(super) fn new(user: String, host: &str, passwords: Passwords) -> Self {
        Self { user, host: host.into(), passwords }
    }

    /// Makes the session `channel` one of the other user's that does `then`, which holds no quotes. Returns what that has
    /// printed already.
    pub(super) async fn start(&self, channel: &mut Channel<Msg>, then: &str) -> Result<Vec<u8>, ShellError> {
        let begun = match tokio::time::timeout(SHELL_TIMEOUT, self.begin(channel, then)).await {
            Ok(begun) => begun,
            Err(_) => {
                let within = format!("it said nothing within {} s", SHELL_TIMEOUT.as_secs());
                Err(ShellError::Refused(within))
            }
        };
        if let Err(ShellError::Refused(_)) = &begun {
            // Who has closed it already does not mind.
            let _closed = channel.close().await;
        }
        begun
    }

    async fn begin(&self, channel: &mut Channel<Msg>, then: &str) -> Result<Vec<u8>, ShellError> {
        let (done, wanted) = (Mark::new(), Mark::new());
        let (done, wanted) = (done.as_str(), wanted.as_str());
        let user = &self.user;
        let command = format!("exec sudo -S -p {wanted} -u {user} /bin/sh -c 'echo {done}; {then}'");
        channel.exec(true, command).await?;
        let mut out = Vec::new();
        let mut err = Vec::new();
        let mut is_answered = false;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => out.extend_from_slice(&data),
                Some(ChannelMsg::ExtendedData { data, .. }) => err.extend_from_slice(&data),
                Some(ChannelMsg::Failure) => {
                    return Err(ShellError::Refused("the server says no".to_owned()));
                }
                Some(ChannelMsg::Close) => return Err(ShellError::Refused(self.why(&err, wanted))),
                None => return Err(russh::Error::Disconnect.into()),
                Some(_) => {}
            }
            if let Some(at) = find(&out, format!("{done}\n").as_bytes()) {
                return Ok(out.split_off(at + done.len() + 1));
            }
            if let Some(at) = find(&err, wanted.as_bytes()) {
                err.drain(..at + wanted.len());
                self.answer(channel, is_answered).await?;
                is_answered = true;
            }
            if out.len().max(err.len()) > START_UP_MAX {
                return Err(ShellError::Refused(ENDLESS.to_owned()));
            }
        }
    }

    async fn answer(&self, channel: &Channel<Msg>, is_second_time: bool) -> Result<(), ShellError> {
        let user = &self.user;
        let refused = |why: String| {
            Err(ShellError::Refused(format!(
                "{why}, which becoming {user} needs: give it, or allow `sudo` without"
            )))
        };
        if is_second_time {
            return refused("sudo does not take the password".to_owned());
        }
        match self.passwords.0.as_ref().and_then(|ask| ask(&self.host)) {
            Some(password) => Ok(channel.data_bytes(format!("{password}\n").into_bytes()).await?),
            None => refused("there is no password".to_owned()),
        }
    }

    /// What `sudo` said before it ended.
    fn why(&self, err: &[u8], wanted: &str) -> String {
        let said = String::from_utf8_lossy(err).replace(wanted, "");
        match said.trim() {
            "" => format!("sudo ends without becoming {}, or the host has no SFTP server", self.user),
            said => said.to_owned(),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
