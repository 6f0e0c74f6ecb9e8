//! An engine in memory: containers whose programs are functions, and faults as data. For tests and simulations.
//!
//! It has no clock and no tasks: the same calls have the same results. A program that takes any time goes on until it is ended.
//! A health check is made whenever somebody looks; one that may pass yet tells to look again. What is in a volume, and what goes
//! through a network, is not played.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Again, Change, Container, Containers, ContainersError, ImageDefaults, ImageFrom, Listed, Listing,
    LogLine, LogQuery, Networking, New, Notifier, Object, ObjectKind, ObjectRef, Query, Watch,
};
use crate::backend::MemoryHost;
use crate::backend::host::{Command, Host};
use crate::backend::memory::{Faults, Files, HostFault, Ran};
use crate::content::Sum;

mod changes;
mod inside;
mod life;
mod state;

use inside::Inside;
use state::{State, Why};

/// An engine in memory. Cloning gives another handle on the same engine.
#[derive(Clone)]
pub struct MemoryContainers {
    name: Arc<str>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    /// What containers begin as.
    template: MemoryHost,
    faults: Faults,
    watches: Vec<Notifier>,
    /// How it was before each change, where that is remembered.
    past: Option<Vec<State>>,
    /// How often which call has changed it.
    changes: BTreeMap<String, usize>,
}

impl MemoryContainers {
    /// An engine with nothing but the networks that each has. The programs of its containers are those of
    /// [`MemoryHost::with_basics`].
    pub fn new(name: &str) -> Self {
        let inner = Inner {
            state: State::new(),
            template: MemoryHost::new(name).with_basics(),
            faults: Faults::default(),
            watches: Vec::new(),
            past: None,
            changes: BTreeMap::new(),
        };
        Self { name: name.into(), inner: Arc::new(Mutex::new(inner)) }
    }

    /// Adds a program to the containers that are made from now on; see [`MemoryHost::with_program`].
    #[must_use]
    pub fn with_program<R: Into<Ran>>(
        self,
        name: &str,
        program: impl Fn(&Command, &mut Files) -> R + Send + Sync + 'static,
    ) -> Self {
        {
            let mut inner = self.lock();
            inner.template = inner.template.clone().with_program(name, program);
        }
        self
    }

    /// Adds an image that is there, called so, and tells its id.
    pub fn add_image(&self, reference: &str, defaults: ImageDefaults) -> String {
        let id = format!("sha256:{}", Sum::of(format!("{reference} {defaults:?}").as_bytes()));
        let mut inner = self.lock();
        inner.state.add_image(&id, [reference.to_owned()], defaults);
        inner.tell(&ObjectRef::image(&id));
        id
    }

    /// Adds an image that can be pulled, called so.
    pub fn add_to_registry(&self, reference: &str, defaults: ImageDefaults) {
        self.lock().state.registry.insert(reference.to_owned(), defaults);
    }

    /// A container ends by itself, and is started again as its restart policy says.
    pub fn exit(&self, container: &str, code: i32) {
        let mut inner = self.lock();
        if let Ok(id) = inner.state.container_id(container) {
            inner.state.exit(&id, code);
            inner.tell(&ObjectRef::container(id));
        }
    }

    /// The engine is stopped and started: what its restart policy lets go on runs again, all else has ended, and who watches has
    /// missed what happened.
    pub fn restart(&self) {
        let mut inner = self.lock();
        inner.state.restart();
        inner.watches.iter().for_each(|watch| watch.tell(Again::Everything));
    }

    /// Lets the `nth` call from now (0: the next) go wrong.
    pub fn fail_call(&self, nth: u64, fault: HostFault) {
        self.lock().faults.fail_call(nth, fault);
    }

    /// Lets every call from now go wrong; `None` heals the engine, also of faults that were still to come.
    pub fn fail_all(&self, fault: Option<HostFault>) {
        self.lock().faults.fail_all(fault);
    }

    /// How many calls it has got, those of its containers as hosts not counted.
    pub fn calls(&self) -> u64 {
        self.lock().faults.calls()
    }

    /// Remembers from now on how it was before each change that a call makes.
    #[must_use]
    pub fn remembering(self) -> Self {
        self.lock().past = Some(Vec::new());
        self
    }

    /// An engine as this one was, so many changes ago, or when it began to remember: what is done to it changes nothing here. The
    /// files in containers are as they are now.
    #[must_use]
    pub fn before(&self, changes: usize) -> Self {
        let inner = self.lock();
        let past = inner.past.as_deref().unwrap_or_default();
        let state = match changes {
            0 => &inner.state,
            _ => past.get(past.len().saturating_sub(changes)).unwrap_or(&inner.state),
        };
        let inner = Inner {
            state: state.clone(),
            template: inner.template.clone(),
            faults: Faults::default(),
            watches: Vec::new(),
            past: None,
            changes: BTreeMap::new(),
        };
        Self { name: self.name.clone(), inner: Arc::new(Mutex::new(inner)) }
    }

