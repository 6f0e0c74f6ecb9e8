//! A host that is an engine of containers and nothing else.

use std::fmt::{self, Display};

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Sink, Stat};
use detc_core::backend::{Host, HostError};
use detc_core::content::Content;

/// The host of an engine whose machine is not reached: no command is run on it, and it has no files.
#[derive(Debug)]
pub(super) struct EngineHost {
    name: String,
}

impl EngineHost {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    fn refused(&self, what: &str) -> HostError {
        let what = format!(
            "it can not {what}: this host is an engine of containers alone. For its machine declare a host by `local` or `ssh://`"
        );
        HostError::Invalid { host: self.name.clone(), what }
    }
}

impl Display for EngineHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

#[async_trait]
impl Host for EngineHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let program = command.argv.first().map_or("", String::as_str);
        Err(self.refused(&format!("run `{program}`")))
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        Err(self.refused(&format!("look at {path}")))
    }

    async fn read_to(&self, path: &str, _: u64, _: &mut Sink<'_>) -> Result<u64, HostError> {
        Err(self.refused(&format!("read {path}")))
    }

    async fn write_from(&self, path: &str, _: &Content, _: &Ownership) -> Result<(), HostError> {
        Err(self.refused(&format!("write {path}")))
    }

    async fn make_dir(&self, path: &str, _: &Ownership) -> Result<(), HostError> {
        Err(self.refused(&format!("make {path}")))
    }

    async fn set_ownership(&self, path: &str, _: &Ownership) -> Result<(), HostError> {
        Err(self.refused(&format!("change {path}")))
    }

    async fn remove(&self, path: &str, _: Remove) -> Result<(), HostError> {
        Err(self.refused(&format!("remove {path}")))
    }
}
