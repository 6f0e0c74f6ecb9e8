//! What came of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NodeEnd;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// Every action ended well, and a second look found nothing to do.
    Done,
    /// Some action failed, or some resource could not be observed.
    Failed,
    /// It was stopped, and can be resumed.
    Interrupted,
    /// It was not begun; or nothing failed, and some of it was held back, since the world had moved there.
    Refused,
    /// It was given up for a newer plan.
    Superseded,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        })
    }
}

/// How many actions ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Their effect was brought about.
    pub done: usize,
    /// Their effect was there already.
    pub satisfied: usize,
    /// They failed.
    pub failed: usize,
    /// Of those that failed: nobody knows whether their effect was brought about, and a person settles it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_doubt: usize,
    /// They were held back: what they were planned from was no longer so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: usize,
    /// They have begun and not ended: of a run that goes on or was interrupted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_flight: usize,
    /// They come after one that failed or was held back, or the run was stopped before them.
    pub not_reached: usize,
}

impl Tally {
    /// Counts one more end; `None`: it has not ended.
    pub fn count(&mut self, end: Option<&NodeEnd>) {
        match end {
            Some(NodeEnd::Done) => self.done += 1,
            Some(NodeEnd::Satisfied) => self.satisfied += 1,
            Some(NodeEnd::Failed(_)) => self.failed += 1,
            Some(NodeEnd::InDoubt(_)) => {
                self.failed += 1;
                self.in_doubt += 1;
            }
            Some(NodeEnd::Held(_)) => self.held += 1,
            Some(NodeEnd::NotReached(_)) | None => self.not_reached += 1,
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An action that failed or was held back, and what it cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which: an index into the plan's actions.
    pub action: u32,
    /// Why.
    pub error: String,
    /// The actions that were not reached because of it.
    pub unreached: Vec<u32>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// How it ended.
    pub outcome: Outcome,
    /// How its actions ended.
    pub tally: Tally,
    /// Those that failed or were held back.
    pub failures: Vec<Failure>,
    /// What is to be known of actions that ended well, by their number: what a removal left, and why.
    pub remarks: Vec<(u32, String)>,
    /// How long it took.
    pub took: Duration,
    /// Those whose effect was there already, in ascending order.
    satisfied: Vec<u32>,
}

impl RunReport {
    /// The report of these ends.
    pub fn new<'a>(ends: impl Iterator<Item = Option<&'a NodeEnd>>, took: Duration) -> Self {
        let mut tally = Tally::default();
        let mut failures: Vec<Failure> = Vec::new();
        let mut cut_off: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
        let (mut satisfied, mut open) = (Vec::new(), false);
        for (action, end) in ends.enumerate() {
            tally.count(end);
            match end {
                Some(NodeEnd::Failed(error) | NodeEnd::InDoubt(error) | NodeEnd::Held(error)) => {
                    failures.push(Failure {
                        action: action as u32,
                        error: error.clone(),
                        unreached: Vec::new(),
                    });
                }
                Some(NodeEnd::NotReached(because)) => {
                    cut_off.insert(action as u32, *because);
                }
                Some(NodeEnd::Satisfied) => satisfied.push(action as u32),
                Some(NodeEnd::Done) => {}
                None => open = true,
            }
        }
        for (action, because) in &cut_off {
            // They are in the order of the actions.
            if let Ok(at) = failures.binary_search_by_key(because, |failure| failure.action) {
                failures[at].unreached.push(*action);
            }
        }
        let outcome = if open {
            Outcome::Interrupted
        } else if failures.is_empty() {
            Outcome::Done
        } else if tally.failed == 0 {
            Outcome::Refused
        } else {
            Outcome::Failed
        };
        Self { outcome, tally, failures, remarks: Vec::new(), took, satisfied }
    }

    /// Counts an action as failed that had ended well, and whose effect did not last.
    pub(crate) fn overturn(&mut self, action: u32, error: String) {
        match self.satisfied.binary_search(&action) {
            Ok(_) => self.tally.satisfied -= 1,
            Err(_) => self.tally.done -= 1,
        }
        self.tally.failed += 1;
        self.failures.push(Failure { action, error, unreached: Vec::new() });
        self.outcome = Outcome::Failed;
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn ends() -> Vec<Option<NodeEnd>> {
        let of = |end: fn(String) -> NodeEnd| Some(end("why".to_owned()));
        vec![
            Some(NodeEnd::Done),
            Some(NodeEnd::Satisfied),
            of(NodeEnd::Failed),
            of(NodeEnd::InDoubt),
            of(NodeEnd::InDoubt),
            of(NodeEnd::Held),
            of(NodeEnd::Held),
            Some(NodeEnd::NotReached(2)),
            Some(NodeEnd::NotReached(5)),
        ]
    }

    #[test]
    fn each_end_is_counted_and_what_there_is_none_of_is_not_written() {
        let ended = RunReport::new(ends().iter().map(Option::as_ref), Duration::ZERO);
        assert_eq!(ended.outcome, Outcome::Failed);
        let cut_off: Vec<(u32, &[u32])> =
            ended.failures.iter().map(|failure| (failure.action, &*failure.unreached)).collect();
        assert_eq!(cut_off, [(2, &[7][..]), (3, &[]), (4, &[]), (5, &[8]), (6, &[])]);
        let written = |tally| serde_json::to_string(&tally).unwrap();
        expect![[r#"{"done":1,"satisfied":1,"failed":3,"in_doubt":2,"held":2,"not_reached":2}"#]]
            .assert_eq(&written(ended.tally));
        expect![[r#"{"done":0,"satisfied":0,"failed":0,"not_reached":0}"#]]
            .assert_eq(&written(Tally::default()));
        let goes_on = Tally { in_flight: 1, ..Tally::default() };
        let read: Tally = serde_json::from_str(&written(goes_on)).unwrap();
        assert_eq!(read, goes_on);
    }
}
