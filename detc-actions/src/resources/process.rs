//! `process`: a daemon that detc keeps itself, where there is no init system to ask.
//!
//! It is started detached and survives the manager. It is found again by a mark, also when the manager died between the
//! start and the record of it, so that there is never a second one; see `mark` for how, `start` for the way it is started.
//! What lives elsewhere: restarting one that died is the next apply's work, as with everything that is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::host::{Ownership, Remove};
use detc_core::model::{Health, Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removed, Resource, Unhealthy};
use serde::{Deserialize, Serialize};

use super::common::{check_argv, check_env, check_path, is_later};

mod find;
mod health;
mod http;
mod keep;
mod mark;
mod signal;
mod start;

use find::{Found, Instance, find};
pub use health::HealthSpec;
use health::Probed;
use keep::{Files, Keeper};
use mark::Mark;
pub use signal::StopSpec;

/// The spec of a `process`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSpec {
    /// Program and arguments; no shell reads them. The program stays in the foreground: one that makes itself a daemon
    /// is taken for ended.
    pub command: Vec<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Variables beside the host's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How to find out whether it works. Without it, one that still runs a moment after its start has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// A file that its output is appended to; below detc's own folder on the host where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How it is asked to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopSpec>,
    /// How much memory it is planned with, in MiB. Not enforced: invariants and placement count with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

/// What a `process` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessOutput {
    /// Its number.
    pub pid: u32,
    /// Which start this is: other for each start, also when the number is the same. Clock ticks after the boot, and the
    /// boot.
    pub started: String,
    /// Where its output goes.
    pub log: String,
}

/// How long one without a health check must have run to count as started, and one with a check before it is believed
/// (another program may answer at its address while it is about to fail): most programs that can not start say so
/// within a fraction of this.
const SETTLE: Duration = Duration::from_millis(300);

impl ProcessSpec {
    /// Runs `command`, without a health check.
    pub fn new<I, S>(command: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            dir: None,
            env: BTreeMap::new(),
            health: None,
            log: None,
            stop: None,
            memory_mib: None,
        }
    }

    fn value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("invariant: a spec is JSON")
    }

    fn stop(&self) -> StopSpec {
        self.stop.clone().unwrap_or_default()
    }
}

impl ProcessSpec {
    /// What is there of one that has ended, while something that it had started still runs and carries its mark: it is not
    /// gone then, and is to be ended with it. `None`: nothing.
    async fn left_over(
        &self,
        cx: &ActionCx<'_>,
        mut found: Found,
    ) -> Result<Option<Observation>, ActionError> {
        /// How often the keeper is waited for, which notes how the process ended, and ends as well.
        const LOOKS_MAX: u32 = 20;
        const WAIT: Duration = Duration::from_millis(10);
        let keeper = Keeper::new(self, cx)?;
        let mut looks = 0;
        while found.instance.is_none() && !found.others.is_empty() && looks < LOOKS_MAX {
            // The keeper writes first, and then ends.
            looks = if found.ended.is_some() { looks.max(LOOKS_MAX - 2) + 1 } else { looks + 1 };
            tokio::time::sleep(WAIT).await;
            found = keeper.find().await?;
        }
        if found.instance.is_some() || found.others.is_empty() {
            return Ok(None);
        }
        let how = found.ended.map_or_else(
            || "it has ended".to_owned(),
            |code| format!("it ended with {}", start::exit_status(code)),
        );
        let why = format!("{how}; what it had started still runs; all it said is in {}", keeper.files.log);
        let ended = "(it has ended, and what it had started still runs)";
        Ok(Some(Observation::Present(
            Present::new().with_field("command", ended).with_health(Health::Unhealthy).with_detail(why),
        )))
    }
}

impl ProcessOutput {
    fn new(instance: &Instance, files: &Files) -> Self {
        Self { pid: instance.pid, started: instance.started(), log: files.log.clone() }
    }
}

#[async_trait]
impl Resource for ProcessSpec {
    const KIND: &'static str = "process";

    type Output = ProcessOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.change = ChangeEffect::Restart;
        traits.in_place = &["health", "stop", "memory_mib"];
        // A start comes to its end when it is healthy.
        traits.unhealthy = Unhealthy::Restarted;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_argv("command", &self.command)?;
        check_env(&self.env)?;
        if self.env.keys().any(|name| name.starts_with(mark::VARIABLE)) {
            return Err(InvalidField::new("env", "can not set variables that begin with DETC_PROCESS"));
        }
        let mut footprint = Footprint::new(CrashClass::FindableByTag).touching_more();
        if let Some(dir) = &self.dir {
            check_path("dir", dir)?;
            footprint = footprint.reading(Place::path(dir));
        }
        if let Some(log) = &self.log {
            check_path("log", log)?;
            footprint = footprint.writing(Place::path(log));
        }
        if let Some(health) = &self.health {
            health.check()?;
        }
        self.stop().check()?;
        let health = self.health.as_ref().map_or(Duration::ZERO, |health| health.timeout());
        footprint = footprint.lasting(health.saturating_add(self.stop().grace()));
        Ok(match self.command.first().filter(|program| program.starts_with('/') && !is_later(program)) {
            Some(program) => footprint.reading(Place::path(program)),
            None => footprint,
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let wanted = self.value();
        let mark = Mark::new(cx, &wanted);
        let files = Files::new(self, cx, &mark)?;
        let host = cx.host()?;
        let found = find(&**host, &mark, &files.record).await?;
        let Some(instance) = found.instance else {
            // The action that started it looks for it now: whoever reads that it is gone wants to know why.
            if let Some((action, log_start)) = &found.started_by
                && *action == mark.action
                && !cx.begun_before()
            {
                return Err(Keeper::new(self, cx)?.gone(*log_start).await);
            }
            if let Some(left) = self.left_over(cx, found.clone()).await? {
                return Ok(left);
            }
            return Ok(match found.ended.filter(|_| cx.recorded().is_some()) {
                Some(code) => {
                    let how = start::exit_status(code);
                    Observation::Needed(format!("it ended with {how}; all it said is in {}", files.log))
                }
                None => Observation::Absent,
            });
        };
        let triggers = (!instance.triggers.is_empty()).then(|| instance.triggers.clone());
        let mut present =
            Present::new().with_output(&ProcessOutput::new(&instance, &files)).with_triggers(triggers);
        if let Some(health) = &self.health {
            present = match health::probe(health, &**host).await {
                Probed::Healthy => present.with_health(Health::Healthy),
                Probed::Unhealthy(why) => present.with_health(Health::Unhealthy).with_detail(why),
                Probed::Unknown(why) => present.with_health(Health::Unknown).with_detail(why),
            };
        }
        let recorded = cx.recorded().map(|body| body.spec.value());
        Ok(Observation::Present(mark::observe(present, &instance.spec, &wanted, recorded.as_ref())))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<ProcessOutput, ActionError> {
        let keeper = Keeper::new(self, cx)?;
        let instance = keeper.ensure().await?;
        Ok(ProcessOutput::new(&instance, &keeper.files))
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<ProcessOutput, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let keeper = Keeper::new(self, cx)?;
        keeper.clear().await?;
        let host = cx.host()?;
        host.remove(&format!("{}.end", keeper.files.record), Remove::File).await?;
        host.remove(&keeper.files.record, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
