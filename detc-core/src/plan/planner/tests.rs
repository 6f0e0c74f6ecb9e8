use async_trait::async_trait;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::model::{
    Digest, Extra, FieldPath, Invariant, InvariantBound, Measure, Present, RecordBody, Reference, Selector,
};
use crate::plan::{PlannedAction, build};
use crate::resource::{ChangeEffect, InvalidField, KindTraits, Removed, Resource};

/// A kind that restarts, is replaced, holds a place and has a secret: with it and `value` every path is taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    size: u32,
    called: String,
    #[serde(default)]
    uses: Value,
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ServiceOutput {
    port: u32,
}

#[async_trait]
impl Resource for Service {
    const KIND: &'static str = "service";
    type Output = ServiceOutput;

    fn traits() -> KindTraits {
        KindTraits {
            replace_on: &["called"],
            sensitive: &["secret"],
            change: ChangeEffect::Restart,
            ..KindTraits::default()
        }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        if self.size == 3 {
            return Err(InvalidField::new("size", "must not be 3"));
        }
        Ok(Footprint::new(CrashClass::DeterministicName).writing(Place::path(&format!("/{}", self.called))))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("nothing is done here")
    }

    async fn create(&self, _: &ActionCx<'_>) -> Result<ServiceOutput, ActionError> {
        unreachable!("nothing is done here")
    }

    async fn update(&self, _: &ActionCx<'_>) -> Result<ServiceOutput, ActionError> {
        unreachable!("nothing is done here")
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("nothing is done here")
    }
}

/// The same state twice: within a planner, and beside it for a full build.
struct Twice {
    planner: Planner,
    desired: Desired,
    recorded: Recorded,
    observed: Observed,
    registry: Registry,
    key: MarkKey,
    last: Option<Plan>,
}

const RESOURCES: usize = 10;

fn id(who: usize) -> ResourceId {
    let kind = if who.is_multiple_of(2) { "value" } else { "service" };
    ResourceId::new(kind, &format!("r{who}")).unwrap()
}

/// The resource number `who` in one of its many shapes; it names only those before it.
fn resource(who: usize, shape: u32) -> DesiredResource {
    let on = |bits: u32| id(bits as usize % who.max(1));
    let path = |path: &str| -> FieldPath { path.parse().unwrap() };
    let reference = |bits: u32| {
        let from = on(bits);
        let output = if from.kind() == "value" { "input" } else { ["port", "size"][bits as usize / 16 % 2] };
        Reference::new(from, path(output)).to_value()
    };
    let plain = who == 0 || shape & 3 != 0;
    let input = if plain { json!(shape >> 2 & 3) } else { reference(shape >> 2) };
    let mut resource = if who.is_multiple_of(2) {
        DesiredResource::from_value("value", &format!("r{who}"), &json!({ "input": input })).unwrap()
    } else {
        let name = format!("n{who}-{}", shape >> 6 & 1);
        let fields = json!({"size": if shape >> 26 == 0 { 3 } else { shape >> 7 & 1 }, "called": name, "uses": input, "secret": (shape >> 9 & 1).to_string()});
        DesiredResource::from_value("service", &format!("r{who}"), &fields).unwrap()
    };
    if who > 0 && shape >> 10 & 3 == 0 {
        resource = resource.after(&on(shape >> 12));
    }
    if who % 2 == 1 && shape >> 16 & 1 == 0 {
        resource = resource.restart_on(&on(shape >> 17));
    }
    if shape >> 21 & 31 == 0 {
        resource = resource.protect();
    }
    if shape >> 25 & 7 == 0 {
        resource.extra_mut().renamed_from = Some(id((who + 2) % RESOURCES));
    }
    resource
}

/// An invariant that some plans keep, some keep with more order, and some break; and one over a field.
fn invariants() -> Vec<Invariant> {
    let services = || Selector { kind: Some("service".to_owned()), ..Selector::default() };
    let size = Measure::Total { field: "size".parse().unwrap(), of: services() };
    [
        ("some serve", Measure::Available(services()), InvariantBound::AtLeast(2)),
        ("they fit", size, InvariantBound::AtMost(3)),
    ]
    .map(|(name, measure, bound)| Invariant { name: name.to_owned(), measure, bound })
    .into()
}

/// The record that an action leaves behind when it is done.
fn record_of(action: &PlannedAction, before: Option<&Record>, seen: Digest, run: u32) -> Option<Record> {
    let recording = action.recording.as_ref()?;
    let made_as = before.and_then(|before| before.body().unwrap().made_as);
    let extra: Option<Box<Extra>> = recording.extra.clone();
    let body = RecordBody {
        adopted: false,
        cut_off: false,
        made_as: made_as.or_else(|| recording.renamed_from.clone()),
        spec: action.spec.clone(),
        output: json!({"port": run % 3}),
        host: None,
        after: recording.after.clone(),
        extra,
        triggers: Some(format!("{}", run % 2)),
        traces: Default::default(),
        changed: format!("run-{run}"),
        schema: Digest::of(b"schema").short(),
    };
    Some(Record::new(recording.intent, recording.relations, seen, &body))
}

impl Twice {
    fn new(invariants: Vec<Invariant>) -> Self {
        let registry = Registry::new().with_resource::<Service>();
        let key = MarkKey::new([3; 32]);
        let mut desired = Desired { invariants, ..Desired::new() };
        for who in 0..RESOURCES {
            desired = desired.with(resource(who, 0x0fff_fe47));
        }
        let planner = Planner::new(
            desired.clone(),
            (Recorded::default(), Observed::default()),
            registry.clone(),
            key.clone(),
        );
        let (recorded, observed) = (Recorded::default(), Observed::default());
        Self { planner, desired, recorded, observed, registry, key, last: None }
    }

