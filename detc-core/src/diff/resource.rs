//! The change of one resource, from its three views.

use serde_json::Value;

use super::apart::{relation_changes, seen_changes, without_fields};
use super::{Cause, Change, ChangeKind, FieldChange, Reason, compare};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    DesiredResource, Digest, Doc, FieldOwner, FieldPath, Hasher, Health, HostName, Observation, Present,
    Record, RecordBody, RecordError, Reference, ResourceId, collect_references,
};
use crate::resource::{ChangeEffect, KindFacts, Unhealthy};

/// A desired resource, with what can be known of it now.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its spec: sensitive values marked, references replaced where their values are known.
    pub spec: Doc,
    /// A resource whose output it still waits for.
    pub late: Option<ResourceId>,
    /// The digest of its spec as desired: sensitive values marked, references as they are written.
    pub intent: Digest,
    /// The trigger token it should carry; `None` when it has no triggers.
    pub triggers: Option<TriggerToken>,
}

/// What a resource restarts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerToken {
    /// None of its triggers changes: the token is this.
    Known(String),
    /// These triggers change in this plan.
    Changing(Vec<ResourceId>),
}

/// The three views of one resource.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What should be.
    pub desired: &'a DesiredResource,
    /// The same, with what can be known of it now.
    pub resolved: &'a Resolved,
    /// What was recorded, under this or an earlier id.
    pub record: Option<&'a Record>,
    /// The earlier id that the record was found under.
    pub renamed_from: Option<&'a ResourceId>,
    /// What is there.
    pub observed: &'a Observation,
}

/// Finds the change of a resource of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Differ<'a> {
    /// The kind.
    pub facts: &'a KindFacts,
    /// What marks of sensitive values are keyed with.
    pub key: &'a MarkKey,
}

/// The digest of what is desired: the spec, sensitive values marked, and the host.
pub fn intent_digest(sealed: &Doc, host: Option<&HostName>) -> Digest {
    match host {
        None => sealed.digest(),
        Some(host) => {
            let mut hasher = Hasher::new("detc.intent/1");
            hasher.part(sealed.digest().as_bytes()).part(host.as_str().as_bytes());
            hasher.finish()
        }
    }
}

/// The token of these triggers: each by the id that it was made under, whatever its name is now, with the run and
/// action that last changed it.
pub fn trigger_token<'a>(triggers: impl IntoIterator<Item = (&'a ResourceId, &'a str)>) -> String {
    let mut parts: Vec<_> = triggers.into_iter().collect();
    parts.sort_unstable();
    let mut hasher = Hasher::new("detc.triggers/1");
    for (id, changed) in parts {
        hasher.part(id.as_str().as_bytes()).part(changed.as_bytes());
    }
    hasher.finish().short()
}

