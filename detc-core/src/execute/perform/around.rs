//! What surrounds the actions of a run: hosts, records, sensitive values; and the calls into a kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::super::journal::RunNumber;
use super::super::{DriverOptions, Limits};
use super::TriedKey;
use super::ground::Ground;
use crate::action::{ActionCx, ActionError, CxParts, ErrorClass};
use crate::backend::{Host, HostError};
use crate::content::Content;
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    Digest, Doc, Extra, FieldPath, HostName, Map, Observation, RecordBody, Recorded, ResourceId, Set,
};
use crate::plan::{Plan, PlannedAction};
use crate::resource::{Kind, KindFacts, Registry, Removed, Source, Unhealthy, of_spec};

/// What a run needs besides its plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Surroundings {
    /// The kinds.
    pub registry: Registry,
    /// The hosts that are connected, or why they are not.
    pub hosts: BTreeMap<HostName, Result<Arc<dyn Host>, NotConnected>>,
    /// Where detc keeps its own things on each host.
    pub state_dirs: BTreeMap<HostName, String>,
    /// What is recorded.
    pub recorded: Arc<Recorded>,
    /// The sensitive values.
    pub vault: Arc<Mutex<Vault>>,
    /// What marks of them are keyed with.
    pub key: MarkKey,
    /// Contents of files that specs name.
    pub blobs: Arc<BTreeMap<Digest, Content>>,
    /// The store's name among all stores.
    pub scope: String,
    /// How long a look may take that is no check of an action.
    pub look_timeout: Duration,
    /// How much is looked at at once.
    pub limits: Limits,
    /// The run.
    pub run: RunNumber,
    /// What earlier runs tried and did not end well: such a try may still be under way.
    pub begun: Arc<Set<ResourceId>>,
    /// The idempotency keys of what earlier runs tried and did not end well.
    pub(crate) keys: Arc<Map<ResourceId, TriedKey>>,
    /// What is in doubt, and was not there before it was tried.
    pub(crate) doubted_own: Arc<Set<ResourceId>>,
}

/// Why a host is not connected.
#[derive(Clone, Debug)]
pub struct NotConnected {
    /// Whether it may be better later. Nothing was asked of the host.
    pub class: ErrorClass,
    /// Why, in words.
    pub why: String,
}

impl NotConnected {
    /// It will not go better by itself.
    pub fn permanent(why: impl Into<String>) -> Self {
        Self { class: ErrorClass::Permanent, why: why.into() }
    }

    /// It was not reached.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Self { class: ErrorClass::Unreachable, why: why.into() }
    }
}

impl From<HostError> for NotConnected {
    fn from(error: HostError) -> Self {
        let why = error.full_message();
        match ActionError::from(error).class() {
            ErrorClass::OutcomeUnknown => Self::unreachable(why),
            class @ (ErrorClass::Transient | ErrorClass::Permanent | ErrorClass::Unreachable) => {
                Self { class, why }
            }
        }
    }
}

/// What to do about a sensitive value that this process was not given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Fail: something would be made of it.
    Refused,
    /// Make up a text: what is looked at, or removed, is not found by its secrets.
    MadeUp,
}

/// Which try of an action a call is part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try<'a> {
    key: &'a str,
    begun_before: bool,
    cut_off: bool,
    heals: bool,
    tried_as: Option<&'a ResourceId>,
    extra: Option<&'a Extra>,
}

impl Try<'static> {
    /// A look that is part of none.
    pub(crate) const NONE: Self = Self {
        key: "observe",
        begun_before: false,
        cut_off: false,
        heals: false,
        tried_as: None,
        extra: None,
    };
}

impl<'a> Try<'a> {
    /// A look that confirms what the action of this key has done.
    pub(crate) fn confirmed(key: &'a str) -> Self {
        Self { key, ..Try::NONE }
    }
}

/// One call into a kind.
pub(super) struct Call<'a> {
    pub(super) index: u32,
    pub(super) action: &'a PlannedAction,
    pub(super) id: &'a ResourceId,
    pub(super) spec: &'a Doc,
    pub(super) ground: &'a Ground,
    /// What is desired of it besides its spec.
    pub(super) extra: Option<&'a Extra>,
    pub(super) token: Option<&'a str>,
    pub(super) key: &'a str,
    /// Whether it was tried before and the end of that try is not known.
    pub(super) begun_before: bool,
    /// Whether it is restarted as it is unhealthy.
    pub(super) heals: bool,
    /// The id that it was tried under then.
    pub(super) tried_as: Option<&'a ResourceId>,
}