    fn record(&mut self, id: &ResourceId, record: Option<Record>) {
        self.planner.recorded(id, record.clone());
        match record {
            Some(record) => _ = self.recorded.insert(id.clone(), record),
            None => _ = self.recorded.remove(id),
        }
    }

    fn observe(&mut self, id: &ResourceId, observation: Option<Observation>) {
        self.planner.observed(id, observation.clone());
        match observation {
            Some(observation) => _ = self.observed.insert(id.clone(), observation),
            None => _ = self.observed.swap_remove(id),
        }
    }

    /// Does one thing to both.
    fn alter(&mut self, what: u8, who: usize, shape: u32) {
        let id = id(who);
        match what {
            0..40 => {
                // Mostly the spec alone changes.
                let keeps_relations = !shape.is_multiple_of(4);
                let mut resource = match self.desired.resources.get(&id) {
                    Some(known)
                        if keeps_relations && who.is_multiple_of(2) && known.references.is_empty() =>
                    {
                        let mut known = known.clone();
                        known.spec = crate::model::Doc::new(&json!({"input": shape % 5}));
                        known
                    }
                    _ => resource(who, shape),
                };
                let is_there = |from: &ResourceId| self.desired.resources.contains_key(from);
                if resource.extra().renamed_from.as_ref().is_some_and(is_there) && shape >> 28 != 0 {
                    // Mostly; what is renamed from something that is there is refused, and then nothing is planned.
                    resource.extra_mut().renamed_from = None;
                }
                self.planner.set(resource.clone());
                self.desired.resources.insert(id, resource);
            }
            40..43 => {
                self.planner.remove(&id);
                self.desired.resources.shift_remove(&id);
            }
            43..65 => {
                let observation = match shape % 5 {
                    0 => None,
                    1 => Some(Observation::Absent),
                    2 => Some(Observation::Unknown("no answer".to_owned())),
                    3 => Some(Observation::Present(Present::new().with_field("size", 9))),
                    _ => Some(Observation::Present(
                        Present::new().with_output(&ServiceOutput { port: shape % 7 }),
                    )),
                };
                self.observe(&id, observation);
            }
            65..68 => self.record(&id, None),
            68..100 => self.carry_out(shape, who),
            _ => unreachable!("there are a hundred"),
        }
    }

    /// Records some of the last plan, as a run does.
    fn carry_out(&mut self, run: u32, from: usize) {
        let Some(plan) = self.last.clone() else { return };
        for action in plan.actions.iter().skip(from / 3).take(1 + run as usize % RESOURCES) {
            let id = plan.change_of(action).resource.clone();
            let seen = self.observed.get(&id).unwrap_or(&Observation::Unobservable).fingerprint();
            let from = action.recording.as_ref().and_then(|recording| recording.renamed_from.clone());
            let before = self.recorded.get(from.as_ref().unwrap_or(&id)).cloned();
            self.record(&id, record_of(action, before.as_ref(), seen, run));
            if let Some(from) = from {
                self.record(&from, None);
            }
        }
    }

    /// The plan of a full build, in words when there is none.
    fn built(&self) -> Result<Plan, String> {
        let topology = self.desired.check(&self.registry).map_err(|error| error.to_string())?;
        let input = PlanInput {
            desired: &self.desired,
            topology: &topology,
            recorded: &self.recorded,
            observed: &self.observed,
            half_done: &Set::default(),
            registry: &self.registry,
            key: &self.key,
        };
        build(&input, &mut Vault::new()).map_err(|error| error.to_string())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_after_changes_is_the_plan_of_a_full_build(
        deltas in prop::collection::vec((0_u8..100, 0..RESOURCES, any::<u32>(), 0_u8..3), 1..60),
        with_invariants in any::<bool>(),
    ) {
        let mut twice = Twice::new(if with_invariants { invariants() } else { Vec::new() });
        for (what, who, shape, plans) in deltas {
            twice.alter(what, who, shape);
            if plans == 0 {
                continue;
            }
            match (twice.planner.plan(), twice.built()) {
                (Ok(ours), Ok(full)) => {
                    prop_assert_eq!(&ours, &full);
                    prop_assert!(ours.is_intact());
                    twice.last = Some(ours);
                }
                // Of several things that are wrong, either may be the one that is named.
                (Err(_), Err(_)) => {}
                (ours, full) => prop_assert!(false, "the planner says {ours:?}, and a full build {full:?}"),
            }
        }
    }
}

#[test]
fn each_relation_that_changes_by_itself_changes_the_plan() {
    let service = |name: &str, called: &str, uses: Value| {
        let fields = json!({"size": 1, "called": called, "uses": uses, "secret": "0"});
        DesiredResource::from_value("service", name, &fields).unwrap()
    };
    let plain = || service("r1", "n1", json!(0));
    let renamed = || {
        let mut renamed = plain();
        renamed.extra_mut().renamed_from = Some("service/old".parse().unwrap());
        renamed
    };
    let reference = Reference::new(id(2), "input".parse().unwrap()).to_value();
    let alike = [
        plain().after(&id(2)),
        service("r1", "n1", reference),
        plain().restart_on(&id(2)),
        renamed(),
        service("r1", "n2", json!(0)),
        plain(),
    ];
    let mut twice = Twice::new(invariants());
    let set = |twice: &mut Twice, resource: &DesiredResource| {
        twice.planner.set(resource.clone());
        twice.desired.resources.insert(resource.id.clone(), resource.clone());
        assert_eq!(twice.planner.plan().unwrap(), twice.built().unwrap());
    };
    // One who holds the other place, and all of those that it may come after are still to be made.
    set(&mut twice, &service("holder", "n2/within", json!(0)));
    for resource in &alike {
        set(&mut twice, &plain());
        set(&mut twice, resource);
    }
}

mod steps;
