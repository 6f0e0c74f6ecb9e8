//! How a container is run: its rights, its restarts, its health, its log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Swap space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// So many bytes beside its memory; 0: none.
    Bytes(u64),
    /// As much as there is.
    Unlimited,
}

/// Rights of a container's root user, by their names in capital letters without `CAP_`, `NET_ADMIN`; `ALL` is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Given beside what the engine gives.
    pub add: BTreeSet<String>,
    /// Taken of what the engine gives.
    pub drop: BTreeSet<String>,
}

/// When the engine starts a container again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never: the next look finds it ended.
    #[default]
    Never,
    /// When it has ended by itself, and when the engine has started, whether it was stopped or not.
    Always,
    /// When it has ended by itself; when the engine has started, unless it was stopped.
    UnlessStopped,
    /// When it has ended with another exit code than 0.
    OnFailure {
        /// At most so often in a row; `None`: however often.
        retries_max: Option<u32>,
    },
}

/// How to find out whether a container works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not at all, also where the image would.
    Off,
    /// By a command inside.
    Probe(Probe),
}

/// A command that is run inside again and again. It passes with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The command.
    pub test: Test,
    /// How long after one has ended the next begins.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// For how long after the start one that fails does not count.
    pub start_period: Duration,
    /// How many in a row have to fail.
    pub retries: u32,
}

impl Probe {
    /// Runs `test` every 30 s for at most 30 s; three that fail make it unhealthy. These are the engine's defaults.
    pub fn new(test: Test) -> Self {
        Self {
            test,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            start_period: Duration::ZERO,
            retries: 3,
        }
    }
}

/// A command of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// An argument vector.
    Command(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

/// Where what a container prints goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logging {
    /// Which driver takes it.
    pub driver: String,
    /// The driver's options, as it spells them.
    pub options: BTreeMap<String, String>,
}

impl Logging {
    /// This driver with these options.
    pub fn new(driver: impl Into<String>, options: BTreeMap<String, String>) -> Self {
        Self { driver: driver.into(), options }
    }

    /// Files of at most so many bytes each, the newest of which are kept. They can be read by
    /// [`logs`](super::Containers::logs).
    pub fn files(bytes_max: u64, files_max: u32) -> Self {
        let options =
            [("max-size".to_owned(), bytes_max.to_string()), ("max-file".to_owned(), files_max.to_string())];
        Self::new("json-file", options.into())
    }
}
