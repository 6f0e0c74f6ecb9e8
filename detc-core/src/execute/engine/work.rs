//! What the engine is given: the shape of the work, and how often a failed call is tried again.

use std::time::Duration;

use crate::action::CrashClass;

/// The shape of the work: what the engine must know of the actions.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// For each action, those it comes after.
    pub after: Vec<Box<[u32]>>,
    /// For each action, how its outcome is found out after a crash.
    pub crash: Vec<CrashClass>,
    /// How many may be at work in all.
    pub global: usize,
    /// How many may be at work in each group.
    pub groups: Vec<usize>,
    /// For each action, its groups; empty: none has any.
    pub member: Vec<Box<[u32]>>,
    /// For each action, whether it has an effect in the world; empty: none has any. Such a one is recorded as started only
    /// when it will be applied at once: what was seen before is still so then, and a crash leaves few that had begun.
    pub has_effect: Vec<bool>,
}

/// How often a failed call is tried again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry {
    /// How often in all. Default 5: with the delays below that is about six seconds, longer than most restarts of a
    /// service and shorter than a person's patience.
    pub attempts_max: u32,
    /// The first delay; it doubles each time. Default 200 ms.
    pub delay_first: Duration,
    /// The longest delay. Default 10 s.
    pub delay_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts_max: 5, delay_first: Duration::from_millis(200), delay_max: Duration::from_secs(10) }
    }
}

impl Retry {
    /// Sets how often an action is tried in all; at least once.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts.max(1);
        self
    }

    /// Sets the delay before the second try, which doubles before each further one, and the longest.
    #[must_use]
    pub fn with_delays(mut self, first: Duration, max: Duration) -> Self {
        (self.delay_first, self.delay_max) = (first, max);
        self
    }

    /// How long is waited after try number `attempt`, from 1.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        self.delay_first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.delay_max)
    }
}
