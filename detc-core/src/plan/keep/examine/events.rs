//! What the actions of a plan change, as events, for a predicate that is about some of the resources.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::OnceLock;

use super::super::super::explore::Does;
use super::super::super::{Plan, PlanError, PlanInput, PlannedAction, Verb};
use super::super::effects::{Between, meanwhile};
use crate::action::Meanwhile;
use crate::model::state::{NOTHING, Slot, Standing, Version};
use crate::model::{Health, Observation, Record, ResourceId, Selector};

/// How many waits through actions that change nothing are kept. Beyond that they count as events like any other.
const THROUGH_MAX: usize = 2_000_000;

/// What there is before a plan, and what happens then.
pub(super) struct Events {
    pub(super) slots: Vec<Slot>,
    /// What is there before.
    pub(super) base: Vec<u32>,
    pub(super) events: Vec<Event>,
    /// What each event comes after.
    pub(super) before: Vec<Vec<u32>>,
    /// Whether events that change nothing are among them.
    pub(super) has_idle: bool,
}

/// A step of an action that changes what there is.
pub(super) struct Event {
    pub(super) action: u32,
    /// Whether the action has ended with it.
    pub(super) is_last: bool,
    /// The new version at each of these slots.
    pub(super) changes: Vec<(u32, u32)>,
    /// How many more keep what is at these slots from taking part.
    pub(super) away: Vec<(u32, i32)>,
    pub(super) does: Does,
}

/// Collects what is at each id.
#[derive(Default)]
struct Slots {
    by_id: BTreeMap<ResourceId, Vec<Version>>,
}

/// What a part of an action changes.
#[derive(Default)]
struct Step {
    /// By id, the version then.
    changes: Vec<(ResourceId, Option<usize>)>,
    /// What takes no part from then on, and what does again.
    away: Vec<(ResourceId, i32)>,
}

impl Slots {
    fn add(&mut self, id: &ResourceId, version: Version) -> usize {
        let versions = self.by_id.entry(id.clone()).or_default();
        versions.push(version);
        versions.len() - 1
    }
}

impl Events {
    pub(super) fn of(plan: &Plan, input: &PlanInput<'_>, about: &Selector) -> Result<Self, PlanError> {
        let is_kind = |id: &ResourceId| about.kind.as_ref().is_none_or(|kind| kind == id.kind());
        let mut slots = Slots::default();
        let mut now: BTreeMap<ResourceId, usize> = BTreeMap::new();
        for (id, record) in input.recorded.iter().filter(|(id, _)| is_kind(id)) {
            if let Some(version) = recorded_version(id, record, input)?
                && about.matches(id, version.host.as_ref(), &version.labels)
            {
                now.insert(id.clone(), slots.add(id, version));
            }
        }
        let base = now.clone();
        let mut steps: Vec<Vec<Step>> = Vec::with_capacity(plan.actions.len());
        let mut suspended: Vec<Vec<ResourceId>> = Vec::with_capacity(plan.actions.len());
        for (index, action) in plan.actions.iter().enumerate() {
            let id = plan.resource_of(index as u32);
            let meanwhile = meanwhile(action, id, input.registry);
            let of_action = if is_kind(id) || action.renamed_from().is_some_and(is_kind) {
                let is_restarted = Between::of(plan, action, &meanwhile, input.registry) == Between::Nothing;
                steps_of(action, id, is_restarted, about, (&mut slots, &mut now))
            } else {
                Vec::new()
            };
            steps.push(of_action);
            suspended.push(
                meanwhile
                    .into_iter()
                    .filter_map(|stated| match stated {
                        Meanwhile::Suspends(other) if other != *id => Some(other),
                        _ => None,
                    })
                    .collect(),
            );
        }
        let place: BTreeMap<&ResourceId, u32> = slots.by_id.keys().zip(0..).collect();
        let number = |version: Option<usize>| version.map_or(NOTHING, |version| version as u32);
        let mut base_now = vec![NOTHING; slots.by_id.len()];
        base.iter().for_each(|(id, version)| base_now[place[id] as usize] = *version as u32);
        for (steps, others) in steps.iter_mut().zip(&mut suspended) {
            others.retain(|other| place.contains_key(other));
            suspend(steps, others);
        }
        let (has_idle, before) = order_of(plan, &steps);
        let mut events = Vec::with_capacity(before.len());
        for (action, steps) in (0_u32..).zip(&steps) {
            if steps.is_empty() && has_idle {
                let (changes, away) = (Vec::new(), Vec::new());
                events.push(Event { action, is_last: true, changes, away, does: Does::Neither });
            }
            for (step, Step { changes, away }) in steps.iter().enumerate() {
                let takes = step + 1 < steps.len() || changes.iter().any(|(_, version)| version.is_none());
                let changes = changes.iter().map(|(id, version)| (place[id], number(*version))).collect();
                let away = away.iter().map(|(id, by)| (place[id], *by)).collect();
                let does = if takes { Does::TakesAway } else { Does::Makes };
                events.push(Event { action, is_last: step + 1 == steps.len(), changes, away, does });
            }
        }
        let slots = slots.by_id.into_iter().map(|(id, versions)| Slot { id, versions }).collect();
        Ok(Self { slots, base: base_now, events, before, has_idle })
    }
}

