//! What a resource counts for in each invariant, and what the actions of a plan do to that.
//!
//! An action is read once, and only if some invariant is about its kind: there may be a hundred invariants and a hundred
//! thousand actions.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Plan, PlanError, PlanInput, PlannedAction, Verb};
use crate::action::Meanwhile;
use crate::diff::{Change, ChangeKind, Reason};
use crate::model::{
    DesiredResource, Doc, FieldPath, Health, HostName, Invariant, InvariantBound, Map, Measure, Observation,
    Record, ResourceId,
};
use crate::resource::{ChangeEffect, Known, Registry};

/// The invariants of a desired state, by the kinds that they are about.
pub(super) struct Invariants<'a> {
    pub(super) all: &'a [Invariant],
    by_kind: Map<&'a str, Vec<usize>>,
    of_any_kind: Vec<usize>,
}

/// What actions add to one invariant: action, at its start, at its end.
type Effects = Vec<(u32, i64, i64)>;

/// What the actions of a plan do to one invariant.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) effects: Effects,
    /// The same of what may be at work, if it is: action, by how much there is more before it, at its start, at its end.
    pub(super) if_at_work: Vec<(u32, i64, i64, i64)>,
}

/// How what may be there or not, since its making was cut off, is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubtful {
    /// As the bound can bear it least.
    Worse,
    /// As the other one: there is something to lose then.
    Better,
}

