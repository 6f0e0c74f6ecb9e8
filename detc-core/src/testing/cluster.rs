//! A whole manager under faults: every state that it is to bring about, with each of its calls gone wrong once.
//!
//! [`check_cluster`] lives the life of a [`Scenario`] without faults, and takes note of each call that is made of a host and of
//! each commit to the store. Then it lives it again for each of these: the process dies before it, or after it; its answer is
//! lost; from there on the hosts are away. The fault passes, a successor goes on, and what there is in the end has to be what
//! there is when nothing happens, with nothing left to do: nothing lost, nothing doubled, nothing left behind. A manager that is
//! not detc's own is tried in the same way: [`Scenario::managed_by`].
//!
//! ```
//! # use detc_core::testing::cluster::{Faults, Scenario, check_cluster};
//! # use detc_core::resource::value::ValueSpec;
//! # use detc_core::{Desired, Registry};
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let value = |input: u8| ValueSpec::resource("v", &input.into()).unwrap();
//! let checked = check_cluster(
//!     || Scenario::new(Registry::new(), [1, 2].map(|input| Desired::new().with(value(input)))),
//!     Faults::default(),
//! )
//! .await;
//! assert!(checked.violations.is_empty(), "{checked}");
//! # });
//! ```

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use async_trait::async_trait;

use super::Violation;
use super::calls::{Calls, Fault, Script};
use crate::backend::MemoryHost;
use crate::model::{Desired, HostName};
use crate::resource::Registry;
use crate::store::Store;

mod life;
mod seeds;
#[cfg(test)]
mod tests;
mod trial;
mod watched;

pub use seeds::{check_seeds, trace};
use trial::Reference;

/// What is to be brought about, in a world that begins anew for each life.
pub struct Scenario {
    registry: Registry,
    hosts: BTreeMap<HostName, MemoryHost>,
    states: Vec<Desired>,
    calls: Calls,
    worlds: Vec<Box<dyn Fn() -> String + Send + Sync>>,
    manager: Option<Box<dyn Manages>>,
}

/// A manager under test that is not detc's own [`Manager`](crate::manage::Manager).
#[async_trait]
pub trait Manages: Send + Sync {
    /// What one process does to bring `state` about, and to find out that it is. What an earlier one has left, which died or
    /// failed, is in `store`; hosts are connected with the registry's connector of their scheme.
    ///
    /// Cancellation: a call that is dropped is a process that died.
    ///
    /// # Errors
    /// Why `state` is not reached. Another process goes on, if something went wrong; otherwise a law is broken.
    async fn bring_about(
        &self,
        store: &Arc<dyn Store>,
        registry: &Registry,
        state: &Desired,
    ) -> Result<(), String>;
}

impl Scenario {
    /// These states, one after the other, of kinds that `registry` has.
    pub fn new(registry: Registry, states: impl IntoIterator<Item = Desired>) -> Self {
        Self {
            registry,
            hosts: BTreeMap::new(),
            states: states.into_iter().collect(),
            calls: Calls::new(),
            worlds: Vec::new(),
            manager: None,
        }
    }

    /// Adds a host, which every state has declared then. Its files are part of the world.
    #[must_use]
    pub fn with_host(mut self, name: &str, host: MemoryHost) -> Self {
        let (host, name) = (host.remembering(), HostName::new(name));
        let (seen, of) = (host.clone(), name.clone());
        self.worlds
            .push(Box::new(move || format!("{of}\n{}", seen.with_files(|files| files.dump(STATE_DIR)))));
        self.hosts.insert(name, host);
        self
    }

