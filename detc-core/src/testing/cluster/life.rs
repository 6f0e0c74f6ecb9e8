//! One life: each state is brought about, whatever goes wrong.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::kept::Ledger;
use super::watched::{Mortal, SCHEME, WrongClock};
use super::{STATE_DIR, Scenario};
use crate::execute::{Outcome, StopHandle, unseen};
use crate::manage::{ManageError, Manager, Resumed};
use crate::model::{Desired, HostSpec};
use crate::resource::Registry;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::testing::calls::{Calls, Gate, Script, Stopped};

/// After so many times its length the lease of a manager that died has surely run out.
const LEASES: u32 = 4;

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

/// A state in which the hosts of a scenario are declared.
pub(super) fn declared(scenario: &Scenario, state: Desired) -> Desired {
    let spec = || HostSpec { connect: SCHEME.to_owned(), ..HostSpec::local() };
    scenario.hosts.keys().fold(state, |state, name| state.host(name.as_str(), spec()))
}

/// A world, and what manages it.
pub(super) struct Life<'a> {
    scenario: &'a Scenario,
    store: Arc<dyn Store>,
    states: Vec<Desired>,
    /// What is to be kept, if anything is.
    pub(super) ledger: Option<Arc<Ledger>>,
}

impl<'a> Life<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let states: Vec<Desired> =
            scenario.states.iter().cloned().map(|state| declared(scenario, state)).collect();
        let ledger = Ledger::of(&scenario.kept, &states);
        Self { store: Arc::new(MemoryStore::new()), states, scenario, ledger }
    }

    /// Lives it, while all this goes wrong: when a process dies, or has failed, another goes on.
    pub(super) async fn live(&self, script: Script) -> Ended {
        let calls = &self.scenario.calls;
        calls.play(script);
        let look =
            |ledger: Arc<Ledger>| -> Arc<dyn Fn(usize) + Send + Sync> { Arc::new(move |at| ledger.look(at)) };
        calls.ask(self.ledger.clone().map(look));
        let ended = self.live_on().await;
        // What is asked may have a handle on these very calls.
        calls.ask(None);
        ended
    }

    async fn live_on(&self) -> Ended {
        let calls = &self.scenario.calls;
        let succession = self.scenario.options.lease * LEASES;
        let at = Cell::new(0);
        let mut paused = Vec::new();
        loop {
            let gate = Arc::new(Gate::default());
            let own = calls.of_process(&gate);
            let mut process = Box::pin(self.process(own, &at));
            match calls.until_stopped(process.as_mut()).await {
                Ok(Ended::Well) => break,
                Ok(short) if !calls.is_faulty() => return short,
                Ok(_) | Err(Stopped::Cut) => drop(process),
                Err(Stopped::Paused) => paused.push((process, gate)),
            }
            tokio::time::sleep(succession).await;
        }
        if paused.is_empty() {
            return Ended::Well;
        }
        // What was paused goes on, and finds out; then somebody looks again.
        calls.heal();
        for (process, gate) in paused {
            gate.open();
            process.await;
        }
        tokio::time::sleep(succession).await;
        at.set(self.states.len().saturating_sub(1));
        self.process(calls.of_process(&Arc::default()), &at).await
    }

    /// One process, from the state of index `at` on.
    async fn process(&self, calls: Calls, at: &Cell<usize>) -> Ended {
        let registry = self.scenario.registry_of(&calls);
        let store: Arc<dyn Store> = Arc::new(Mortal { inner: self.store.clone(), calls: calls.clone() });
        while at.get() < self.states.len() {
            let now = at.get();
            if let Some(ledger) = &self.ledger {
                ledger.begin(now);
            }
            if let Err(why) = self.reach(&store, &registry, &calls, &self.states[now]).await {
                return Ended::Short(now, why);
            }
            at.set(at.get().max(now + 1));
        }
        Ended::Well
    }

    async fn reach(
        &self,
        store: &Arc<dyn Store>,
        registry: &Registry,
        calls: &Calls,
        state: &Desired,
    ) -> Result<(), String> {
        if let Some(manager) = &self.scenario.manager {
            let reaching = manager.bring_about(store, registry, state);
            return tokio::time::timeout(STATE_TIME_MAX, reaching)
                .await
                .unwrap_or_else(|_| Err("it takes for ever".to_owned()));
        }
        let reaching = async {
            let options = self.scenario.options.clone();
            let options = options.with_state_dir(STATE_DIR).with_clock(WrongClock(calls.clone()));
            let manager = Manager::open(store.clone(), registry.clone(), options).await?;
            let mut why = String::new();
            for _ in 0..TRIES_MAX {
                why = match converge(&manager, state).await? {
                    None => {
                        manager.close().await?;
                        return Ok(Ok(()));
                    }
                    Some(why) => why,
                };
                if calls.is_faulty() {
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
