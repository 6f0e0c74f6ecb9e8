//! What an action of a plan does: look, make, change, remove, and what is recorded of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{Applied, Checked, NodeEnd, Phase};
use crate::action::{ActionError, CrashClass, ErrorClass};
use crate::diff::{ChangeKind, Reason, trigger_token, with_theirs};
use crate::model::secret::lies_in_mark;
use crate::model::{Doc, Extra, Map, Observation, RecordBody, Reference, ResourceId, Set, substitute};
use crate::plan::{Plan, PlannedAction, Verb};
use crate::resource::{Removal, Removed};
use crate::store::Write;

mod around;
mod driven;
mod fence;
mod ground;
mod judge;
mod keys;
mod recorded;
mod told;

use ground::Ground;
use judge::judge_health;

pub(crate) use around::Try;
pub use around::{NotConnected, Surroundings};
pub(crate) use judge::{how_to_settle, judge, judge_removed, unhealthy};
pub(crate) use keys::TriedKey;

/// How long it takes until a second look is not answered from as long ago as the first one.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// A future of a check or an apply.
pub type Performing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Performs the actions of a run, which the driver knows by their indices.
pub trait Perform: Send + Sync + 'static {
    /// Looks whether the effect of an action is there. Changes nothing.
    fn check(self: Arc<Self>, action: u32, phase: Phase) -> Performing<Checked>;

    /// Brings the effect about. `attempt` counts from 1.
    fn apply(self: Arc<Self>, action: u32, attempt: u32) -> Performing<Applied>;

    /// How long an apply may take beyond what the driver gives to each.
    fn lasts(&self, action: u32) -> Duration;

    /// What is written to the store together with the journal's entry for the start.
    fn starting(&self, action: u32) -> Vec<Write>;

    /// What is written to the store together with the journal's entry for this end.
    fn records(&self, action: u32, end: &NodeEnd) -> Vec<Write>;

    /// A remark on an action that is about to end, for people.
    fn remark(&self, action: u32) -> Option<String>;

    /// The last error of an action that will be tried again, for people.
    fn last_error(&self, action: u32) -> String;
}

/// The actions of a [`Plan`].
#[derive(Debug)]
pub struct PlanWork {
    plan: Arc<Plan>,
    around: Surroundings,
    /// The resources whose new records other actions need.
    needed: Set<ResourceId>,
    /// For each replacement, the action that makes.
    remade: Map<u32, u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is known of the actions that have begun and not ended.
    open: Map<u32, Open>,
    /// The records made in this run that others need.
    made: Map<ResourceId, Arc<RecordBody>>,
    /// The idempotency keys of what was tried and has not ended well, in earlier runs or in this one.
    keys: Map<ResourceId, TriedKey>,
    /// The removals that have ended well and left nothing behind.
    removed: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    spec: Option<Doc>,
    observed: Option<Observation>,
    output: Option<Value>,
    triggers: Option<String>,
    /// What is left on purpose of something that was removed, and why.
    left: Option<String>,
    key: Option<TriedKey>,
    /// Whether it was there before this action, as far as the first look has told.
    found: Option<bool>,
    /// Whether it was tried before and the end of that try is not known.
    begun_before: bool,
    /// Whether it has started in this process.
    is_started: bool,
    /// Whether nothing was there when its last try had failed.
    is_nothing_made: bool,
    /// Whether the last look saw nothing of what is to be removed, against expectation.
    is_seen_gone: bool,
    /// What its try that was cut off would have made somebody else has made.
    is_others: bool,
    /// Its try was cut off, and what it was to make was found afterwards.
    is_found_made: bool,
    /// What is recorded is known to be gone, and what is to be made is elsewhere, where something else is.
    is_obsolete: bool,
    error: String,
}

