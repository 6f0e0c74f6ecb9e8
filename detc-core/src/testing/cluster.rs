//! A whole manager under faults: every state that it is to bring about, with each of its calls gone wrong once.
//!
//! [`check_cluster`] lives the life of a [`Scenario`] without faults, and takes note of each call that is made of a host and of
//! each commit to the store. Then it lives it again for each of these: the process dies before it, or after it; its answer is
//! lost; from there on the hosts are away. The fault passes, a successor goes on, and what there is in the end has to be what
//! there is when nothing happens, with nothing left to do: nothing lost, nothing doubled, nothing left behind.
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

use super::Violation;
use super::calls::{Calls, Fault, Touched};
use crate::backend::{Host, MemoryHost};
use crate::model::{Desired, HostName};
use crate::resource::Registry;

mod life;
#[cfg(test)]
mod tests;
mod watched;

use life::{Ended, Life};

/// What is to be brought about, in a world that begins anew for each life.
pub struct Scenario {
    registry: Registry,
    hosts: BTreeMap<HostName, Arc<dyn Host>>,
    states: Vec<Desired>,
    calls: Calls,
    worlds: Vec<Box<dyn Fn() -> String + Send + Sync>>,
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
        }
    }

    /// Adds a host, which every state has declared then. Its files are part of the world.
    #[must_use]
    pub fn with_host(mut self, name: &str, host: MemoryHost) -> Self {
        let name = HostName::new(name);
        let (seen, of) = (host.clone(), name.clone());
        self.worlds
            .push(Box::new(move || format!("{of}\n{}", seen.with_files(|files| files.dump(STATE_DIR)))));
        self.hosts.insert(name, Arc::new(host));
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

    fn world(&self) -> String {
        self.worlds.iter().map(|world| world()).collect()
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
    let plain = scenario();
    let life = Life::new(&plain).await;
    let ended = life.live(None, None).await;
    assert!(matches!(ended, Ended::Well), "without any fault: {}", ended.words());
    let (calls, world) = (plain.calls.touched(), plain.world());
    let cases: Vec<(usize, Fault)> = calls
        .iter()
        .enumerate()
        .flat_map(|(at, call)| faults_of(call).iter().map(move |fault| (at, *fault)))
        .collect();
    let step = cases.len().div_ceil(faults.lives_max.max(1)).max(1);
    let mut checked =
        Checked { calls: calls.len(), lives: 0, lives_possible: cases.len(), violations: Vec::new() };
    for (at, fault) in cases.iter().step_by(step).copied() {
        checked.lives += 1;
        let tried = scenario();
        let life = Life::new(&tried).await;
        let second = match faults.twice {
            Twice::No => None,
            // Any will do that is another from life to life.
            Twice::Yes => Some(1 + checked.lives * 7 % calls.len()),
        };
        let ended = life.live(Some((at, fault)), second).await;
        let now = tried.world();
        let story = || story(&calls, at, fault, second);
        match ended {
            Ended::Well if now == world => {}
            Ended::Well => {
                let detail = format!("{}: {}", story(), super::resource::difference_of(&world, &now));
                note(
                    &mut checked.violations,
                    "whatever goes wrong, what is there in the end is what was asked for, once",
                    detail,
                );
            }
            ended => {
                let detail = format!("{}: {}", story(), ended.words());
                note(
                    &mut checked.violations,
                    "when faults have passed, what is asked for is reached, and stays",
                    detail,
                );
            }
        }
    }
    checked
}

/// What can go wrong with a call.
fn faults_of(call: &Touched) -> &'static [Fault] {
    match call.what {
        "commit" => &[Fault::CutBefore, Fault::CutAfter],
        _ => &[Fault::CutBefore, Fault::CutAfter, Fault::AnswerLost, Fault::Unreachable],
    }
}

fn note(violations: &mut Vec<Violation>, law: &'static str, detail: String) {
    if violations.iter().all(|violation| violation.law != law) {
        violations.push(Violation { law, detail });
    }
}

/// What happened, up to the fault.
fn story(calls: &[Touched], at: usize, fault: Fault, second: Option<usize>) -> String {
    const BEFORE_MAX: usize = 4;
    let before: Vec<String> =
        calls[at.saturating_sub(BEFORE_MAX)..at].iter().map(ToString::to_string).collect();
    let mut text = format!("call {} of {}", at + 1, calls.len());
    if !before.is_empty() {
        text.push_str(&format!(" (after {})", before.join(", ")));
    }
    text.push_str(&format!(": it {fault} {}", calls[at]));
    if let Some(second) = second {
        text.push_str(&format!("; its successor died before its call {}", second + 1));
    }
    text
}
