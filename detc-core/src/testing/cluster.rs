//! A whole manager under faults: every state that it is to bring about, with each of its calls gone wrong once.
//!
//! [`check_cluster`] lives the life of a [`Scenario`] without faults, and takes note of each call that is made of a host and of
//! each commit to the store. Then it lives it again for each of these: the process dies before it, or after it; its answer is
//! lost; from there on the hosts are away, or full; it is refused, comes too late, is made twice, or is answered from an earlier
//! moment; the manager is paused until another has taken over; its clock jumps. The fault passes, a successor goes on, and what
//! there is in the end has to be what there is when nothing happens, with nothing left to do: nothing lost, nothing doubled,
//! nothing left behind. A manager that is not detc's own is tried in the same way ([`Scenario::managed_by`]); what it has left
//! without faults is looked at first, as nobody else says that it is what was asked for.
//!
//! What is to be kept meanwhile is asked of the world whenever a call has happened: the invariants of the states, and what
//! [`Scenario::keeping`] says.
//!
//! What is detc's own policy is tried as it is set: how much is done at once, and how often it is tried again, by
//! [`Scenario::with_options`]; what is protected, and which invariants bound the order, in the states. A policy that makes desired
//! states from what it sees is no part of detc's manager, but of the program around it: that is tried as a manager of its own, by
//! [`Scenario::managed_by`], with detc's in it or without.
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
use super::calls::{Calls, Fault, Script, Touched};
use crate::backend::MemoryHost;
use crate::manage::ManagerOptions;
use crate::model::{Desired, DesiredResource, HostName, Present};
use crate::resource::Registry;
use crate::store::Store;

mod clock;
mod kept;
mod left;
mod life;
mod seeds;
#[cfg(test)]
mod tests;
mod trial;
mod watched;

use kept::Kept;
pub use seeds::{check_seeds, trace};
use trial::Reference;
use watched::ToHosts;

/// What is to be brought about, in a world that begins anew for each life.
pub struct Scenario {
    registry: Registry,
    hosts: BTreeMap<HostName, MemoryHost>,
    states: Vec<Desired>,
    calls: Calls,
    /// Whether a backend passes its calls through `calls`.
    is_called: bool,
    services: Vec<OfProcess>,
    counts: Vec<Count>,
    worlds: Vec<Box<dyn Fn() -> String + Send + Sync>>,
    manager: Option<Box<dyn Manages>>,
    options: ManagerOptions,
    kept: Kept,
}

/// Adds a handle on a service, with the calls of one process.
type OfProcess = Box<dyn Fn(Registry, Calls) -> Registry + Send + Sync>;

