//! Files of a container that does not run, or has no shell: the engine reads and writes them itself, as archives.

use std::io;

use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use detc_core::backend::HostError;
use detc_core::backend::containers::Source;
use detc_core::backend::host::{FileKind, Owner, Ownership, Sink, Stat};
use detc_core::content::Content;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncWriteExt;

use super::ContainerHost;
use crate::backends::docker::files::pieces;
use crate::backends::docker::look;
use crate::backends::docker::words::Fault;

/// How many links lead to a file at most, as on Linux.
const LINKS_MAX: usize = 40;

/// How much of an archive is read to know what it begins with: its first entry may have further headers, for what is longer than
/// usual.
const HEAD_LEN_MAX: usize = 64 << 10;

/// What an archive is made of.
const BLOCK: usize = 512;

/// The beginning of what an engine has packed: one file, or a directory and what is in it.
struct Packed {
    kind: FileKind,
    stat: Stat,
    link: Option<String>,
    /// What has come of its content.
    begun: Bytes,
    rest: BoxStream<'static, Result<Bytes, Error>>,
}

impl ContainerHost {
    pub(super) async fn cold_stat(&self, path: &str, why: HostError) -> Result<Option<Stat>, HostError> {
        let packed = self.packed(path, &format!("look at {path}"), why).await?;
        Ok(packed.map(|packed| packed.stat))
    }

