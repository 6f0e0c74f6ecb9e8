//! The actions of a plan, as the driver asks for them: what a look or a try came to, and what is written with its start and end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::super::journal::{doubt_key, state_key};
use super::super::panics::caught;
use super::super::{Applied, Checked, NodeEnd, Phase};
use super::{Open, Perform, Performing, PlanWork, how_to_settle};
use crate::action::{ActionError, CrashClass, ErrorClass};
use crate::plan::Verb;
use crate::store::Write;

/// What comes of `call`; a panic is an error like any other: what it says may be sensitive, too.
async fn told<T>(
    call: impl Future<Output = Result<T, ActionError>>,
    panicked: ErrorClass,
) -> Result<T, ActionError> {
    caught(call).await.unwrap_or_else(|panic| Err(ActionError::new(panicked, panic)))
}

impl Perform for PlanWork {
    fn check(self: Arc<Self>, action: u32, phase: Phase) -> Performing<Checked> {
        Box::pin(async move {
            let checked = told(self.try_check(action, phase), ErrorClass::Permanent).await;
            let checked = checked.unwrap_or_else(|error| {
                let (class, mut message) = self.failed(action, &error);
                let (planned, id) = self.action(action);
                if phase != Phase::First && planned.crash == CrashClass::AtMostOnce {
                    message = format!("{message}; {}", how_to_settle(id));
                }
                Checked::Failed(class, message)
            });
            // It is told where it is looked at again for it.
            if let Checked::Unknown(why) = &checked {
                self.state().open.entry(action).or_default().error.clone_from(why);
            }
            match (phase, checked) {
                (Phase::Verify, Checked::Needed(why)) => {
                    let (planned, id) = self.action(action);
                    Checked::Needed(format!("{why} (`{}.{}`)", id.kind(), planned.verb))
                }
                (_, checked) => checked,
            }
        })
    }

    fn apply(self: Arc<Self>, action: u32, _attempt: u32) -> Performing<Applied> {
        Box::pin(async move {
            match told(self.try_apply(action), ErrorClass::OutcomeUnknown).await {
                Ok(()) => Applied::Done,
                Err(error) => {
                    let (class, message) = self.failed(action, &error);
                    Applied::Failed(class, message)
                }
            }
        })
    }

    fn lasts(&self, index: u32) -> Duration {
        let (action, id) = self.action(index);
        let spec = self.state().open.get(&index).and_then(|open| open.spec.clone());
        let footprint = self.footprint(id, spec.as_ref().unwrap_or(&action.spec));
        footprint.lasts_ms_max.map_or(Duration::ZERO, Duration::from_millis)
    }

    fn starting(&self, index: u32) -> Vec<Write> {
        let (action, id) = self.action(index);
        let open = || self.state().open.get(&index).cloned().unwrap_or_default();
        let mut writes = match action.crash {
            CrashClass::AtMostOnce if action.recording.is_some() => {
                let (record, _) = self.record(index, &NodeEnd::Done, open());
                vec![Write::Put { key: doubt_key(id), value: record.as_bytes().clone(), lease: None }]
            }
            CrashClass::IdempotencyKey => {
                let key = open().key.expect("invariant: what starts was looked at");
                vec![self.keep_key(index, key)]
            }
            CrashClass::AtMostOnce
            | CrashClass::DeterministicName
            | CrashClass::FindableByTag
            | CrashClass::CompareAndSet => Vec::new(),
        };
        if action.crash != CrashClass::AtMostOnce && (self.is_made_anew(index) || self.is_made_on(index)) {
            writes.extend(self.note_begun(index, open()));
        }
        self.state().open.entry(index).or_default().is_started = true;
        writes
    }

    fn records(&self, index: u32, end: &NodeEnd) -> Vec<Write> {
        let (action, id) = self.action(index);
        let is_made_anew = self.is_made_anew(index);
        let open = self.state().open.swap_remove(&index).unwrap_or_default();
        let mut writes = Vec::new();
        let is_open = match end {
            NodeEnd::Held(_) => !open.is_others,
            NodeEnd::InDoubt(_) | NodeEnd::NotReached(_) => true,
            NodeEnd::Done | NodeEnd::Satisfied | NodeEnd::Failed(_) => false,
        };
        if action.crash == CrashClass::AtMostOnce && !is_open {
            writes.push(Write::Delete(doubt_key(id)));
        }
        match end {
            NodeEnd::Done | NodeEnd::Satisfied => {}
            NodeEnd::Failed(_) if is_made_anew => {
                writes.extend(self.note_failed(index, open));
                return writes;
            }
            // It has made nothing: the next plan shows what is there.
            NodeEnd::Held(_) if is_made_anew && open.is_others => {
                writes.extend(self.note_failed(index, Open { is_nothing_made: true, ..open }));
                return writes;
            }
            // The next plan looks where it is to be, and shows what is there.
            NodeEnd::Held(_) if open.is_obsolete => {
                writes.push(Write::Delete(state_key(self.recorded_id(action, id))));
                return writes;
            }
            NodeEnd::Failed(_) | NodeEnd::InDoubt(_) | NodeEnd::Held(_) | NodeEnd::NotReached(_) => {
                return writes;
            }
        }
        writes.extend(self.drop_key(index));
        let Some(recording) = &action.recording else {
            if action.verb == Verb::Delete && open.left.is_none() {
                self.state().removed.push(index);
            }
            writes.push(Write::Delete(state_key(self.recorded_id(action, id))));
            return writes;
        };
        let (record, body) = self.record(index, end, open);
        if self.needed.contains(id) {
            self.state().made.insert(id.clone(), Arc::new(body));
        }
        writes.push(Write::Put { key: state_key(id), value: record.as_bytes().clone(), lease: None });
        writes.extend(recording.renamed_from.as_ref().map(|from| Write::Delete(state_key(from))));
        writes
    }

    fn remark(&self, action: u32) -> Option<String> {
        self.state().open.get(&action).and_then(|open| open.left.clone())
    }

    fn last_error(&self, action: u32) -> String {
        self.state().open.get(&action).map(|open| open.error.clone()).unwrap_or_default()
    }
}
