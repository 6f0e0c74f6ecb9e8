//! What the resources count for in each invariant: before a plan, and with each of its actions.
//!
//! Each record and each action is read once, and only if some invariant is about its kind: there may be a hundred
//! invariants and a hundred thousand resources.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Plan, PlanError, PlanInput, PlannedAction, Verb};
use crate::diff::ChangeKind;
use crate::model::parallel::in_parts;
use crate::model::{
    DesiredResource, Doc, FieldPath, Health, HostName, Invariant, InvariantBound, Map, Measure, Observation,
    Record, ResourceId,
};
use crate::resource::{ChangeEffect, Registry};

/// The invariants of a desired state, by the kinds that they are about.
pub(super) struct Invariants<'a> {
    all: &'a [Invariant],
    by_kind: Map<&'a str, Vec<usize>>,
    of_any_kind: Vec<usize>,
}

/// What actions add to one invariant: action, at its start, at its end.
type Effects = Vec<(u32, i64, i64)>;

/// What one resource counts by.
struct Counted<'a> {
    id: &'a ResourceId,
    host: Option<HostName>,
    labels: BTreeMap<String, String>,
    spec: Doc,
    /// The spec taken apart, which only a sum of its fields needs.
    fields: OnceCell<Value>,
    /// What it was last seen to be; `None` where that does not matter.
    seen: Option<&'a Observation>,
    /// It is only known that its making had begun.
    is_begun: bool,
}

impl<'a> Invariants<'a> {
    pub(super) fn new(all: &'a [Invariant]) -> Self {
        let mut invariants = Self { all, by_kind: Map::default(), of_any_kind: Vec::new() };
        for (at, invariant) in all.iter().enumerate() {
            match &invariant.measure.selector().kind {
                Some(kind) => invariants.by_kind.entry(kind).or_default().push(at),
                None => invariants.of_any_kind.push(at),
            }
        }
        invariants
    }

    /// The invariants that may be about resources of this kind, by their indices.
    fn about(&self, kind: &str) -> impl Iterator<Item = usize> {
        let of_kind = self.by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        of_kind.iter().chain(&self.of_any_kind).copied()
    }

    /// The value of each before the plan: the sum over everything that is recorded and there.
    pub(super) fn bases(&self, input: &PlanInput<'_>) -> Result<Vec<i64>, PlanError> {
        let mut bases = vec![0; self.all.len()];
        if self.all.is_empty() {
            return Ok(bases);
        }
        let parts = in_parts(input.recorded.len(), |range| {
            let mut sums = vec![0; self.all.len()];
            for index in range {
                let (id, record) = input.recorded.get_index(index).expect("invariant: an index of these");
                if self.about(id.kind()).next().is_none() {
                    continue;
                }
                let counted = Counted::recorded(id, record, input)?;
                for at in self.about(id.kind()) {
                    let sum: &mut i64 = &mut sums[at];
                    *sum = sum.saturating_add(counted.amount(&self.all[at]));
                }
            }
            Ok(sums)
        });
        for part in parts {
            bases
                .iter_mut()
                .zip(part?)
                .for_each(|(base, sum): (&mut i64, i64)| *base = base.saturating_add(sum));
        }
        Ok(bases)
    }

    /// Whether each is about nothing: no resource, recorded or desired, counts for it.
    pub(super) fn vacuous(&self, input: &PlanInput<'_>) -> Result<Vec<bool>, PlanError> {
        let mut open: Vec<usize> = (0..self.all.len()).collect();
        for (id, desired) in &input.desired.resources {
            if open.is_empty() {
                break;
            }
            if self.about(id.kind()).any(|at| open.contains(&at)) {
                let counted = Counted::desired(id, desired, desired.spec.clone());
                open.retain(|at| !counted.is_counted_by(&self.all[*at].measure));
            }
        }
        for (id, record) in input.recorded {
            if open.is_empty() {
                break;
            }
            if self.about(id.kind()).any(|at| open.contains(&at)) {
                let counted = Counted::recorded(id, record, input)?;
                open.retain(|at| !counted.is_counted_by(&self.all[*at].measure));
            }
        }
        Ok((0..self.all.len()).map(|at| open.contains(&at)).collect())
    }

    /// What the actions of `plan` add to each.
    pub(super) fn effects(&self, plan: &Plan, input: &PlanInput<'_>) -> Result<Vec<Effects>, PlanError> {
        let mut effects = vec![Effects::new(); self.all.len()];
        if self.all.is_empty() {
            return Ok(effects);
        }
        for (index, action) in plan.actions.iter().enumerate() {
            let id = &plan.change_of(action).resource;
            if self.about(id.kind()).next().is_none() {
                continue;
            }
            let (before, after) = ends(action, plan, input)?;
            for at in self.about(id.kind()) {
                let invariant = &self.all[at];
                let amount = |counted: &Option<Counted<'_>>| {
                    counted.as_ref().map_or(0, |counted| counted.amount(invariant))
                };
                let (start, end) = effect(invariant, action, id, (amount(&before), amount(&after)), input);
                if (start, end) != (0, 0) {
                    effects[at].push((index as u32, start, end));
                }
            }
        }
        Ok(effects)
    }
}

