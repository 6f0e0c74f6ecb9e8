//! The second look: whether what a run did is still so when it is over.
//!
//! Each action was verified when it ended. What did not last since, or never was, is found here, and the action that it is
//! about is named. A run that was interrupted is looked at when it has been resumed and has ended.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::look::{Look, look_at_all};
use super::{ManageError, Manager};
use crate::action::CrashClass;
use crate::diff::with_theirs;
use crate::execute::journal::state_key;
use crate::execute::{Checked, Phase, RunReport, Surroundings, judge, judge_removed, unhealthy};
use crate::model::{Digest, Health, Map, Observation, Record, RecordBody, ResourceId, Set};
use crate::plan::{Observed, Plan, PlannedAction, Verb};
use crate::resource::Unhealthy;
use crate::store::Write;

impl Manager {
    /// Looks at everything that the plan made, changed or removed where its action ended well, and counts as failed what is
    /// not so any more, or can not be seen.
    pub(super) async fn look_again(
        &self,
        plan: &Plan,
        mut around: Surroundings,
        ends: Ends,
        report: &mut RunReport,
    ) -> Result<(), ManageError> {
        let Ends { removed, earlier } = ends;
        around.recorded = self.recorded();
        let failed: Set<u32> = report
            .failures
            .iter()
            .flat_map(|failure| failure.unreached.iter().chain([&failure.action]).copied())
            .collect();
        let (mut looks, mut done) = (Vec::new(), Vec::new());
        let (mut awaited, mut worked) = (Vec::new(), Set::default());
        for (index, action) in plan.actions.iter().enumerate() {
            let id = plan.resource_of(index as u32);
            let by_record = self.is_by_record(id);
            if by_record || action.recording.is_none() || failed.contains(&(index as u32)) {
                continue;
            }
            let Some(body) = self.body(id)? else { continue };
            let (spec, host, extra) = (body.spec.clone(), body.host.clone(), body.extra.clone());
            let look = Look { id: id.clone(), host, spec, extra, base: Some(body) };
            if !earlier.contains(&(index as u32)) && self.ends_when_it_works(action, id) {
                worked.insert(index as u32);
                awaited.push(look.clone());
            }
            looks.push(look);
            done.push(index as u32);
        }
        let retaken = retaken(plan, &removed);
        let (mut bases, mut back) = (Map::<u32, RecordBody>::default(), Vec::new());
        for (index, body) in removed.into_iter().filter(|(index, _)| !retaken.contains(index)) {
            let (action, id) = (&plan.actions[index as usize], plan.resource_of(index).clone());
            let extra = body.as_ref().and_then(|body| body.extra.clone());
            let (spec, host) = (action.spec.clone(), action.host.clone());
            bases.extend(body.clone().map(|body| (index, body)));
            looks.push(Look { id, host, spec, extra, base: body });
            done.push(index);
        }
        let (around, mut observed) = (Arc::new(around), Observed::default());
        look_at_all(&around, looks, &mut observed, &mut crate::execute::unseen()).await;
        self.wait_for_health(&around, awaited, &mut observed).await;
        for index in done {
            let (action, id) = (&plan.actions[index as usize], plan.resource_of(index));
            let Some(seen) = observed.get(id) else { continue };
            let ended = if worked.contains(&index) { Ended::Working } else { Ended::Somehow };
            let found = match self.body(id)? {
                Some(body) if action.recording.is_some() => judge_made(&body, seen, ended),
                _ => judge_removed(seen, Phase::Verify),
            };
            let what = match found {
                Checked::Satisfied => continue,
                Checked::Needed(_) if action.recording.is_none() => {
                    back.extend(bases.swap_remove(&index).map(|body| (id.clone(), body)));
                    "a second look found that it is there again".to_owned()
                }
                Checked::Needed(why) | Checked::Moved(why) => {
                    format!("a second look found that it did not last: {why}")
                }
                Checked::Unknown(why) | Checked::Failed(_, why) => {
                    format!("a second look could not confirm it: {why}")
                }
            };
            report.overturn(index, format!("{what} (`{}.{}`)", id.kind(), action.verb));
        }
        self.record_again(back, &observed).await
    }

