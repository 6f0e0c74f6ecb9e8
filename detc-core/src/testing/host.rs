//! The conformance suite of [`Host`].
//!
//! It looks at a host from outside only. What it can not see (that the disk really has the bytes, that a killed command's
//! children are gone) each backend tests for itself.

use std::fmt::Debug;

use super::Violation;
use crate::backend::host::{Command, Host, HostError, Output, Ownership};

mod files;
mod large;
mod removal;
mod running;
mod writing;

/// Tries every law of the contract on `host`, within the directory `scratch`, which must exist, be empty, and belong to
/// nobody else. Returns the laws that were broken; none: the host conforms.
///
/// The host needs the programs `cat`, `false`, `ln`, `printenv`, `printf`, `pwd` and `sleep`, as POSIX has them. The suite
/// takes well under a second on a local machine.
pub async fn check_host(host: &dyn Host, scratch: &str) -> Vec<Violation> {
    let bench = Bench { host, scratch };
    let mut found = Findings::default();
    running::check(&bench, &mut found).await;
    files::check(&bench, &mut found).await;
    writing::check(&bench, &mut found).await;
    large::check(&bench, &mut found).await;
    removal::check(&bench, &mut found).await;
    found.0
}

/// What a law's check says: nothing, or what was seen instead.
type Verdict = Result<(), String>;

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn note(&mut self, law: &'static str, verdict: Verdict) {
        if let Err(detail) = verdict {
            self.0.push(Violation { law, detail });
        }
    }
}

struct Bench<'a> {
    host: &'a dyn Host,
    scratch: &'a str,
}

impl Bench<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.scratch)
    }

    async fn run(&self, argv: &[&str]) -> Result<Output, String> {
        self.host.run(&Command::new(argv.iter().copied())).await.map_err(|error| failed("run", &error))
    }

    /// A file of this content and mode `0644`; its path.
    async fn file(&self, name: &str, content: &[u8]) -> Result<String, String> {
        let path = self.path(name);
        let ownership = Ownership::new(Some(0o644), None, None);
        self.host.write(&path, content, &ownership).await.map_err(|error| failed("write", &error))?;
        Ok(path)
    }

    /// A directory; its path.
    async fn dir(&self, name: &str) -> Result<String, String> {
        let path = self.path(name);
        let made = self.host.make_dir(&path, &Ownership::default()).await;
        made.map_err(|error| failed("make_dir", &error))?;
        Ok(path)
    }

    /// A symbolic link to `target`; its path.
    async fn link(&self, target: &str, name: &str) -> Result<String, String> {
        let path = self.path(name);
        let output = self.run(&["ln", "-s", target, &path]).await?;
        expect(output.success(), || format!("`ln -s` ended with {}", output.status))?;
        Ok(path)
    }

    async fn content(&self, path: &str) -> Result<Vec<u8>, String> {
        self.host.read(path, 1 << 24).await.map_err(|error| failed("read", &error))
    }

    /// The permission bits of `path`.
    async fn mode(&self, path: &str) -> Result<u32, String> {
        match self.host.stat(path).await {
            Ok(Some(stat)) => Ok(stat.mode),
            Ok(None) => Err(format!("stat says that {path} is absent")),
            Err(error) => Err(failed("stat", &error)),
        }
    }
}

fn failed(call: &str, error: &HostError) -> String {
    format!("{call} failed: {error}")
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    expect(found == wanted, || format!("{what}: found {found:?}, expected {wanted:?}"))
}

/// That a call failed as the contract says.
fn refuses<T: Debug>(call: &str, result: Result<T, HostError>, right: fn(&HostError) -> bool) -> Verdict {
    match result {
        Err(error) if right(&error) => Ok(()),
        Err(error) => Err(format!("{call} failed with another error: {error:?}")),
        Ok(value) => Err(format!("{call} did not fail: {value:?}")),
    }
}

#[cfg(test)]
mod tests;
