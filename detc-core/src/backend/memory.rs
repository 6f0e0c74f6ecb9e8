//! A host in memory: a file tree, programs that are functions, and faults as data. For tests and simulations.
//!
//! It has no clock and no tasks: the same calls have the same results. A program says how long it takes, and one that
//! takes longer than its command allows is [`HostError::TimedOut`] at once.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;

use super::host::{Command, Host, HostError, Output, Ownership, Remove, Sink, Stat};
use crate::content::{Content, LEN_MAX as CONTENT_LEN_MAX};

mod fault;
mod files;
mod programs;

pub(super) use fault::Faults;
pub use fault::HostFault;
pub use files::Files;

type Program = Arc<dyn Fn(&Command, &mut Files) -> Ran + Send + Sync>;

/// A host in memory. Cloning gives another handle on the same host.
#[derive(Clone)]
pub struct MemoryHost {
    name: Arc<str>,
    programs: BTreeMap<String, Program>,
    state: Arc<Mutex<State>>,
}

struct State {
    files: Files,
    faults: Faults,
    /// How the files were before each change, where that is remembered.
    past: Option<Vec<Files>>,
}

/// What came of a program: its output, and how long it took.
#[derive(Clone, Debug)]
pub struct Ran {
    output: Output,
    takes: Duration,
}

impl Ran {
    /// It ended at once with this output.
    pub fn new(output: Output) -> Self {
        Self { output, takes: Duration::ZERO }
    }

    /// It took this long. When that is more than its command allowed, its output is lost.
    #[must_use]
    pub fn taking(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self::new(output)
    }
}

impl MemoryHost {
    /// An empty host: no files but `/`, no programs, no user but root.
    pub fn new(name: &str) -> Self {
        let state = State { files: Files::new(), faults: Faults::default(), past: None };
        Self { name: name.into(), programs: BTreeMap::new(), state: Arc::new(Mutex::new(state)) }
    }

    /// Adds the programs that the conformance suite needs, as far as it needs them: `cat`, `false`, `ln`, `printenv`,
    /// `printf`, `pwd`, `sleep`.
    #[must_use]
    pub fn with_basics(self) -> Self {
        programs::install(self)
    }

    /// Adds a program: what it does to the files, and what it prints. It is called while the host is locked.
    #[must_use]
    pub fn with_program<R: Into<Ran>>(
        mut self,
        name: &str,
        program: impl Fn(&Command, &mut Files) -> R + Send + Sync + 'static,
    ) -> Self {
        let program = Arc::new(move |command: &Command, files: &mut Files| program(command, files).into());
        self.programs.insert(name.to_owned(), program);
        self
    }

    /// Another host with the same programs, and nothing else of it.
    pub(super) fn like(&self, name: &str) -> Self {
        Self { programs: self.programs.clone(), ..Self::new(name) }
    }

    /// Begins a command: what it prints until it ends, or where it goes on; and whether it goes on.
    pub(super) fn begin(&self, command: &Command) -> Result<(Output, bool), HostError> {
        let mut state = self.lock();
        let Ran { output, takes } = self.ran(command, &mut state.files)?;
        Ok((output, !takes.is_zero()))
    }

    /// Limits the bytes in all files together.
    #[must_use]
    pub fn with_capacity(self, bytes: u64) -> Self {
        self.lock().files.set_capacity(bytes);
        self
    }

    /// Adds a user and a group of this name and number.
    #[must_use]
    pub fn with_user(self, name: &str, id: u32) -> Self {
        self.lock().files.add_name(name, id);
        self
    }

    /// Lets the `nth` call from now (0: the next) go wrong.
    pub fn fail_call(&self, nth: u64, fault: HostFault) {
        self.lock().faults.fail_call(nth, fault);
    }

    /// Lets every call from now go wrong; `None` heals the host, also of faults that were still to come.
    pub fn fail_all(&self, fault: Option<HostFault>) {
        self.lock().faults.fail_all(fault);
    }

    /// Remembers from now on how its files were before each change that a call makes.
    #[must_use]
    pub fn remembering(self) -> Self {
        self.lock().past = Some(Vec::new());
        self
    }

    /// A host as this one was, so many changes ago, or when it began to remember: what is done to it changes nothing here.
    #[must_use]
    pub fn before(&self, changes: usize) -> Self {
        let state = self.lock();
        let past = state.past.as_deref().unwrap_or_default();
        let files = match changes {
            0 => &state.files,
            _ => past.get(past.len().saturating_sub(changes)).unwrap_or(&state.files),
        };
        let state = State { files: files.clone(), faults: Faults::default(), past: None };
        Self { state: Arc::new(Mutex::new(state)), ..self.clone() }
    }