/// What one resource counts by.
pub(super) struct Counted<'a> {
    id: &'a ResourceId,
    host: Option<HostName>,
    labels: BTreeMap<String, String>,
    spec: Doc,
    /// The spec taken apart, which only a sum of its fields needs.
    fields: OnceCell<Value>,
    /// What it was last seen to be; `None` where that does not matter.
    seen: Option<&'a Observation>,
    /// It is only known that its making, or a change of it, had begun.
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
    pub(super) fn about(&self, kind: &str) -> impl Iterator<Item = usize> {
        let of_kind = self.by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        of_kind.iter().chain(&self.of_any_kind).copied()
    }

    /// What the actions of `plan` add to each.
    pub(super) fn effects(&self, plan: &Plan, input: &PlanInput<'_>) -> Result<Vec<Done>, PlanError> {
        let mut effects = vec![Done::default(); self.all.len()];
        if self.all.is_empty() {
            return Ok(effects);
        }
        for (index, action) in plan.actions.iter().enumerate() {
            let id = &plan.change_of(action).resource;
            let meanwhile = meanwhile(action, id, input.registry);
            if self.about(id.kind()).next().is_none() && meanwhile.is_empty() {
                continue;
            }
            let ends = ends(action, plan, input)?;
            let between = Between::of(plan, action, &meanwhile, input.registry);
            let mut of_action: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
            let mut if_at_work: BTreeMap<usize, (i64, i64, i64)> = BTreeMap::new();
            for at in self.about(id.kind()) {
                let amount = |counted: &Option<Counted<'_>>, doubtful| {
                    counted.as_ref().map_or(0, |counted| counted.amount(&self.all[at], doubtful))
                };
                let after = amount(&ends.1, Doubtful::Worse);
                let before = (amount(&ends.0, Doubtful::Worse), amount(&ends.0, Doubtful::Better));
                let invariant = &self.all[at];
                let effect = |before| effect(invariant, (before, after), between);
                of_action.insert(at, effect(before.0)?);
                if before.0 != before.1 {
                    let (start, end) = effect(before.1)?;
                    let more = within(invariant, i128::from(before.1) - i128::from(before.0))?;
                    if_at_work.insert(at, (more, start, end));
                }
            }
            let alone = of_action.clone();
            for stated in &meanwhile {
                self.add_stated(stated, (id, &ends), input, &mut of_action)?;
            }
            for (at, (more, start, end)) in if_at_work {
                // What an action states comes on top of either.
                let with_stated = |of: i64, stated: i64, alone: i64| {
                    within(&self.all[at], i128::from(of) + i128::from(stated) - i128::from(alone))
                };
                let start = with_stated(start, of_action[&at].0, alone[&at].0)?;
                let end = with_stated(end, of_action[&at].1, alone[&at].1)?;
                effects[at].if_at_work.push((index as u32, more, start, end));
            }
            for (at, (start, end)) in of_action.into_iter().filter(|(_, effect)| *effect != (0, 0)) {
                effects[at].effects.push((index as u32, start, end));
            }
        }
        Ok(effects)
    }

    /// Adds what an action states of the time while it goes on, where that does harm.
    fn add_stated(
        &self,
        stated: &Meanwhile,
        (id, (before, after)): (&ResourceId, &(Option<Counted<'_>>, Option<Counted<'_>>)),
        input: &PlanInput<'_>,
        effects: &mut BTreeMap<usize, (i64, i64)>,
    ) -> Result<(), PlanError> {
        let mut add = |at: usize, amount: i64| -> Result<(), PlanError> {
            let harm = match self.all[at].bound {
                InvariantBound::AtLeast(_) => amount.min(0),
                InvariantBound::AtMost(_) => amount.max(0),
            };
            let (start, end) = effects.entry(at).or_default();
            let (more, less) = (i128::from(*start) + i128::from(harm), i128::from(*end) - i128::from(harm));
            (*start, *end) = (within(&self.all[at], more)?, within(&self.all[at], less)?);
            Ok(())
        };
        match stated {
            Meanwhile::Takes { field, amount } => {
                for at in self.about(id.kind()) {
                    let Measure::Total { field: summed, of } = &self.all[at].measure else { continue };
                    let is_selected = |counted: &&Counted<'_>| {
                        of.matches(counted.id, counted.host.as_ref(), &counted.labels)
                    };
                    if summed == field && before.iter().chain(after).any(|counted| is_selected(&counted)) {
                        add(at, *amount)?;
                    }
                }
            }
            // What an action does to its own resource is part of its effect.
            Meanwhile::Overlaps => {}
            Meanwhile::Suspends(other) if other == id => {}
            Meanwhile::Suspends(other) => {
                let recorded = input.recorded.get(other);
                let recorded = recorded
                    .map(|record| Counted::recorded(other, record, input.seen(other, record)))
                    .transpose()?;
                let desired = input.desired.resources.get(other);
                let desired = desired.map(|desired| Counted::desired(other, desired, desired.spec.clone()));
                for at in self.about(other.kind()) {
                    let counts = |counted: &Counted<'_>| counted.amount(&self.all[at], Doubtful::Worse) > 0;
                    if matches!(self.all[at].measure, Measure::Available(_))
                        && (recorded.as_ref().is_some_and(counts) || desired.as_ref().is_some_and(counts))
                    {
                        add(at, -1)?;
                    }
                }
            }
        }
        Ok(())
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
    let before =
        record.map(|record| Counted::recorded(recorded, record, input.seen(recorded, record))).transpose()?;
    let desired = input.desired.resources.get(id).filter(|_| !action.verb.removes());
    let after = desired.map(|desired| Counted::desired(id, desired, action.spec.clone()));
    Ok((before, after))
}

/// What an action adds to an invariant's value at its start and at its end.
fn effect(
    invariant: &Invariant,
    (before, after): (i64, i64),
    between: Between,
) -> Result<(i64, i64), PlanError> {
    let is_away = between == Between::Nothing && matches!(invariant.measure, Measure::Available(_));
    let [before, after] = [before, after].map(i128::from);
    let meanwhile = match invariant.bound {
        InvariantBound::AtLeast(_) if is_away => before.min(after).min(0),
        InvariantBound::AtLeast(_) => before.min(after),
        InvariantBound::AtMost(_) if between == Between::Both => before.max(before + after),
        InvariantBound::AtMost(_) => before.max(after),
    };
    Ok((within(invariant, meanwhile - before)?, within(invariant, after - meanwhile)?))
}

