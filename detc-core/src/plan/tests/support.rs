//! A small world for tests: what is desired, recorded and observed, and an executor that believes every plan.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::diff::{Cause, trigger_token};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    Desired, DesiredResource, Digest, HostSpec, InvalidState, Observation, Present, Record, RecordBody,
    Recorded, ResourceId, Set, substitute,
};
use crate::plan::{Observed, Plan, PlanError, PlanInput, Selection, Verb, build_part};
use crate::resource::value::ValueSpec;
use crate::resource::{
    ChangeEffect, HostNeed, InvalidField, KindTraits, Nowhere, Registry, Removal, Resource,
};

/// Lives on a host at a path, restarts, has a secret and outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct Unit {
    path: String,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    replicas: Option<u64>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    reads: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::plan) struct UnitOutput {
    pid: u64,
}

#[async_trait]
impl Resource for Unit {
    const KIND: &'static str = "unit";
    type Output = UnitOutput;

    fn traits() -> KindTraits {
        KindTraits {
            replace_on: &["path"],
            sensitive: &["password"],
            host: HostNeed::Required,
            change: ChangeEffect::Restart,
            ..KindTraits::default()
        }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        if !self.path.starts_with('/') && self.path != crate::resource::LATER {
            return Err(InvalidField::new("path", "must be absolute"));
        }
        let footprint = Footprint::new(CrashClass::DeterministicName).writing(Place::path(&self.path));
        Ok(match &self.reads {
            Some(path) => footprint.reading(Place::path(path)),
            None => footprint,
        })
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<UnitOutput, ActionError> {
        unreachable!("plans are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<UnitOutput, ActionError> {
        unreachable!("plans are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<crate::resource::Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

/// Is done, at most once, and can not be undone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct Call {
    run: Vec<String>,
}

#[async_trait]
impl Resource for Call {
    const KIND: &'static str = "call";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { change: ChangeEffect::Rerun, removal: Removal::Forget, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::AtMostOnce))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<crate::resource::Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

/// A value.
pub(in crate::plan) fn value(name: &str, input: Value) -> DesiredResource {
    ValueSpec::resource(name, &input).unwrap()
}

/// A unit on host `h1`, at `/NAME` unless its fields say otherwise.
pub(in crate::plan) fn unit(name: &str, mut fields: Value) -> DesiredResource {
    let object = fields.as_object_mut().unwrap();
    object.entry("path").or_insert_with(|| format!("/{name}").into());
    DesiredResource::from_value("unit", name, &fields).unwrap().on("h1")
}

/// A call.
pub(in crate::plan) fn call(name: &str) -> DesiredResource {
    DesiredResource::from_value("call", name, &json!({"run": [name]})).unwrap()
}

/// A reference, as it is written.
pub(in crate::plan) fn from(id: &str, output: &str) -> Value {
    json!({"from": id, "output": output})
}

pub(in crate::plan) fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

/// The plan of an empty world.
pub(in crate::plan) fn nothing() -> Plan {
    World::new().plan()
}

/// What is desired, recorded and observed.
#[derive(Clone, Debug)]
pub(in crate::plan) struct World {
    pub(in crate::plan) desired: Desired,
    pub(in crate::plan) recorded: Recorded,
    pub(in crate::plan) observed: Observed,
    pub(in crate::plan) half_done: Set<ResourceId>,
    pub(in crate::plan) registry: Registry,
    runs: u64,
}

impl World {
    pub(in crate::plan) fn new() -> Self {
        let registry =
            Registry::new().with_resource::<Unit>().with_resource::<Call>().with_connector(Nowhere);
        Self {
            desired: hosts(),
            recorded: Recorded::default(),
            observed: Observed::default(),
            half_done: Set::default(),
            registry,
            runs: 0,
        }
    }

    /// Wants these and nothing else.
    #[must_use]
    pub(in crate::plan) fn want(mut self, resources: impl IntoIterator<Item = DesiredResource>) -> Self {
        self.desired = resources.into_iter().fold(hosts(), Desired::with);
        self
    }

    /// Sees this of a resource.
    #[must_use]
    pub(in crate::plan) fn see(mut self, resource: &str, observation: Observation) -> Self {
        self.observed.insert(id(resource), observation);
        self
    }

    /// Sees another value in a field of a resource that is there.
    #[must_use]
    pub(in crate::plan) fn drift(mut self, resource: &str, field: &str, value: Value) -> Self {
        match self.observed.get_mut(resource) {
            Some(Observation::Present(present)) => drop(present.fields.insert(field.to_owned(), value)),
            other => panic!("{resource} is not there: {other:?}"),
        }
        self
    }

    pub(in crate::plan) fn check(&self) -> Result<(), InvalidState> {
        self.desired.check(&self.registry).map(drop)
    }

    pub(in crate::plan) fn try_plan(&self) -> Result<Plan, PlanError> {
        self.try_part(&Selection::all())
    }

    pub(in crate::plan) fn try_part(&self, selection: &Selection) -> Result<Plan, PlanError> {
        let topology = self.desired.check(&self.registry).unwrap_or_else(|error| panic!("{error}"));
        let key = MarkKey::new([7; 32]);
        let input = PlanInput {
            desired: &self.desired,
            topology: &topology,
            recorded: &self.recorded,
            observed: &self.observed,
            half_done: &self.half_done,
            registry: &self.registry,
            key: &key,
        };
        build_part(&input, selection, &mut Vault::new())
    }

    #[track_caller]
    pub(in crate::plan) fn plan(&self) -> Plan {
        self.try_plan().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Wants these, and has them: planned and done.
    #[must_use]
    pub(in crate::plan) fn having(self, resources: impl IntoIterator<Item = DesiredResource>) -> Self {
        let mut world = self.want(resources);
        let plan = world.plan();
        world.apply(&plan);
        world
    }

    /// Does what the plan says, in its order.
    #[track_caller]
    pub(in crate::plan) fn apply(&mut self, plan: &Plan) {
        self.runs += 1;
        for index in 0..plan.actions.len() as u32 {
            let action = &plan.actions[index as usize];
            let resource = plan.resource_of(index).clone();
            let Some(recording) = &action.recording else {
                self.recorded.remove(&resource).expect("what is removed was recorded");
                self.observed.shift_remove(&resource);
                continue;
            };
            let old = recording.renamed_from.as_ref().unwrap_or(&resource);
            let before = self.recorded.get(old).map(|record| record.body().unwrap());
            if let Some(old) = &recording.renamed_from {
                self.recorded.remove(old).expect("what is renamed was recorded");
                if let Some(seen) = self.observed.shift_remove(old) {
                    self.observed.insert(resource.clone(), seen);
                }
            }
            let mut spec = action.spec.value();
            substitute(&mut spec, &mut |reference| {
                self.recorded[&reference.from].body().unwrap().lookup(&reference.output)
            })
            .unwrap();
            assert!(
                !spec.to_string().contains("\"from\":\""),
                "{resource}: nothing is late when it is done: {spec}"
            );
            let extra = recording.extra.clone().unwrap_or_default();
            let changed = match (&before, action.verb) {
                (Some(before), Verb::Record) => before.changed.clone(),
                _ => format!("{}/{}", self.runs, plan.action_id(index)),
            };
            let marks: Vec<(ResourceId, String)> = extra
                .restart_on
                .iter()
                .filter_map(|id| {
                    let body = self.recorded.get(id)?.body().unwrap();
                    Some((body.made_as.unwrap_or_else(|| id.clone()), body.changed))
                })
                .collect();
            let token = match (&before, action.verb) {
                (Some(before), Verb::Record) => before.triggers.clone(),
                _ if marks.is_empty() => None,
                _ => Some(trigger_token(marks.iter().map(|(id, text)| (id, text.as_str())))),
            };
            if resource.kind() == "unit" && action.verb != Verb::Record {
                let mut present = Present::new().with_triggers(token.clone());
                present.fields = spec.as_object().unwrap().clone();
                self.observed.insert(resource.clone(), Observation::Present(present));
            }
            let seen = self.observed.get(&resource).unwrap_or(&Observation::Unobservable).fingerprint();
            let output = match (&before, action.verb) {
                (Some(before), Verb::Record) => before.output.clone(),
                _ if resource.kind() == "unit" => json!({"pid": self.runs}),
                _ => Value::Null,
            };
            let was_adopted = before.as_ref().is_some_and(|body| body.adopted);
            let body = RecordBody {
                adopted: action.verb == Verb::Adopt || (was_adopted && action.verb != Verb::Create),
                cut_off: false,
                made_as: before.and_then(|before| before.made_as).or_else(|| recording.renamed_from.clone()),
                spec: crate::model::Doc::new(&spec),
                output,
                host: action.host.clone(),
                after: recording.after.clone(),
                extra: recording.extra.clone(),
                triggers: token,
                traces: Default::default(),
                changed,
                schema: Digest::of(b"schema").short(),
            };
            let record = Record::new(recording.intent, recording.relations, seen, &body);
            self.recorded.insert(resource, record);
        }
    }
}

fn hosts() -> Desired {
    ["h1", "h2"].into_iter().fold(Desired::new(), |desired, host| desired.host(host, HostSpec::local()))
}

/// The actions of a plan, one a line, each with what it comes after.
pub(in crate::plan) fn steps(plan: &Plan) -> String {
    let mut text = String::new();
    for (index, action) in plan.actions.iter().enumerate() {
        text.push_str(&plan.action_id(index as u32));
        for (at, before) in action.after.iter().enumerate() {
            text.push_str(if at == 0 { " <- " } else { ", " });
            text.push_str(&plan.action_id(*before));
        }
        text.push('\n');
    }
    for change in plan.unknown() {
        text.push_str(&format!("? {}: {}\n", change.resource, change.reason));
    }
    text
}

/// Each change with its reason and fields, one a line.
pub(in crate::plan) fn changes(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        text.push_str(&format!("{} {}: {}", change.kind, change.resource, change.reason));
        for field in &change.fields {
            let side = |value: &Value| crate::diff::shown(value, &|id| id.to_string());
            let cause = match field.cause {
                Cause::Intent => "",
                Cause::Drift => " drift",
                Cause::Both => " intent and drift",
            };
            text.push_str(&format!(" [{}: {} -> {}{cause}]", field.path, side(&field.from), side(&field.to)));
        }
        text.push('\n');
    }
    text
}

/// `text` with the plan's id taken out: what it is a digest of is not what these tests are about.
pub(in crate::plan) fn without_id(plan: &Plan, text: &str) -> String {
    text.replace(&plan.id.to_string(), "PLAN").replace(&plan.id.short(), "PLAN")
}
