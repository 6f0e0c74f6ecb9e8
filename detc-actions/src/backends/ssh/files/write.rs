//! The atomic write: a file beside the one that is to be, filled, synced, and put in its place.
//!
//! ```text
//! look, open new ─▶ write…, owner, mode, sync; open the directory ─▶ rename, sync the directory ─▶ done
//! ```
//!
//! Three round trips, however long the content is.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use detc_core::backend::host::Ownership;
use detc_core::model::Digest;

use super::super::sftp::{Attrs, Open, Pending, Request, Sftp, SftpError, Status, volume};
use super::{Accounts, CHUNK_LEN, CHUNKS_MAX, FileError, accounts, changes, remove, walk};

/// Beginning of the names of files that are being written, as on the local host.
pub(super) const PREFIX: &str = ".detc-new-";

/// The file that is written in place of `path`.
pub(super) fn temporary_of(path: &str) -> Option<String> {
    let (dir, name) = path.rsplit_once('/')?;
    // A digest, since the name itself with a prefix may be longer than a name can be.
    let digest = Digest::of(name.as_bytes()).to_string();
    Some(format!("{dir}/{PREFIX}{digest:.32}"))
}

pub(in super::super) async fn write(
    sftp: &Sftp,
    accounts: &Accounts,
    path: &str,
    content: &[u8],
    ownership: &Ownership,
) -> Result<(), FileError> {
    let temporary = match temporary_of(path) {
        Some(temporary) if !path.ends_with('/') => temporary,
        _ => return Err(ErrorKind::IsADirectory.into()),
    };
    let ids = accounts.ids(sftp, ownership).await?;
    // It, and its directory.
    let _room = sftp.room(2, content.len() as u64).await?;
    let found = sftp.stat_link(path);
    let opened = open_new(sftp, &temporary);
    let (found, temporary) = (found.attrs().await, opened.await?);
    let (mode, ids) = to_give(found, ownership, ids)?;
    let dir = walk::parent(path);
    if let Err(error) = temporary.fill(content, mode, ids).await {
        return Err(match error {
            FileError::Io(error) if error.kind() == ErrorKind::Other => explain_io(sftp, dir, error).await,
            error => error,
        });
    }
    temporary.put_in_place(path, dir).await
}

/// The mode and the owners of what takes the place of `found`.
pub(super) fn to_give(
    found: Result<Attrs, SftpError>,
    ownership: &Ownership,
    mut ids: accounts::Ids,
) -> Result<(u32, accounts::Ids), FileError> {
    let mut mode = ownership.mode;
    match found {
        Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => {
            mode = mode.or(found.mode.map(|mode| mode & 0o7777));
            if let Some((user, group)) = found.owners {
                ids.user = ids.user.or(Some(user));
                ids.group = ids.group.or(Some(group));
            }
        }
        Ok(_) => {}
        Err(SftpError::Status(status)) if status.code == Status::NO_SUCH_FILE => {}
        Err(error) => return Err(error.into()),
    }
    Ok((mode.unwrap_or(0o644), ids))
}

/// Where a write is instead that has found something there. It may be of a connection that is gone, and of which the host does the last
/// requests yet: such a rename is not to put in its place what is half written.
pub(super) fn other_temporary_of(temporary: &str) -> String {
    format!("{temporary}-2")
}

