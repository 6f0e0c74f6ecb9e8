//! What a host tells of its files, and what it can be asked to do with them.

use std::fmt::{self, Display};

#[cfg(doc)]
use super::HostError;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// File, directory, link or something else.
    pub kind: FileKind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Size in bytes (of a file).
    pub size: u64,
    /// Its owner.
    pub owner: Owner,
    /// Its group.
    pub group: Owner,
}

impl Stat {
    /// A stat of these facts.
    pub fn new(kind: FileKind, mode: u32, size: u64, owner: Owner, group: Owner) -> Self {
        Self { kind, mode, size, owner, group }
    }
}

/// A user or group of a host: a number, and the name that the host has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub id: u32,
    /// Its name, where the host knows one.
    pub name: Option<String>,
}

impl Owner {
    /// Whether it is the one called `wanted`, a name or a number.
    pub fn is(&self, wanted: &str) -> bool {
        self.name.as_deref() == Some(wanted) || wanted.parse() == Ok(self.id)
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.pad(name),
            None => write!(f, "{}", self.id),
        }
    }
}

/// What sort of thing is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

impl Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Other => "a device, socket or pipe",
        })
    }
}

/// Mode and owner to give; `None` leaves (or, for something new, defaults) that part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// Permission bits.
    pub mode: Option<u32>,
    /// The owner, by name or number.
    pub owner: Option<String>,
    /// The group, by name or number.
    pub group: Option<String>,
}

impl Ownership {
    /// Mode, owner and group, each where given.
    pub fn new(mode: Option<u32>, owner: Option<String>, group: Option<String>) -> Self {
        Self { mode, owner, group }
    }
}

/// How to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// A file or a link; a directory is refused with [`HostError::Invalid`].
    File,
    /// A directory without contents, [`HostError::NotEmpty`] otherwise; anything else is refused with
    /// [`HostError::Invalid`].
    EmptyDirectory,
    /// Whatever is there and all below it, never following a link. The root is refused with [`HostError::Invalid`].
    Tree,
}

/// Whether a host can take this path: absolute, without NUL bytes.
///
/// # Errors
/// What is wrong with it, in words.
pub(in crate::backend) fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("the path {path:?} is not absolute"));
    }
    if path.contains('\0') {
        return Err(format!("the path {path:?} holds a NUL byte"));
    }
    Ok(())
}

/// An absolute path, in the one spelling that all spellings of it have in common: without `.`, and without slashes that are doubled
/// or trail. What `..` leads to only the host knows: it stays.
pub(crate) fn plain_path(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut plain = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        plain.push('/');
        plain.push_str(name);
    }
    if plain.is_empty() {
        plain.push('/');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_by_name_and_by_number() {
        let owner = Owner { id: 33, name: Some("web".into()) };
        assert!(owner.is("web") && owner.is("33") && !owner.is("34") && !owner.is(""));
        assert_eq!(owner.to_string(), "web");
        assert_eq!(Owner { id: 33, name: None }.to_string(), "33");
    }
}
