use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
    /// Whether a large write has begun, and not ended.
    begun: AtomicBool,
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
    ForgetsTheSize,
    FailsOnWhatIsAbsent,
    RefusesToReadALink,
    ReadsAbsentAsEmpty,
    MakesNoParents,
    TakesAFileForADirectory,
    ForgetsModeOnSet,
    FollowsLinkOnSet,
    IgnoresTheOwner,
    GoesOnWithWhatWasDropped,
    ForgetsToTruncate,
    WritesOverADirectory,
    RemovesADirectoryAsAFile,
    FollowsLinkOnRemove,
    SaysThatItRemovedTheRoot,
    AnswersLikeAShell,
    CutsArgumentsAtNul,
    CutsTheInput,
    FailsOnInputThatIsNotRead,
    ForgetsTheVariables,
    IgnoresTheDeadline,
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

    /// The command as a host with a defect takes it.
    fn taken(&self, command: &Command) -> Command {
        let mut command = command.clone();
        match self.defect {
            Defect::JoinsArguments => {
                command.argv = command.argv.join(" ").split(' ').map(str::to_owned).collect();
            }
            Defect::CutsArgumentsAtNul => {
                let cut = |argument: &String| argument.split('\0').next().unwrap_or_default().to_owned();
                command.argv = command.argv.iter().map(cut).collect();
            }
            Defect::IgnoresOutputLimit => command.output_max = usize::MAX,
            Defect::IgnoresDir => command.dir = None,
            Defect::CutsTheInput => command.stdin.truncate(1 << 16),
            Defect::ForgetsTheVariables => command.env.clear(),
            Defect::IgnoresTheDeadline => command.timeout = Duration::from_secs(1 << 20),
            _ => {}
        }
        command
    }

    /// Where a call that follows links, though it should not, ends up.
    fn followed(&self, path: &str, defect: Defect) -> String {
        match self.inner.with_files(|files| files.canonical(path)) {
            Ok(followed) if self.has(defect) && path.starts_with('/') => followed,
            Ok(_) | Err(_) => path.to_owned(),
        }
    }

    async fn kind(&self, path: &str) -> Option<FileKind> {
        self.inner.stat(path).await.ok().flatten().map(|stat| stat.kind)
    }

    fn absent(&self, path: &str) -> HostError {
        HostError::NotFound { host: self.to_string(), path: path.to_owned() }
    }

    /// The content as a host with a defect writes it.
    async fn written(&self, path: &str, content: &Content) -> Content {
        let bytes = content.bytes(u64::MAX).map(|bytes| bytes.to_vec()).unwrap_or_default();
        match self.defect {
            Defect::CutsWhatIsLarge if content.is_large() => {
                bytes[..bytes.len().min(LARGE as usize)].to_vec().into()
            }
            Defect::TakesWhatWasChanged if content.held().is_none() => b"other".into(),
            Defect::ForgetsToTruncate => {
                let host: &dyn Host = &self.inner;
                let old = host.read(path, u64::MAX).await.unwrap_or_default();
                let rest = old.get(bytes.len()..).unwrap_or_default();
                [&bytes[..], rest].concat().into()
            }
            Defect::GoesOnWithWhatWasDropped if content.is_large() => {
                let was_begun = self.begun.swap(true, Ordering::Relaxed);
                tokio::task::yield_now().await;
                self.begun.store(false, Ordering::Relaxed);
                if was_begun { bytes[bytes.len() / 2..].to_vec().into() } else { content.clone() }
            }
            _ => content.clone(),
        }
    }
}