impl Differ<'_> {
    /// The fields and outputs of `desired` that are sensitive.
    pub fn sensitive(&self, desired: &DesiredResource) -> Vec<FieldPath> {
        let of_kind = self.facts.traits.sensitive.iter();
        let mut paths: Vec<FieldPath> =
            of_kind.map(|path| path.parse().expect("invariant: a kind names its fields by paths")).collect();
        paths.extend(desired.extra().sensitive.iter().cloned());
        paths
    }

    /// The spec of `desired` with its sensitive values marked; they are kept in `vault`.
    pub fn sealed(&self, desired: &DesiredResource, vault: &mut Vault) -> Doc {
        if self.facts.traits.sensitive.is_empty() && desired.extra().sensitive.is_empty() {
            return desired.spec.clone();
        }
        let mut fields = desired.spec.value();
        self.seal(desired, &mut fields, vault);
        Doc::new(&fields)
    }

    /// Marks the sensitive values of `desired` in its fields, some of which may have come from references meanwhile.
    pub(crate) fn seal(&self, desired: &DesiredResource, fields: &mut Value, vault: &mut Vault) {
        if !self.facts.traits.sensitive.is_empty() || !desired.extra().sensitive.is_empty() {
            vault.seal_desired(fields, &self.sensitive(desired), self.key);
        }
    }

    /// The change of a desired resource.
    ///
    /// # Errors
    /// When its record is damaged.
    pub fn change(&self, view: View<'_>) -> Result<Change, RecordError> {
        match (view.observed, view.record) {
            (Observation::Unknown(why), _) => {
                Ok(self.new_change(view, ChangeKind::Unknown, Reason::Unobserved(why.clone())))
            }
            (Observation::Absent, None) | (Observation::Unobservable, None) => {
                Ok(self.new_change(view, ChangeKind::Create, Reason::New))
            }
            (Observation::Absent, Some(record)) if record.is_begun() => {
                // Where it began something may be left of it.
                let (kind, reason) = match self.moved(view, &record.body()?) {
                    Some(field) => (ChangeKind::Replace, Reason::Immutable(field)),
                    None => (ChangeKind::Create, Reason::New),
                };
                Ok(self.new_change(view, kind, reason))
            }
            (Observation::Unobservable, Some(record)) if record.is_begun() => {
                Ok(self.new_change(view, ChangeKind::Create, Reason::New))
            }
            (Observation::Absent, Some(_)) => Ok(self.new_change(view, ChangeKind::Create, Reason::Gone)),
            (Observation::Needed(why), _) => {
                Ok(self.new_change(view, ChangeKind::Create, Reason::Needed(why.clone())))
            }
            (Observation::Present(present), None) => Ok(self.adoption(view, present)),
            (Observation::Present(_) | Observation::Unobservable, Some(record))
                if self.is_same(view, record) =>
            {
                Ok(self.new_change(view, ChangeKind::Keep, Reason::Same))
            }
            (Observation::Present(present), Some(record)) => {
                Ok(self.update(view, record, &record.body()?, Some(present)))
            }
            (Observation::Unobservable, Some(record)) => Ok(self.update(view, record, &record.body()?, None)),
        }
    }

    /// The change of a recorded resource that is no longer desired.
    pub fn removal(&self, resource: &ResourceId, observed: &Observation) -> Change {
        let (kind, reason) = match observed {
            Observation::Unknown(why) => (ChangeKind::Unknown, Reason::Unobserved(why.clone())),
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Present(_)
            | Observation::Unobservable => (ChangeKind::Delete, Reason::NotDesired),
        };
        Change { resource: resource.clone(), kind, reason, fields: Box::default(), to: None }
    }

    fn new_change(&self, view: View<'_>, kind: ChangeKind, reason: Reason) -> Change {
        let to =
            (!matches!(kind, ChangeKind::Keep | ChangeKind::Unknown)).then(|| view.resolved.spec.clone());
        Change { resource: view.desired.id.clone(), kind, reason, fields: Box::default(), to }
    }

    /// Whether nothing differs, judged by digests alone. `false` may still turn out to be no difference.
    fn is_same(&self, view: View<'_>, record: &Record) -> bool {
        record.intent() == view.resolved.intent
            && view.desired.references.is_empty()
            && view.renamed_from.is_none()
            && view.resolved.triggers.is_none()
            && record.relations() == view.desired.relations_digest()
            && !is_to_heal(self.facts, view.observed)
            && (matches!(view.observed, Observation::Unobservable)
                || view.observed.fingerprint() == record.seen())
    }

    fn adoption(&self, view: View<'_>, present: &Present) -> Change {
        let wanted = self.effective(&view, Some(present), None);
        let fields = seen_changes(present, &Value::Null, &wanted);
        let reason = self.adopts(Reason::Found, (Some(present), &wanted), &fields);
        let mut change = self.new_change(view, ChangeKind::Adopt, reason);
        change.fields = fields.into();
        change.to = Some(Doc::new(&wanted));
        change
    }

    fn update(
        &self,
        view: View<'_>,
        record: &Record,
        body: &RecordBody,
        present: Option<&Present>,
    ) -> Change {
        let wanted = self.effective(&view, present, Some(body));
        let recorded = body.spec.value();
        let mut fields = match present {
            Some(present) => seen_changes(present, &recorded, &wanted),
            None => Vec::new(),
        };
        let unseen = |value: &Value| without_fields(value, present);
        fields.extend(compare(&unseen(&recorded), &unseen(&wanted), Cause::Intent));
        let moved = view.desired.host != body.host;
        if moved {
            let name =
                |host: &Option<HostName>| host.as_ref().map_or(Value::Null, |host| host.as_str().into());
            fields.push(FieldChange {
                path: FieldPath::from_segments(["host"]),
                from: name(&body.host),
                to: name(&view.desired.host),
                cause: Cause::Intent,
            });
        }
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let immutable = fields.iter().find(|field| {
            let top = field.path.segments().swap_remove(0);
            (moved && top == "host") || self.facts.traits.replace_on.contains(&top.as_str())
        });
        let trigger = self.trigger(view, body, present);
        let (kind, reason) = if let Some(field) = immutable {
            (ChangeKind::Replace, Reason::Immutable(field.path.clone()))
        } else if record.is_begun() {
            match trigger {
                Some(_) if self.facts.traits.change == ChangeEffect::Restart => {
                    (ChangeKind::Adopt, Reason::Restarts(Box::new(Reason::Begun)))
                }
                _ => (ChangeKind::Adopt, self.adopts(Reason::Begun, (present, &wanted), &fields)),
            }
        } else if !fields.is_empty() && (trigger.is_none() || !self.all_stay(&fields)) {
            (ChangeKind::Update, self.again(Self::cause(view, record, &fields), &fields))
        } else if let Some(ids) = trigger {
            (ChangeKind::Update, Reason::Trigger(ids))
        } else if present.is_some() && is_to_heal(self.facts, view.observed) {
            fields = compare(&recorded, &wanted, Cause::Intent);
            (ChangeKind::Update, Reason::Unhealthy(present.and_then(|present| present.detail.clone())))
        } else if recorded != wanted
            && (record.intent() != view.resolved.intent || !view.desired.references.is_empty())
        {
            // What comes of it was not done yet: who restarts on it has to. Where it takes values of others, these may have
            // changed without its intent.
            fields = compare(&recorded, &wanted, Cause::Intent);
            (ChangeKind::Update, Reason::Overtaken)
        } else if let Some(from) = view.renamed_from {
            (ChangeKind::Update, Reason::Renamed(from.clone()))
        } else if record.intent() != view.resolved.intent
            || record.relations() != view.desired.relations_digest()
        {
            fields = relation_changes(view.desired, body);
            (ChangeKind::Update, Reason::RecordOnly)
        } else {
            (ChangeKind::Keep, Reason::Same)
        };
        let mut change = self.new_change(view, kind, reason);
        change.fields = fields.into();
        change.to = change.to.map(|_| Doc::new(&wanted));
        change
    }

    /// By which field it is to be at another place than the recorded one.
    fn moved(&self, view: View<'_>, body: &RecordBody) -> Option<FieldPath> {
        moved(self.facts, (&view.resolved.spec, view.desired.host.as_ref()), body)
    }

    /// `reason` to adopt, where it is to be said that it is restarted: a field differs, or can not be seen, that what runs was
    /// started from.
    fn adopts(
        &self,
        reason: Reason,
        (present, wanted): (Option<&Present>, &Value),
        fields: &[FieldChange],
    ) -> Reason {
        let is_seen = |name: &String| present.is_some_and(|present| present.fields.contains_key(name));
        let stays = |name: &String| self.facts.traits.in_place.contains(&name.as_str());
        let given = wanted.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let is_unseen = given.into_iter().any(|(name, _)| !is_seen(name) && !stays(name));
        if self.facts.traits.change == ChangeEffect::Restart && (is_unseen || !self.all_stay(fields)) {
            return Reason::Restarts(Box::new(reason));
        }
        reason
    }

    /// Whether a change of these fields alone restarts nothing.
    fn all_stay(&self, fields: &[FieldChange]) -> bool {
        let in_place = self.facts.traits.in_place;
        fields.iter().all(|field| in_place.contains(&&*field.path.segments().swap_remove(0)))
    }

    /// `cause`, where it is to be said that it is done once more, or that it is not.
    fn again(&self, cause: Reason, fields: &[FieldChange]) -> Reason {
        if self.facts.traits.change != ChangeEffect::Rerun || cause != Reason::Intent {
            return cause;
        }
        let mut names: Vec<String> =
            fields.iter().map(|field| field.path.segments().swap_remove(0)).collect();
        names.dedup();
        names.retain(|name| !self.facts.traits.in_place.contains(&name.as_str()));
        if names.is_empty() { Reason::RecordOnly } else { Reason::Again(names) }
    }

    /// Why fields differ. Where the desired state says what it said before, it is what it refers to that differs.
    fn cause(view: View<'_>, record: &Record, fields: &[FieldChange]) -> Reason {
        let has = |cause| fields.iter().any(|field| field.cause == cause || field.cause == Cause::Both);
        match (has(Cause::Intent), has(Cause::Drift)) {
            (true, true) => Reason::IntentAndDrift,
            (false, true) => Reason::Drift,
            (true, false) | (false, false) if record.intent() != view.resolved.intent => Reason::Intent,
            (true, false) | (false, false) => match Self::source(view, fields) {
                Some(source) => Reason::Late(source),
                None => Reason::Intent,
            },
        }
    }

    /// The resource to which one of these fields refers, if possible one whose output is not yet known.
    fn source(view: View<'_>, fields: &[FieldChange]) -> Option<ResourceId> {
        if view.resolved.late.is_some() {
            return view.resolved.late.clone();
        }
        let written = view.desired.spec.value();
        fields.iter().find_map(|field| {
            // The field may lie within what a reference stands for.
            let mut at = &written;
            for segment in field.path.segments() {
                match at
                    .as_object()
                    .filter(|_| !Reference::is_form(at))
                    .and_then(|object| object.get(&segment))
                {
                    Some(part) => at = part,
                    None => break,
                }
            }
            let mut references = Vec::new();
            collect_references(at, &mut references).ok()?;
            references.into_iter().next().map(|reference| reference.from)
        })
    }

    /// The wanted spec, with the fields that others decide as they are.
    fn effective(&self, view: &View<'_>, present: Option<&Present>, body: Option<&RecordBody>) -> Value {
        let mut wanted = view.resolved.spec.value();
        for (path, owner) in &view.desired.extra().ownership {
            let theirs = match owner {
                FieldOwner::Own => None,
                FieldOwner::Seed | FieldOwner::Yield(_) | FieldOwner::Observe => {
                    let seen = present.and_then(|present| get_in(&present.fields, path));
                    seen.or_else(|| body.and_then(|body| path.get(&body.spec.value()).cloned()))
                }
            };
            let top = path.segments().swap_remove(0);
            let is_field = self.facts.fields.is_none_or(|fields| fields.contains(&top.as_str()));
            if let (Some(theirs), true) = (theirs, is_field) {
                put(&mut wanted, path, theirs);
            }
        }
        wanted
    }

    /// Whether it must restart, and for which triggers.
    fn trigger(
        &self,
        view: View<'_>,
        body: &RecordBody,
        present: Option<&Present>,
    ) -> Option<Vec<ResourceId>> {
        if self.facts.traits.change == ChangeEffect::InPlace {
            return None;
        }
        match view.resolved.triggers.as_ref()? {
            TriggerToken::Changing(ids) => Some(ids.clone()),
            TriggerToken::Known(token) => {
                let carried =
                    present.and_then(|present| present.triggers.as_ref()).or(body.triggers.as_ref());
                (carried != Some(token)).then(|| view.desired.extra().restart_on.clone())
            }
        }
    }
}

