//! Replaces a file's content atomically and durably.
//!
//! ```text
//!   create .detc-new-DIGEST (exclusively, 0600) ─▶ lock ─▶ write ─▶ owner, mode ─▶ fsync ─▶ rename ─▶ fsync directory
//! ```
//!
//! The temporary name follows from the file's name, so that what a crash leaves is found by the next write, and never
//! accumulates. The lock tells a leftover from a file that is just being written: it goes with its process.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use detc_core::backend::host::Ownership;
use detc_core::content::{self, Content, Summer};
use detc_core::model::Digest;
use nix::fcntl::OFlag;

use super::{Gate, files, owner};

const PREFIX: &str = ".detc-new-";

/// How much is copied at once: few calls for a large file, and little memory.
const PIECE_LEN: usize = 256 << 10;

/// How often a temporary file may vanish under us before we give up: each time another writer has made progress.
const TRIES_MAX: usize = 1000;

pub(super) fn write(path: &str, content: &Content, ownership: &Ownership, gate: &Gate) -> io::Result<()> {
    let mut ids = owner::ids(ownership)?;
    let target = Path::new(path);
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(ErrorKind::IsADirectory.into());
    };
    let mut mode = ownership.mode;
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => {
            mode = mode.or(Some(found.mode() & 0o7777));
            ids.user = ids.user.or(Some(found.uid()));
            ids.group = ids.group.or(Some(found.gid()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut temporary = Temporary::create(&dir.join(temporary_name(name)))?;
    fill(&mut temporary.file, content, gate)?;
    files::own(&temporary.file, Some(mode.unwrap_or(0o644)), ids)?;
    temporary.file.sync_all()?;
    gate.enter()?;
    fs::rename(&temporary.path, target)?;
    temporary.renamed = true;
    File::open(dir)?.sync_all()
}

/// Copies what comes from a file piece by piece, and compares it then with what it was.
fn fill(file: &mut File, content: &Content, gate: &Gate) -> io::Result<()> {
    if let Some(bytes) = content.held() {
        return file.write_all(bytes);
    }
    let (mut reader, mut piece, mut summer) = (content.open()?, vec![0; PIECE_LEN], Summer::default());
    loop {
        gate.check()?;
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return if summer.finish() == content.sum() { Ok(()) } else { Err(content::changed()) };
        }
        summer.add(&piece[..read]);
        file.write_all(&piece[..read])?;
    }
}

/// Removes what crashed writes of `target` left beside it.
pub(super) fn clean_beside(target: &Path) -> io::Result<()> {
    match (target.parent(), target.file_name()) {
        (Some(dir), Some(name)) => remove_leftover(&dir.join(temporary_name(name))),
        _ => Ok(()),
    }
}

/// Removes what crashed writes left in `dir`.
pub(super) fn clean(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            remove_leftover(&entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn temporary_name(name: &std::ffi::OsStr) -> String {
    // A digest, since the name itself with a prefix may be longer than a name can be.
    format!("{PREFIX}{:.32}", Digest::of(name.as_bytes()).to_string())
}

/// A file of our own, held by a lock; removed when it is dropped before it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    fn create(path: &Path) -> io::Result<Self> {
        for _ in 0..TRIES_MAX {
            let created = File::options().write(true).create_new(true).mode(0o600).open(path);
            match created {
                Ok(file) => {
                    file.lock()?;
                    // Between creating and locking another writer may have taken it for a leftover.
                    if is_at(&file, path)? {
                        return Ok(Self { path: path.to_owned(), file, renamed: false });
                    }
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => wait_or_remove(path)?,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::ResourceBusy, "others write the same file all the time"))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What can not be removed now is a leftover like that of a crash: the next write finds it.
            let _leftover = fs::remove_file(&self.path);
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A live writer is waited for; a leftover is removed.
fn wait_or_remove(path: &Path) -> io::Result<()> {
    match open_leftover(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) if is_at(&file, path)? => discard(&file, path),
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => file.lock(),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A link, or something else that no write of ours left: it is in the way.
        Err(_) => fs::remove_file(path),
    }
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    match open_leftover(path) {
        Ok(file) if file.try_lock().is_ok() && is_at(&file, path)? => discard(&file, path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder was left by a large write that came over a connection.
fn discard(file: &File, path: &Path) -> io::Result<()> {
    if file.metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn open_leftover(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}