/// A number that is part of a proof. One that was cut at the end of its range would prove what is not so.
pub(super) fn within(invariant: &Invariant, value: i128) -> Result<i64, PlanError> {
    i64::try_from(value).map_err(|_| PlanError::Beyond { invariant: invariant.name.clone() })
}

/// What an action states of the time while it goes on.
pub(super) fn meanwhile(action: &PlannedAction, id: &ResourceId, registry: &Registry) -> Vec<Meanwhile> {
    if matches!(action.verb, Verb::Record | Verb::Delete | Verb::Forget) {
        return Vec::new();
    }
    let known = if action.spec.may_hold_references() { Known::SomeLater } else { Known::All };
    let footprint = registry.kind(id.kind()).and_then(|kind| kind.inspect(&action.spec, known).ok());
    footprint.map(|footprint| footprint.meanwhile).unwrap_or_default()
}

/// What takes part, of what there was and what there will be, while an action goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// One of both.
    Either,
    /// Both.
    Both,
    /// Neither.
    Nothing,
}

impl Between {
    pub(super) fn of(
        plan: &Plan,
        action: &PlannedAction,
        meanwhile: &[Meanwhile],
        registry: &Registry,
    ) -> Self {
        let Change { resource: id, reason, .. } = plan.change_of(action);
        let effect = registry.kind(id.kind()).map(|kind| kind.facts().traits.change).unwrap_or_default();
        let is_restart = match action.verb {
            Verb::Restart => effect == ChangeEffect::Restart,
            Verb::Adopt => matches!(reason, Reason::Restarts(_)),
            Verb::Create | Verb::Update | Verb::Record | Verb::Delete | Verb::Forget => false,
        };
        let is_itself = |stated: &Meanwhile| matches!(stated, Meanwhile::Suspends(other) if other == id);
        if meanwhile.iter().any(is_itself) {
            Self::Nothing
        } else if !is_restart {
            Self::Either
        } else if meanwhile.contains(&Meanwhile::Overlaps) {
            Self::Both
        } else {
            Self::Nothing
        }
    }
}

impl<'a> Counted<'a> {
    pub(super) fn recorded(
        id: &'a ResourceId,
        record: &Record,
        (seen, is_begun): (Option<&'a Observation>, bool),
    ) -> Result<Self, PlanError> {
        let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
        let labels = body.labels();
        let fields = OnceCell::new();
        Ok(Self { id, host: body.host, labels, spec: body.spec, fields, seen, is_begun })
    }

    pub(super) fn desired(id: &'a ResourceId, desired: &DesiredResource, spec: Doc) -> Self {
        let (host, labels) = (desired.host.clone(), desired.extra().labels.clone());
        Self { id, host, labels, spec, fields: OnceCell::new(), seen: None, is_begun: false }
    }

    /// Whether it can count at all: it is selected, and has the field that is summed.
    pub(super) fn is_counted_by(&self, measure: &Measure) -> bool {
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
    /// What may be there or not, since its making was cut off, counts as `doubtful` says; what can not be seen now always as
    /// the worse of both: no plan touches it.
    pub(super) fn amount(&self, invariant: &Invariant, doubtful: Doubtful) -> i64 {
        let measure = &invariant.measure;
        let is_at_most = matches!(invariant.bound, InvariantBound::AtMost(_));
        let if_doubtful = is_at_most == (doubtful == Doubtful::Worse);
        let is_there = match self.seen {
            None | Some(Observation::Unobservable) => if_doubtful || !self.is_begun,
            Some(Observation::Unknown(_)) => is_at_most,
            Some(Observation::Absent | Observation::Needed(_)) => false,
            Some(Observation::Present(present)) => {
                // What was cut off in the midst of being made works only if that was seen.
                let works = match present.health {
                    Health::Healthy => true,
                    Health::None => if_doubtful || !self.is_begun,
                    Health::Unknown => if_doubtful,
                    // It may become healthy at any moment.
                    Health::Unhealthy => is_at_most,
                };
                works || matches!(measure, Measure::Total { .. })
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
