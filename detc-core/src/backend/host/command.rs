//! What a host runs, and what comes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// When a command has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// When it has exited and whoever inherited its outputs has closed them. Its outputs are for whoever runs it: when that
    /// is gone, its next line may end it.
    #[default]
    WithItsOutputs,
    /// When its program has exited, though others may still hold its outputs. When whoever runs it is gone, it goes on: what
    /// it prints, and what others print in its stead, is read, and dropped, for as long as there is any.
    WithItsProgram,
}

/// What a command is run for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// It may change something: it is run once.
    #[default]
    Change,
    /// Its answer. It changes nothing and leaves nothing running, so that a host may run it together with others that ask, one after
    /// the other, and more than once; when its caller goes, it may go on to its deadline.
    Ask,
}

/// A command: an argument vector and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// Program and arguments. A program without a slash is looked up in the host's `PATH`.
    pub argv: Vec<String>,
    /// Variables set beside the host's own environment.
    pub env: BTreeMap<String, String>,
    /// The working directory; `None`: the host's default.
    pub dir: Option<String>,
    /// What it reads on standard input.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many bytes of each output stream are kept; more is read, dropped and said so in [`Output::truncated`].
    pub output_max: usize,
    /// What becomes of it when whoever runs it is gone, and when it has exited before what it started.
    pub end: End,
    /// What it is run for.
    pub purpose: Purpose,
}

impl Command {
    /// A command of `argv` with an empty input, ten minutes, and 1 MiB kept of each output: enough for what people read,
    /// and small enough that a thousand of them fit in memory.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            dir: None,
            stdin: Vec::new(),
            timeout: Duration::from_secs(600),
            output_max: 1 << 20,
            end: End::WithItsOutputs,
            purpose: Purpose::Change,
        }
    }

    /// Sets variables beside the host's environment.
    #[must_use]
    pub fn with_env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = env;
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn with_dir(mut self, dir: Option<String>) -> Self {
        self.dir = dir;
        self
    }

    /// Sets what it reads on standard input.
    #[must_use]
    pub fn with_stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes of each output stream are kept.
    #[must_use]
    pub fn with_output_max(mut self, output_max: usize) -> Self {
        self.output_max = output_max;
        self
    }

    /// Lets it go on when whoever runs it dies, and what it leaves in the background go on when it has exited.
    #[must_use]
    pub fn outliving(mut self) -> Self {
        self.end = End::WithItsProgram;
        self
    }

    /// Declares that it only asks: see [`Purpose::Ask`].
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.purpose = Purpose::Ask;
        self
    }

    /// The program's name, for messages.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Whether a host can take it: what is wrong with it, in words.
    ///
    /// # Errors
    /// When there is no program, a text holds a NUL byte, a variable has no name or one with `=`, or the directory is
    /// relative.
    pub fn validate(&self) -> Result<(), String> {
        if self.program().is_empty() {
            return Err("the command names no program".to_owned());
        }
        if let Some(bad) = self.argv.iter().find(|text| text.contains('\0')) {
            return Err(format!("argument {bad:?} holds a NUL byte"));
        }
        if let Some((name, _)) = self
            .env
            .iter()
            .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return Err(format!("variable {name:?} can not be set"));
        }
        self.dir.as_deref().map_or(Ok(()), super::file::check_path)
    }
}

/// What a command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether a stream was longer than was kept.
    pub truncated: bool,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Default for ExitStatus {
    fn default() -> Self {
        Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_no_host_could_run_as_written_is_refused() {
        assert!(Command::new(["printf", ""]).validate().is_ok());
        assert!(Command::new(Vec::<String>::new()).validate().is_err());
        assert!(Command::new(["a\0b"]).validate().is_err());
        assert!(Command::new(["a"]).with_dir(Some("b".into())).validate().is_err());
        let env = BTreeMap::from([("A=B".to_owned(), String::new())]);
        assert!(Command::new(["a"]).with_env(env).validate().is_err());
    }
}