impl PlanWork {
    /// The work of `plan`, in these surroundings.
    pub fn new(plan: Arc<Plan>, around: Surroundings) -> Self {
        let mut needed = Set::default();
        for action in &plan.actions {
            let mut references = Vec::new();
            if action.spec.may_hold_references() {
                let _never = crate::model::collect_references(&action.spec.value(), &mut references);
            }
            needed.extend(references.into_iter().map(|reference| reference.from));
            if let Some(extra) = action.recording.as_ref().and_then(|recording| recording.extra.as_ref()) {
                needed.extend(extra.restart_on.iter().cloned());
            }
        }
        let is_replaced = |action: &PlannedAction| plan.change_of(action).kind == ChangeKind::Replace;
        let remade = plan.actions.iter().enumerate();
        let remade = remade.filter(|(_, action)| action.recording.is_some() && is_replaced(action));
        let remade = remade.map(|(index, action)| (action.change, index as u32)).collect();
        let state = State { keys: (*around.keys).clone(), ..State::default() };
        Self { plan, around, needed, remade, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn action(&self, action: u32) -> (&PlannedAction, &ResourceId) {
        (&self.plan.actions[action as usize], self.plan.resource_of(action))
    }

    /// What is desired of the resource besides its spec, also while it is removed to be made anew; of what is no longer
    /// desired, what was.
    fn extra<'a>(&'a self, action: &'a PlannedAction, base: Option<&'a RecordBody>) -> Option<&'a Extra> {
        let remade = || {
            let index = self.remade.get(&action.change)?;
            self.plan.actions[*index as usize].recording.as_ref()
        };
        match action.recording.as_ref().or_else(remade) {
            Some(recording) => recording.extra.as_deref(),
            None => base?.extra.as_deref(),
        }
    }

