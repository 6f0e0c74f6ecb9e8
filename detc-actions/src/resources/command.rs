//! `command`: runs a program once.
//!
//! `creates` or `unless` tell whether it has been done; with neither, only the record does, and a crash while it runs is
//! left to a person: it may or may not have happened, and nothing can tell.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus, Output};
use detc_core::model::{Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removal, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::common::{check_argv, check_env, check_path, is_later, tail};

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
        Command::new(argv)
            .with_env(self.env.clone())
            .with_dir(self.dir.clone())
            .with_timeout(self.timeout_ms.map_or(TIMEOUT, Duration::from_millis))
    }

    async fn execute(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        let output = cx.host()?.run(&self.command(&self.run)).await.map_err(|error| match &error {
            HostError::TimedOut { .. } => ActionError::from(error)
                .with_hint("give it more time with `timeout_ms`, or find out what it waits for"),
            _ => error.into(),
        })?;
        let ExitStatus::Code(code @ 0) = output.status else { return Err(self.failed(cx, &output)) };
        if let Some(path) = &self.creates
            && cx.host()?.stat(path).await?.is_none()
        {
            let message = format!("{} ended well, and {path} is not there", cx.resource());
            return Err(ActionError::permanent(message).with_hint("correct `creates`, or what it runs"));
        }
        Ok(CommandOutput { stdout: String::from_utf8_lossy(&output.stdout).into_owned(), code })
    }

    fn failed(&self, cx: &ActionCx<'_>, output: &Output) -> ActionError {
        const LINES: usize = 20;
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        let said = tail(said, LINES);
        let program = self.run.first().map_or("", String::as_str);
        let message = format!("`{program}` of {} ended with {}", cx.resource(), output.status);
        ActionError::permanent(if said.is_empty() { message } else { format!("{message}:\n{said}") })
    }
}

#[async_trait]
impl Resource for CommandSpec {
    const KIND: &'static str = "command";

    type Output = CommandOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.change = ChangeEffect::Rerun;
        traits.removal = Removal::Forget;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_argv("run", &self.run)?;
        check_env(self.env.keys())?;
        let mut footprint = Footprint::new(match (&self.creates, &self.unless) {
            (Some(_), Some(_)) => {
                return Err(InvalidField::new("unless", "can not stand beside `creates`: one of them tells"));
            }
            (Some(_), None) => CrashClass::DeterministicName,
            (None, Some(_)) => CrashClass::CompareAndSet,
            (None, None) => CrashClass::AtMostOnce,
        });
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
        Ok(match self.run.first().filter(|program| program.starts_with('/') && !is_later(program)) {
            Some(program) => footprint.reading(Place::path(program)),
            None => footprint,
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let done = match (&self.creates, &self.unless) {
            (Some(path), _) => cx.host()?.stat(path).await?.is_some(),
            (None, Some(unless)) => match cx.host()?.run(&self.command(unless)).await {
                Ok(output) => output.success(),
                // Its program, or the directory, may be what is yet to be made.
                Err(HostError::NotFound { .. }) => false,
                Err(other) => return Err(other.into()),
            },
            (None, None) => return Ok(Observation::Unobservable),
        };
        Ok(if done { Observation::Present(Present::new()) } else { Observation::Absent })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        self.execute(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<CommandOutput, ActionError> {
        self.execute(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests {
    use super::*;
    use crate::test_util::Bench;

    #[tokio::test]
    async fn it_is_done_when_its_path_is_there() {
        let bench = Bench::new("command/c");
        let creates = bench.path("made");
        let spec = CommandSpec { creates: Some(creates.clone()), ..CommandSpec::new(["touch", &creates]) };
        assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
        spec.create(&bench.cx()).await.unwrap();
        assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Present(Present::new()));
    }

    #[tokio::test]
    async fn a_command_that_does_not_make_what_it_should_has_failed() {
        let bench = Bench::new("command/c");
        let creates = bench.path("made");
        let spec = CommandSpec { creates: Some(creates.clone()), ..CommandSpec::new(["true"]) };
        let error = spec.create(&bench.cx()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("command/c ended well, and {creates} is not there"));
    }

    #[tokio::test]
    async fn a_test_tells_whether_it_is_done() {
        let bench = Bench::new("command/c");
        let unless = |argv: &[&str]| CommandSpec {
            unless: Some(argv.iter().map(|&text| text.to_owned()).collect()),
            ..CommandSpec::new(["true"])
        };
        let seen = unless(&["true"]).observe(&bench.cx()).await.unwrap();
        assert_eq!(seen, Observation::Present(Present::new()));
        for argv in [&["false"], &["detc-no-such-program"]] {
            assert_eq!(unless(argv).observe(&bench.cx()).await.unwrap(), Observation::Absent);
        }
        let seen = CommandSpec::new(["true"]).observe(&bench.cx()).await.unwrap();
        assert_eq!(seen, Observation::Unobservable);
    }

    #[tokio::test]
    async fn its_output_is_exact_and_it_has_its_variables_and_directory() {
        let bench = Bench::new("command/c");
        let spec = CommandSpec {
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            dir: Some(bench.path("")),
            ..CommandSpec::new(["sh", "-c", "touch here; printf ' %s \\n\\n' \"$GREETING $1\"", "sh", "$x;y"])
        };
        let output = spec.create(&bench.cx()).await.unwrap();
        assert_eq!(output, CommandOutput { stdout: " hello $x;y \n\n".into(), code: 0 });
        assert!(std::path::Path::new(&bench.path("here")).exists());
    }

    #[tokio::test]
    async fn a_failure_tells_the_code_and_what_was_said() {
        let bench = Bench::new("command/c");
        let spec = CommandSpec::new(["sh", "-c", "echo out; echo wrong >&2; exit 3"]);
        let error = spec.create(&bench.cx()).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` of command/c ended with exit code 3:\nwrong");
    }

    #[tokio::test]
    async fn a_command_out_of_time_has_an_unknown_outcome() {
        let bench = Bench::new("command/c");
        let spec = CommandSpec { timeout_ms: Some(30), ..CommandSpec::new(["sleep", "600"]) };
        let error = spec.create(&bench.cx()).await.unwrap_err();
        assert_eq!(error.class(), detc_core::action::ErrorClass::OutcomeUnknown);
        assert!(error.hint().unwrap().contains("timeout_ms"));
    }

    #[test]
    fn how_its_outcome_is_found_out_follows_from_the_guard() {
        let class = |text: &str| {
            let spec: CommandSpec = serde_json::from_str(text).unwrap();
            spec.inspect().map(|footprint| footprint.crash).map_err(|error| error.to_string())
        };
        assert_eq!(class(r#"{"run": ["a"]}"#), Ok(CrashClass::AtMostOnce));
        assert_eq!(class(r#"{"run": ["a"], "creates": "/x"}"#), Ok(CrashClass::DeterministicName));
        assert_eq!(class(r#"{"run": ["a"], "unless": ["b"]}"#), Ok(CrashClass::CompareAndSet));
        assert_eq!(class(r#"{"run": []}"#), Err("`run` must name a program: it is an empty list".to_owned()));
        assert!(class(r#"{"run": ["a"], "unless": ["b"], "creates": "/x"}"#).is_err());
    }
}
