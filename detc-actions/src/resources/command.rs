//! `command`: runs a program once.
//!
//! `creates` or `unless` tell whether it has been done; with neither, only the record does, and a crash while it runs is
//! left to a person: it may or may not have happened, and nothing can tell. While a try that was cut off goes on, nothing
//! tells either; see `orphan`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus, Output};
use detc_core::model::{Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removal, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::common::{check_argv, check_env, check_path, is_later, missing_dir, tail};

mod orphan;

/// The spec of a `command`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Program and arguments; no shell reads them.
    pub run: Vec<String>,
    /// A path that is there when it has been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// A command that ends with code 0 when it has been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Vec<String>>,
    /// Variables beside the host's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// How long it may take; ten minutes where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What a `command` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutput {
    /// What it printed, to the byte where it is UTF-8; the first MiB of it.
    pub stdout: String,
    /// Its exit code, which is 0: another is a failure.
    pub code: i32,
}

/// How long a command may take where the spec does not say.
const TIMEOUT: Duration = Duration::from_secs(600);

impl CommandSpec {
    /// Runs `argv`, unguarded.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            run: argv.into_iter().map(Into::into).collect(),
            creates: None,
            unless: None,
            env: BTreeMap::new(),
            dir: None,
            timeout_ms: None,
        }
    }

    fn command(&self, argv: &[String]) -> Command {
        Command::new(argv).with_env(self.env.clone()).with_dir(self.dir.clone()).with_timeout(self.timeout())
    }

    fn program(&self) -> &str {
        self.run.first().map_or("", String::as_str)
    }

    fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(TIMEOUT, Duration::from_millis)
    }

    /// Whether it has been done.
    async fn look(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match (&self.creates, &self.unless) {
            (Some(path), _) => match cx.host()?.stat(path).await? {
                Some(_) => Observation::Present(Present::new()),
                None => Observation::Absent,
            },
            (None, Some(unless)) if unless.iter().any(|text| is_later(text)) => {
                return Err(ActionError::permanent(
                    "its `unless` needs a sensitive value that was not given",
                ));
            }
            (None, Some(unless)) => match cx.host()?.run(&self.command(unless).asking()).await {
                Ok(output) if output.success() => Observation::Present(Present::new()),
                // It has not said no: it could not say anything.
                Ok(Output { status: status @ ExitStatus::Signal(_), .. }) => {
                    let program = unless.first().map_or("", String::as_str);
                    Observation::Unknown(format!("its `unless`, `{program}`, was ended by {status}"))
                }
                Ok(output) => Observation::Needed(says_no(unless, &output)),
                // Its program, or the directory, may be what is yet to be made.
                Err(HostError::NotFound { path, .. }) => {
                    Observation::Needed(format!("its `unless` can not be run: there is no {path}"))
                }
                Err(other) => return Err(other.into()),
            },
            (None, None) => Observation::Unobservable,
        })
    }

    /// Waits until an earlier try has ended, of which a look says whether it has done it.
    pub(super) async fn wait_to_create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        // What was seen before an earlier try had ended says nothing: it may have done it since. So it is looked again.
        if let Some(orphan) = orphan::wait(cx, self.program(), self.timeout()).await? {
            return Err(ActionError::outcome_unknown(orphan.has_ended()));
        }
        if cx.begun_before() && matches!(self.look(cx).await?, Observation::Present(_)) {
            let message = format!("an earlier try of {} has done it meanwhile", cx.resource());
            return Err(ActionError::outcome_unknown(message));
        }
        Ok(())
    }

    /// Waits until an earlier try has ended. It was done before, and is done again since it has changed: that it has been done
    /// tells nothing.
    pub(super) async fn wait_to_update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        orphan::wait(cx, self.program(), self.timeout()).await.map(drop)
    }

    pub(super) async fn execute(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        let mut command = self.command(&self.run);
        command.env.insert(orphan::VARIABLE.to_owned(), orphan::mark(cx));
        let command = command.outliving();
        let output = match cx.host()?.run(&command).await {
            Ok(output) => output,
            Err(HostError::TimedOut { command, after, .. }) => {
                return Err(self.out_of_time(cx, &command, after).await);
            }
            Err(error) => return Err(self.not_run(cx, error)),
        };
        let ExitStatus::Code(code @ 0) = output.status else { return Err(self.failed(cx, &output)) };
        if let Some(path) = &self.creates
            && cx.host()?.stat(path).await?.is_none()
        {
            let message = format!("{} ended well, and {path} is not there", cx.resource());
            return Err(ActionError::permanent(message).with_hint("correct `creates`, or what it runs"));
        }
        Ok(CommandOutput { stdout: String::from_utf8_lossy(&output.stdout).into_owned(), code })
    }

    /// It was ended, and is known to be: a guard that says no then says so for good, and it would only run into its time
    /// again.
    async fn out_of_time(&self, cx: &ActionCx<'_>, program: &str, after: Duration) -> ActionError {
        let after = after.as_millis();
        let message =
            format!("`{program}` of {} was ended after its `timeout_ms`, {after} ms", cx.resource());
        let error = match self.look(cx).await {
            Ok(Observation::Absent | Observation::Needed(_)) => ActionError::permanent(message),
            _ => ActionError::outcome_unknown(message),
        };
        error.with_hint("give it more time with `timeout_ms`, or find out what it waits for")
    }

    fn not_run(&self, cx: &ActionCx<'_>, error: HostError) -> ActionError {
        match error {
            HostError::NotFound { host, path } if self.dir.as_ref() == Some(&path) => {
                missing_dir(cx.resource(), "be run", &path, &host)
            }
            HostError::NotFound { host, path } => {
                let message =
                    format!("{} can not be run: there is no program {path} on {host}", cx.resource());
                ActionError::permanent(message).with_hint("install it, or correct `run`")
            }
            other => other.into(),
        }
    }

    fn failed(&self, cx: &ActionCx<'_>, output: &Output) -> ActionError {
        const LINES: usize = 20;
        let program = self.program();
        let message = format!("`{program}` of {} ended with {}", cx.resource(), output.status);
        // The one of a `command`, and the one of a `script`.
        if cx.is_sensitive("stdout") || cx.is_sensitive("result") {
            return ActionError::permanent(format!(
                "{message}; what it said is not told: its output is sensitive"
            ));
        }
        let said = last_words(output, LINES);
        ActionError::permanent(if said.is_empty() { message } else { format!("{message}:\n{said}") })
    }
}

