//! What a plan does to the invariants: the effects of its actions, the proof, and ordering that makes a proof hold.
//!
//! The effects follow from the kind of change: making adds at the end, removing takes away at the start, a restart takes
//! away and gives back, a change of size counts the larger. Where the moment is uncertain, the number stands where it does
//! harm to the bound. An invariant that does not hold before the plan must not be made worse by it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::proof::{Effect, Order, Question, prove_all};
use super::{Plan, PlanError, PlanInput, PlannedAction, Verb};
use crate::model::{
    DesiredResource, Health, Invariant, InvariantBound, Measure, Observation, RecordBody, ResourceId,
    Selector,
};
use crate::resource::ChangeEffect;

/// An invariant, and the worst that can happen to it while a plan runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proved {
    /// The invariant.
    pub invariant: Invariant,
    /// Its value before the plan.
    pub base: i64,
    /// What the actions add to it: action, at its start, at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<(u32, i64, i64)>,
    /// The worst value that any order, failure or crash can lead to.
    pub worst: i64,
    /// Whether the bound holds in all of them, or (where it does not hold before) none of them is worse than that.
    pub holds: bool,
    /// A smallest way to break it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
}

/// A state that a plan can reach in which an invariant is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The actions that have started.
    pub started: Vec<u32>,
    /// Those that have ended, too.
    pub ended: Vec<u32>,
    /// The value then.
    pub value: i64,
}

impl Plan {
    /// The first invariant that this plan could break.
    pub fn broken(&self) -> Option<&Proved> {
        self.proofs.iter().find(|proved| !proved.holds)
    }

    /// A counter-example in words.
    pub fn story(&self, proved: &Proved) -> String {
        let Some(found) = &proved.counterexample else { return String::new() };
        let (ended, open): (Vec<u32>, Vec<u32>) =
            found.started.iter().partition(|action| found.ended.contains(action));
        let named = |actions: &[u32]| {
            const SHOWN_MAX: usize = 5;
            let mut ids: Vec<String> =
                actions.iter().take(SHOWN_MAX).map(|action| self.action_id(*action)).collect();
            if actions.len() > SHOWN_MAX {
                ids.push(format!("{} more", actions.len() - SHOWN_MAX));
            }
            ids.join(", ")
        };
        let mut parts = Vec::new();
        if !open.is_empty() {
            parts.push(format!("{} had started", named(&open)));
        }
        if !ended.is_empty() {
            parts.push(format!("{} had ended", named(&ended)));
        }
        format!("when {}, it is {}", parts.join(" and "), found.value)
    }

    /// Proves the plan anew, after its actions have changed.
    pub(super) fn prove(&mut self) {
        if self.proofs.is_empty() {
            return;
        }
        let edges: Vec<(u32, u32)> = self
            .actions
            .iter()
            .enumerate()
            .flat_map(|(after, action)| action.after.iter().map(move |before| (*before, after as u32)))
            .collect();
        let order = Order::new(self.actions.len() as u32, &edges)
            .expect("invariant: a plan lists each action after what it comes after");
        let effects: Vec<Vec<Effect>> = self
            .proofs
            .iter()
            .map(|proved| {
                proved.effects.iter().map(|&(action, start, end)| Effect { action, start, end }).collect()
            })
            .collect();
        let questions: Vec<Question<'_>> = self
            .proofs
            .iter()
            .zip(&effects)
            .map(|(proved, effects)| Question { base: proved.base, effects, bound: proved.effective_bound() })
            .collect();
        let verdicts = prove_all(&order, &questions);
        for (proved, verdict) in self.proofs.iter_mut().zip(verdicts) {
            proved.worst = verdict.worst;
            proved.holds = verdict.holds;
            proved.counterexample = verdict.witness.map(|witness| Counterexample {
                started: witness.started,
                ended: witness.ended,
                value: witness.value,
            });
        }
    }

    /// Orders actions that take from a broken invariant and give back, so that no more of them are under way at once than
    /// the bound allows. The order is that of the plan, so that no loop can come of it.
    pub(super) fn order_for_invariants(&mut self) {
        for index in 0..self.proofs.len() {
            let proved = &self.proofs[index];
            if proved.holds {
                continue;
            }
            let sign = match proved.effective_bound() {
                InvariantBound::AtLeast(_) => 1,
                InvariantBound::AtMost(_) => -1,
            };
            let room = match proved.effective_bound() {
                InvariantBound::AtLeast(bound) => proved.base - bound,
                InvariantBound::AtMost(bound) => bound - proved.base,
            };
            let mut taking: Vec<(u32, i64)> = proved
                .effects
                .iter()
                .filter(|(_, start, end)| start * sign < 0 && (start + end) * sign >= 0)
                .map(|(action, start, _)| (*action, -start * sign))
                .collect();
            taking.sort_unstable();
            let largest = taking.iter().map(|(_, amount)| *amount).max().unwrap_or(0);
            if largest == 0 || room < largest {
                continue;
            }
            let at_once = (room / largest) as usize;
            for pair in at_once..taking.len() {
                let (before, after) = (taking[pair - at_once].0, taking[pair].0);
                let action = &mut self.actions[after as usize];
                if !action.after.contains(&before) {
                    let mut edges = std::mem::take(&mut action.after).into_vec();
                    edges.push(before);
                    edges.sort_unstable();
                    action.after = edges.into();
                    self.ordered.push((before, after, index as u32));
                }
            }
        }
        if !self.ordered.is_empty() {
            self.prove();
        }
    }
}