/// Whether what is there may be what a try that was cut off has left of making something of this spec: the fields that are
/// written at once are as the spec says, where it says anything.
pub(crate) fn may_be_made_by(facts: &KindFacts, spec: &Value, present: &Present) -> bool {
    at_once(facts, present).all(|(name, seen)| {
        let wanted = spec.get(name).unwrap_or(&Value::Null);
        wanted.is_null() || compare(seen, wanted, Cause::Intent).is_empty()
    })
}

/// Whether what is there may be what a try that was cut off has left of a change of something that was there: each field that is
/// written at once is as it is to be, or as it was when the change was planned. `seen` is what is there by the wanted spec,
/// `before` the same by the spec that the change was planned with.
pub(crate) fn may_be_changed_by(
    facts: &KindFacts,
    (wanted, change): (&Value, &Change),
    (seen, before): (&Present, &Present),
) -> bool {
    let wrap = |name: &String, value: &Value| Value::from_iter([(name.clone(), value.clone())]);
    let wanted_of = |name: &String| wanted.get(name).unwrap_or(&Value::Null);
    let was = |name: &String| {
        let Some(seen) = before.fields.get(name) else {
            // The spec that it was planned with leaves it out, and so does what is seen by that.
            let whole = FieldPath::from_segments([name]);
            return change.fields.iter().any(|field| field.path == whole && field.from.is_null());
        };
        let seen = wrap(name, seen);
        let planned = |at: &FieldPath| change.fields.iter().find(|field| field.path.covers(at));
        compare(&seen, &wrap(name, wanted_of(name)), Cause::Intent).iter().all(|differs| {
            planned(&differs.path)
                .is_some_and(|field| *field.path.get(&seen).unwrap_or(&Value::Null) == field.from)
        })
    };
    at_once(facts, seen)
        .all(|(name, seen)| compare(seen, wanted_of(name), Cause::Intent).is_empty() || was(name))
}