    /// The spec with every reference resolved, sensitive values marked.
    fn resolve(&self, action: &PlannedAction, id: &ResourceId) -> Result<Doc, ActionError> {
        if action.verb.removes() || !action.spec.may_hold_references() {
            return Ok(action.spec.clone());
        }
        let mut missing = None;
        let mut spec = action.spec.value();
        let replaced = substitute(&mut spec, &mut |reference| {
            let found =
                self.record_of(&reference.from).and_then(|body| self.around.part(&body, &reference.output));
            if found.is_none() {
                missing = Some(reference.clone());
            }
            found
        });
        replaced.map_err(|error| ActionError::permanent(format!("{id}: {error}")))?;
        match missing {
            None => {
                let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_deref());
                self.around.seal_spec(id, extra, &mut spec);
                Ok(Doc::new(&spec))
            }
            Some(reference) => {
                let Reference { from, output } = reference;
                let is_lost = |body: Arc<RecordBody>| lies_in_mark(&body.output, &output);
                Err(if self.record_of(&from).is_some_and(is_lost) {
                    let message = format!("the output `{output}` of {from} is sensitive, and was not stored");
                    ActionError::permanent(message)
                        .with_hint(format!("have {from} done once more, with what refers to it"))
                } else {
                    ActionError::permanent(format!("{from} has no output `{output}`"))
                })
            }
        }
    }

    /// Whether an action restarts what is as it should be, and unhealthy.
    fn heals(&self, action: &PlannedAction) -> bool {
        matches!(self.plan.change_of(action).reason, Reason::Unhealthy(_))
    }

    /// The trigger token that the resource should carry now.
    fn token(&self, action: &PlannedAction) -> Option<String> {
        let extra = action.recording.as_ref()?.extra.as_ref()?;
        if extra.restart_on.is_empty() {
            return None;
        }
        let records: Vec<(&ResourceId, Arc<RecordBody>)> =
            extra.restart_on.iter().filter_map(|id| Some((id, self.record_of(id)?))).collect();
        Some(trigger_token(
            records.iter().map(|(id, body)| (body.made_as.as_ref().unwrap_or(id), body.changed.as_str())),
        ))
    }

    async fn try_check(&self, index: u32, phase: Phase) -> Result<Checked, ActionError> {
        let (action, id) = self.action(index);
        // What was done and not recorded has outputs of which nothing is recorded: they are looked for.
        let is_overtaken =
            action.verb == Verb::Record && self.plan.change_of(action).reason == Reason::Overtaken;
        let is_gone_before = self.forgets_what_was_gone(action, id);
        let has_look = is_overtaken || is_gone_before;
        if is_gone_before {
            // Who plans and applies at once would be answered twice from the same moment.
            tokio::time::sleep(SECOND_LOOK).await;
        }
        if matches!(action.verb, Verb::Record | Verb::Forget) && !has_look {
            return Ok(Checked::Satisfied);
        }
        let spec = self.resolve(action, id)?;
        let ground = self.ground(action, id, &spec);
        let token = self.token(action);
        let tried_as = self.tried_as(action, id);
        let begun = phase == Phase::Settle || tried_as.is_some();
        let key = self.tried_key(index, &spec, token.as_deref());
        let call = around::Call {
            index,
            action,
            id,
            spec: &spec,
            ground: &ground,
            extra: self.extra(action, ground.base()),
            token: token.as_deref(),
            key: key.as_str(),
            // The try that is verified has ended, and it began when no other was under way.
            begun_before: begun && phase != Phase::Verify,
            heals: self.heals(action),
            tried_as,
        };
        let observed = self.around.observe(&call).await?;
        let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_deref());
        if is_overtaken {
            return Ok(self.overtaken((index, action), spec, observed));
        }
        let spec = match &observed {
            Observation::Present(present) => with_theirs(&spec, present, extra).into_owned(),
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => spec.clone(),
        };
        if phase == Phase::First {
            let is_there = matches!(observed, Observation::Present(_));
            let found = is_there && !self.is_from_plan(&call);
            self.state().open.entry(index).or_default().found.get_or_insert(found);
        }
        let left =
            phase == Phase::Verify && self.state().open.get(&index).is_some_and(|open| open.left.is_some());
        let checked = if left {
            Checked::Satisfied
        } else if action.verb.removes() {
            judge_removed(&observed, phase)
        } else {
            // What can not be seen is as it is recorded only if it is known to have been made.
            let recorded = match &observed {
                Observation::Unobservable => ground.made(),
                _ => ground.base(),
            };
            judge(&spec, &observed, recorded, token.as_deref(), phase, action.crash)
        };
        let is_begun = action.verb == Verb::Delete && matches!(ground, Ground::Begun(_));
        let checked = match checked {
            Checked::Satisfied if is_begun && phase == Phase::First => {
                Checked::Needed("its making may have left something".to_owned())
            }
            Checked::Satisfied if !action.verb.removes() => {
                judge_health(&observed, self.around.unhealthy(id), (phase, begun), action.crash)
            }
            checked => checked,
        };
        let checked = match checked {
            Checked::Unknown(why) if phase != Phase::First && action.crash == CrashClass::AtMostOnce => {
                Checked::Unknown(format!("{why}; {}", how_to_settle(id)))
            }
            checked => checked,
        };
        let checked = match checked {
            // Nothing is ever removed by what only drops a record.
            Checked::Needed(how) if action.verb == Verb::Forget => {
                Checked::Moved(format!("{how}, and this was planned from when it was not"))
            }
            Checked::Needed(_) if phase != Phase::Verify => {
                match self.moved(&call, &observed, phase).await? {
                    Some(how) => {
                        Checked::Moved(format!("{how}, and this was planned from what was there before"))
                    }
                    None => checked,
                }
            }
            checked => checked,
        };
        let is_gone = self.is_gone_against_expectation(&call, phase, &observed);
        let mut state = self.state();
        let open = state.open.entry(index).or_default();
        // A look may be answered from before the thing was made. What is left of it then would be nobody's, as its record is
        // dropped: it takes two looks, with a delay between them.
        let checked = match checked {
            Checked::Satisfied if is_gone && !open.is_seen_gone => {
                Checked::Unknown("it is not there by one look, which may be out of date".to_owned())
            }
            checked => checked,
        };
        open.is_seen_gone = is_gone;
        if phase == Phase::Settle {
            open.is_others = matches!(checked, Checked::Moved(_));
        }
        // Whoever made what was not there when that was planned, an earlier try or somebody else: not this action.
        if phase == Phase::Settle || (phase == Phase::First && matches!(ground, Ground::Begun(_))) {
            open.is_found_made = matches!(observed, Observation::Present(_));
        }
        open.spec = Some(spec);
        open.observed = Some(observed);
        open.triggers = token;
        open.begun_before = begun;
        open.key = Some(key);
        Ok(checked)
    }

    /// Whether something is forgotten since nothing was seen of it. One look may be out of date, and what is forgotten nobody removes
    /// any more: it is looked for once more.
    fn forgets_what_was_gone(&self, action: &PlannedAction, id: &ResourceId) -> bool {
        let kind = self.around.registry.kind(id.kind());
        let is_removed = kind.is_some_and(|kind| kind.facts().traits.removal == Removal::Delete);
        action.verb == Verb::Forget && self.plan.change_of(action).reason == Reason::NotDesired && is_removed
    }

    /// Whether it is still as the plan has found it, so that this can be recorded: what is recorded with what was seen is kept
    /// by every later plan.
    fn overtaken(&self, (index, action): (u32, &PlannedAction), spec: Doc, observed: Observation) -> Checked {
        let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_deref());
        let judged = match &observed {
            Observation::Present(present) => {
                let wanted = with_theirs(&spec, present, extra);
                judge(&wanted, &observed, None, None, Phase::Verify, action.crash)
            }
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => judge(&spec, &observed, None, None, Phase::Verify, action.crash),
        };
        if let Checked::Needed(how) = judged {
            return Checked::Moved(format!("{how}, and this was planned from what was there before"));
        }
        let mut state = self.state();
        let open = state.open.entry(index).or_default();
        open.observed = Some(observed).filter(|observed| matches!(observed, Observation::Present(_)));
        open.spec = Some(spec);
        judged
    }

    async fn try_apply(&self, index: u32) -> Result<(), ActionError> {
        let (action, id) = self.action(index);
        let open = self.state().open.get(&index).cloned().unwrap_or_default();
        let spec = match open.spec {
            Some(spec) => spec,
            None => self.resolve(action, id)?,
        };
        let ground = self.ground(action, id, &spec);
        self.state().open.entry(index).or_default().is_nothing_made = false;
        let exists = match &open.observed {
            Some(Observation::Present(_)) => true,
            Some(Observation::Absent | Observation::Needed(_) | Observation::Unknown(_)) => false,
            Some(Observation::Unobservable) | None => ground.made().is_some(),
        };
        let token = open.triggers.as_deref();
        let key = open.key.unwrap_or_else(|| self.tried_key(index, &spec, token));
        let call = around::Call {
            index,
            action,
            id,
            spec: &spec,
            ground: &ground,
            extra: self.extra(action, ground.base()),
            token,
            key: key.as_str(),
            begun_before: open.begun_before,
            heals: self.heals(action),
            tried_as: self.tried_as(action, id),
        };
        let output = if action.verb == Verb::Forget {
            None
        } else if action.verb.removes() {
            if let Removed::Left(why) = self.around.delete(&call).await? {
                self.state().open.entry(index).or_default().left = Some(why);
            }
            None
        } else if exists {
            let output = self.around.update(&call).await?;
            self.around.check_stable(&call, &output)?;
            Some(output)
        } else {
            match self.around.create(&call).await {
                Ok(output) => Some(output),
                Err(error) => {
                    self.look_after_failure(&call, &error).await;
                    return Err(error);
                }
            }
        };
        self.state().open.entry(index).or_default().output = output;
        Ok(())
    }

    /// Looks whether anything was made by a try that is over and did not go well: what may be there is recorded.
    async fn look_after_failure(&self, call: &around::Call<'_>, error: &ActionError) {
        let is_over = matches!(error.class(), ErrorClass::Permanent | ErrorClass::Transient);
        if is_over && self.is_made_anew(call.index) {
            let look = || tokio::time::timeout(self.around.look_timeout, self.around.observe(call));
            let is_absent = |seen| matches!(seen, Ok(Ok(Observation::Absent)));
            // A look may be answered from before anything was made: it takes two, with a delay between them.
            let is_nothing = is_absent(look().await) && {
                tokio::time::sleep(SECOND_LOOK).await;
                is_absent(look().await)
            };
            self.state().open.entry(call.index).or_default().is_nothing_made = is_nothing;
        }
    }

    /// What was removed here and left nothing behind, with what was recorded of it before.
    pub(crate) fn removed(&self) -> Vec<(u32, Option<RecordBody>)> {
        let removed = std::mem::take(&mut self.state().removed);
        let with_record = |index| {
            let (action, id) = self.action(index);
            (index, self.recorded_before(action, id).map(Arc::unwrap_or_clone))
        };
        removed.into_iter().map(with_record).collect()
    }

    fn failed(&self, index: u32, error: &ActionError) -> (ErrorClass, String) {
        let mut message = error.full_message();
        if let Some(hint) = error.hint() {
            // What a program said is told apart from what is said of it.
            message.push_str(if message.contains('\n') { "\n" } else { "; " });
            message.push_str(hint);
        }
        let message = self.around.scrub(&message);
        self.state().open.entry(index).or_default().error.clone_from(&message);
        (error.class(), message)
    }
}
