//! Brings a process to run as its spec says: at most one of it, whatever was there before.
//!
//! ```text
//!   look ─▶ runs as wanted ─────────────────────────▶ wait until healthy
//!      └──▶ runs otherwise, or left-overs ─▶ stop ─▶ start ─┘        └─▶ not in time: stop, fail with its last words
//! ```

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use detc_core::action::{ActionCx, ActionError, ErrorClass};
use detc_core::backend::host::{Command, Remove};
use detc_core::backend::{Host, HostError};
use detc_core::model::ResourceId;
use tokio::time::Instant;

use super::find::{Found, Instance, find};
use super::health::{HealthSpec, Probed, probe};
use super::mark::Mark;
use super::signal::{Target, stop};
use super::{Ownership, ProcessSpec, SETTLE, start};
use crate::resources::common::{missing_dir, tail};

/// How long a process without a health check has to appear: time to write a record and become a program.
const APPEAR: Duration = Duration::from_secs(20);

/// First wait between two looks; it doubles up to the interval of the spec.
const LOOK_FIRST: Duration = Duration::from_millis(10);

/// Where things of a process are kept.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// What the shell that became the process wrote.
    pub(super) record: String,
    /// Its output.
    pub(super) log: String,
}

impl Files {
    pub(super) fn new(spec: &ProcessSpec, cx: &ActionCx<'_>, mark: &Mark) -> Result<Self, ActionError> {
        let dir = cx.state_dir().trim_end_matches('/');
        if !dir.starts_with('/') {
            let message = format!("there is no folder of detc's own for {} on its host", cx.resource());
            return Err(ActionError::permanent(message));
        }
        let log = spec.log.clone().unwrap_or_else(|| format!("{dir}/log/{}.log", log_name(cx, mark)));
        Ok(Self { record: format!("{dir}/process/{}", mark.marker), log })
    }

    /// What a start needs to come about.
    pub(super) fn permit(&self) -> String {
        format!("{}.permit", self.record)
    }
}

/// A name that people find; with a part of the marker where characters had to be replaced.
fn log_name(cx: &ActionCx<'_>, mark: &Mark) -> String {
    const LEN_MAX: usize = 100;
    let name = cx.identity().name();
    let mut plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(LEN_MAX)
        .collect();
    if plain != name {
        plain.push('-');
        plain.push_str(&mark.marker[..8]);
    }
    plain
}

/// What came of waiting.
enum Ready {
    /// It runs.
    Runs(Instance),
    /// It ended, with this exit code where that is known.
    Ended(Option<i32>),
}