/// Opens a new file; what a crashed write has left there is removed.
async fn open_new<'a>(sftp: &'a Sftp, path: &str) -> Result<Temporary<'a>, FileError> {
    let open = async |path: &str| {
        let handle = sftp.send(&Request::Open { path, how: Open::New, mode: 0o600 }).handle().await?;
        Ok(Temporary::new(sftp, path.to_owned(), handle))
    };
    let other = other_temporary_of(path);
    match open(path).await {
        Ok(temporary) => {
            drop(sftp.send(&Request::Remove { path: &other }));
            Ok(temporary)
        }
        Err(SftpError::Status(status))
            if ![Status::NO_SUCH_FILE, Status::PERMISSION_DENIED].contains(&status.code) =>
        {
            let mut left = None;
            for leftover in [path, other.as_str()] {
                match remove::discard(sftp, leftover).await {
                    Ok(()) => {}
                    Err(SftpError::Lost) => return Err(FileError::Lost),
                    Err(error) => left = left.or(Some(error)),
                }
            }
            match (open(&other).await, left) {
                (Ok(temporary), _) => Ok(temporary),
                (Err(SftpError::Status(_)), Some(left)) => Err(left.into()),
                (Err(error), _) => Err(explain(sftp, walk::parent(path), error).await),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// A file of our own; removed when it is dropped before it was put in its place.
struct Temporary<'a> {
    sftp: &'a Sftp,
    path: String,
    handle: Vec<u8>,
    is_in_place: bool,
}

impl<'a> Temporary<'a> {
    fn new(sftp: &'a Sftp, path: String, handle: Vec<u8>) -> Self {
        Self { sftp, path, handle, is_in_place: false }
    }

    /// Gives it all that it is to have, and waits until that is on disk.
    async fn fill(&self, content: &[u8], mode: u32, ids: accounts::Ids) -> Result<(), FileError> {
        let handle = self.handle.as_slice();
        let mut sent: VecDeque<Pending> = VecDeque::new();
        let chunk_len = self.sftp.write_len_max().await?.min(CHUNK_LEN);
        for (index, data) in content.chunks(chunk_len).enumerate() {
            if sent.len() == CHUNKS_MAX
                && let Some(first) = sent.pop_front()
            {
                first.done().await?;
            }
            sent.push_back(self.sftp.send(&Request::Write {
                handle,
                offset: (index * chunk_len) as u64,
                data,
            }));
        }
        // It is new: what it has is not known, so that all is set. Only root gives files away; for others the host
        // refuses what is not theirs already.
        sent.extend(finish(self.sftp, &self.path, handle, mode, ids).await?);
        for pending in sent {
            pending.done().await?;
        }
        Ok(())
    }

    async fn put_in_place(mut self, path: &str, dir: &str) -> Result<(), FileError> {
        let (renamed, synced) = rename(self.sftp, &self.path, path, dir).await?;
        renamed.done().await?;
        self.is_in_place = true;
        Ok(synced.done().await?)
    }
}

/// Gives what is open as `handle` at `path` its owners and its mode, and has it put on disk.
pub(super) async fn finish(
    sftp: &Sftp,
    path: &str,
    handle: &[u8],
    mode: u32,
    ids: accounts::Ids,
) -> Result<Vec<Pending>, FileError> {
    let mut sent = Vec::new();
    // The owners, where they differ from those that it has as something new.
    let owners = match ids == accounts::Ids::default() {
        true => None,
        false => {
            let found = sftp.stat_link(path).attrs().await?;
            changes(&found, None, ids).first().and_then(|attrs| attrs.owners)
        }
    };
    if let Some((user, group)) = owners {
        sent.push(sftp.send(&Request::SetStatOpen { handle, attrs: Attrs::owners(user, group) }));
    }
    sent.push(sftp.send(&Request::SetStatOpen { handle, attrs: Attrs::mode(mode) }));
    sent.push(sftp.send(&Request::Sync { handle }));
    Ok(sent)
}

/// Asks that `from` takes the place of `to` in the directory `dir`, and that this is put on disk.
pub(super) async fn rename(
    sftp: &Sftp,
    from: &str,
    to: &str,
    dir: &str,
) -> Result<(Pending, Pending), FileError> {
    let dir = sftp.send(&Request::Open { path: dir, how: Open::Read, mode: 0 }).handle().await?;
    let renamed = sftp.send(&Request::Rename { from, to });
    let synced = sftp.send(&Request::Sync { handle: &dir });
    sftp.close(&dir);
    Ok((renamed, synced))
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        self.sftp.close(&self.handle);
        if !self.is_in_place {
            // What can not be removed now is a leftover like that of a crash: the next write finds it.
            drop(self.sftp.send(&Request::Remove { path: &self.path }));
        }
    }
}

/// Why something could not be made or filled in `dir`: the server says of most that it failed, and no more.
pub(super) async fn explain(sftp: &Sftp, dir: &str, error: SftpError) -> FileError {
    match FileError::from(error) {
        FileError::Io(error) if error.kind() == ErrorKind::Other => explain_io(sftp, dir, error).await,
        error => error,
    }
}

pub(super) async fn explain_io(sftp: &Sftp, dir: &str, error: io::Error) -> FileError {
    /// A file system counts as full when less is free than one more block or two would need.
    const BLOCKS_FEW: u64 = 2;
    let asked = sftp.send(&Request::Volume { path: dir }).extended().await;
    match asked.map(|body| volume(&body)) {
        Ok(Ok(volume)) if volume.is_read_only => ErrorKind::ReadOnlyFilesystem.into(),
        Ok(Ok(volume)) if volume.blocks_free < BLOCKS_FEW || (volume.files > 0 && volume.files_free == 0) => {
            ErrorKind::StorageFull.into()
        }
        _ => FileError::Io(error),
    }
}