impl<'a> Call<'a> {
    fn tried(&self) -> Try<'a> {
        let cut_off = matches!(self.ground, Ground::Begun(_));
        let Self { key, begun_before, heals, tried_as, extra, .. } = *self;
        Try { key, begun_before, cut_off, heals, tried_as, extra }
    }
}

impl Surroundings {
    /// Surroundings without hosts, records and sensitive values.
    pub fn new(registry: Registry, key: MarkKey, scope: impl Into<String>, run: RunNumber) -> Self {
        Self {
            registry,
            hosts: BTreeMap::new(),
            state_dirs: BTreeMap::new(),
            recorded: Arc::default(),
            vault: Arc::default(),
            key,
            blobs: Arc::default(),
            scope: scope.into(),
            look_timeout: DriverOptions::default().check_timeout,
            limits: Limits::default(),
            run,
            begun: Arc::default(),
            keys: Arc::default(),
            doubted_own: Arc::default(),
        }
    }

    /// The sensitive values, for as long as nothing is waited for.
    pub(super) fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `text` without sensitive values.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.vault().scrub(text)
    }

    /// The spec with its sensitive values in place.
    fn open(&self, spec: &Doc, id: &ResourceId, lost: Lost) -> Result<Value, ActionError> {
        let mut value = spec.value();
        if crate::model::secret::has_mark(spec.text()) {
            let vault = self.vault();
            if lost == Lost::MadeUp {
                vault.open_or_make_up(&mut value);
                return Ok(value);
            }
            vault.open(&mut value).map_err(|error| {
                ActionError::permanent(format!("{id}: {error}"))
                    .with_hint("run the command with the desired state file, which has the value")
            })?;
        }
        Ok(value)
    }

    /// Whether the values and file contents that `spec` stands for are all there.
    pub(crate) fn has_all(&self, id: &ResourceId, spec: &Doc) -> bool {
        let vault = self.vault();
        if crate::model::secret::has_mark(spec.text()) && vault.open(&mut spec.value()).is_err() {
            return false;
        }
        let sources = self.registry.kind(id.kind()).map_or(&[][..], |kind| kind.facts().traits.sources);
        if sources.is_empty() {
            return true;
        }
        let fields = spec.value();
        sources.iter().all(|path| {
            let path: FieldPath = path.parse().expect("invariant: a kind names its sources by paths");
            let source = path.get(&fields).and_then(|part| Source::deserialize(part).ok());
            source.is_none_or(|source| self.blobs.contains_key(&source.digest))
        })
    }

    fn kind(&self, id: &ResourceId) -> Result<&Arc<dyn Kind>, ActionError> {
        self.registry
            .kind(id.kind())
            .ok_or_else(|| ActionError::permanent(format!("this program has no kind `{}`", id.kind())))
    }

    /// What a kind does about one that is unhealthy.
    pub(crate) fn unhealthy(&self, id: &ResourceId) -> Unhealthy {
        self.registry.kind(id.kind()).map(|kind| kind.facts().traits.unhealthy).unwrap_or_default()
    }

    fn host(&self, name: Option<&HostName>) -> Result<Option<&Arc<dyn Host>>, ActionError> {
        let Some(name) = name else { return Ok(None) };
        match self.hosts.get(name) {
            Some(Ok(host)) => Ok(Some(host)),
            Some(Err(not)) => Err(ActionError::new(not.class, not.why.clone())),
            None => Err(ActionError::permanent(format!("host `{name}` is not declared"))
                .with_hint(format!("declare `{name}` under `hosts`, as it was when the resource was made"))),
        }
    }

    fn cx<'a>(
        &'a self,
        parts: (&'a ResourceId, Option<&'a HostName>),
        base: Option<&'a RecordBody>,
        token: Option<&'a str>,
        tried: Try<'a>,
    ) -> Result<ActionCx<'a>, ActionError> {
        let (id, host) = parts;
        Ok(ActionCx::new(CxParts {
            resource: id,
            identity: match base {
                Some(body) => body.made_as.as_ref().unwrap_or(id),
                None => tried.tried_as.unwrap_or(id),
            },
            host: self.host(host)?,
            backends: self.registry.backends(),
            recorded: base,
            triggers: token,
            scope: &self.scope,
            state_dir: host.and_then(|host| self.state_dirs.get(host)).map_or("", String::as_str),
            key: tried.key,
            sensitive: tried.extra.map_or(&[][..], |extra| &extra.sensitive),
            begun_before: tried.begun_before,
            cut_off: tried.cut_off || base.is_some_and(|body| body.cut_off),
            heals: tried.heals,
            blobs: &self.blobs,
        }))
    }

    /// The key that an action is given which no earlier run has tried: no other has it, in this store or another.
    pub(super) fn key(&self, plan: &Plan, index: u32) -> String {
        format!("{}/{}/{}", self.scope, self.run, plan.action_id(index))
    }

    /// Looks at a resource. The observation has its sensitive values marked.
    pub(super) async fn observe(&self, call: &Call<'_>) -> Result<Observation, ActionError> {
        let Call { action, id, spec, ground, extra, token, .. } = *call;
        let base = ground.base();
        self.look((id, action.host.as_ref()), spec, base, token, extra, call.tried()).await
    }

    /// Looks at a resource by its spec.
    pub(crate) async fn look(
        &self,
        (id, host): (&ResourceId, Option<&HostName>),
        spec: &Doc,
        base: Option<&RecordBody>,
        token: Option<&str>,
        extra: Option<&Extra>,
        tried: Try<'_>,
    ) -> Result<Observation, ActionError> {
        let kind = self.kind(id)?;
        let (lost, opened) = (self.lost(spec), self.open(spec, id, Lost::MadeUp)?);
        let cx = self.cx((id, host), base, token, Try { extra, ..tried })?;
        let told = |error| self.open(spec, id, Lost::Refused).err().unwrap_or(error);
        let observation = self.scrubbed(kind.observe(&opened, &cx).await.map_err(told)?);
        let observation = of_spec(kind.facts(), &opened, extra, observation);
        let observation = sealed_observation(observation, kind.facts(), extra, &self.vault, &self.key);
        Ok(self.as_told(self.sealed_like(observation, spec, base), spec, base, &lost))
    }

    /// An observation whose words have no sensitive values in them.
    fn scrubbed(&self, observation: Observation) -> Observation {
        match observation {
            Observation::Unknown(why) => Observation::Unknown(self.scrub(&why)),
            Observation::Needed(why) => Observation::Needed(self.scrub(&why)),
            Observation::Present(mut present) => {
                present.detail = present.detail.map(|detail| self.scrub(&detail));
                Observation::Present(present)
            }
            other => other,
        }
    }

    /// `spec` with what is known of `wanted` where its own sensitive values are lost.
    pub(super) fn with_known(&self, spec: &Doc, wanted: &Doc) -> Doc {
        self.vault().with_known(spec, wanted)
    }

    /// An observation with those fields marked whose values came from something sensitive: the spec says which.
    fn sealed_like(&self, observation: Observation, spec: &Doc, base: Option<&RecordBody>) -> Observation {
        let Observation::Present(mut present) = observation else { return observation };
        let wanted = spec.value();
        for spec in std::iter::once(spec).chain(base.map(|body| &body.spec)) {
            if crate::model::secret::has_mark(spec.text())
                && let Value::Object(pattern) = spec.value()
            {
                let mut vault = self.vault();
                // What is there as it is written openly by now is no secret any more.
                let open = wanted.as_object();
                let is_open =
                    |name: &String, field: &Value| open.and_then(|open| open.get(name)) == Some(field);
                let pattern = pattern
                    .into_iter()
                    .filter(|(name, _)| present.fields.get(name).is_none_or(|field| !is_open(name, field)));
                let pattern = pattern.collect();
                vault.seal_fields_like(&mut present.fields, &pattern, &self.key);
            }
        }
        Observation::Present(present)
    }

    /// A part of what is recorded, also within something sensitive.
    pub(super) fn part(&self, body: &RecordBody, path: &FieldPath) -> Option<Value> {
        let mut vault = self.vault();
        body.lookup(path)
            .or_else(|| vault.part(&body.output, path, &self.key))
            .or_else(|| vault.part(&body.spec.value(), path, &self.key))
    }

    pub(super) async fn create(&self, call: &Call<'_>) -> Result<Value, ActionError> {
        let cx =
            self.cx((call.id, call.action.host.as_ref()), call.ground.base(), call.token, call.tried())?;
        self.kind(call.id)?.create(&self.open(call.spec, call.id, Lost::Refused)?, &cx).await
    }

    pub(super) async fn update(&self, call: &Call<'_>) -> Result<Value, ActionError> {
        let cx =
            self.cx((call.id, call.action.host.as_ref()), call.ground.base(), call.token, call.tried())?;
        self.kind(call.id)?.update(&self.open(call.spec, call.id, Lost::Refused)?, &cx).await
    }

    /// That those outputs are what they were which its kind says that no update changes: others go on with them.
    pub(super) fn check_stable(&self, call: &Call<'_>, output: &Value) -> Result<(), ActionError> {
        let stable = self.kind(call.id)?.facts().traits.stable_outputs;
        let Some(before) = call.ground.made().filter(|_| !stable.is_empty()) else { return Ok(()) };
        let mut output = output.clone();
        self.seal_output(call.id, call.extra, &mut output);
        let differs = |name: &&&str| {
            let was = before.output.get(**name);
            was.is_some() && was != output.get(**name)
        };
        match stable.iter().find(differs) {
            None => Ok(()),
            Some(name) => Err(ActionError::permanent(format!(
                "kind `{}` says that no update changes its output `{name}`, and this one has changed it",
                call.id.kind()
            ))
            .with_hint(format!("take `{name}` out of `stable_outputs` of its `KindTraits`"))),
        }
    }

    pub(super) async fn delete(&self, call: &Call<'_>) -> Result<Removed, ActionError> {
        let cx =
            self.cx((call.id, call.action.host.as_ref()), call.ground.base(), call.token, call.tried())?;
        match self.kind(call.id)?.delete(&self.open(call.spec, call.id, Lost::MadeUp)?, &cx).await? {
            Removed::Left(why) => Ok(Removed::Left(self.scrub(&why))),
            Removed::Gone => Ok(Removed::Gone),
        }
    }

    /// Marks the sensitive values of a spec that has no references any more.
    pub(super) fn seal_spec(&self, id: &ResourceId, extra: Option<&Extra>, spec: &mut Value) {
        if let Some(kind) = self.registry.kind(id.kind()) {
            let paths = sensitive(kind.facts(), extra);
            self.vault().seal(spec, &paths, &self.key);
        }
    }

    /// Marks the sensitive values of an output, and what else in it gives one away.
    pub(super) fn seal_output(&self, id: &ResourceId, extra: Option<&Extra>, output: &mut Value) {
        let mut vault = self.vault();
        if let Some(kind) = self.registry.kind(id.kind()) {
            let paths = sensitive(kind.facts(), extra);
            if !paths.is_empty() {
                vault.seal(output, &paths, &self.key);
            }
        }
        // A program may print what it was given.
        if !vault.is_empty() {
            vault.seal_tainted(output, &self.key);
        }
    }
}

fn sensitive(facts: &KindFacts, extra: Option<&Extra>) -> Vec<FieldPath> {
    let of_kind = facts.traits.sensitive.iter();
    let mut paths: Vec<FieldPath> =
        of_kind.map(|path| path.parse().expect("invariant: a kind names its fields by paths")).collect();
    paths.extend(extra.into_iter().flat_map(|extra| extra.sensitive.iter().cloned()));
    paths
}

/// An observation with its sensitive values marked, as they are in the spec it is compared with.
fn sealed_observation(
    observation: Observation,
    facts: &KindFacts,
    extra: Option<&Extra>,
    vault: &Mutex<Vault>,
    key: &MarkKey,
) -> Observation {
    let Observation::Present(mut present) = observation else { return observation };
    let paths = sensitive(facts, extra);
    if !paths.is_empty() {
        let mut vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fields = Value::Object(std::mem::take(&mut present.fields));
        vault.seal(&mut fields, &paths, key);
        if let Value::Object(fields) = fields {
            present.fields = fields;
        }
        if let Some(output) = &mut present.output {
            vault.seal(output, &paths, key);
        }
    }
    Observation::Present(present)
}
