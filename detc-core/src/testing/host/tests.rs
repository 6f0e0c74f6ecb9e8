use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::backend::host::{FileKind, Remove, Sink, Stat};
use crate::backend::{LimitedHost, MemoryHost};
use crate::content::{Content, LARGE};

/// A host with a defect.
#[derive(Debug)]
struct Broken {
    inner: MemoryHost,
    defect: Defect,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    WritesInTwoParts,
    RemovesBeforeItWrites,
    FollowsLinkOnWrite,
    ForgetsModeOnWrite,
    MakesParentsOnWrite,
    SaysAbsentOnError,
    FollowsLinkOnStat,
    JoinsArguments,
    FailsOnStatus,
    IgnoresOutputLimit,
    IgnoresDir,
    RemoveOfAbsentFails,
    RemovesWhatIsFull,
    ReadsBeyondLimit,
    AcceptsRelative,
    ResetsWhatExists,
    CutsWhatIsLarge,
    TakesWhatWasChanged,
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.inner)
    }
}

impl Broken {
    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl Host for Broken {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let mut command = command.clone();
        if self.has(Defect::JoinsArguments) {
            command.argv = command.argv.join(" ").split(' ').map(str::to_owned).collect();
        }
        if self.has(Defect::IgnoresOutputLimit) {
            command.output_max = usize::MAX;
        }
        if self.has(Defect::IgnoresDir) {
            command.dir = None;
        }
        let output = self.inner.run(&command).await?;
        if self.has(Defect::FailsOnStatus) && !output.success() {
            return Err(HostError::AnswerLost { host: self.to_string(), what: "run".to_owned() });
        }
        Ok(output)
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        let followed = self.inner.with_files(|files| files.canonical(path));
        let path = match &followed {
            Ok(followed) if self.has(Defect::FollowsLinkOnStat) && path.starts_with('/') => followed,
            Ok(_) | Err(_) => path,
        };
        match self.inner.stat(path).await {
            Err(_) if self.has(Defect::SaysAbsentOnError) => Ok(None),
            other => other,
        }
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let limit = if self.has(Defect::ReadsBeyondLimit) { limit.saturating_add(1) } else { limit };
        self.inner.read_to(path, limit, into).await
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let path = match self.inner.with_files(|files| files.canonical(path)) {
            Ok(followed) if self.has(Defect::FollowsLinkOnWrite) && path.starts_with('/') => followed,
            Ok(_) | Err(_) => path.to_owned(),
        };
        if self.has(Defect::WritesInTwoParts) {
            let half = content.bytes(u64::MAX).map(|bytes| bytes[..bytes.len() / 2].to_vec());
            self.inner.write_from(&path, &half.unwrap_or_default().into(), ownership).await?;
            tokio::task::yield_now().await;
        }
        if self.has(Defect::RemovesBeforeItWrites) {
            self.inner.remove(&path, Remove::File).await.ok();
            tokio::task::yield_now().await;
        }
        if self.has(Defect::MakesParentsOnWrite)
            && let Some((parent, _)) = path.rsplit_once('/')
        {
            self.inner.make_dir(parent, &Ownership::default()).await.ok();
        }
        let mut ownership = ownership.clone();
        if self.has(Defect::CutsWhatIsLarge) && content.is_large() {
            let bytes = content.bytes(u64::MAX).unwrap_or_default();
            let cut = bytes[..bytes.len().min(LARGE as usize)].to_vec();
            return self.inner.write_from(&path, &cut.into(), &ownership).await;
        }
        if self.has(Defect::TakesWhatWasChanged) && content.held().is_none() {
            return self.inner.write_from(&path, &b"other".into(), &ownership).await;
        }
        if self.has(Defect::ForgetsModeOnWrite) {
            ownership.mode = None;
        }
        self.inner.write_from(&path, content, &ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        if self.has(Defect::ResetsWhatExists) {
            self.inner.remove(path, Remove::Tree).await?;
        }
        self.inner.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        if self.has(Defect::AcceptsRelative) && !path.starts_with('/') {
            return Ok(());
        }
        self.inner.set_ownership(path, ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        let found = self.inner.stat(path).await?;
        if self.has(Defect::RemoveOfAbsentFails) && found.is_none() {
            return Err(HostError::NotFound { host: self.to_string(), path: path.to_owned() });
        }
        let is_dir = found.is_some_and(|stat| stat.kind == FileKind::Directory);
        if self.has(Defect::RemovesWhatIsFull) && is_dir && how == Remove::EmptyDirectory {
            return self.inner.remove(path, Remove::Tree).await;
        }
        self.inner.remove(path, how).await
    }
}

fn memory() -> MemoryHost {
    let host = MemoryHost::new("m1").with_basics();
    host.with_files(|files| files.make_dir("/scratch", &Ownership::default())).unwrap();
    host
}

async fn check(host: &dyn Host) -> String {
    check_host(host, "/scratch").await.iter().map(|violation| format!("{violation}\n")).collect()
}

/// That a host with `defect` breaks the law that begins with `law`.
#[track_caller]
fn caught(defect: Defect, law: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(check_host(&Broken { inner: memory(), defect }, "/scratch"));
    assert!(found.iter().any(|violation| violation.law.starts_with(law)), "{defect:?}: {found:?}");
}

#[tokio::test]
async fn the_memory_host_conforms() {
    assert_eq!(check(&memory()).await, "");
}

#[tokio::test]
async fn a_limited_host_conforms() {
    assert_eq!(check(&LimitedHost::new(Arc::new(memory()), NonZeroUsize::MIN)).await, "");
}

#[test]
fn a_write_in_parts_is_caught() {
    caught(Defect::WritesInTwoParts, "a reader sees the old content or the new");
    caught(Defect::WritesInTwoParts, "a dropped write leaves");
    caught(Defect::RemovesBeforeItWrites, "a reader sees the old content or the new");
}

#[test]
fn other_defects_of_writing_are_caught() {
    caught(Defect::FollowsLinkOnWrite, "write replaces a link");
    caught(Defect::ForgetsModeOnWrite, "write sets the mode");
    caught(Defect::MakesParentsOnWrite, "write into a missing directory");
}

#[test]
fn defects_of_writing_what_is_large_are_caught() {
    caught(Defect::CutsWhatIsLarge, "large content is written and read whole");
    caught(Defect::TakesWhatWasChanged, "content that was changed meanwhile");
}

#[test]
fn defects_of_looking_are_caught() {
    caught(Defect::SaysAbsentOnError, "what could not be found out is an error");
    caught(Defect::FollowsLinkOnStat, "stat does not follow a link");
    caught(Defect::ReadsBeyondLimit, "a file beyond the limit");
    caught(Defect::AcceptsRelative, "a relative path is refused");
    caught(Defect::ResetsWhatExists, "make_dir keeps what exists");
}

#[test]
fn defects_of_running_are_caught() {
    caught(Defect::JoinsArguments, "an argument vector is passed");
    caught(Defect::FailsOnStatus, "a status other than 0");
    caught(Defect::IgnoresOutputLimit, "output beyond the limit");
    caught(Defect::IgnoresDir, "a command runs in the directory");
}

#[test]
fn defects_of_removing_are_caught() {
    caught(Defect::RemoveOfAbsentFails, "removing what is absent");
    caught(Defect::RemovesWhatIsFull, "Remove::EmptyDirectory refuses");
}
