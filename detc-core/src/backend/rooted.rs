//! Keeps what is changed on a host beneath some folders.

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::host::{Command, FileKind, Host, HostError, Output, Ownership, Remove, Sink, Stat, plain_path};
use crate::content::Content;

/// A host of which no file is written, owned or removed but beneath some folders.
///
/// A path that is not written beneath one of them is refused, and so is one that a symbolic link lies on, beneath the root: whatever it
/// leads to. A root itself, and what is above it, is trusted, and may be a link.
///
/// # Caveats
/// - The links are looked for just before, one look for each folder in between: whoever may exchange those folders can still do it
///   after that. It keeps mistakes and what others have left there from leading elsewhere, and not who acts at that very moment.
/// - What a command does is its own.
/// - What is only looked at or read may be anywhere.
#[derive(Debug)]
pub struct RootedHost {
    inner: Arc<dyn Host>,
    roots: Vec<String>,
}

/// What is meant by a link that a path ends with.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// It is replaced, removed, or refused.
    Itself,
    /// It may count as the directory that it leads to.
    Followed,
}

impl RootedHost {
    /// `inner`, changed beneath these absolute paths alone. Without any, nothing of it is changed.
    pub fn new(inner: Arc<dyn Host>, roots: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { inner, roots: roots.into_iter().map(|root| plain_path(root.as_ref())).collect() }
    }

    /// That a path is beneath a root, and that nothing on the way to it is a link.
    async fn check(&self, path: &str, last: Last) -> Result<(), HostError> {
        let refused = |why: String| HostError::Refused {
            host: self.inner.to_string(),
            what: format!("change {path}"),
            source: io::Error::new(io::ErrorKind::InvalidInput, why),
        };
        let plain = plain_path(path);
        let Some(root) = root_of(&self.roots, &plain) else {
            let roots = match self.roots[..] {
                [] => "any folder".to_owned(),
                _ => self.roots.join(", "),
            };
            return Err(refused(format!("it is not beneath {roots}")));
        };
        let root_len = root.trim_end_matches('/').len();
        let mut folders: Vec<&str> = plain.match_indices('/').map(|(at, _)| &plain[..at]).collect();
        folders.retain(|folder| folder.len() > root_len);
        if last == Last::Followed && plain.len() > root_len {
            folders.push(&plain);
        }
        for folder in folders {
            match self.inner.stat(folder).await? {
                Some(Stat { kind: FileKind::Symlink, .. }) => {
                    return Err(refused(format!(
                        "{folder} is a symbolic link, which may lead out of {root}"
                    )));
                }
                Some(_) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Which of the roots, each in plain spelling, a path in plain spelling is or lies beneath: the innermost. Of one that goes on
/// with `..` only the host knows.
pub(crate) fn root_of<'a>(roots: &'a [String], path: &str) -> Option<&'a str> {
    let is_within = |root: &&String| {
        let within = path.strip_prefix(root.trim_end_matches('/'));
        within.is_some_and(|it| {
            (it.is_empty() || it.starts_with('/')) && it.split('/').all(|name| name != "..")
        })
    };
    roots.iter().filter(is_within).max_by_key(|root| root.len()).map(String::as_str)
}

impl Display for RootedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Host for RootedHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.inner.run(command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        self.inner.stat(path).await
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        self.inner.read_to(path, limit, into).await
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        self.check(path, Last::Itself).await?;
        self.inner.write_from(path, content, ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.check(path, Last::Followed).await?;
        self.inner.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.check(path, Last::Itself).await?;
        self.inner.set_ownership(path, ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.check(path, Last::Itself).await?;
        self.inner.remove(path, how).await
    }
}

#[cfg(test)]
mod tests;