/// What was seen of the fields that are written at once.
fn at_once<'a>(facts: &'a KindFacts, present: &'a Present) -> impl Iterator<Item = (&'a String, &'a Value)> {
    present.fields.iter().filter(|(name, _)| facts.traits.at_once.contains(&name.as_str()))
}

/// By which field what is wanted is at another place than what is recorded.
pub(crate) fn moved(
    facts: &KindFacts,
    (wanted, host): (&Doc, Option<&HostName>),
    recorded: &RecordBody,
) -> Option<FieldPath> {
    if host != recorded.host.as_ref() {
        return Some(FieldPath::from_segments(["host"]));
    }
    if *wanted == recorded.spec {
        return None;
    }
    let (wanted, recorded) = (wanted.value(), recorded.spec.value());
    let differs = |field: &&&str| {
        wanted.get(**field).unwrap_or(&Value::Null) != recorded.get(**field).unwrap_or(&Value::Null)
    };
    let field = facts.traits.replace_on.iter().find(differs)?;
    Some(FieldPath::from_segments([*field]))
}

/// Whether it is there, and is to be restarted as it is unhealthy. What could not be asked is not unhealthy.
pub(crate) fn is_to_heal(facts: &KindFacts, observed: &Observation) -> bool {
    let is_unhealthy =
        matches!(observed, Observation::Present(present) if present.health == Health::Unhealthy);
    is_unhealthy && facts.traits.unhealthy == Unhealthy::Restarted
}

/// Sets the part of `value` at `path`, also where the desired state says nothing of it.
pub(super) fn put(value: &mut Value, path: &FieldPath, part: Value) {
    if let Some(place) = path.get_mut(value) {
        *place = part;
        return;
    }
    if part.is_null() {
        return;
    }
    let mut at = value;
    for segment in path.segments() {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        let Some(object) = at.as_object_mut() else { return };
        at = object.entry(segment).or_insert(Value::Null);
    }
    *at = part;
}

pub(super) fn get_in(fields: &serde_json::Map<String, Value>, path: &FieldPath) -> Option<Value> {
    let segments = path.segments();
    let top = fields.get(segments.first()?)?;
    if segments.len() == 1 {
        return Some(top.clone());
    }
    FieldPath::from_segments(&segments[1..]).get(top).cloned()
}