impl Proved {
    /// The bound that the plan must keep: the invariant's, or the value before the plan where that is worse.
    fn effective_bound(&self) -> InvariantBound {
        match self.invariant.bound {
            InvariantBound::AtLeast(bound) => InvariantBound::AtLeast(bound.min(self.base)),
            InvariantBound::AtMost(bound) => InvariantBound::AtMost(bound.max(self.base)),
        }
    }
}

/// Adds the invariants of the desired state to a plan, with what the actions do to each.
pub(super) fn add_proofs(plan: &mut Plan, input: &PlanInput<'_>) -> Result<(), PlanError> {
    for invariant in &input.desired.invariants {
        let mut proved = Proved {
            invariant: invariant.clone(),
            base: base(invariant, input)?,
            effects: Vec::new(),
            worst: 0,
            holds: true,
            counterexample: None,
        };
        for (index, action) in plan.actions.iter().enumerate() {
            let id = &plan.changes[action.change as usize].resource;
            let (start, end) = effect(invariant, id, action, plan, input)?;
            if (start, end) != (0, 0) {
                proved.effects.push((index as u32, start, end));
            }
        }
        plan.proofs.push(proved);
    }
    plan.prove();
    plan.order_for_invariants();
    Ok(())
}

/// What an action adds to an invariant's value at its start and at its end.
fn effect(
    invariant: &Invariant,
    id: &ResourceId,
    action: &PlannedAction,
    plan: &Plan,
    input: &PlanInput<'_>,
) -> Result<(i64, i64), PlanError> {
    let recorded =
        action.recording.as_ref().and_then(|recording| recording.renamed_from.as_ref()).unwrap_or(id);
    let second_half =
        action.verb == Verb::Create && plan.change_of(action).kind == crate::diff::ChangeKind::Replace;
    let before = if second_half { 0 } else { now(invariant, recorded, input)? };
    let after = match input.desired.resources.get(id).filter(|_| !action.verb.removes()) {
        Some(desired) => wanted(invariant, desired, &action.spec.value()),
        None => 0,
    };
    let effect = input.registry.kind(id.kind()).map(|kind| kind.facts().traits.change).unwrap_or_default();
    let interrupted = effect == ChangeEffect::Restart
        && matches!(action.verb, Verb::Update | Verb::Restart | Verb::Adopt)
        && matches!(invariant.measure, Measure::Available(_));
    let between = match invariant.bound {
        InvariantBound::AtLeast(_) if interrupted => before.min(after).min(0),
        InvariantBound::AtLeast(_) => before.min(after),
        InvariantBound::AtMost(_) => before.max(after),
    };
    Ok((between - before, after - between))
}

/// The value before the plan: the sum over everything that is recorded and there.
fn base(invariant: &Invariant, input: &PlanInput<'_>) -> Result<i64, PlanError> {
    let kind = selector(&invariant.measure).kind.as_deref();
    let candidates = input.recorded.keys().filter(|id| kind.is_none_or(|kind| kind == id.kind()));
    candidates.map(|id| now(invariant, id, input)).sum()
}

/// What a recorded resource counts for as it is.
fn now(invariant: &Invariant, id: &ResourceId, input: &PlanInput<'_>) -> Result<i64, PlanError> {
    let Some(record) = input.recorded.get(id) else { return Ok(0) };
    let there = match input.observed.get(id) {
        None | Some(Observation::Unobservable | Observation::Unknown(_)) => true,
        Some(Observation::Absent) => false,
        Some(Observation::Present(present)) => {
            present.health != Health::Unhealthy || matches!(invariant.measure, Measure::Total { .. })
        }
    };
    if !there {
        return Ok(0);
    }
    let body: RecordBody =
        record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
    let selected = selector(&invariant.measure).matches(id, body.host.as_ref(), &body.labels());
    Ok(if selected { amount(&invariant.measure, &body.spec.value()) } else { 0 })
}

/// What a desired resource will count for.
fn wanted(invariant: &Invariant, desired: &DesiredResource, spec: &Value) -> i64 {
    let labels = &desired.extra().labels;
    let selected = selector(&invariant.measure).matches(&desired.id, desired.host.as_ref(), labels);
    if selected { amount(&invariant.measure, spec) } else { 0 }
}

fn selector(measure: &Measure) -> &Selector {
    match measure {
        Measure::Available(selector) => selector,
        Measure::Total { of, .. } => of,
    }
}

/// What one selected resource counts for. A field that is not there, or is no whole number, counts for nothing.
fn amount(measure: &Measure, spec: &Value) -> i64 {
    match measure {
        Measure::Available(_) => 1,
        Measure::Total { field, .. } => field.get(spec).and_then(Value::as_i64).unwrap_or(0),
    }
}