/// What an `unless` said that ended so.
fn says_no(unless: &[String], output: &Output) -> String {
    let program = unless.first().map_or("", String::as_str);
    let why = format!("its `unless`, `{program}`, ended with {}", output.status);
    let said = last_words(output, 1);
    if said.is_empty() { why } else { format!("{why}: {said}") }
}

/// The last lines of what a command said: why it failed, where it told.
fn last_words(output: &Output, lines: usize) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let mut said = tail(said, lines);
    if output.truncated {
        said.push('…');
    }
    said
}

#[async_trait]
impl Resource for CommandSpec {
    const KIND: &'static str = "command";

    type Output = CommandOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.change = ChangeEffect::Rerun;
        traits.in_place = &["timeout_ms"];
        traits.removal = Removal::Forget;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_argv("run", &self.run)?;
        check_env(&self.env)?;
        if self.env.contains_key(orphan::VARIABLE) {
            return Err(InvalidField::new(
                "env",
                format!("can not set {}: it is detc's own", orphan::VARIABLE),
            ));
        }
        let mut footprint = Footprint::new(match (&self.creates, &self.unless) {
            (Some(_), Some(_)) => {
                return Err(InvalidField::new("unless", "can not stand beside `creates`: one of them tells"));
            }
            (Some(_), None) => CrashClass::DeterministicName,
            (None, Some(_)) => CrashClass::CompareAndSet,
            (None, None) => CrashClass::AtMostOnce,
        })
        .touching_more();
        if let Some(unless) = &self.unless {
            check_argv("unless", unless)?;
        }
        if let Some(path) = &self.creates {
            check_path("creates", path)?;
            footprint = footprint.writing(Place::path(path));
        }
        if let Some(dir) = &self.dir {
            check_path("dir", dir)?;
            footprint = footprint.reading(Place::path(dir));
        }
        if self.timeout_ms == Some(0) {
            return Err(InvalidField::new("timeout_ms", "must be more than 0"));
        }
        if self.timeout_ms.is_some() {
            // An earlier try that still runs is waited for as long.
            footprint = footprint.lasting(self.timeout().saturating_mul(2));
        }
        Ok(match self.run.first().filter(|program| program.starts_with('/') && !is_later(program)) {
            Some(program) => footprint.reading(Place::path(program)),
            None => footprint,
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match self.look(cx).await? {
            Observation::Unobservable => match orphan::find(cx, self.program()).await? {
                Some(orphan) => Observation::Unknown(orphan.still_runs()),
                None => Observation::Unobservable,
            },
            seen => seen,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        self.wait_to_create(cx).await?;
        self.execute(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        self.wait_to_update(cx).await?;
        self.execute(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