/// What a record says is there.
fn recorded_version(
    id: &ResourceId,
    record: &Record,
    input: &PlanInput<'_>,
) -> Result<Option<Version>, PlanError> {
    let standing = match input.observed.get(id) {
        Some(Observation::Absent | Observation::Needed(_)) => return Ok(None),
        Some(Observation::Present(present)) if present.health == Health::Unhealthy => Standing::Down,
        Some(Observation::Present(_)) => Standing::Up,
        Some(Observation::Unknown(_)) => Standing::Unknown,
        None | Some(Observation::Unobservable) if input.is_half_done(id, record) => Standing::Unknown,
        None | Some(Observation::Unobservable) => Standing::Up,
    };
    let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
    let labels = body.labels();
    Ok(Some(Version { host: body.host, labels, spec: body.spec, standing, fields: OnceLock::new() }))
}

/// What an action changes, one step after the other; `now` goes along.
fn steps_of(
    action: &PlannedAction,
    id: &ResourceId,
    is_restarted: bool,
    about: &Selector,
    (slots, now): (&mut Slots, &mut BTreeMap<ResourceId, usize>),
) -> Vec<Step> {
    let from = action.renamed_from().unwrap_or(id);
    let before = now.get(from).map(|version| slots.by_id[from][*version].clone());
    let mut steps: Vec<Step> = Vec::new();
    if let Some(before) = before.clone().filter(|_| is_restarted) {
        let away = slots.add(from, Version { standing: Standing::Down, ..before });
        steps.push(Step { changes: vec![(from.clone(), Some(away))], ..Step::default() });
    }
    let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_ref());
    let labels = extra.map(|extra| extra.labels.clone()).unwrap_or_default();
    let is_made = !action.verb.removes() && about.matches(id, action.host.as_ref(), &labels);
    let made = is_made.then(|| Version {
        host: action.host.clone(),
        labels,
        spec: action.spec.clone(),
        standing: match (action.verb, &before) {
            // What is changed in place is not healed by that.
            (Verb::Update | Verb::Record, Some(before)) => before.standing,
            (_, _) => Standing::Up,
        },
        fields: OnceLock::new(),
    });
    let mut last = Vec::new();
    match (before, made) {
        (Some(before), Some(made)) if from == id && steps.is_empty() && before.is_like(&made) => {}
        (None, None) => {}
        (before, made) => {
            if before.is_some() && from != id {
                now.remove(from);
                last.push((from.clone(), None));
            }
            let version = made.map(|made| slots.add(id, made));
            match version {
                Some(version) => _ = now.insert(id.clone(), version),
                None => _ = now.remove(id),
            }
            if version.is_some() || (before.is_some() && from == id) {
                last.push((id.clone(), version));
            }
        }
    }
    if !last.is_empty() {
        steps.push(Step { changes: last, ..Step::default() });
    }
    steps
}

/// Keeps others from taking part, from the first to the last of an action's steps.
fn suspend(steps: &mut Vec<Step>, others: &[ResourceId]) {
    if others.is_empty() {
        return;
    }
    while steps.len() < 2 {
        steps.insert(0, Step::default());
    }
    let away = |by: i32| others.iter().map(move |other| (other.clone(), by));
    steps.first_mut().into_iter().for_each(|step| step.away.extend(away(1)));
    steps.last_mut().into_iter().for_each(|step| step.away.extend(away(-1)));
}

/// What each event comes after: the last events before it, through actions that have none. Where these are too many waits,
/// actions without an event get one, and that is said.
fn order_of(plan: &Plan, steps: &[Vec<Step>]) -> (bool, Vec<Vec<u32>>) {
    let mut before: Vec<Vec<u32>> = Vec::new();
    let mut leads: Vec<Rc<[u32]>> = Vec::with_capacity(plan.actions.len());
    let mut kept = 0;
    let nothing: Rc<[u32]> = Rc::new([]);
    let mut has_idle = false;
    let mut index = 0;
    while index < plan.actions.len() {
        let after = &plan.actions[index].after;
        let waits: Rc<[u32]> = match &after[..] {
            [] => nothing.clone(),
            [only] => leads[*only as usize].clone(),
            several => {
                let mut all: Vec<u32> =
                    several.iter().flat_map(|before| leads[*before as usize].iter().copied()).collect();
                all.sort_unstable();
                all.dedup();
                kept += all.len();
                all.into()
            }
        };
        let count = steps[index].len().max(usize::from(has_idle));
        if count == 0 {
            leads.push(waits);
        } else {
            kept += waits.len();
            for step in 0..count {
                let last = before.len() as u32;
                before.push(if step == 0 { waits.to_vec() } else { vec![last - 1] });
            }
            leads.push(Rc::new([before.len() as u32 - 1]));
        }
        if kept > THROUGH_MAX && !has_idle {
            (has_idle, kept, index) = (true, 0, 0);
            before.clear();
            leads.clear();
            continue;
        }
        index += 1;
    }
    (has_idle, before)
}
