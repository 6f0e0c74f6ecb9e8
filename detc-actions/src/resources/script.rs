//! `script`: a script with declared inputs, and a result that others can use.
//!
//! Its text is kept on the host under its digest, is sent there once, and is run as a `command`: guarded, found again and
//! waited for after a crash as one is. What it is given is JSON in one variable, and what it prints is one JSON value.

use std::collections::BTreeMap;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, Footprint};
use detc_core::backend::host::{Ownership, Remove};
use detc_core::model::{Digest, Observation};
use detc_core::resource::{InvalidField, KindTraits, Removed, Resource, Source};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::command::{CommandOutput, CommandSpec};
use super::common::{check_argv, tail};

/// The spec of a `script`. Exactly one of `content` and `source` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSpec {
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A file beside the desired state file that has its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What runs it: a program and its arguments, after which comes the path of the script.
    pub interpreter: Vec<String>,
    /// What it is given, as one JSON object in the variable `DETC_INPUTS`. It is run once more when they change.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
    /// A path that is there when it has been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// A command that ends with code 0 when it has been done. It has the inputs, too.
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

/// What a `script` gives to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScriptOutput {
    /// The JSON value that it printed; null when it printed nothing.
    pub result: Value,
}

/// The variable that holds the inputs.
const INPUTS: &str = "DETC_INPUTS";

/// Most bytes of inputs: Linux refuses a variable of more than 128 KiB, with its name.
const INPUTS_LEN_MAX: usize = 100 << 10;

impl ScriptSpec {
    /// A script of this text, run by `/bin/sh`.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: Some(content.into()),
            source: None,
            interpreter: vec!["/bin/sh".to_owned()],
            inputs: Map::new(),
            creates: None,
            unless: None,
            env: BTreeMap::new(),
            dir: None,
            timeout_ms: None,
        }
    }

    fn text(&self, cx: &ActionCx<'_>) -> Result<Vec<u8>, ActionError> {
        match (&self.content, &self.source) {
            (Some(content), _) => Ok(content.clone().into_bytes()),
            (None, Some(source)) => Ok(cx.blob(&source.digest)?.to_vec()),
            (None, None) => Err(ActionError::permanent(format!("{} has no text", cx.resource()))),
        }
    }

    /// The command that it is, with its text at `path`.
    fn command(&self, path: &str) -> CommandSpec {
        let mut command = CommandSpec::new(self.interpreter.iter().cloned().chain([path.to_owned()]));
        command.creates.clone_from(&self.creates);
        command.unless.clone_from(&self.unless);
        command.env.clone_from(&self.env);
        command.dir.clone_from(&self.dir);
        command.timeout_ms = self.timeout_ms;
        command.env.insert(INPUTS.to_owned(), Value::Object(self.inputs.clone()).to_string());
        command
    }

    /// Where its text is kept: nobody else's, whatever it is called. A sensitive one is there only while it runs, and not under its
    /// digest, by which it could be guessed.
    fn path(cx: &ActionCx<'_>, text: &[u8]) -> String {
        let name = match is_secret(cx) {
            true => Digest::of(format!("{}/{}", cx.scope(), cx.identity()).as_bytes()),
            false => Digest::of(text),
        };
        format!("{}/scripts/{name}", cx.state_dir())
    }

    /// The command that it is. Its text is on the host then.
    async fn placed(&self, cx: &ActionCx<'_>) -> Result<CommandSpec, ActionError> {
        let (text, host) = (self.text(cx)?, cx.host()?);
        let path = Self::path(cx, &text);
        // It may be another's to read what is in it.
        let ours = |mode| Ownership::new(Some(mode), None, None);
        if is_secret(cx) || host.stat(&path).await?.is_none_or(|stat| stat.size != text.len() as u64) {
            host.make_dir(&format!("{}/scripts", cx.state_dir()), &ours(0o700)).await?;
            host.write(&path, &text, &ours(0o600)).await?;
        }
        let mut command = self.command(&path);
        if is_secret(cx) {
            let wrapper = ["sh", "-c", REMOVING, "sh", &path].map(str::to_owned);
            command.run.splice(0..0, wrapper);
        }
        Ok(command)
    }

    /// Runs it, once no earlier try runs any more: a sensitive text is not there any more when one has ended.
    async fn run(&self, cx: &ActionCx<'_>) -> Result<ScriptOutput, ActionError> {
        let command = self.placed(cx).await?;
        let ended = command.execute(cx).await;
        if is_secret(cx) {
            // It has removed that itself, unless it could not be run: what has become of it is to be told.
            cx.host()?.remove(&Self::path(cx, b""), Remove::File).await.ok();
        }
        result_of(cx, &ended?)
    }
}

/// Whether its text must not stay on the host.
fn is_secret(cx: &ActionCx<'_>) -> bool {
    cx.is_sensitive("content") || cx.is_sensitive("source")
}

/// Runs a script and removes its text, `$1`, when that has ended, whatever became of detc meanwhile.
const REMOVING: &str = r#"
text=$1
shift
"$@"
code=$?
rm -f -- "$text"
exit "$code"
"#;

/// What a script printed.
fn result_of(cx: &ActionCx<'_>, output: &CommandOutput) -> Result<ScriptOutput, ActionError> {
    if output.stdout.trim().is_empty() {
        return Ok(ScriptOutput { result: Value::Null });
    }
    let result = serde_json::from_str(&output.stdout).map_err(|error| {
        let said = if cx.is_sensitive("result") {
            "; it is not told: it is sensitive".to_owned()
        } else {
            format!(":\n{}", tail(output.stdout.as_bytes(), 3))
        };
        let message = format!("{} was done, and what it printed is not one JSON value{said}", cx.resource());
        ActionError::permanent(message)
            .with_source(error)
            .with_hint("let it print one JSON value or nothing, and all else to standard error (`>&2`)")
    })?;
    Ok(ScriptOutput { result })
}

#[async_trait]
impl Resource for ScriptSpec {
    const KIND: &'static str = "script";

    type Output = ScriptOutput;

    fn traits() -> KindTraits {
        let mut traits = CommandSpec::traits();
        traits.sources = &["source"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        match (&self.content, &self.source) {
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) => return Err(InvalidField::new("content", "is missing: give it, or `source`")),
            (Some(_), Some(_)) => {
                return Err(InvalidField::new("content", "can not stand beside `source`"));
            }
        }
        check_argv("interpreter", &self.interpreter)?;
        if self.env.contains_key(INPUTS) {
            return Err(InvalidField::new("env", format!("can not set {INPUTS}: that has the `inputs`")));
        }
        let command = self.command("");
        let len = command.env[INPUTS].len();
        if len > INPUTS_LEN_MAX {
            let problem = format!(
                "have {len} bytes, and at most {INPUTS_LEN_MAX} can be given: put them into a `file`"
            );
            return Err(InvalidField::new("inputs", problem));
        }
        command.inspect()
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        // Only the guard is run, which needs no text on the host.
        self.command("").observe(cx).await
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<ScriptOutput, ActionError> {
        self.command("").wait_to_create(cx).await?;
        self.run(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<ScriptOutput, ActionError> {
        self.command("").wait_to_update(cx).await?;
        self.run(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
