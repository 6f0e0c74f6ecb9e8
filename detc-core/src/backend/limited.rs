//! Bounds how many calls a host gets at once.

use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::host::{Command, Host, HostError, Output, Ownership, Purpose, Remove, Sink, Stat};
use crate::content::Content;

/// How many calls about files a host gets at once, beside its commands: as many as there are looks at one host by default, so
/// that a host which answers many together (one connection, one round trip) is asked so. One that each call costs a thread
/// or a file bounds them itself.
const FILE_CALLS_MAX: usize = 1024;

/// A host that runs at most so many commands at once; more wait, first come first served. Calls about files, which cost a host
/// next to nothing, and commands that only ask have places of their own.
///
/// An sshd refuses more than ten sessions on one connection by default, and a small machine does not run a hundred
/// installers side by side. The wait is not counted in a command's timeout. A dropped call gives its place up.
#[derive(Debug)]
pub struct LimitedHost {
    inner: Arc<dyn Host>,
    commands: Semaphore,
    files: Semaphore,
}

impl LimitedHost {
    /// `inner`, with at most `commands_max` commands at once.
    pub fn new(inner: Arc<dyn Host>, commands_max: NonZeroUsize) -> Self {
        let commands = Semaphore::new(commands_max.get().min(Semaphore::MAX_PERMITS));
        Self { inner, commands, files: Semaphore::new(FILE_CALLS_MAX) }
    }
}

async fn place(places: &Semaphore) -> SemaphorePermit<'_> {
    places.acquire().await.expect("invariant: the semaphore is never closed")
}

impl Display for LimitedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Host for LimitedHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        // What only asks is put together by a host that it costs something, or bounded there.
        let places = match command.purpose {
            Purpose::Change => &self.commands,
            Purpose::Ask => &self.files,
        };
        let _place = place(places).await;
        self.inner.run(command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        let _place = place(&self.files).await;
        self.inner.stat(path).await
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let _place = place(&self.files).await;
        self.inner.read_to(path, limit, into).await
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let _place = place(&self.files).await;
        self.inner.write_from(path, content, ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let _place = place(&self.files).await;
        self.inner.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let _place = place(&self.files).await;
        self.inner.set_ownership(path, ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        let _place = place(&self.files).await;
        self.inner.remove(path, how).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryHost;

    #[tokio::test]
    async fn a_call_waits_for_a_place_and_a_dropped_one_gives_it_up() {
        let host = LimitedHost::new(Arc::new(MemoryHost::new("m1")), NonZeroUsize::MIN);
        let held = place(&host.commands).await;
        let command = Command::new(["true"]);
        let mut waiting = host.run(&command);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert!(host.stat("/").await.unwrap().is_some(), "a look at a file does not wait for a command");
        drop(held);
        drop(waiting);
        assert!(matches!(host.run(&command).await, Err(HostError::NotFound { .. })), "it has no programs");
    }
}