    /// How often which call, in the words of [`New`] and [`Change`], has changed it.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        self.lock().changes.clone()
    }

    /// A container, by its name or id, as it is now, whatever goes wrong with calls. None of its health checks is made for that.
    pub fn container_now(&self, name: &str) -> Option<Container> {
        match self.lock().state.inspect(&ObjectRef::container(name))? {
            Object::Container(container) => Some(*container),
            Object::Image(_) | Object::Network(_) | Object::Volume(_) => None,
        }
    }

    /// All that is there, a line each, without ids: these differ from life to life.
    pub fn dump(&self) -> String {
        self.lock().state.dump()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each call either finishes its change or makes none, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: counts it, lets it go wrong if it should, and otherwise has the effect.
    fn call<T>(
        &self,
        what: &str,
        effect: impl FnOnce(&mut Inner) -> Result<T, Why>,
    ) -> Result<T, ContainersError> {
        let mut inner = self.lock();
        let engine = self.to_string();
        match inner.faults.next() {
            None => effect(&mut inner).map_err(|why| why.said_by(engine, what)),
            Some(HostFault::Unreachable) => {
                Err(ContainersError::Unreachable { engine, what: "no answer".to_owned() })
            }
            Some(HostFault::AnswerLost) => {
                let _lost = effect(&mut inner);
                Err(ContainersError::AnswerLost { engine, what: what.to_owned() })
            }
            Some(HostFault::Refused(kind)) => {
                let said = std::io::Error::from(kind).to_string();
                Err(ContainersError::Refused { engine, what: what.to_owned(), said })
            }
        }
    }

    /// The same of a call that may change something, and tells the object that it has changed.
    fn alter<T>(
        &self,
        what: &str,
        effect: impl FnOnce(&mut Inner) -> Result<(T, ObjectRef), Why>,
    ) -> Result<T, ContainersError> {
        self.call(what, |inner| {
            let before = inner.state.clone();
            let done = effect(inner);
            if inner.state == before {
                return done.map(|(value, _)| value);
            }
            if let Some(past) = &mut inner.past {
                past.push(before);
            }
            *inner.changes.entry(what.to_owned()).or_default() += 1;
            let (value, object) = done?;
            inner.tell(&object);
            Ok(value)
        })
    }
}

impl Inner {
    fn tell(&mut self, object: &ObjectRef) {
        self.watches.retain(|watch| !watch.is_left());
        self.watches.iter().for_each(|watch| watch.tell(Again::One(object.clone())));
    }

    /// Makes the health checks that are due, and tells to look again at those that may come out otherwise the next time.
    fn probe(&mut self) {
        for id in self.state.probe() {
            self.tell(&ObjectRef::container(id));
        }
    }
}

#[async_trait]
impl Containers for MemoryContainers {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        self.call(&format!("list {}s", query.kind), |inner| {
            inner.probe();
            let mut listed = inner.state.list(query);
            listed.sort_by(|a, b| (a.name(), &a.id).cmp(&(b.name(), &b.id)));
            Ok(listed.into())
        })
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        self.call(&format!("inspect {object}"), |inner| {
            inner.probe();
            Ok(inner.state.inspect(object))
        })
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        let wrong = |what| ContainersError::Invalid { engine: self.to_string(), what };
        new.validate().map_err(wrong)?;
        self.alter(&new.to_string(), |inner| inner.create(new))
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        self.alter(&change.to_string(), |inner| Ok(((), inner.state.change(change)?)))
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        self.call(&format!("read the log of container `{container}`"), |inner| {
            let id = inner.state.container_id(container)?;
            Ok(query.of(inner.state.containers[&id].log.iter().cloned()))
        })
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        self.call("watch", |inner| {
            let (notifier, watch) = Watch::new();
            inner.watches.push(notifier);
            Ok(watch)
        })
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        Arc::new(Inside::new(self.clone(), container))
    }
}

impl Inner {
    fn create(&mut self, new: &New) -> Result<(String, ObjectRef), Why> {
        let object = match new {
            New::Image(from) => ObjectRef::image(self.state.make_image(from)?),
            New::Network { name, spec } => ObjectRef::network(self.state.make_network(name, spec)?),
            New::Volume { name, spec } => ObjectRef::volume(self.state.make_volume(name, spec)?),
            New::Container { name, spec, files } => {
                ObjectRef::container(self.state.make_container(name, spec, files, &self.template)?)
            }
        };
        Ok((object.name.clone(), object))
    }
}

impl Display for MemoryContainers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Debug for MemoryContainers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryContainers({})", self.name)
    }
}

#[cfg(test)]
mod tests;
