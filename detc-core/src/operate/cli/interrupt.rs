//! Interrupts: Ctrl-C, and the other signals that ask a program to end. Before anything is begun the first one leaves; during a run the first one finishes what is in
//! flight, and the second leaves at once. Whoever is left alone is told what may still be at work, and what to do.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use super::INTERRUPTED;
use super::error::Failed;
use super::output::Output;
use crate::execute::{Progress, StopHandle};
use crate::plan::Plan;

/// Listens for interrupts while the process lives, and knows what they would break off.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    stop: StopHandle,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// The actions whose effect has begun, by their number.
    in_flight: BTreeMap<u32, String>,
    /// What is drawn, to be cleared before a last word.
    bar: Option<ProgressBar>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Looking, planning, asking: there is nothing to finish.
    #[default]
    Before,
    /// An interrupted run was finished, and the next plan is not begun.
    Between,
    /// A run goes on.
    Running,
    /// The result is being written; whoever interrupts that wants no more words.
    Over,
}

/// Most actions in flight that are named.
const NAMED_MAX: usize = 5;

impl Interrupts {
    /// Listens. `again` says how one goes on after a run was broken off.
    pub(super) fn listen(output: &Output, again: &'static str) -> Self {
        let interrupts = Self { stop: StopHandle::new(), state: Arc::default() };
        let (listener, output) = (interrupts.clone(), *output);
        // From here on, and not from when the task below has its turn.
        let mut signals = Signals::listen();
        #[allow(
            clippy::disallowed_methods,
            reason = "it listens as long as the process lives; there is nothing to join"
        )]
        tokio::spawn(async move {
            while signals.next().await.is_some() {
                if listener.lock().phase != Phase::Running || listener.stop.is_stopped() {
                    listener.leave(&output, again);
                }
                listener.stop.stop();
            }
        });
        interrupts
    }

    /// What stops a run in good order.
    pub(super) fn stop(&self) -> StopHandle {
        self.stop.clone()
    }

    /// A run begins.
    pub(super) fn running(&self) {
        self.lock().phase = Phase::Running;
    }

    /// An interrupted run was finished; something else is looked at now.
    pub(super) fn between(&self) {
        self.lock().phase = Phase::Between;
    }

    /// The result is written now.
    pub(super) fn over(&self) {
        self.lock().phase = Phase::Over;
    }

    /// Whether a run was finished already in this command.
    pub(super) fn has_run(&self) -> bool {
        self.lock().phase != Phase::Before
    }

    /// What is drawn while the run goes on.
    pub(super) fn drawn(&self, bar: &ProgressBar) {
        self.lock().bar = Some(bar.clone());
    }

    /// Takes note of what is in flight.
    pub(super) fn note(&self, plan: &Plan, progress: &Progress<'_>) {
        match progress {
            Progress::Applying { action, .. } => {
                self.lock().in_flight.insert(*action, plan.action_id(*action));
            }
            Progress::Ended { action, .. } => {
                self.lock().in_flight.remove(action);
            }
            Progress::Over { .. } => self.lock().in_flight.clear(),
            Progress::Began { .. }
            | Progress::Delayed { .. }
            | Progress::Stopping
            | Progress::Observing { .. } => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is left behind, and ends the process.
    fn leave(&self, output: &Output, again: &str) -> ! {
        let state = self.lock();
        if let Some(bar) = &state.bar {
            bar.finish_and_clear();
        }
        let (message, next) = last_words(&state, again);
        match state.phase {
            Phase::Over => {}
            _ if output.json => {
                let failed = Failed::interrupted(message);
                output.error(&Failed { hint: next, ..failed });
            }
            _ => {
                // A terminal shows `^C` where the cursor stands.
                let line = if output.watched { "\n" } else { "" };
                let next = next.map(|next| format!(" {next}")).unwrap_or_default();
                let _closed = writeln!(std::io::stderr(), "{line}{message}.{next}");
            }
        }
        std::process::exit(i32::from(INTERRUPTED));
    }
}

/// The signals that ask a program to end: all are taken as Ctrl-C is. To be ended in the midst of a run is what a crash is.
#[cfg(unix)]
struct Signals([Option<tokio::signal::unix::Signal>; 3]);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let ignored = ignored();
        // Whoever started it under `nohup` wants it to go on.
        let is_wanted = |kind: &SignalKind| {
            *kind == SignalKind::interrupt() || ignored & (1 << (kind.as_raw_value() - 1)) == 0
        };
        Self(kinds.map(|kind| if is_wanted(&kind) { signal(kind).ok() } else { None }))
    }

    /// The next one; `None`: none can come any more.
    async fn next(&mut self) -> Option<()> {
        let [interrupt, terminate, hangup] = &mut self.0;
        if interrupt.is_none() && terminate.is_none() && hangup.is_none() {
            return None;
        }
        tokio::select! {
            Some(()) = next_of(interrupt) => Some(()),
            Some(()) = next_of(terminate) => Some(()),
            Some(()) = next_of(hangup) => Some(()),
            else => None,
        }
    }
}

#[cfg(unix)]
async fn next_of(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => None,
    }
}

/// The signals that this process was started to ignore, a bit for each; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) -> Option<()> {
        tokio::signal::ctrl_c().await.ok()
    }
}

/// What happened, and what to know or to do next.
fn last_words(state: &State, again: &str) -> (String, Option<String>) {
    match state.phase {
        Phase::Before => ("Interrupted: nothing was changed".to_owned(), None),
        Phase::Between => ("Interrupted before this plan was begun".to_owned(), None),
        Phase::Running | Phase::Over if state.in_flight.is_empty() => {
            ("Left at once, with nothing in flight".to_owned(), Some(again.to_owned()))
        }
        Phase::Running | Phase::Over => {
            let mut names: Vec<&str> = state.in_flight.values().take(NAMED_MAX).map(String::as_str).collect();
            let more = format!("{} more", state.in_flight.len() - names.len());
            if state.in_flight.len() > names.len() {
                names.push(&more);
            }
            let message = format!("Left at once, with {} in flight", names.join(", "));
            (message, Some(format!("What was started may still be at work. {again}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_last_words_name_a_few_of_many_actions() {
        let in_flight = (0..8).map(|n| (n, format!("create:value/v{n}"))).collect();
        let state = State { phase: Phase::Running, in_flight, bar: None };
        let (message, next) = last_words(&state, "`apply` resumes the run.");
        expect![[r#"
            Left at once, with create:value/v0, create:value/v1, create:value/v2, create:value/v3, create:value/v4, 3 more in flight
            What was started may still be at work. `apply` resumes the run.
        "#]].assert_eq(&format!("{message}\n{}\n", next.unwrap()));
    }
}
