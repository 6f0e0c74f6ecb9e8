//! An engine of containers.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use async_trait::async_trait;

use super::super::calls::Watched;
use super::super::resource::{CallError, Calls};
use crate::backend::Host;
use crate::backend::containers::{
    Change, Containers, ContainersError, Listing, LogLine, LogQuery, MemoryContainers, New, Object,
    ObjectRef, Query, Watch,
};

/// An [engine in memory](MemoryContainers) whose every call can go wrong, and a look at which may be answered from how it was before.
/// Made and started are two calls, between which one can be cut off.
#[derive(Debug)]
pub struct Engine {
    memory: MemoryContainers,
    calls: Calls,
}

impl Engine {
    /// An engine without images, whose calls are `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { memory: MemoryContainers::new("the engine").remembering(), calls }
    }

    /// The same engine, called by another process.
    #[must_use]
    pub fn called_by(&self, calls: Calls) -> Self {
        Self { memory: self.memory.clone(), calls }
    }

    /// The engine itself, whatever goes wrong with calls: to add images to it, to end a container, to see all that is there.
    pub fn memory(&self) -> &MemoryContainers {
        &self.memory
    }

    /// How often which call, by its name, has changed something.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        self.memory.changes()
    }

    /// All that is there.
    pub fn dump(&self) -> String {
        self.memory.dump()
    }

    fn went_wrong(&self, what: &str, error: CallError) -> ContainersError {
        let (engine, what) = (self.to_string(), what.to_owned());
        match error {
            CallError::AnswerLost => ContainersError::AnswerLost { engine, what },
            CallError::Unreachable => ContainersError::Unreachable { engine, what: error.to_string() },
            CallError::Refused | CallError::Full => {
                ContainersError::Refused { engine, what, said: error.to_string() }
            }
        }
    }

    /// The engine as it is to be looked at.
    async fn seen(&self, what: &str) -> Result<MemoryContainers, ContainersError> {
        let view = |changes: usize| match changes {
            0 => self.memory.clone(),
            _ => self.memory.before(changes),
        };
        self.calls.look_back(what, view).await.map_err(|error| self.went_wrong(what, error))
    }
}

impl Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.memory, f)
    }
}

#[async_trait]
impl Containers for Engine {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        self.seen(&format!("list {}s", query.kind)).await?.list(query).await
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        self.seen(&object.to_string()).await?.inspect(object).await
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        let what = new.to_string();
        let created = self.calls.change(&what, self.memory.create(new)).await;
        created.unwrap_or_else(|error| Err(self.went_wrong(&what, error)))
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        let what = change.to_string();
        let changed = self.calls.change(&what, self.memory.change(change)).await;
        changed.unwrap_or_else(|error| Err(self.went_wrong(&what, error)))
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        self.seen(&format!("the log of container `{container}`")).await?.logs(container, query).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        let what = "watch";
        let watch = self.calls.look(what, self.memory.watch()).await;
        watch.unwrap_or_else(|error| Err(self.went_wrong(what, error)))
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        Arc::new(Watched::new(self.memory.host(container), self.calls.clone()))
    }
}
