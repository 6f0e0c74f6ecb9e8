//! Bounds how many calls a host gets at once.

use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::host::{Command, Host, HostError, Output, Ownership, Remove, Stat};

/// A host that gets at most so many calls at once; more wait, first come first served.
///
/// An sshd refuses more than ten sessions on one connection by default, and a small machine does not run a hundred
/// installers side by side. The wait is not counted in a command's timeout. A dropped call gives its place up.
#[derive(Debug)]
pub struct LimitedHost {
    inner: Arc<dyn Host>,
    places: Semaphore,
}

impl LimitedHost {
    /// `inner`, with at most `calls_max` calls at once.
    pub fn new(inner: Arc<dyn Host>, calls_max: NonZeroUsize) -> Self {
        let places = Semaphore::new(calls_max.get().min(Semaphore::MAX_PERMITS));
        Self { inner, places }
    }

    async fn place(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("invariant: the semaphore is never closed")
    }
}

impl Display for LimitedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Host for LimitedHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let _place = self.place().await;
        self.inner.run(command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        let _place = self.place().await;
        self.inner.stat(path).await
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError> {
        let _place = self.place().await;
        self.inner.read(path, limit).await
    }

    async fn write(&self, path: &str, content: &[u8], ownership: &Ownership) -> Result<(), HostError> {
        let _place = self.place().await;
        self.inner.write(path, content, ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let _place = self.place().await;
        self.inner.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let _place = self.place().await;
        self.inner.set_ownership(path, ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        let _place = self.place().await;
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
        let held = host.place().await;
        let mut waiting = host.stat("/");
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(held);
        drop(waiting);
        assert!(host.stat("/").await.unwrap().is_some());
    }
}