/// What an action's resource counts by before it and after it.
fn ends<'a>(
    action: &'a PlannedAction,
    plan: &'a Plan,
    input: &PlanInput<'a>,
) -> Result<(Option<Counted<'a>>, Option<Counted<'a>>), PlanError> {
    let id = &plan.change_of(action).resource;
    let recorded = action.renamed_from().unwrap_or(id);
    let second_half = action.verb == Verb::Create && plan.change_of(action).kind == ChangeKind::Replace;
    let record = input.recorded.get(recorded).filter(|_| !second_half);
    let before = record.map(|record| Counted::recorded(recorded, record, input)).transpose()?;
    let desired = input.desired.resources.get(id).filter(|_| !action.verb.removes());
    let after = desired.map(|desired| Counted::desired(id, desired, action.spec.clone()));
    Ok((before, after))
}

/// What an action adds to an invariant's value at its start and at its end.
fn effect(
    invariant: &Invariant,
    action: &PlannedAction,
    id: &ResourceId,
    (before, after): (i64, i64),
    input: &PlanInput<'_>,
) -> (i64, i64) {
    let interrupted =
        is_interrupted(action, id, input.registry) && matches!(invariant.measure, Measure::Available(_));
    let between = match invariant.bound {
        InvariantBound::AtLeast(_) if interrupted => before.min(after).min(0),
        InvariantBound::AtLeast(_) => before.min(after),
        InvariantBound::AtMost(_) => before.max(after),
    };
    (between.saturating_sub(before), after.saturating_sub(between))
}

/// Whether what there is takes no part while the action goes on.
pub(super) fn is_interrupted(action: &PlannedAction, id: &ResourceId, registry: &Registry) -> bool {
    let effect = registry.kind(id.kind()).map(|kind| kind.facts().traits.change).unwrap_or_default();
    effect == ChangeEffect::Restart && matches!(action.verb, Verb::Restart | Verb::Adopt)
}

impl<'a> Counted<'a> {
    fn recorded(id: &'a ResourceId, record: &Record, input: &PlanInput<'a>) -> Result<Self, PlanError> {
        let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
        let labels = body.labels();
        let fields = OnceCell::new();
        let (seen, is_begun) = (input.observed.get(id), record.is_begun());
        Ok(Self { id, host: body.host, labels, spec: body.spec, fields, seen, is_begun })
    }

    fn desired(id: &'a ResourceId, desired: &DesiredResource, spec: Doc) -> Self {
        let (host, labels) = (desired.host.clone(), desired.extra().labels.clone());
        Self { id, host, labels, spec, fields: OnceCell::new(), seen: None, is_begun: false }
    }

    /// Whether it can count at all: it is selected, and has the field that is summed.
    fn is_counted_by(&self, measure: &Measure) -> bool {
        let is_selected = measure.selector().matches(self.id, self.host.as_ref(), &self.labels);
        is_selected
            && match measure {
                Measure::Available(_) => true,
                Measure::Total { field, .. } => self.number(field).is_some(),
            }
    }

    fn number(&self, field: &FieldPath) -> Option<i64> {
        field.get(self.fields.get_or_init(|| self.spec.value())).and_then(Value::as_i64)
    }

    /// What it counts for. A field that is not there, or is no whole number, counts for nothing.
    ///
    /// What may be there or not, since its making had begun or it can not be seen now, counts as the worse of both.
    fn amount(&self, invariant: &Invariant) -> i64 {
        let measure = &invariant.measure;
        // It may be there, or become healthy, at any moment.
        let if_doubtful = matches!(invariant.bound, InvariantBound::AtMost(_));
        let is_there = match self.seen {
            None | Some(Observation::Unobservable) => if_doubtful || !self.is_begun,
            Some(Observation::Unknown(_)) => if_doubtful,
            Some(Observation::Absent | Observation::Needed(_)) => false,
            Some(Observation::Present(present)) => {
                if_doubtful
                    || matches!(present.health, Health::Healthy | Health::None)
                    || matches!(measure, Measure::Total { .. })
            }
        };
        if !is_there || !measure.selector().matches(self.id, self.host.as_ref(), &self.labels) {
            return 0;
        }
        match measure {
            Measure::Available(_) => 1,
            Measure::Total { field, .. } => self.number(field).unwrap_or(0),
        }
    }
}
