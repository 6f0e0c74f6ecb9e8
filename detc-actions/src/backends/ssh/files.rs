//! What a [`Host`](detc_core::backend::Host) does with files, by SFTP.
//!
//! Each call sends all that it can before it waits; see [`sftp`](super::sftp). Names of users and groups are in
//! [`accounts`], the atomic write in [`write`], that of large content in [`large`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use detc_core::backend::HostError;
use detc_core::backend::host::{FileKind, Ownership, Sink, Stat};
use detc_core::content::Summer;
use tokio::io::AsyncWriteExt;

use super::sftp::{Attrs, Open, Pending, Request, Sftp, SftpError, Status};

mod accounts;
mod large;
mod pace;
mod remove;
mod walk;
mod write;

pub(super) use accounts::Accounts;
pub(super) use large::{Remote, write_large};
pub(super) use remove::{empty_directory, file, is_root};
pub(super) use write::write;

/// How much is read or written by one request. Each server takes 32 KiB.
const CHUNK_LEN: usize = 32 << 10;

/// How many requests of one call are under way: 2 MiB, which keeps a line of 400 Mbit/s and 40 ms full.
const CHUNKS_MAX: usize = 64;

/// Why a call did not do as asked.
#[derive(Debug)]
pub(super) enum FileError {
    /// The connection broke: it may have been done.
    Lost,
    /// Of the host, as it is.
    Host(HostError),
    /// Of the system, on the path of the call.
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ErrorKind> for FileError {
    fn from(kind: ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}

impl From<SftpError> for FileError {
    fn from(error: SftpError) -> Self {
        match error {
            SftpError::Lost => Self::Lost,
            SftpError::Broken(what) => Self::Io(io::Error::other(what)),
            SftpError::Status(status) => Self::Io(match status.code {
                Status::NO_SUCH_FILE => ErrorKind::NotFound.into(),
                Status::PERMISSION_DENIED => ErrorKind::PermissionDenied.into(),
                Status::BAD_MESSAGE => io::Error::other("the path is too long, or not one"),
                Status::UNSUPPORTED => io::Error::other("the SFTP server of the host can not do this"),
                _ => io::Error::other(format!("the SFTP server says {:?}, and no more", status.message)),
            }),
        }
    }
}

pub(super) async fn stat(sftp: &Sftp, accounts: &Accounts, path: &str) -> Result<Option<Stat>, FileError> {
    let attrs = match sftp.stat_link(path).attrs().await {
        Ok(attrs) => attrs,
        Err(SftpError::Status(status)) if status.code == Status::NO_SUCH_FILE => {
            walk::really_absent(sftp, path).await?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let kind = match attrs {
        _ if attrs.is_file() => FileKind::File,
        _ if attrs.is_dir() => FileKind::Directory,
        _ if attrs.is_link() => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let (user, group) = attrs.owners.unwrap_or_default();
    let [user, group] = accounts.owners(sftp, user, group).await?;
    let mode = attrs.mode.unwrap_or_default() & 0o7777;
    Ok(Some(Stat::new(kind, mode, attrs.size.unwrap_or_default(), user, group)))
}

/// A read that goes on where it was when its connection broke.
pub(super) struct Reading<'a> {
    into: &'a mut Sink<'a>,
    /// What `into` has got.
    pub(super) given: u64,
    pub(super) summer: Summer,
}

impl<'a> Reading<'a> {
    pub(super) fn new(into: &'a mut Sink<'a>) -> Self {
        Self { into, given: 0, summer: Summer::default() }
    }

    async fn give(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.into.write_all(bytes).await?;
        self.given += bytes.len() as u64;
        self.summer.add(bytes);
        Ok(())
    }
}

/// Reads a file that is short.
pub(super) async fn read(sftp: &Sftp, path: &str, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let mut content = Vec::new();
    let len = read_to(sftp, path, limit, &mut Reading::new(&mut content)).await?;
    Ok(len.map(|_| content))
}

/// Reads on, and returns how long the file is. `None`: it is longer than `limit`.
pub(super) async fn read_to(
    sftp: &Sftp,
    path: &str,
    limit: u64,
    reading: &mut Reading<'_>,
) -> Result<Option<u64>, FileError> {
    // First of all: opening a pipe would hold up the server, and all others that ask it.
    let attrs = sftp.send(&Request::Stat { path }).attrs().await?;
    if attrs.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !attrs.is_file() {
        return Err(io::Error::other("it is no regular file").into());
    }
    let size = attrs.size.unwrap_or_default();
    if size > limit {
        return Ok(None);
    }
    let _room = sftp.room(1, size).await?;
    let handle = sftp.send(&Request::Open { path, how: Open::Read, mode: 0 }).handle().await?;
    let read = read_open(sftp, &handle, size, limit, reading).await;
    sftp.close(&handle);
    read
}

/// Reads to the end, wherever that is: files of /proc have no size, and others may grow.
async fn read_open(
    sftp: &Sftp,
    handle: &[u8],
    size: u64,
    limit: u64,
    reading: &mut Reading<'_>,
) -> Result<Option<u64>, FileError> {
    let mut asked: VecDeque<Pending> = VecDeque::new();
    let mut next = reading.given;
    loop {
        // One more than the size needs, which tells that this is the end.
        while asked.is_empty() || (asked.len() < CHUNKS_MAX && next <= size) {
            asked.push_back(sftp.send(&Request::Read { handle, offset: next, len: CHUNK_LEN as u32 }));
            next += CHUNK_LEN as u64;
        }
        let part = asked.pop_front().expect("invariant: something was asked").data().await?;
        let Some(part) = part else { return Ok(Some(reading.given)) };
        let is_short = part.len() < CHUNK_LEN;
        if reading.given + part.len() as u64 > limit {
            return Ok(None);
        }
        reading.give(&part).await?;
        if is_short {
            // What was asked beyond it does not fit any more.
            asked.clear();
            next = reading.given;
        }
    }
}

pub(super) async fn make_dir(
    sftp: &Sftp,
    accounts: &Accounts,
    path: &str,
    ownership: &Ownership,
) -> Result<(), FileError> {
    let ids = accounts.ids(sftp, ownership).await?;
    let made = match sftp.stat_link(path).attrs().await {
        Ok(attrs) if attrs.is_dir() => false,
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
        Err(SftpError::Status(status)) if status.code == Status::NO_SUCH_FILE => {
            make_with_parents(sftp, path).await?;
            true
        }
        Err(error) => return Err(error.into()),
    };
    let mode = ownership.mode.or(made.then_some(0o755));
    own(sftp, path, mode, ids).await
}

/// Makes what is missing, all by one round trip: what exists is refused by the server, which is no harm. Each that was made
/// gets mode `0755`, whatever the umask there.
async fn make_with_parents(sftp: &Sftp, path: &str) -> Result<(), FileError> {
    let places = walk::places(path);
    let made: Vec<_> = places
        .iter()
        .map(|place| (place, sftp.send(&Request::MakeDir { path: place, mode: 0o755 })))
        .collect();
    let mut last = Ok(());
    let mut set = Vec::new();
    for (place, pending) in made {
        last = pending.done().await;
        if last.is_ok() {
            set.push(sftp.send(&Request::SetStat { path: place, attrs: Attrs::mode(0o755) }));
        }
    }
    for pending in set {
        pending.done().await?;
    }
    let Err(error) = last else { return Ok(()) };
    // Another may have made it meanwhile.
    match sftp.send(&Request::Stat { path }).attrs().await {
        Ok(attrs) if attrs.is_dir() => Ok(()),
        _ => Err(write::explain(sftp, walk::parent(path), error).await),
    }
}

pub(super) async fn set_ownership(
    sftp: &Sftp,
    accounts: &Accounts,
    path: &str,
    ownership: &Ownership,
) -> Result<(), FileError> {
    let ids = accounts.ids(sftp, ownership).await?;
    if sftp.stat_link(path).attrs().await?.is_link() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a symbolic link has no mode").into());
    }
    own(sftp, path, ownership.mode, ids).await
}

/// Gives owner and mode to what is at `path` itself. The mode comes last: changing the owner takes set-id bits away.
async fn own(sftp: &Sftp, path: &str, mode: Option<u32>, ids: accounts::Ids) -> Result<(), FileError> {
    let found = sftp.stat_link(path).attrs().await?;
    let mut sent = Vec::new();
    for attrs in changes(&found, mode, ids) {
        // Where the server can, also when someone puts a link in its place meanwhile.
        sent.push(sftp.send(&if sftp.has("lsetstat@openssh.com") {
            Request::SetStatLink { path, attrs }
        } else {
            Request::SetStat { path, attrs }
        }));
    }
    for pending in sent {
        pending.done().await?;
    }
    Ok(())
}

/// What is to be set, in order, on something that is as `found`.
fn changes(found: &Attrs, mode: Option<u32>, ids: accounts::Ids) -> Vec<Attrs> {
    let (user, group) = found.owners.unwrap_or_default();
    let wanted = (ids.user.unwrap_or(user), ids.group.unwrap_or(group));
    let is_given = wanted != (user, group);
    let had = found.mode.unwrap_or_default() & 0o7777;
    let mode = mode.unwrap_or(had);
    let owners = is_given.then(|| Attrs::owners(wanted.0, wanted.1));
    owners.into_iter().chain((is_given || mode != had).then(|| Attrs::mode(mode))).collect()
}