    /// Records what was removed and is there again, as something of which no more is known than that it was begun: the next plan
    /// looks whether it is detc's own, and removes it then. A making that was cut off may have ended after its removal.
    async fn record_again(
        &self,
        back: Vec<(ResourceId, RecordBody)>,
        observed: &Observed,
    ) -> Result<(), ManageError> {
        let recorded = self.recorded();
        // What is recorded under its id is what is there instead.
        let back: Vec<(ResourceId, RecordBody)> =
            back.into_iter().filter(|(id, _)| !recorded.contains_key(id)).collect();
        drop(recorded);
        if back.is_empty() {
            return Ok(());
        }
        let write = |(id, body): &(ResourceId, RecordBody)| {
            let seen = observed.get(id).map_or(Digest::NONE, Observation::fingerprint);
            let body = RecordBody { cut_off: false, ..body.clone() };
            let value = Record::begun(Digest::NONE, seen, &body).as_bytes().clone();
            Write::Put { key: state_key(id), value, lease: None }
        };
        self.stale.store(true, Ordering::SeqCst);
        self.commit(back.iter().map(write).collect()).await?;
        self.refresh(back.len(), || back.into_iter().map(|(id, _)| id).collect()).await?;
        self.stale.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Looks once more at those of `awaited` that do not work, as often, and after such delays, as what fails is tried again:
    /// what was done after them may have disturbed them for a moment.
    async fn wait_for_health(
        &self,
        around: &Arc<Surroundings>,
        mut awaited: Vec<Look>,
        observed: &mut Observed,
    ) {
        let retry = self.options.retry;
        for attempt in 1..retry.attempts_max {
            awaited.retain(|look| observed.get(&look.id).is_some_and(is_unhealthy));
            if awaited.is_empty() {
                return;
            }
            tokio::time::sleep(retry.delay(attempt)).await;
            look_at_all(around, awaited.clone(), observed, &mut crate::execute::unseen()).await;
        }
    }

    /// Whether an action ends well only when what it made works.
    fn ends_when_it_works(&self, action: &PlannedAction, id: &ResourceId) -> bool {
        let kind = self.registry.kind(id.kind()).map(|kind| kind.facts().traits.unhealthy);
        kind == Some(Unhealthy::Restarted)
            && matches!(action.verb, Verb::Create | Verb::Adopt | Verb::Update | Verb::Restart)
    }
}

/// What is known of the ends of a run's actions besides its report.
pub(super) struct Ends {
    /// What this process removed, with what was recorded of it.
    pub(super) removed: Vec<(u32, Option<RecordBody>)>,
    /// What an earlier process ended: nobody knows for how long it worked.
    pub(super) earlier: Set<u32>,
}

/// How something was when its action had ended well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It worked, a moment ago.
    Working,
    /// Its health was not looked at, or long ago.
    Somehow,
}

/// Whether what was made is as it was recorded, and works, where its action has come to its end when it did.
fn judge_made(body: &RecordBody, seen: &Observation, ended: Ended) -> Checked {
    let spec = match seen {
        Observation::Present(present) if ended == Ended::Working && is_unhealthy(seen) => {
            return Checked::Needed(unhealthy(present));
        }
        Observation::Present(present) => with_theirs(&body.spec, present, body.extra.as_deref()),
        Observation::Absent
        | Observation::Needed(_)
        | Observation::Unobservable
        | Observation::Unknown(_) => Cow::Borrowed(&body.spec),
    };
    let body = RecordBody { spec: spec.into_owned(), ..body.clone() };
    let token = body.triggers.as_deref();
    judge(&body.spec, seen, Some(&body), token, Phase::First, CrashClass::DeterministicName)
}

fn is_unhealthy(seen: &Observation) -> bool {
    matches!(seen, Observation::Present(present) if present.health == Health::Unhealthy)
}

/// The removals after which something else is made: it may be in the place of what was removed, and look like it.
fn retaken(plan: &Plan, removed: &[(u32, Option<RecordBody>)]) -> Set<u32> {
    if removed.is_empty() {
        return Set::default();
    }
    let makes = plan.actions.iter().filter(|action| action.recording.is_some());
    let before = makes.flat_map(|action| action.after.iter().copied());
    before.filter(|before| plan.actions[*before as usize].verb.removes()).collect()
}
