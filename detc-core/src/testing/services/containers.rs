//! An engine of containers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use super::super::resource::{CallError, Calls};
use super::Past;
use crate::action::{ActionError, ErrorClass};

/// An engine in memory. A container has a name that nobody else can have meanwhile; what it was made from can not be changed;
/// made and started are two calls, between which one can be cut off.
#[derive(Debug)]
pub struct Containers {
    past: Past<BTreeMap<String, Container>>,
}

/// A container as the engine tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// What it was made from.
    pub image: String,
    /// What it was marked with.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs.
    pub is_running: bool,
    /// How it ended, if it did by itself.
    pub exit_code: Option<i32>,
}

/// Why an engine did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// There is one of that name.
    #[error("there is a container `{0}` already")]
    Taken(String),
    /// There is none of that name.
    #[error("there is no container `{0}`")]
    Missing(String),
    /// It runs, and is to be stopped before.
    #[error("the container `{0}` runs")]
    Running(String),
    /// The call went wrong.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<ContainerError> for ActionError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::Call(error) => error.into(),
            refused => Self::new(ErrorClass::Permanent, refused.to_string()),
        }
    }
}

type All = BTreeMap<String, Container>;

impl Containers {
    /// An engine without containers, whose calls are `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { past: Past::new(calls) }
    }

    /// The same engine, called by another process.
    #[must_use]
    pub fn called_by(&self, calls: Calls) -> Self {
        Self { past: self.past.called_by(calls) }
    }

    /// Makes a container, which does not run yet.
    ///
    /// # Errors
    /// [`ContainerError::Taken`]; or when the call is to go wrong.
    pub async fn create(
        &self,
        name: &str,
        image: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), ContainerError> {
        let create = |all: &mut All| {
            if all.contains_key(name) {
                return Err(ContainerError::Taken(name.to_owned()));
            }
            let (image, labels) = (image.to_owned(), labels.clone());
            all.insert(name.to_owned(), Container { image, labels, is_running: false, exit_code: None });
            Ok(())
        };
        self.past.change(format!("create container {name}"), create).await?
    }

    /// Starts a container; one that runs goes on.
    ///
    /// # Errors
    /// [`ContainerError::Missing`]; or when the call is to go wrong.
    pub async fn start(&self, name: &str) -> Result<(), ContainerError> {
        self.set(format!("start container {name}"), name, |container| {
            (container.is_running, container.exit_code) = (true, None);
        })
        .await
    }

    /// Stops a container; one that does not run is stopped.
    ///
    /// # Errors
    /// [`ContainerError::Missing`]; or when the call is to go wrong.
    pub async fn stop(&self, name: &str) -> Result<(), ContainerError> {
        self.set(format!("stop container {name}"), name, |container| container.is_running = false).await
    }

    async fn set(
        &self,
        what: String,
        name: &str,
        set: impl FnOnce(&mut Container) + Send,
    ) -> Result<(), ContainerError> {
        let set = |all: &mut All| match all.get_mut(name) {
            None => Err(ContainerError::Missing(name.to_owned())),
            Some(container) => {
                set(container);
                Ok(())
            }
        };
        self.past.change(what, set).await?
    }

    /// Removes a container that does not run; one that is not there is removed.
    ///
    /// # Errors
    /// [`ContainerError::Running`]; or when the call is to go wrong.
    pub async fn remove(&self, name: &str) -> Result<(), ContainerError> {
        let remove = |all: &mut All| match all.get(name) {
            Some(container) if container.is_running => Err(ContainerError::Running(name.to_owned())),
            Some(_) | None => {
                all.remove(name);
                Ok(())
            }
        };
        self.past.change(format!("remove container {name}"), remove).await?
    }

    /// What there is of this name.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn inspect(&self, name: &str) -> Result<Option<Container>, CallError> {
        self.past.look(format!("container {name}"), |all| all.get(name).cloned()).await
    }

    /// A container ends by itself.
    pub fn exit(&self, name: &str, code: i32) {
        self.past.happens(|all| {
            if let Some(container) = all.get_mut(name) {
                (container.is_running, container.exit_code) = (false, Some(code));
            }
        });
    }

    /// How often which call, by its name, has changed something.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        self.past.changes()
    }

    /// All that is there.
    pub fn dump(&self) -> String {
        self.past.now().into_iter().fold(String::new(), |mut text, (name, container)| {
            let runs = if container.is_running { "runs" } else { "does not run" };
            let _ = writeln!(text, "container {name} of {} {runs} {:?}", container.image, container.labels);
            text
        })
    }
}