    /// Adds a backend that kinds find by its type, the calls of its test double, and what it holds, as a text in which a
    /// difference is seen.
    #[must_use]
    pub fn with_backend<T: Send + Sync + 'static>(
        mut self,
        backend: Arc<T>,
        calls: Calls,
        world: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.registry = self.registry.with_backend(backend);
        self.calls = calls;
        self.worlds.push(Box::new(world));
        self
    }

    /// Has the states brought about by another manager than detc's own.
    #[must_use]
    pub fn managed_by(mut self, manager: impl Manages + 'static) -> Self {
        self.manager = Some(Box::new(manager));
        self
    }

    fn world(&self) -> String {
        self.worlds.iter().map(|world| world()).collect()
    }

    /// How often what is at each path of each host has changed.
    fn changes(&self) -> BTreeMap<String, usize> {
        let of_host = |(name, host): (&HostName, &MemoryHost)| {
            let name = name.clone();
            host.changes(STATE_DIR).into_iter().map(move |(path, count)| (format!("{name}:{path}"), count))
        };
        self.hosts.iter().flat_map(of_host).collect()
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("states", &self.states).finish_non_exhaustive()
    }
}

/// Where detc keeps its own things on the hosts of a scenario: no part of the world.
const STATE_DIR: &str = "/var/lib/detc";

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How many lives are lived at most. Of more faults than that some are left out, evenly, and it is said how many.
    pub lives_max: usize,
    /// Whether the successor dies, too, at each of its calls that are tried.
    pub twice: Twice,
}

/// Whether a second fault follows the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    /// One fault in each life.
    No,
    /// Also a death of the successor, at a call that differs from life to life.
    Yes,
}

impl Default for Faults {
    /// One fault in each life; two thousand lives, which is a second for a scenario of some ten actions.
    fn default() -> Self {
        Self { lives_max: 2_000, twice: Twice::No }
    }
}

/// What was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// How many calls a life without faults makes.
    pub calls: usize,
    /// How many lives with a fault were lived.
    pub lives: usize,
    /// How many there could have been.
    pub lives_possible: usize,
    /// What was broken: the first case of each law.
    pub violations: Vec<Violation>,
}

impl Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls, {} of {} lives with a fault", self.calls, self.lives, self.lives_possible)?;
        for violation in &self.violations {
            write!(f, "\n{violation}")?;
        }
        Ok(())
    }
}

/// Lives `scenario` with every single fault; see the [module](self). The same scenario has the same result: run it on a
/// runtime of one thread, with its time paused.
///
/// Kinds whose outcome only a person can settle are not for this.
///
/// # Panics
/// When a life without faults goes wrong: with what is broken then.
pub async fn check_cluster(scenario: impl Fn() -> Scenario, faults: Faults) -> Checked {
    let reference = Reference::of(&scenario()).await;
    let calls = &reference.calls;
    let cases: Vec<(usize, Fault)> = calls
        .iter()
        .enumerate()
        .flat_map(|(at, call)| {
            SINGLE.into_iter().filter(|fault| fault.can_hit(call)).map(move |fault| (at, fault))
        })
        .collect();
    let step = cases.len().div_ceil(faults.lives_max.max(1)).max(1);
    let mut checked =
        Checked { calls: calls.len(), lives: 0, lives_possible: cases.len(), violations: Vec::new() };
    for (at, fault) in cases.iter().step_by(step).copied() {
        checked.lives += 1;
        let second = match faults.twice {
            Twice::No => None,
            // Any will do that is another from life to life.
            Twice::Yes => Some((at + 2 + checked.lives * 7 % calls.len(), Fault::CutBefore)),
        };
        let script = Script { faults: [(at, fault)].into_iter().chain(second).collect(), outage: usize::MAX };
        checked.note(reference.try_script(&scenario(), script).await);
    }
    checked
}

/// What can go wrong once.
const SINGLE: [Fault; 12] = [
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::AnswerLost,
    Fault::Unreachable,
    Fault::Refused,
    Fault::Full,
    Fault::Delayed,
    Fault::Doubled,
    Fault::Stale(1),
    Fault::Paused,
    Fault::Clock(24),
    Fault::Clock(-24),
];

impl Checked {
    /// The first case of each law is kept.
    fn note(&mut self, found: Option<Violation>) {
        if let Some(found) = found
            && self.violations.iter().all(|violation| violation.law != found.law)
        {
            self.violations.push(found);
        }
    }
}
