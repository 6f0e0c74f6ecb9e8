//! Removing a file, a link, or a directory without contents. A tree is removed by the host's own `rm`, which holds on to the
//! directories that it is in: by paths alone, another could lead it elsewhere.

use std::io::{self, ErrorKind};

use super::super::sftp::{Attrs, Request, Sftp, SftpError, Status};
use super::{FileError, walk, write};

pub(super) fn is_absent(error: &SftpError) -> bool {
    matches!(error, SftpError::Status(status) if status.code == Status::NO_SUCH_FILE)
}

pub(in super::super) async fn file(sftp: &Sftp, path: &str) -> Result<(), FileError> {
    let leftovers = write::temporary_of(path).map(|first| [write::other_temporary_of(&first), first]);
    let removed: Vec<_> = (leftovers.into_iter().flatten())
        .map(|leftover| (sftp.send(&Request::Remove { path: &leftover }), leftover))
        .collect();
    let found = sftp.stat_link(path);
    for (removed, leftover) in removed {
        if removed.done().await.is_err_and(|error| !is_absent(&error)) {
            // What can not be removed is found by the next write.
            let _left = discard(sftp, &leftover).await;
        }
    }
    match found.attrs().await {
        Ok(attrs) if attrs.is_dir() => {
            Err(io::Error::new(ErrorKind::InvalidInput, "it is a directory").into())
        }
        Ok(_) => match sftp.send(&Request::Remove { path }).done().await {
            Err(error) if !is_absent(&error) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        },
        Err(error) if is_absent(&error) => walk::really_absent(sftp, path).await,
        Err(error) => Err(error.into()),
    }
}

/// Whether `path` is the root, whatever it is called.
pub(in super::super) async fn is_root(sftp: &Sftp, path: &str) -> Result<bool, FileError> {
    match sftp.send(&Request::RealPath { path }).names().await {
        Ok(names) => Ok(names.is_some_and(|names| names.first().is_some_and(|name| name == b"/"))),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(in super::super) async fn empty_directory(sftp: &Sftp, path: &str) -> Result<(), FileError> {
    match sftp.stat_link(path).attrs().await {
        Ok(attrs) if !attrs.is_dir() => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no directory").into());
        }
        Ok(_) => {}
        Err(error) if is_absent(&error) => return walk::really_absent(sftp, path).await,
        Err(error) => return Err(error.into()),
    }
    if is_root(sftp, path).await? {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the root is not removed").into());
    }
    let first = match sftp.send(&Request::RemoveDir { path }).done().await {
        Ok(()) => return Ok(()),
        Err(error) if is_absent(&error) => return Ok(()),
        Err(SftpError::Status(status)) if status.code != Status::PERMISSION_DENIED => status,
        Err(error) => return Err(error.into()),
    };
    // It has contents, or it can not be told from that. What crashed writes have left is none.
    let names = entries(sftp, path).await?;
    let (leftovers, others): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| name.starts_with(write::PREFIX));
    if !others.is_empty() {
        return Err(ErrorKind::DirectoryNotEmpty.into());
    }
    for name in &leftovers {
        let _left = discard(sftp, &format!("{path}/{name}")).await;
    }
    match sftp.send(&Request::RemoveDir { path }).done().await {
        Err(_) if leftovers.is_empty() => Err(SftpError::Status(first).into()),
        removed => Ok(removed?),
    }
}

/// Removes what a write has left: a file, or a folder with what a large one has got so far. A folder that is another's, or that others
/// may change, is not entered: it is given another name, and stays. Whoever can exchange the folder itself, as the owner of the one that
/// it is in, can lead a path in it elsewhere: nothing is removed but what is called as such writes call it.
pub(super) async fn discard(sftp: &Sftp, leftover: &str) -> Result<(), SftpError> {
    /// How often [`NAMES_MAX`] names are removed.
    const ROUNDS_MAX: usize = 10;
    match sftp.send(&Request::Remove { path: leftover }).done().await {
        Ok(()) => return Ok(()),
        Err(error) if is_absent(&error) => return Ok(()),
        Err(SftpError::Status(_)) => {}
        Err(error) => return Err(error),
    }
    let found = match sftp.stat_link(leftover).attrs().await {
        Err(error) if is_absent(&error) => return Ok(()),
        found => found?,
    };
    let in_the_way =
        || SftpError::Broken(format!("{leftover} is in the way, and can not be removed: remove it"));
    if !found.is_dir() {
        return Err(in_the_way());
    }
    if !is_ours(sftp, &found).await? {
        let mut number = [0; 8];
        getrandom::fill(&mut number).expect("invariant: the system has random bytes");
        let aside = format!("{leftover}-{:016x}", u64::from_ne_bytes(number));
        let moved = sftp.send(&Request::Rename { from: leftover, to: &aside }).done().await;
        return match moved {
            Err(SftpError::Status(_)) => Err(in_the_way()),
            moved => moved,
        };
    }
    for _ in 0..ROUNDS_MAX {
        match sftp.send(&Request::RemoveDir { path: leftover }).done().await {
            Ok(()) => return Ok(()),
            Err(error) if is_absent(&error) => return Ok(()),
            Err(SftpError::Status(_)) => {}
            Err(error) => return Err(error),
        }
        let names = entries(sftp, leftover).await.unwrap_or_default();
        for name in names.iter().filter(|name| is_part(name)) {
            drop(sftp.send(&Request::Remove { path: &format!("{leftover}/{name}") }));
        }
    }
    Err(in_the_way())
}

/// Whether a large write calls a file so that has not arrived as a whole: by its sum, and where it was handed on by a number.
fn is_part(name: &str) -> bool {
    let is_hex =
        |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.split_once('-') {
        None => is_hex(name, 32),
        Some((sum, number)) => is_hex(sum, 32) && is_hex(number, 16),
    }
}

/// Whether a folder is ours, and nobody else may change what is in it. Whose we are is told by where the server is: at home.
async fn is_ours(sftp: &Sftp, folder: &Attrs) -> Result<bool, SftpError> {
    const OTHERS_WRITE: u32 = 0o022;
    let home = sftp.send(&Request::Stat { path: "." }).attrs().await?;
    let owner = |attrs: &Attrs| attrs.owners.map(|(user, _)| user);
    Ok(owner(folder).is_some()
        && owner(folder) == owner(&home)
        && folder.mode.is_some_and(|mode| mode & OTHERS_WRITE == 0))
}

/// How many names of a directory are looked at: of what writes have left there are a few.
const NAMES_MAX: usize = 10_000;

/// The names of what is in a directory, the first of them where there are very many.
async fn entries(sftp: &Sftp, path: &str) -> Result<Vec<String>, FileError> {
    let handle = sftp.send(&Request::OpenDir { path }).handle().await?;
    let mut found = Vec::new();
    let read = loop {
        match sftp.send(&Request::ReadDir { handle: &handle }).names().await {
            Ok(Some(names)) => {
                found.extend(names.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
                if found.len() >= NAMES_MAX {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    sftp.close(&handle);
    read?;
    found.retain(|name| name != "." && name != "..");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_but_what_is_called_as_a_part() {
        let sum = "f7d2f8b46dc004c5d91119332e3141ce";
        assert!(is_part(sum) && is_part(&format!("{sum}-0123456789abcdef")));
        for other in [
            "",
            "shadow",
            &sum[1..],
            &format!("{sum}-"),
            &format!("{sum}-0123"),
            &format!("{sum}x"),
            &format!("g{}", &sum[1..]),
        ] {
            assert!(!is_part(other), "{other}");
        }
    }
}