    pub(super) async fn cold_read(
        &self,
        path: &str,
        limit: u64,
        into: &mut Sink<'_>,
        why: HostError,
    ) -> Result<u64, HostError> {
        let what = format!("read {path}");
        let mut why = Some(why);
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let reason =
                why.take().unwrap_or_else(|| self.refused(&what, io::Error::other("it does not run")));
            let packed = self.packed(&at, &what, reason).await?.ok_or_else(|| self.not_found(path))?;
            match (packed.kind, &packed.link) {
                (FileKind::Symlink, Some(link)) => at = beside(&at, link),
                (FileKind::File, _) => return self.unpack(packed, path, limit, into).await,
                (kind, _) => return Err(self.refused(&what, io::Error::other(format!("it is {kind}")))),
            }
        }
        Err(self.refused(&what, io::Error::other("links lead in a circle")))
    }

    async fn unpack(
        &self,
        packed: Packed,
        path: &str,
        limit: u64,
        into: &mut Sink<'_>,
    ) -> Result<u64, HostError> {
        let what = format!("read {path}");
        let len = packed.stat.size;
        if len > limit {
            return Err(self.too_large(path, limit));
        }
        let (mut left, mut piece, mut rest) = (len, packed.begun, packed.rest);
        loop {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            into.write_all(&piece[..wanted]).await.map_err(|error| self.refused(&what, error))?;
            left -= wanted as u64;
            if left == 0 {
                return Ok(len);
            }
            piece = match rest.next().await {
                Some(next) => next.map_err(|error| self.of_fault(&what, error.into()))?,
                None => {
                    return Err(HostError::AnswerLost { host: self.to_string(), what });
                }
            };
        }
    }

    /// Asks for what is at `path`, and reads its beginning. `None`: there is nothing.
    async fn packed(&self, path: &str, what: &str, why: HostError) -> Result<Option<Packed>, HostError> {
        self.check_place(path, why).await?;
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut rest = self.engine.client().download_from_container(&self.container, Some(options)).boxed();
        let mut begun = Vec::new();
        let odd = || self.refused(what, io::Error::other("what the engine packed is no archive"));
        loop {
            match rest.next().await {
                Some(Ok(piece)) => begun.extend_from_slice(&piece),
                Some(Err(error)) => match Fault::from(error) {
                    Fault::Said(said) if said.code == 404 && said.has(&["o such container"]) => {
                        return Err(self.not_found(&self.container));
                    }
                    Fault::Said(said) if said.code == 404 => return Ok(None),
                    // Something in its way is no directory.
                    Fault::Said(said) if said.has(&["not a directory"]) => return Ok(None),
                    fault => return Err(self.of_fault(what, fault)),
                },
                None if begun.is_empty() => return Err(odd()),
                None => {}
            }
            match head(&begun) {
                Some((stat, link, at)) => {
                    let begun = Bytes::from(begun).slice(at..);
                    return Ok(Some(Packed { kind: stat.kind, stat, link, begun, rest }));
                }
                None if begun.len() > HEAD_LEN_MAX => return Err(odd()),
                None => {}
            }
        }
    }

    pub(super) async fn cold_write(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
        why: HostError,
    ) -> Result<(), HostError> {
        let what = format!("write {path}");
        let there = self.packed(path, &what, why).await?.map(|packed| packed.stat);
        if there.as_ref().is_some_and(|there| there.kind == FileKind::Directory) {
            return Err(self.refused(&what, io::Error::other("a directory is there")));
        }
        let there = there.filter(|there| there.kind == FileKind::File);
        let number = |asked: Option<&str>, is: Option<u32>| match asked {
            None => Ok(is.unwrap_or(0)),
            Some("root") => Ok(0),
            Some(name) => name.parse().map_err(|_| {
                let why = format!("who `{name}` is can not be asked while it does not run");
                self.refused(&what, io::Error::other(why))
            }),
        };
        let owner = number(ownership.owner.as_deref(), there.as_ref().map(|there| there.owner.id))?;
        let group = number(ownership.group.as_deref(), there.as_ref().map(|there| there.group.id))?;
        let mode = ownership.mode.or(there.map(|there| there.mode)).unwrap_or(0o644);
        let (dir, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len());
        header.set_mode(mode);
        header.set_uid(owner.into());
        header.set_gid(group.into());
        header.set_mtime(0);
        header.set_path(name).map_err(|error| self.refused(&what, error))?;
        header.set_cksum();
        let header = Bytes::copy_from_slice(header.as_bytes());
        // The rest of its last block, and two that end it all.
        let ends = usize::try_from(content.len() % BLOCK as u64).unwrap_or(0);
        let end = Bytes::from(vec![0; (BLOCK - ends) % BLOCK + 2 * BLOCK]);
        let whole =
            stream::once(async { Ok(header) }).chain(pieces(content)).chain(stream::once(async { Ok(end) }));
        let options = UploadToContainerOptions {
            path: if dir.is_empty() { "/".to_owned() } else { dir.to_owned() },
            no_overwrite_dir_non_dir: Some("true".to_owned()),
            ..UploadToContainerOptions::default()
        };
        let sent = self.engine.client().upload_to_container(
            &self.container,
            Some(options),
            bollard::body_try_stream(whole),
        );
        match sent.await.map_err(Fault::from) {
            Ok(()) => Ok(()),
            Err(Fault::Said(said)) if said.code == 404 && said.has(&["o such container"]) => {
                Err(self.not_found(&self.container))
            }
            Err(Fault::Said(said)) if said.code == 404 => Err(self.not_found(path).of_making(path)),
            Err(fault) => Err(self.of_fault(&what, fault)),
        }
    }

    /// Refuses places that an engine does not see: what is in memory is there only for what runs.
    async fn check_place(&self, path: &str, why: HostError) -> Result<(), HostError> {
        /// What is made anew for each container that starts.
        const MADE: [&str; 3] = ["/dev", "/proc", "/sys"];
        let found = look::container(&self.engine, &self.container).await;
        let found =
            found.map_err(|error| self.refused("look at its mounts", io::Error::other(error.to_string())))?;
        let found = found.ok_or_else(|| self.not_found(&self.container))?;
        let is_memory =
            |mount: &detc_core::backend::containers::Mount| matches!(mount.source, Source::Memory { .. });
        let memory =
            found.spec.mounts.iter().filter(|(_, mount)| is_memory(mount)).map(|(path, _)| path.as_str());
        let is_below = |place: &str| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if memory.chain(MADE).any(is_below) { Err(why) } else { Ok(()) }
    }
}

/// What the first entry of an archive says, and where its content begins; `None`: not all of that has come.
fn head(begun: &[u8]) -> Option<(Stat, Option<String>, usize)> {
    let mut archive = tar::Archive::new(begun);
    let entry = archive.entries().ok()?.next()?.ok()?;
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::Link => FileKind::File,
        tar::EntryType::Directory => FileKind::Directory,
        tar::EntryType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let owner = |id: u64| Owner { id: u32::try_from(id).unwrap_or(u32::MAX), name: None };
    let mode = header.mode().ok()? & 0o7777;
    let (user, group) = (owner(header.uid().ok()?), owner(header.gid().ok()?));
    let stat = Stat::new(kind, mode, entry.size(), user, group);
    let link = entry.link_name().ok().flatten().map(|link| link.to_string_lossy().into_owned());
    let at = usize::try_from(entry.raw_file_position()).ok()?;
    Some((stat, link, at))
}

/// Where a link at `path` leads.
fn beside(path: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    format!("{dir}/{link}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_on_from_where_it_is() {
        assert_eq!(beside("/a/b", "c"), "/a/c");
        assert_eq!(beside("/a", "c/d"), "/c/d");
        assert_eq!(beside("/a/b", "/c"), "/c");
    }
}
