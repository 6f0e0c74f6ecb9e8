//! What stands for a resource in the simulated world, and what it counts by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{
    Health, HostName, Invariant, InvariantBound, Measure, Observation, Present, RecordBody, ResourceId,
};

/// All that is there. Copies share what was not changed since: a world is copied for each death.
pub(super) type Things = BTreeMap<ResourceId, Arc<Thing>>;

/// What stands for a resource.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) seen: Observation,
    /// No look tells what is there.
    pub(super) is_blind: bool,
    /// A look tells whether it works.
    pub(super) is_probed: bool,
    /// It is there as it should be, and does not work yet.
    pub(super) is_unready: bool,
    /// It was not known to work before the plan, and nothing was done about it since.
    pub(super) is_doubtful: bool,
    /// What counts for the invariants.
    pub(super) counted: Option<Counted>,
    /// What that becomes, while an action is in the midst of it, and whether it takes no part then.
    becoming: Option<(Option<Counted>, Part)>,
    /// The idempotency keys of what was made.
    keys: BTreeSet<String>,
    /// The trigger token that it was made or changed with last.
    triggers: Option<String>,
    /// How often it was made or changed, and removed.
    pub(super) effects: [u32; 2],
}

/// Whether what is being changed takes part meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Takes,
    Away,
}

/// What a resource counts by.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) host: Option<HostName>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Value,
}

impl Thing {
    pub(super) fn new(seen: Observation, counted: Option<Counted>) -> Self {
        let (becoming, keys, triggers, effects, is_blind) = (None, BTreeSet::new(), None, [0; 2], false);
        let tells = |present: &Present| matches!(present.health, Health::Healthy | Health::Unhealthy);
        let is_probed = matches!(&seen, Observation::Present(present) if tells(present));
        let (is_unready, is_doubtful) = (false, false);
        Self {
            seen,
            is_blind,
            is_probed,
            is_unready,
            is_doubtful,
            counted,
            becoming,
            keys,
            triggers,
            effects,
        }
    }

    /// What it counts for, in the midst of a change the worse of what it was and what it becomes.
    pub(super) fn amount(&self, id: &ResourceId, invariant: &Invariant) -> i64 {
        let of =
            |counted: &Option<Counted>| counted.as_ref().map_or(0, |it| it.amount(id, &invariant.measure));
        // As the proof counts it: where it does harm.
        let is_nothing = self.is_doubtful
            && matches!(invariant.bound, InvariantBound::AtLeast(_))
            && (self.is_blind || matches!(invariant.measure, Measure::Available(_)));
        let is = if is_nothing { 0 } else { of(&self.counted) };
        let Some((next, part)) = &self.becoming else { return is };
        match invariant.bound {
            InvariantBound::AtMost(_) => is.max(of(next)),
            InvariantBound::AtLeast(_)
                if *part == Part::Away && matches!(invariant.measure, Measure::Available(_)) =>
            {
                0
            }
            InvariantBound::AtLeast(_) => is.min(of(next)),
        }
    }

    /// From here on a look tells whether it works, also of one that is only half made.
    pub(super) fn be_probed(&mut self) {
        self.is_probed = true;
    }

    /// It is half made or half changed.
    pub(super) fn become_half(
        &mut self,
        (next, part): (&Counted, Part),
        whole: &Present,
        keep: &[String],
        at_once: &[&str],
    ) {
        self.becoming = Some((Some(next.clone()), part));
        self.is_unready = false;
        let is_kept = |name: &String| keep.contains(name);
        let before = match &self.seen {
            Observation::Present(present) => Some(&present.fields),
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => None,
        };
        let half = |(name, value): (&String, &Value)| {
            let half = match (is_kept(name), at_once.contains(&name.as_str()), before) {
                (true, _, _) | (false, true, None) => value.clone(),
                (false, true, Some(before)) => before.get(name).cloned().unwrap_or_default(),
                (false, false, _) => Value::Null,
            };
            (name.clone(), half)
        };
        let mut present = Present::new().with_triggers(Some("half".to_owned()));
        present.fields = whole.fields.iter().map(half).collect::<Map<String, Value>>();
        present.output.clone_from(&whole.output);
        present.health = if self.is_probed { Health::Unhealthy } else { Health::None };
        let is_there = matches!(self.seen, Observation::Present(_));
        if !is_there && present.fields == whole.fields {
            // Nothing tells a half of it from the whole: it is made in one step.
            return;
        }
        self.see(Observation::Present(present));
    }

    /// Whether it is as `whole`, and only has to be waited for.
    pub(super) fn is_awaited(&self, whole: &Present) -> bool {
        let is_as_whole =
            |present: &Present| present.fields == whole.fields && present.triggers == whole.triggers;
        self.is_unready && matches!(&self.seen, Observation::Present(present) if is_as_whole(present))
    }

    /// It is started, and does not work yet, which a look tells.
    pub(super) fn become_unready(&mut self, mut whole: Present) {
        self.is_unready = true;
        whole.health = Health::Unhealthy;
        self.see(Observation::Present(whole));
    }

    /// It is made or changed, by a call with this key.
    pub(super) fn become_whole(&mut self, counted: Counted, mut whole: Present, key: Option<&str>) {
        whole.health = if self.is_probed { Health::Healthy } else { Health::None };
        (self.counted, self.becoming, self.is_unready, self.is_doubtful) =
            (Some(counted), None, false, false);
        self.triggers.clone_from(&whole.triggers);
        self.see(Observation::Present(whole));
        if key.is_none_or(|key| self.keys.insert(key.to_owned())) {
            self.effects[0] += 1;
        }
    }

    /// Whether what is to be recorded of it was brought about: what a person finds out who looks.
    pub(super) fn was_made(&self, body: &RecordBody) -> bool {
        let spec = self.counted.as_ref().map(|counted| &counted.spec);
        self.effects[0] > 0
            && self.becoming.is_none()
            && spec == Some(&body.spec.value())
            && (self.triggers.is_none() || self.triggers == body.triggers)
    }

    /// It is half removed: it takes no part any more, and is still there.
    pub(super) fn vanish(&mut self) {
        (self.becoming, self.is_unready) = (Some((None, Part::Takes)), false);
    }

    /// It is gone.
    pub(super) fn be_gone(&mut self) {
        (self.counted, self.becoming) = (None, None);
        self.see(Observation::Absent);
        self.effects[1] += 1;
    }

    fn see(&mut self, seen: Observation) {
        self.seen = if self.is_blind { Observation::Unobservable } else { seen };
    }
}

impl Counted {
    /// What a record says.
    pub(super) fn of(body: &RecordBody) -> Self {
        Self { host: body.host.clone(), labels: body.labels(), spec: body.spec.value() }
    }

    fn amount(&self, id: &ResourceId, measure: &Measure) -> i64 {
        if !measure.selector().matches(id, self.host.as_ref(), &self.labels) {
            return 0;
        }
        match measure {
            Measure::Available(_) => 1,
            Measure::Total { field, .. } => field.get(&self.spec).and_then(Value::as_i64).unwrap_or(0),
        }
    }
}