/// Tells how often something was done.
type Count = Box<dyn Fn() -> BTreeMap<String, usize> + Send + Sync>;

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
            is_called: false,
            services: Vec::new(),
            counts: Vec::new(),
            worlds: Vec::new(),
            manager: None,
            options: ManagerOptions::default(),
            kept: Kept::default(),
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
    /// difference is seen. Of several backends all pass their calls through the same `calls`.
    ///
    /// # Panics
    /// When another backend was added with other `calls`: nothing would go wrong with these.
    #[must_use]
    pub fn with_backend<T: Send + Sync + 'static>(
        mut self,
        backend: Arc<T>,
        calls: Calls,
        world: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.registry = self.registry.with_backend(backend);
        self.pass_through(calls);
        self.worlds.push(Box::new(world));
        self
    }

    /// Adds a backend of which each process has a handle of its own, with its own calls, made by `called_by`: so that one that is
    /// paused does not go on in another of its tasks. The rest is as of [`with_backend`](Self::with_backend).
    ///
    /// # Panics
    /// When another backend was added with other `calls`.
    #[must_use]
    pub fn with_service<T: Send + Sync + 'static>(
        mut self,
        calls: Calls,
        called_by: impl Fn(Calls) -> T + Send + Sync + 'static,
        world: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.pass_through(calls);
        let of_process =
            move |registry: Registry, calls: Calls| registry.with_backend(Arc::new(called_by(calls)));
        self.services.push(Box::new(of_process));
        self.worlds.push(Box::new(world));
        self
    }

    /// Adds what is to be done as often as without faults: by what was done, how often. It is not compared where a look was answered
    /// from before, or a manager was paused: who goes by that may have done it again for good reason.
    #[must_use]
    pub fn counting(mut self, count: impl Fn() -> BTreeMap<String, usize> + Send + Sync + 'static) -> Self {
        self.counts.push(Box::new(count));
        self
    }

    /// Adds what is to be kept at every moment, called `name`: `holds` is asked whenever a call has happened, with the state that is
    /// being brought about, and says why not in words that follow "is not kept:". What is at work at once takes turns then, call by call,
    /// so that no moment in between is passed over.
    ///
    /// It is to be kept in each state at whose begin it holds: that two of three are up is nothing to ask before they are made.
    ///
    /// ```
    /// # use detc_core::backend::MemoryHost;
    /// # use detc_core::testing::cluster::Scenario;
    /// # use detc_core::{Desired, Registry};
    /// let host = MemoryHost::new("a");
    /// let seen = host.clone();
    /// let scenario = Scenario::new(Registry::new(), [Desired::new()]).with_host("a", host);
    /// let scenario = scenario.keeping("a page is there", move |_| {
    ///     let is_there = seen.with_files(|files| files.read("/page").is_ok());
    ///     if is_there { Ok(()) } else { Err("nobody finds one".to_owned()) }
    /// });
    /// ```
    #[must_use]
    pub fn keeping(
        mut self,
        name: &str,
        holds: impl Fn(&Desired) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.kept.promise(name.to_owned(), holds);
        self
    }

    /// Says how to see in the world what is there of a resource of this kind, as a state has it: whether it works, and the fields
    /// that invariants sum, where they change. The states' invariants are kept by what is seen so, as plans promise: each in every
    /// state at whose begin it holds, and no worse than then where it does not.
    ///
    /// It is asked of the resource as the state before has it, too, which may be at another place; what is there by either counts once.
    #[must_use]
    pub fn measuring(
        mut self,
        kind: &str,
        measures: impl Fn(&DesiredResource) -> Option<Present> + Send + Sync + 'static,
    ) -> Self {
        self.kept.measure(kind.to_owned(), measures);
        self
    }

    /// Has detc's own manager work so. Its clock and its folder are those of the scenario all the same, and another manager than detc's
    /// own has options of its own.
    #[must_use]
    pub fn with_options(mut self, options: ManagerOptions) -> Self {
        self.options = options;
        self
    }

    /// Has the states brought about by another manager than detc's own.
    #[must_use]
    pub fn managed_by(mut self, manager: impl Manages + 'static) -> Self {
        self.manager = Some(Box::new(manager));
        self
    }

    fn pass_through(&mut self, calls: Calls) {
        let is_other = self.is_called && !calls.is_handle_on(&self.calls);
        assert!(!is_other, "all backends of a scenario pass their calls through the same `Calls`");
        (self.calls, self.is_called) = (calls, true);
    }

    /// The kinds, hosts and services, as one process has them.
    fn registry_of(&self, calls: &Calls) -> Registry {
        let to_hosts = ToHosts { hosts: self.hosts.clone(), calls: calls.clone() };
        let registry = self.registry.clone().with_connector(to_hosts);
        self.services.iter().fold(registry, |registry, of_process| of_process(registry, calls.clone()))
    }

    fn world(&self) -> String {
        self.worlds.iter().map(|world| world()).collect()
    }

    fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.iter().flat_map(|count| count()).collect()
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
#[non_exhaustive]
pub struct Faults {
    /// How many lives are lived at most. Of more faults than that some are left out, evenly, and it is said how many.
    pub lives_max: usize,
    /// Whether a second fault follows the first.
    pub twice: Twice,
}

/// Whether a second fault follows the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Twice {
    /// One fault in each life.
    No,
    /// Also a death of the successor, at a call that differs from life to life.
    Yes,
    /// Each pair of faults: after each fault, each that can happen at each later call of the life with the first one. First all lives
    /// with one fault are lived, also where they are more than are to be lived at most.
    All,
}

impl Default for Faults {
    /// One fault in each life; two thousand lives. One of three small states takes some ten milliseconds in a debug build.
    fn default() -> Self {
        Self { lives_max: 2_000, twice: Twice::No }
    }
}

