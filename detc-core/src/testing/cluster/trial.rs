//! A life with faults, compared with one without.

use std::collections::BTreeMap;

use super::kept::Broken;
use super::left::Found;
use super::life::{Ended, Life};
use super::{Scenario, clock};
use crate::testing::Violation;
use crate::testing::calls::{Fault, Script, Touched};

/// What a life without faults was like.
pub(super) struct Reference {
    pub(super) calls: Vec<Touched>,
    world: String,
    changes: BTreeMap<String, usize>,
    counts: BTreeMap<String, usize>,
    /// What was not kept in it.
    pub(super) broken: Option<Violation>,
    /// What was never to be kept, since it held at the begin of no state.
    pub(super) never_held: Vec<String>,
}

impl Reference {
    /// # Panics
    /// When time is not paused, or a state is not reached without any fault.
    pub(super) async fn of(scenario: &Scenario) -> Self {
        clock::expect_paused();
        Self::try_of(scenario).await.unwrap_or_else(|wrong| panic!("without any fault: {wrong}"))
    }

    /// The same; an error is what goes wrong without any fault.
    pub(super) async fn try_of(scenario: &Scenario) -> Result<Self, String> {
        let found = Found::before(scenario).await;
        let life = Life::new(scenario);
        let ended = life.live(Script::default()).await;
        if !matches!(ended, Ended::Well) {
            return Err(ended.words());
        }
        let (world, changes, counts) = (scenario.world(), scenario.changes(), scenario.counts());
        let never_held = life.ledger.as_ref().map(|ledger| ledger.never_held()).unwrap_or_default();
        let (calls, broken) = (scenario.calls.touched(), not_kept(&life, scenario));
        match found.wrong_after(scenario).await {
            None => Ok(Self { calls, world, changes, counts, broken, never_held }),
            Some(detail) => {
                let law = "what is there in the end is what was asked for";
                Err(Violation { law, detail }.to_string())
            }
        }
    }

    /// Lives `scenario`, anew, while all this goes wrong. What is broken then, if anything is.
    pub(super) async fn try_script(&self, scenario: &Scenario, script: Script) -> Option<Violation> {
        let life = Life::new(scenario);
        let ended = life.live(script).await;
        // It comes first in the story, and what it ends in may follow from it.
        if let Some(broken) = not_kept(&life, scenario) {
            return Some(broken);
        }
        let (world, met) = (scenario.world(), scenario.calls.met());
        let law = match &ended {
            Ended::Well if world != self.world => {
                "whatever goes wrong, what is there in the end is what was asked for, once"
            }
            Ended::Well if self.has_done_otherwise(scenario, &met) => {
                "whatever goes wrong, nothing is done that was done, and nothing that is not asked for"
            }
            Ended::Well => return None,
            Ended::Short(..) => "when faults have passed, what is asked for is reached, and stays",
        };
        let what = match ended {
            Ended::Well if world != self.world => {
                crate::testing::resource::difference_of(&self.world, &world)
            }
            Ended::Well => {
                let changed = difference(&self.changes, &scenario.changes(), "changed");
                changed.unwrap_or_else(|| {
                    difference(&self.counts, &scenario.counts(), "done").unwrap_or_default()
                })
            }
            short => short.words(),
        };
        let detail = format!("{}: {what}", story(&scenario.calls.touched(), &met));
        Some(Violation { law, detail })
    }

    /// Whether something was done more often, or less.
    fn has_done_otherwise(&self, scenario: &Scenario, met: &[(usize, Fault)]) -> bool {
        let is_misled = met.iter().any(|(_, fault)| matches!(fault, Fault::Stale(_)));
        !may_do_again(met)
            && (scenario.changes() != self.changes || (!is_misled && scenario.counts() != self.counts))
    }
}

/// What was not kept in this life, told up to there.
fn not_kept(life: &Life<'_>, scenario: &Scenario) -> Option<Violation> {
    const LAW: &str = "whatever goes wrong, what is to be kept at every moment is kept";
    let Broken { at, words } = life.ledger.as_ref()?.broken()?;
    let (calls, mut met) = (scenario.calls.touched(), scenario.calls.met());
    met.retain(|(met, _)| *met <= at);
    let told = match met.is_empty() {
        true => "without any fault".to_owned(),
        false => story(&calls, &met),
    };
    let before = before(&calls, at, met.last().map_or(0, |(met, _)| met + 1));
    let detail = format!("{told}; call {}{before}: {}, and {words}", at + 1, calls[at]);
    Some(Violation { law: LAW, detail })
}

/// Whether what has happened may be done again, or undone, for good reason: two were at it.
fn may_do_again(met: &[(usize, Fault)]) -> bool {
    met.iter().any(|(_, fault)| matches!(fault, Fault::Paused | Fault::PausedAfter))
}

/// What happened, up to each fault.
fn story(calls: &[Touched], met: &[(usize, Fault)]) -> String {
    let mut told = 0;
    let parts = met.iter().map(|&(at, fault)| {
        let before = before(calls, at, told);
        told = at + 1;
        format!("call {}{before}: it {fault} {}", at + 1, calls[at])
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// The last calls before this one, of those that are not told yet.
fn before(calls: &[Touched], at: usize, told: usize) -> String {
    const BEFORE_MAX: usize = 4;
    let from = at.saturating_sub(BEFORE_MAX).max(told).min(at);
    let before: Vec<String> = calls[from..at].iter().map(ToString::to_string).collect();
    if before.is_empty() { String::new() } else { format!(" (after {})", before.join(", ")) }
}

/// What was done otherwise often.
fn difference(
    expected: &BTreeMap<String, usize>,
    found: &BTreeMap<String, usize>,
    verb: &str,
) -> Option<String> {
    let times = |of: &BTreeMap<String, usize>, path: &String| of.get(path).copied().unwrap_or_default();
    let paths = expected.keys().chain(found.keys().filter(|path| !expected.contains_key(*path)));
    let other = paths.filter(|path| times(expected, path) != times(found, path));
    let told: Vec<String> = other
        .map(|path| {
            format!("{path} {verb} {} times instead of {}", times(found, path), times(expected, path))
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}
