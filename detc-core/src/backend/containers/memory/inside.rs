//! A container in memory as a host.

use std::io;

use super::*;
use crate::backend::HostError;
use crate::backend::host::{Output, Ownership, Remove, Sink, Stat};
use crate::content::Content;

#[derive(Debug)]
pub(super) struct Inside {
    engine: MemoryContainers,
    container: String,
}

impl Inside {
    pub(super) fn new(engine: MemoryContainers, container: &str) -> Self {
        Self { engine, container: container.to_owned() }
    }

    /// The container's own host, and whether it runs.
    fn host(&self) -> Result<(MemoryHost, bool), HostError> {
        let mut inner = self.engine.lock();
        let missing = |_| HostError::NotFound {
            host: self.engine.to_string(),
            path: ObjectRef::container(&self.container).to_string(),
        };
        let (_, held) = inner.state.container(&self.container).map_err(missing)?;
        Ok((held.host.clone(), held.runs()))
    }
}

impl Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container `{}` on {}", self.container, self.engine)
    }
}

#[async_trait]
impl Host for Inside {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let (host, runs) = self.host()?;
        if !runs {
            let what = format!("run {}", command.program());
            let source = io::Error::other("the container does not run");
            return Err(HostError::Refused { host: self.to_string(), what, source });
        }
        host.run(command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        self.host()?.0.stat(path).await
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        self.host()?.0.read_to(path, limit, into).await
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        self.host()?.0.write_from(path, content, ownership).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.host()?.0.make_dir(path, ownership).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.host()?.0.set_ownership(path, ownership).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.host()?.0.remove(path, how).await
    }
}
