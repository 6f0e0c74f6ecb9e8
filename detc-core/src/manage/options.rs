//! How a manager works.

use std::sync::Arc;
use std::time::Duration;

use super::{Clock, SystemClock};
use crate::execute::{DriverOptions, Limits, Retry};

/// How a manager works.
#[derive(Clone)]
#[non_exhaustive]
pub struct ManagerOptions {
    /// What others are told of the one who holds the store.
    pub holder: String,
    /// How much is done at once.
    pub limits: Limits,
    /// How often a failed call is tried again.
    pub retry: Retry,
    /// Deadlines.
    pub driver: DriverOptions,
    /// Where detc keeps its own things on the manager's own machine.
    pub state_dir: String,
    /// How many runs are kept. Default 50: enough for some weeks of releases, and a run's plan and log are small.
    pub runs_max: usize,
    /// How long the lease on the store lives when the process dies in silence. Default 15 s: longer than any pause of a
    /// healthy process, shorter than a person's patience.
    pub lease: Duration,
    /// How long a connection to a host may take. Default one minute: a host that takes longer is not going to answer, and
    /// must not hold up the others.
    pub connect_timeout: Duration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for ManagerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagerOptions").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Default for ManagerOptions {
    fn default() -> Self {
        Self {
            holder: format!("process {}", std::process::id()),
            limits: Limits::default(),
            retry: Retry::default(),
            driver: DriverOptions::default(),
            state_dir: "/var/lib/detc".to_owned(),
            runs_max: 50,
            lease: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
        }
    }
}

impl ManagerOptions {
    /// Keeps detc's own things on the manager's machine below this folder.
    #[must_use]
    pub fn with_state_dir(mut self, dir: impl Into<String>) -> Self {
        self.state_dir = dir.into();
        self
    }

    /// Names this manager to others that find the store held.
    #[must_use]
    pub fn with_holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// Sets how what fails is tried again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the deadlines of checks and applies.
    #[must_use]
    pub fn with_driver(mut self, driver: DriverOptions) -> Self {
        self.driver = driver;
        self
    }

    /// Sets how many runs are kept.
    #[must_use]
    pub fn with_runs_max(mut self, runs: usize) -> Self {
        self.runs_max = runs;
        self
    }

    /// Sets how long the lease on the store lives when the process dies in silence.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how long a connection to a host may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Has the time told by `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how much is done at once.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}