    /// How often what is at each path has changed since it began to remember, but for what is at or below `except`.
    pub fn changes(&self, except: &str) -> BTreeMap<String, usize> {
        let state = self.lock();
        let mut changes = BTreeMap::new();
        let mut all = state.past.iter().flatten().chain([&state.files]);
        let Some(mut before) = all.next() else { return changes };
        for now in all {
            for path in now.differences(before, except) {
                *changes.entry(path).or_default() += 1;
            }
            before = now;
        }
        changes
    }

    /// How many calls it has got.
    pub fn calls(&self) -> u64 {
        self.lock().faults.calls()
    }

    /// Looks at, or changes, the files from outside: what a person on the host might do.
    pub fn with_files<T>(&self, act: impl FnOnce(&mut Files) -> T) -> T {
        act(&mut self.lock().files)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each call either finishes its change of the tree or makes none, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: counts it, lets it go wrong if it should, and otherwise has the effect.
    fn call<T>(
        &self,
        what: &str,
        effect: impl FnOnce(&mut Files) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let mut state = self.lock();
        let fault = state.faults.next();
        let State { files, past, .. } = &mut *state;
        let effect = |files: &mut Files| {
            let before = past.as_ref().map(|_| files.clone());
            let done = effect(files);
            if let (Some(past), Some(before)) = (past.as_mut(), before)
                && *files != before
            {
                past.push(before);
            }
            done
        };
        match fault {
            None => effect(files),
            Some(HostFault::Unreachable) => {
                Err(HostError::Unreachable { host: self.to_string(), what: "no route to host".to_owned() })
            }
            Some(HostFault::AnswerLost) => {
                let _lost = effect(files);
                Err(HostError::AnswerLost { host: self.to_string(), what: what.to_owned() })
            }
            Some(HostFault::Refused(kind)) => {
                Err(HostError::Refused { host: self.to_string(), what: what.to_owned(), source: kind.into() })
            }
        }
    }

    /// A call on a path.
    fn on<T>(
        &self,
        path: &str,
        verb: &str,
        effect: impl FnOnce(&mut Files) -> io::Result<T>,
    ) -> Result<T, HostError> {
        HostError::check_path(self, path)?;
        let what = format!("{verb} {path}");
        self.call(&what, |files| effect(files).map_err(|error| HostError::of_io(self, path, &what, error)))
    }

    fn ran(&self, command: &Command, files: &mut Files) -> Result<Ran, HostError> {
        let missing = |path: &str| HostError::NotFound { host: self.to_string(), path: path.to_owned() };
        if let Some(dir) = &command.dir
            && files.list(dir).is_empty()
            && files.stat(dir).is_err()
        {
            return Err(missing(dir));
        }
        let program = self.programs.get(command.program()).ok_or_else(|| missing(command.program()))?;
        Ok(program(command, files))
    }

    fn execute(&self, command: &Command, files: &mut Files) -> Result<Output, HostError> {
        let Ran { mut output, takes } = self.ran(command, files)?;
        if takes > command.timeout {
            return Err(HostError::TimedOut {
                host: self.to_string(),
                command: command.program().to_owned(),
                after: command.timeout,
            });
        }
        for stream in [&mut output.stdout, &mut output.stderr] {
            output.truncated |= stream.len() > command.output_max;
            stream.truncate(command.output_max);
        }
        Ok(output)
    }
}

#[async_trait]
impl Host for MemoryHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        HostError::check_command(self, command)?;
        self.call(&format!("run {}", command.program()), |files| self.execute(command, files))
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        self.on(path, "look at", |files| absent_is_none(files.stat(path)))
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let content = self.on(path, "read", |files| files.read(path).map(<[u8]>::to_vec))?;
        let len = content.len() as u64;
        if len > limit {
            return Err(HostError::TooLarge { host: self.to_string(), path: path.to_owned(), limit });
        }
        let given = into.write_all(&content).await;
        given.map_err(|error| HostError::of_io(self, path, &format!("read {path}"), error))?;
        Ok(len)
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let written =
            self.on(path, "write", |files| files.write(path, &content.bytes(CONTENT_LEN_MAX)?, ownership));
        written.map_err(|error| error.of_making(path))
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.on(path, "make the directory", |files| files.make_dir(path, ownership))
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.on(path, "set mode and owner of", |files| files.set_ownership(path, ownership))
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.on(path, "remove", |files| absent_is_none(files.remove(path, how)).map(drop))
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Display for MemoryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Debug for MemoryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryHost({})", self.name)
    }
}

#[cfg(test)]
mod tests;
