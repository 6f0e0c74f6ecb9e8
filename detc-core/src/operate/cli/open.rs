//! Opens what a command works on: the desired state and the store, side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::error::Failed;
use super::output::Output;
use crate::execute::Limits;
use crate::manage::{ManageError, Manager, ManagerOptions};
use crate::model::{Desired, InvalidState, load};
use crate::resource::Registry;
use crate::store::Store;
use crate::store::file::FileStore;
use crate::store::memory::MemoryStore;

/// One command's surroundings.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) registry: Registry,
    pub(super) global: Global,
    output: Output,
}

/// What a desired state is called that needs no naming.
const NAMES: [&str; 4] = ["detc.json", "detc.yaml", "detc.yml", "detc.toml"];

/// What a command does with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads: a store that is not there yet is not made.
    Read,
    /// It reads what is recorded, and then looks at the world, without the store.
    Look,
    /// It writes.
    Write,
}

impl Session {
    pub(super) fn new(registry: Registry, global: Global, output: Output) -> Self {
        Self { registry, global, output }
    }

    /// Reads the desired state and opens the store, side by side.
    pub(super) async fn open(&self, access: Access) -> Result<(Desired, Manager), Failed> {
        let files = self.files()?;
        let registry = self.registry.clone();
        let reading = tokio::task::spawn_blocking(move || load::load(&files, &registry));
        let read = |desired: Result<Result<Desired, InvalidState>, _>| {
            Ok::<_, Failed>(desired.expect("invariant: reading does not panic")?)
        };
        // No store is made for a desired state that is wrong.
        if access == Access::Write && !self.has_store() {
            let desired = read(reading.await)?;
            desired.check(&self.registry)?;
            return Ok((desired, self.manager(access).await?));
        }
        let (desired, opened) = tokio::join!(reading, self.opened(access));
        let desired = read(desired)?;
        let (manager, said) = opened?;
        if said.is_some() {
            // What is wrong with the desired state has nothing to do with a store that is not there.
            desired.check(&self.registry)?;
        }
        self.say(said);
        Ok((desired, manager))
    }

    /// Opens the store, and reads the desired state only if files are given by name.
    pub(super) async fn open_with_given(&self, access: Access) -> Result<(Option<Desired>, Manager), Failed> {
        if self.global.files.is_empty() {
            return Ok((None, self.manager(access).await?));
        }
        let (desired, manager) = self.open(access).await?;
        Ok((Some(desired), manager))
    }

    /// Opens the store alone.
    pub(super) async fn manager(&self, access: Access) -> Result<Manager, Failed> {
        let (manager, said) = self.opened(access).await?;
        self.say(said);
        Ok(manager)
    }

    fn say(&self, said: Option<String>) {
        if let Some(said) = said {
            self.output.say(&said);
        }
    }

    /// Opens the store, with what is to be said of it.
    async fn opened(&self, access: Access) -> Result<(Manager, Option<String>), Failed> {
        let dir = &self.global.store;
        if dir.exists() && !dir.is_dir() {
            return Err(Failed::usage(format!("the store {} is a file, and not a folder", dir.display()))
                .with_hint("name the folder of the store with `--store`, and the desired state with `-f`"));
        }
        let is_new = !FileStore::exists(dir);
        let store: Arc<dyn Store> = match access {
            Access::Read | Access::Look if is_new => Arc::new(MemoryStore::new()),
            Access::Read | Access::Look => Arc::new(FileStore::open_to_read(dir).await?),
            Access::Write => Arc::new(FileStore::open(dir).await?),
        };
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        let said = match (is_new, access) {
            (false, _) => None,
            (true, Access::Write) => Some(format!("A new store was made in {}.", absolute.display())),
            (true, Access::Read | Access::Look) => {
                Some(format!("There is no store in {} yet.", absolute.display()))
            }
        };
        let mut options =
            ManagerOptions::default().with_state_dir(absolute.join("hosts").display().to_string());
        if let Some(parallel) = self.global.parallel {
            let parallel = usize::from(parallel);
            options = options.with_limits(Limits::default().with_global(parallel).with_per_host(parallel));
        }
        let registry = self.registry.clone();
        let opened = match access {
            Access::Read => Manager::open_reader(store, registry, options).await,
            Access::Look => match Manager::open_reader(store, registry, options).await {
                Ok(manager) => manager.without_store().await,
                Err(error) => Err(error),
            },
            Access::Write => Manager::open(store, registry, options).await,
        };
        Ok((opened.map_err(|error| named(error, dir))?, said))
    }

    /// Whether there is a store already.
    pub(super) fn has_store(&self) -> bool {
        FileStore::exists(&self.global.store)
    }

    /// Why a saved plan is refused that was not made with this store.
    pub(super) fn foreign(&self, plan: &Path) -> Failed {
        let store = std::path::absolute(&self.global.store).unwrap_or_else(|_| self.global.store.clone());
        let message =
            format!("the plan in {} was made with another store than {}", plan.display(), store.display());
        Failed::refused("foreign", message)
            .with_hint("name the store that it was made with by `--store DIR`, or plan again")
    }

    /// The names of the invariants that are desired here: in what was given, or in the file that needs no naming. One that
    /// can not be read has none.
    pub(super) async fn invariants(&self, given: Option<&Desired>) -> Vec<String> {
        let named = |desired: &Desired| desired.invariants.iter().map(|it| it.name.clone()).collect();
        if let Some(given) = given {
            return named(given);
        }
        let (Ok(files), registry) = (self.files(), self.registry.clone()) else { return Vec::new() };
        let read = tokio::task::spawn_blocking(move || load::load(&files, &registry)).await;
        read.expect("invariant: reading does not panic")
            .map_or_else(|_| Vec::new(), |desired| named(&desired))
    }

    /// The files of the desired state: those that are named, or the one that needs no naming.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failed> {
        if !self.global.files.is_empty() {
            return Ok(self.global.files.clone());
        }
        let found = defaults();
        match found.len() {
            1 => Ok(found),
            0 => {
                let message =
                    format!("no desired state is given, and this folder has none of {}", NAMES.join(", "));
                Err(Failed::usage(message).with_hint("name it with `-f FILE`"))
            }
            _ => {
                let listed: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
                let error = InvalidState::new(format!(
                    "there are several desired states here: {}",
                    listed.join(", ")
                ));
                Err(Failed::from(error).with_hint("name those that count with `-f FILE`"))
            }
        }
    }
}

/// The desired states of this folder that count where none is named.
pub(super) fn defaults() -> Vec<PathBuf> {
    NAMES.iter().map(PathBuf::from).filter(|path| path.exists()).collect()
}

/// Names the store in an error of it.
fn named(error: ManageError, dir: &Path) -> Failed {
    let mut failed = Failed::from(error);
    failed.message = failed.message.replace("the store asked for", &format!("the store {}", dir.display()));
    failed.message =
        failed.message.replace("the store of this manager", &format!("the store {}", dir.display()));
    failed
}
