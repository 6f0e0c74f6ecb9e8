//! One life: each state is brought about, whatever goes wrong.

use std::sync::Arc;
use std::time::Duration;

use super::watched::{Mortal, SCHEME, ToHosts};
use super::{STATE_DIR, Scenario};
use crate::execute::{Outcome, StopHandle, unseen};
use crate::manage::{ManageError, Manager, ManagerOptions, Resumed};
use crate::model::{Desired, HostSpec};
use crate::resource::Registry;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::testing::calls::Fault;

/// After this the lease of a manager that died has run out.
const SUCCESSION: Duration = Duration::from_secs(60);

/// How often it is tried to reach a state once the faults have passed: what was held back, or looked at too early, is
/// planned anew.
const TRIES_MAX: usize = 4;

/// How long a state may take to be reached.
const STATE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How a life ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Each state was reached, and there was nothing left to do.
    Well,
    /// This state was not reached, for this reason.
    Short(usize, String),
}

impl Ended {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Well => "all went well".to_owned(),
            Self::Short(state, why) => format!("state {} is not reached: {why}", state + 1),
        }
    }
}

/// A world, and what manages it.
pub(super) struct Life<'a> {
    scenario: &'a Scenario,
    registry: Registry,
    store: Arc<dyn Store>,
    states: Vec<Desired>,
}

impl<'a> Life<'a> {
    pub(super) async fn new(scenario: &'a Scenario) -> Self {
        let to_hosts = ToHosts { hosts: scenario.hosts.clone(), calls: scenario.calls.clone() };
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let spec = || HostSpec { connect: SCHEME.to_owned(), ..HostSpec::local() };
        let declared = |mut state: Desired| {
            for name in scenario.hosts.keys() {
                state = state.host(name.as_str(), spec());
            }
            state
        };
        Self {
            registry: scenario.registry.clone().with_connector(to_hosts),
            store: Arc::new(Mortal { inner, calls: scenario.calls.clone() }),
            states: scenario.states.iter().cloned().map(declared).collect(),
            scenario,
        }
    }

    /// Lives it, with this fault, and a death of the successor at its call of the index `second`.
    pub(super) async fn live(&self, fault: Option<(usize, Fault)>, second: Option<usize>) -> Ended {
        self.scenario.calls.begin(fault);
        let mut at = 0;
        let mut ended = self.go_on(&mut at).await;
        if fault.is_some() && !matches!(ended, Some(Ended::Well)) {
            if let Some(second) = second {
                tokio::time::sleep(SUCCESSION).await;
                self.scenario.calls.begin(Some((second, Fault::CutBefore)));
                ended = self.go_on(&mut at).await;
            }
            if !matches!(ended, Some(Ended::Well)) {
                tokio::time::sleep(SUCCESSION).await;
                self.scenario.calls.begin(None);
                ended = self.go_on(&mut at).await;
            }
        }
        ended.unwrap_or_else(|| Ended::Short(at, "the process died without a fault".to_owned()))
    }

    /// One process, from the state of index `at` on. `None`: it died.
    async fn go_on(&self, at: &mut usize) -> Option<Ended> {
        let life = async {
            while *at < self.states.len() {
                if let Err(why) = self.reach(&self.states[*at]).await {
                    return Ended::Short(*at, why);
                }
                *at += 1;
            }
            Ended::Well
        };
        self.scenario.calls.until_cut(life).await
    }

    async fn reach(&self, state: &Desired) -> Result<(), String> {
        let reaching = async {
            let options = ManagerOptions::default().with_state_dir(STATE_DIR);
            let manager = Manager::open(self.store.clone(), self.registry.clone(), options).await?;
            let mut why = String::new();
            for _ in 0..TRIES_MAX {
                why = match converge(&manager, state).await? {
                    None => {
                        manager.close().await?;
                        return Ok(Ok(()));
                    }
                    Some(why) => why,
                };
                if self.scenario.calls.is_faulty() {
                    // It is for the one who comes after the faults.
                    break;
                }
            }
            manager.close().await?;
            Ok::<_, ManageError>(Err(why))
        };
        match tokio::time::timeout(STATE_TIME_MAX, reaching).await {
            Ok(Ok(reached)) => reached,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it takes for ever".to_owned()),
        }
    }
}

/// Finishes what was interrupted, plans and applies. `Some`: why there is still something to do.
async fn converge(manager: &Manager, state: &Desired) -> Result<Option<String>, ManageError> {
    if let Some(open) = manager.interrupted().await? {
        let resumed = manager.resume(open, Some(state), unseen(), StopHandle::new()).await?;
        if let Resumed::Finished(report) = resumed
            && report.report.outcome != Outcome::Done
        {
            return Ok(Some(report.to_string()));
        }
    }
    let applied = manager.apply(manager.plan(state).await?).await?;
    if applied.report.outcome != Outcome::Done {
        return Ok(Some(applied.to_string()));
    }
    let again = manager.plan(state).await?.plan;
    Ok((!again.is_settled()).then(|| format!("a plan after it is not empty:\n{again}")))
}