#[async_trait]
impl Host for Broken {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let command = self.taken(command);
        if self.has(Defect::FailsOnInputThatIsNotRead)
            && !command.stdin.is_empty()
            && command.argv[0] != "cat"
        {
            return Err(HostError::AnswerLost { host: self.to_string(), what: "run".to_owned() });
        }
        let output = match self.inner.run(&command).await {
            Err(HostError::NotFound { .. }) if self.has(Defect::AnswersLikeAShell) => {
                let command = Command::new(["false"]);
                let output = self.inner.run(&command).await?;
                return Ok(output);
            }
            other => other?,
        };
        if self.has(Defect::FailsOnStatus) && !output.success() {
            return Err(HostError::AnswerLost { host: self.to_string(), what: "run".to_owned() });
        }
        Ok(output)
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        match self.inner.stat(&self.followed(path, Defect::FollowsLinkOnStat)).await {
            Err(_) if self.has(Defect::SaysAbsentOnError) => Ok(None),
            Ok(None) if self.has(Defect::FailsOnWhatIsAbsent) => Err(self.absent(path)),
            Ok(Some(stat)) if self.has(Defect::ForgetsTheSize) => Ok(Some(Stat { size: 0, ..stat })),
            other => other,
        }
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let limit = if self.has(Defect::ReadsBeyondLimit) { limit.saturating_add(1) } else { limit };
        if self.has(Defect::RefusesToReadALink) && self.kind(path).await == Some(FileKind::Symlink) {
            return Err(self.absent(path));
        }
        match self.inner.read_to(path, limit, into).await {
            Err(HostError::NotFound { .. }) if self.has(Defect::ReadsAbsentAsEmpty) => Ok(0),
            other => other,
        }
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let path = self.followed(path, Defect::FollowsLinkOnWrite);
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
        if self.has(Defect::WritesOverADirectory) && self.kind(&path).await == Some(FileKind::Directory) {
            self.inner.remove(&path, Remove::Tree).await?;
        }
        let mut ownership = ownership.clone();
        match self.defect {
            Defect::ForgetsModeOnWrite => ownership.mode = None,
            Defect::IgnoresTheOwner => ownership.owner = None,
            Defect::CutsWhatIsLarge
            | Defect::TakesWhatWasChanged
            | Defect::ForgetsToTruncate
            | Defect::GoesOnWithWhatWasDropped => {
                let content = self.written(&path, content).await;
                return self.inner.write_from(&path, &content, &ownership).await;
            }
            _ => {}
        }
        self.inner.write_from(&path, content, &ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        if self.has(Defect::ResetsWhatExists) {
            self.inner.remove(path, Remove::Tree).await?;
        }
        if self.has(Defect::TakesAFileForADirectory) && self.kind(path).await == Some(FileKind::File) {
            return Ok(());
        }
        if self.has(Defect::MakesNoParents)
            && let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
            && self.kind(parent).await.is_none()
        {
            return Err(self.absent(parent));
        }
        self.inner.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        if self.has(Defect::AcceptsRelative) && !path.starts_with('/') {
            return Ok(());
        }
        let mut ownership = ownership.clone();
        if self.has(Defect::ForgetsModeOnSet) {
            ownership.mode = None;
        }
        self.inner.set_ownership(&self.followed(path, Defect::FollowsLinkOnSet), &ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        let found = self.inner.stat(path).await?;
        if self.has(Defect::RemoveOfAbsentFails) && found.is_none() {
            return Err(self.absent(path));
        }
        if self.has(Defect::SaysThatItRemovedTheRoot)
            && path.starts_with('/')
            && path.trim_matches('/').is_empty()
        {
            return Ok(());
        }
        if how == Remove::Tree {
            let followed = self.followed(path, Defect::FollowsLinkOnRemove);
            if followed != path {
                self.inner.remove(&followed, Remove::Tree).await?;
            }
        }
        let is_dir = found.is_some_and(|stat| stat.kind == FileKind::Directory);
        if self.has(Defect::RemovesWhatIsFull) && is_dir && how == Remove::EmptyDirectory {
            return self.inner.remove(path, Remove::Tree).await;
        }
        if self.has(Defect::RemovesADirectoryAsAFile) && is_dir && how == Remove::File {
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
    let broken = Broken { inner: memory(), defect, begun: AtomicBool::new(false) };
    let found = runtime.block_on(check_host(&broken, "/scratch"));
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
    caught(Defect::ForgetsToTruncate, "write replaces the whole content");
    caught(Defect::WritesOverADirectory, "write on a directory is refused");
    caught(Defect::IgnoresTheOwner, "an owner that is not known is refused");
}

#[test]
fn defects_of_writing_what_is_large_are_caught() {
    caught(Defect::CutsWhatIsLarge, "large content is written and read whole");
    caught(Defect::TakesWhatWasChanged, "content that was changed meanwhile");
    caught(Defect::ReadsBeyondLimit, "a large file beyond the limit is TooLarge");
    caught(Defect::GoesOnWithWhatWasDropped, "after a large write that was dropped the next one is whole");
    caught(Defect::ForgetsToTruncate, "short content replaces large content");
}

#[test]
fn defects_of_looking_are_caught() {
    caught(Defect::SaysAbsentOnError, "what could not be found out is an error");
    caught(Defect::FollowsLinkOnStat, "stat does not follow a link");
    caught(Defect::ReadsBeyondLimit, "a file beyond the limit");
    caught(Defect::AcceptsRelative, "a relative path is refused");
    caught(Defect::ResetsWhatExists, "make_dir keeps what exists");
    caught(Defect::ForgetsTheSize, "stat tells what is there");
    caught(Defect::FailsOnWhatIsAbsent, "absent is None for stat");
    caught(Defect::RefusesToReadALink, "read follows a link");
    caught(Defect::ReadsAbsentAsEmpty, "absent is NotFound for read");
    caught(Defect::MakesNoParents, "make_dir makes missing parents");
    caught(Defect::TakesAFileForADirectory, "make_dir refuses a place where something else is");
    caught(Defect::ForgetsModeOnSet, "set_ownership sets the mode");
    caught(Defect::FollowsLinkOnSet, "set_ownership refuses a link, and fails where nothing is");
}

#[test]
fn defects_of_running_are_caught() {
    caught(Defect::JoinsArguments, "an argument vector is passed");
    caught(Defect::FailsOnStatus, "a status other than 0");
    caught(Defect::IgnoresOutputLimit, "output beyond the limit");
    caught(Defect::IgnoresDir, "a command runs in the directory");
    caught(Defect::AnswersLikeAShell, "a program that does not exist is NotFound");
    caught(Defect::CutsArgumentsAtNul, "a command that can not be run as written is Invalid");
    caught(Defect::CutsTheInput, "a command reads its input to the end");
    caught(Defect::FailsOnInputThatIsNotRead, "an input that nobody reads does no harm");
    caught(Defect::ForgetsTheVariables, "a command has the variables that it is given");
    caught(Defect::IgnoresTheDeadline, "a command is ended at its deadline");
}

#[test]
fn defects_of_removing_are_caught() {
    caught(Defect::RemoveOfAbsentFails, "removing what is absent");
    caught(Defect::RemovesWhatIsFull, "Remove::EmptyDirectory refuses");
    caught(Defect::RemovesADirectoryAsAFile, "Remove::File removes a file or a link");
    caught(Defect::FollowsLinkOnRemove, "Remove::Tree removes all below and follows no link");
    caught(Defect::SaysThatItRemovedTheRoot, "the root is never removed");
}