/// Keeps one process.
pub(super) struct Keeper<'a> {
    spec: &'a ProcessSpec,
    host: &'a dyn Host,
    id: &'a ResourceId,
    mark: Mark,
    pub(super) files: Files,
    /// The start that is recorded, where it is restarted though it runs as the spec says: that one was healthy once. Another
    /// one was started by a try that was not seen to end, this or an earlier one, and nobody has waited for it yet.
    heals: Option<String>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(spec: &'a ProcessSpec, cx: &'a ActionCx<'_>) -> Result<Self, ActionError> {
        let mark = Mark::new(cx, &spec.value());
        let files = Files::new(spec, cx, &mark)?;
        let started = cx.recorded().and_then(|body| body.output["started"].as_str());
        let heals = started.filter(|_| cx.heals()).map(str::to_owned);
        Ok(Self { spec, host: &**cx.host()?, id: cx.resource(), mark, files, heals })
    }

    pub(super) async fn find(&self) -> Result<Found, ActionError> {
        find(self.host, &self.mark, &self.files.record).await
    }

    /// The process, running as the spec says and healthy.
    pub(super) async fn ensure(&self) -> Result<Instance, ActionError> {
        let found = self.find().await?;
        if let Some(instance) = &found.instance
            && instance.spec == self.mark.spec
            && instance.triggers == self.mark.triggers
            && self.heals.as_ref() != Some(&instance.started())
        {
            self.end_doubles(&found).await?;
            let log_size = self.host.stat(&self.files.log).await?.map_or(0, |stat| stat.size);
            return self.wait(log_size).await;
        }
        self.clear().await?;
        self.start().await
    }

    /// Ends the process, and what is left of earlier ones.
    ///
    /// A start that was given up may go on while its parts are being ended, so it looks again until nothing is left; what
    /// such a look misses does not come about.
    pub(super) async fn clear(&self) -> Result<(), ActionError> {
        const LOOKS_MAX: u32 = 20;
        self.host.remove(&self.files.permit(), Remove::File).await?;
        for _ in 0..LOOKS_MAX {
            let found = self.find().await?;
            if found.instance.is_none() && found.doubles.is_empty() && found.others.is_empty() {
                return Ok(());
            }
            self.end(&found).await?;
        }
        Err(ActionError::transient(format!("processes of {} keep appearing while they are ended", self.id)))
    }

    async fn end_doubles(&self, found: &Found) -> Result<(), ActionError> {
        for double in &found.doubles {
            stop(self.host, *double, Target::Group, &self.spec.stop()).await?;
        }
        Ok(())
    }

    async fn end(&self, found: &Found) -> Result<(), ActionError> {
        let how = self.spec.stop();
        if let Some(Instance { pid, start, .. }) = found.instance {
            stop(self.host, (pid, start), Target::Group, &how).await?;
        }
        self.end_doubles(found).await?;
        for other in &found.others {
            stop(self.host, *other, Target::One, &how).await?;
        }
        Ok(())
    }

    async fn start(&self) -> Result<Instance, ActionError> {
        for path in [Some(&self.files.record), self.spec.log.is_none().then_some(&self.files.log)] {
            if let Some((dir, _)) = path.and_then(|path| path.rsplit_once('/')) {
                self.host.make_dir(dir, &Ownership::default()).await?;
            }
        }
        let log_start = match self.host.stat(&self.files.log).await? {
            Some(stat) => stat.size,
            None => 0,
        };
        let permit = format!("{:016x}", RandomState::new().hash_one(log_start));
        self.host.write(&self.files.permit(), permit.as_bytes(), &Ownership::default()).await?;
        let command = start::command(self.spec, &self.mark, &self.files, &permit, log_start);
        let output = self.host.run(&command).await.map_err(|error| self.not_started(error))?;
        if !output.success() {
            self.check_log_dir().await?;
            let said = tail(&output.stderr, 3);
            return Err(ActionError::permanent(format!("{} can not be started: {said}", self.id)));
        }
        self.wait(log_start).await
    }

    /// That the directory of the log that the spec names is there.
    async fn check_log_dir(&self) -> Result<(), ActionError> {
        let dir = self.spec.log.as_ref().and_then(|log| log.rsplit_once('/')).map(|(dir, _)| dir);
        match dir.filter(|dir| !dir.is_empty()) {
            Some(dir) if self.host.stat(dir).await?.is_none() => {
                Err(missing_dir(self.id, "write its log", dir, &self.host.to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Waits until it is ready; otherwise tells what became of it, with what it said since `log_start`.
    async fn wait(&self, log_start: u64) -> Result<Instance, ActionError> {
        let mut why = String::new();
        match tokio::time::timeout(self.patience(), self.ready(&mut why)).await {
            Ok(Ok(Ready::Runs(instance))) => Ok(instance),
            Ok(Ok(Ready::Ended(code))) => Err(self.ended(code, "while it started", log_start).await),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.gave_up(&why, log_start).await),
        }
    }

    fn patience(&self) -> Duration {
        self.spec.health.as_ref().map_or(APPEAR, HealthSpec::timeout)
    }

    /// Waits until the process is there, has settled, and is healthy, or has ended. `why`: what is still missing.
    async fn ready(&self, why: &mut String) -> Result<Ready, ActionError> {
        let interval = self.spec.health.as_ref().map_or(SETTLE, HealthSpec::interval);
        let mut wait = LOOK_FIRST;
        let mut since: Option<(Instance, Instant)> = None;
        "it did not appear".clone_into(why);
        loop {
            let found = self.find().await?;
            match (found.instance, &since) {
                (Some(instance), Some((known, seen))) if instance == *known => {
                    let healthy = match &self.spec.health {
                        Some(health) => probe(health, self.host).await,
                        None => Probed::Healthy,
                    };
                    match healthy {
                        // The check may have taken long: it counts for a process that is still there.
                        Probed::Healthy if seen.elapsed() >= SETTLE => {
                            let last = self.find().await?;
                            if last.instance.as_ref() == Some(known) {
                                self.end_doubles(&last).await?;
                                return Ok(Ready::Runs(instance));
                            }
                        }
                        Probed::Healthy => {}
                        Probed::Unhealthy(problem) | Probed::Unknown(problem) => *why = problem,
                    }
                }
                (Some(instance), _) => {
                    since = Some((instance, Instant::now()));
                    "its health check has not answered".clone_into(why);
                }
                (None, _) if found.ended.is_some() => return Ok(Ready::Ended(found.ended)),
                // It was seen, and whoever could tell how it ended is gone as well.
                (None, Some(_)) if found.others.is_empty() => return Ok(Ready::Ended(None)),
                (None, _) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(interval);
        }
    }

    fn not_started(&self, error: HostError) -> ActionError {
        match error {
            HostError::NotFound { host, path } if self.spec.dir.as_ref() == Some(&path) => {
                missing_dir(self.id, "be started", &path, &host)
            }
            other => other.into(),
        }
    }

    async fn ended(&self, code: Option<i32>, when: &str, log_start: u64) -> ActionError {
        let last = self.last_words(log_start).await;
        let how = code.map_or_else(String::new, |code| format!(" with {}", start::exit_status(code)));
        ActionError::permanent(format!("{} ended{how} {when}{last}", self.id))
            .with_hint(format!("all it said is in {}", self.files.log))
    }

    /// It was started, had settled, and is gone: with how it ended, once its keeper has noted that.
    pub(super) async fn gone(&self, log_start: u64) -> ActionError {
        const LOOKS_MAX: u32 = 20;
        let mut code = None;
        for _ in 0..LOOKS_MAX {
            match self.find().await {
                Ok(Found { ended: None, others, .. }) if !others.is_empty() => {
                    tokio::time::sleep(LOOK_FIRST).await;
                }
                found => {
                    code = found.ok().and_then(|found| found.ended);
                    break;
                }
            }
        }
        self.ended(code, "soon after its start", log_start).await
    }

    /// It runs, and is not healthy in time. It is stopped, so that it is not taken for one that works.
    async fn gave_up(&self, why: &str, log_start: u64) -> ActionError {
        let last = self.last_words(log_start).await;
        let patience = self.patience().as_millis();
        let message = format!("{} is not healthy after {patience} ms: {why}{last}", self.id);
        match self.clear().await {
            Ok(()) => ActionError::permanent(message).with_hint(format!(
                "it was stopped; all it said is in {}; give it more time with `health.timeout_ms`",
                self.files.log
            )),
            Err(error) => ActionError::new(ErrorClass::OutcomeUnknown, message).with_source(error),
        }
    }

    /// The last lines that it has written since `log_start`, or nothing.
    async fn last_words(&self, log_start: u64) -> String {
        const LINES: usize = 20;
        const BYTES: u64 = 8192;
        /// A disk that takes longer is not worth it: the failure is to be told.
        const PATIENCE: Duration = Duration::from_secs(10);
        let log = &self.files.log;
        let size = self.host.stat(log).await.ok().flatten().map_or(0, |stat| stat.size);
        // A log that was put aside begins anew.
        let begin = if size < log_start { 0 } else { log_start };
        let begin = begin.max(size.saturating_sub(BYTES));
        let offset = format!("+{}", begin + 1);
        // A device or a pipe has kept nothing, and some give for ever: `/dev/full` does. A link is followed.
        let script = r#"[ -f "$2" ] && exec tail -c "$1" "$2""#;
        let command = Command::new(["sh", "-c", script, "sh", &offset, log]).with_timeout(PATIENCE);
        let said = self.host.run(&command).await.map(|output| tail(&output.stdout, LINES));
        match said {
            Ok(said) if !said.is_empty() => format!("; it said:\n{said}"),
            // The failure itself is told all the same.
            Ok(_) | Err(_) => String::new(),
        }
    }
}