impl Faults {
    /// Sets how many lives are lived at most.
    #[must_use]
    pub fn with_lives_max(mut self, lives: usize) -> Self {
        self.lives_max = lives;
        self
    }

    /// Sets whether a second fault follows the first.
    #[must_use]
    pub fn with_twice(mut self, twice: Twice) -> Self {
        self.twice = twice;
        self
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
/// When time is not paused: each life would take a minute and more. When a life without faults does not reach its states: with why not. When something [is to be kept](Scenario::keeping) that holds
/// at the begin of no state, so that it never is; or an invariant is about a kind that nothing [measures](Scenario::measuring).
pub async fn check_cluster(scenario: impl Fn() -> Scenario, faults: Faults) -> Checked {
    let reference = Reference::of(&scenario()).await;
    let never = reference.never_held.join("`, `");
    assert!(never.is_empty(), "`{never}` holds at the begin of no state: nothing is kept");
    let calls = &reference.calls;
    let cases: Vec<(usize, Fault)> = cases(calls).collect();
    if faults.twice == Twice::All {
        return check_pairs(&scenario, &reference, cases, faults.lives_max).await;
    }
    let step = cases.len().div_ceil(faults.lives_max.max(1)).max(1);
    let mut checked = Checked::of(&reference, cases.len());
    for (at, fault) in cases.iter().step_by(step).copied() {
        checked.lives += 1;
        let second = match faults.twice {
            Twice::No | Twice::All => None,
            // Any will do that is another from life to life.
            Twice::Yes => Some((at + 2 + checked.lives * 7 % calls.len(), Fault::CutBefore)),
        };
        checked.note(reference.try_script(&scenario(), script([(at, fault)], second)).await);
    }
    checked
}

/// All this goes wrong, and what lasts does so until its process has ended.
fn script<const N: usize>(first: [(usize, Fault); N], second: Option<(usize, Fault)>) -> Script {
    Script { faults: first.into_iter().chain(second).collect(), outage: usize::MAX }
}

/// What can go wrong with these calls, one thing each time.
fn cases(calls: &[Touched]) -> impl Iterator<Item = (usize, Fault)> {
    let of_call = |(at, call): (usize, &Touched)| {
        let can_hit = SINGLE.into_iter().filter(|fault| fault.can_hit(call));
        can_hit.map(move |fault| (at, fault)).collect::<Vec<_>>()
    };
    calls.iter().enumerate().flat_map(of_call)
}

/// Lives with each pair of faults; of more than so many, some, evenly.
async fn check_pairs(
    scenario: &impl Fn() -> Scenario,
    reference: &Reference,
    first: Vec<(usize, Fault)>,
    lives_max: usize,
) -> Checked {
    let mut checked = Checked::of(reference, first.len());
    let mut pairs: Vec<[(usize, Fault); 2]> = Vec::new();
    for case in first {
        checked.lives += 1;
        let scenario = scenario();
        checked.note(reference.try_script(&scenario, script([case], None)).await);
        // What follows is what the calls of this very life can meet: the second life is the same up to there.
        let later = cases(&scenario.calls.touched()).filter(|(at, _)| *at > case.0).collect::<Vec<_>>();
        pairs.extend(later.into_iter().map(|second| [case, second]));
    }
    checked.lives_possible += pairs.len();
    let step = pairs.len().div_ceil(lives_max.saturating_sub(checked.lives).max(1)).max(1);
    for pair in pairs.into_iter().step_by(step) {
        checked.lives += 1;
        checked.note(reference.try_script(&scenario(), script(pair, None)).await);
    }
    checked
}

/// What can go wrong once.
const SINGLE: [Fault; 13] = [
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
    Fault::PausedAfter,
    Fault::Clock(24),
    Fault::Clock(-24),
];

impl Checked {
    /// What a life without faults has shown.
    fn of(reference: &Reference, lives_possible: usize) -> Self {
        let violations = reference.broken.iter().cloned().collect();
        Self { calls: reference.calls.len(), lives: 0, lives_possible, violations }
    }

    /// The first case of each law is kept.
    fn note(&mut self, found: Option<Violation>) {
        if let Some(found) = found
            && self.violations.iter().all(|violation| violation.law != found.law)
        {
            self.violations.push(found);
        }
    }
}
