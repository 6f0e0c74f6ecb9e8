//! Looking at files, and changing all but their content.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path};

use detc_core::backend::host::{FileKind, Ownership, Remove, Stat};
use nix::fcntl::OFlag;

use super::{owner, replace};

pub(super) fn stat(path: &str) -> io::Result<Stat> {
    let found = fs::symlink_metadata(path)?;
    let kind = match found.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let mode = found.mode() & 0o7777;
    Ok(Stat::new(kind, mode, found.len(), owner::user(found.uid()), owner::group(found.gid())))
}

/// Opens a regular file to be read.
pub(super) fn open(path: &str) -> io::Result<File> {
    // A pipe without a writer would hold the call up for ever.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
        return Err(io::Error::other("it is no regular file"));
    }
    // The length is not asked for: files of /proc have none.
    Ok(file)
}

pub(super) fn make_dir(path: &str, ownership: &Ownership) -> io::Result<()> {
    let ids = owner::ids(ownership)?;
    let mut made = false;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_with_parents(Path::new(path), ownership.mode.unwrap_or(DIR_MODE))?;
            made = true;
        }
        Err(error) => return Err(error),
    }
    let mode = ownership.mode.or(made.then_some(DIR_MODE));
    own(&open_in_place(path)?, mode, ids)
}

/// The mode of a directory of which nothing else is said, whatever the umask.
const DIR_MODE: u32 = 0o755;

/// Makes what is missing, parents with [`DIR_MODE`]; another who makes the same is no harm. The last one has at no moment a
/// mode that lets in more than `mode` does, and may have one that lets in less.
fn make_with_parents(path: &Path, mode: u32) -> io::Result<()> {
    let mut at = std::path::PathBuf::new();
    for component in path.components() {
        at.push(component);
        if matches!(component, Component::RootDir | Component::CurDir | Component::ParentDir) {
            continue;
        }
        let is_last = at == path;
        match DirBuilder::new().mode(if is_last { mode & 0o777 } else { DIR_MODE }).create(&at) {
            Ok(()) if is_last => {}
            Ok(()) => fs::set_permissions(&at, Permissions::from_mode(DIR_MODE))?,
            Err(error) if at.is_dir() => drop(error),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn set_ownership(path: &str, ownership: &Ownership) -> io::Result<()> {
    let ids = owner::ids(ownership)?;
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a symbolic link has no mode"));
    }
    own(&open_in_place(path)?, ownership.mode, ids)
}

/// Opens what is at `path` itself, so that mode and owner go to the very thing that was looked at, even when someone puts
/// a link in its place meanwhile.
fn open_in_place(path: &str) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let open = |options: &mut fs::OpenOptions| options.custom_flags(flags.bits()).open(path);
    match open(File::options().read(true)) {
        // A file that may be written but not read is opened all the same.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => open(File::options().write(true)),
        opened => opened,
    }
}

/// Gives owner and mode, each where it differs. The mode comes last: changing the owner takes set-id bits away.
pub(super) fn own(file: &File, mode: Option<u32>, ids: owner::Ids) -> io::Result<()> {
    let found: Metadata = file.metadata()?;
    let user = ids.user.filter(|user| *user != found.uid());
    let group = ids.group.filter(|group| *group != found.gid());
    let chown = user.is_some() || group.is_some();
    if chown {
        fchown(file, user, group)?;
    }
    let wanted = mode.unwrap_or(found.mode() & 0o7777);
    if chown || found.mode() & 0o7777 != wanted {
        file.set_permissions(Permissions::from_mode(wanted))?;
    }
    Ok(())
}

pub(super) fn remove(path: &str, how: Remove) -> io::Result<()> {
    if how == Remove::File {
        replace::clean_beside(Path::new(path))?;
    }
    let is_dir = fs::symlink_metadata(path)?.is_dir();
    match (how, is_dir) {
        (Remove::File, true) => Err(io::Error::new(ErrorKind::InvalidInput, "it is a directory")),
        (Remove::EmptyDirectory, false) => Err(io::Error::new(ErrorKind::InvalidInput, "it is no directory")),
        (_, true) if fs::canonicalize(path)? == Path::new("/") => {
            Err(io::Error::new(ErrorKind::InvalidInput, "the root is not removed"))
        }
        (Remove::File | Remove::Tree, false) => fs::remove_file(path),
        (Remove::Tree, true) => fs::remove_dir_all(path),
        (Remove::EmptyDirectory, true) => match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                replace::clean(Path::new(path))?;
                fs::remove_dir(path)
            }
            done => done,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lets_nobody_in_before_it_has_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (parent, made) = (dir.path().join("parent"), dir.path().join("parent/made"));
        // What is given to it later does not count: somebody may have looked in by then.
        make_with_parents(&made, 0o2700).unwrap();
        assert_eq!((mode(&parent), mode(&made)), (DIR_MODE, 0o700));
    }
}
