//! Late binding at plan time: which outputs are known already, and which only after some action.

use serde_json::Value;

use super::{PlanError, PlanInput};
use crate::diff::{Change, ChangeKind, Differ, Reason, Resolved, TriggerToken, intent_digest, trigger_token};
use crate::model::secret::{Vault, lies_in_mark, mark_of};
use crate::model::{
    DesiredResource, Digest, Doc, Map, Observation, Record, RecordBody, Reference, ResourceId,
    collect_references, substitute,
};

/// What is decided of the desired resources so far, as far as others may ask.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// What happens to each desired resource. A change of its record alone is none of the thing.
    kinds: Vec<ChangeKind>,
    /// The specs that differ from the desired text: sensitive values marked, references replaced.
    specs: Map<u32, Doc>,
}

impl Decided {
    /// Nothing yet, of `len` resources.
    pub(super) fn new(len: usize) -> Self {
        Self { kinds: vec![ChangeKind::Keep; len], specs: Map::default() }
    }

    /// What was decided for the resource at `index`.
    pub(super) fn kind(&self, index: u32) -> ChangeKind {
        self.kinds[index as usize]
    }

    /// The spec of the resource at `index`, where it is not the desired text.
    pub(super) fn spec(&self, index: u32) -> Option<&Doc> {
        self.specs.get(&index)
    }

    /// What others may know of the resource at `index`.
    pub(super) fn known(&self, index: u32) -> (ChangeKind, Option<Doc>) {
        (self.kind(index), self.spec(index).cloned())
    }

    /// Takes note of what was decided. `known` is the spec that others may refer to, where it is not the desired text.
    pub(super) fn note(&mut self, index: u32, change: &Change, known: Option<&Doc>) {
        self.kinds[index as usize] = match change.reason {
            Reason::RecordOnly | Reason::Renamed(_) => ChangeKind::Keep,
            _ => change.kind,
        };
        match known {
            Some(known) => _ = self.specs.insert(index, known.clone()),
            None => _ = self.specs.swap_remove(&index),
        }
    }
}

/// Resolves references and triggers while the resources are walked in order.
#[derive(Clone, Copy)]
pub(super) struct Resolver<'a, 'd> {
    pub(super) input: PlanInput<'a>,
    /// The resources that are recorded under an earlier id, by that id.
    pub(super) renames: &'a Map<ResourceId, u32>,
    pub(super) decided: &'d Decided,
}

impl<'a> Resolver<'a, '_> {
    /// What is recorded of a desired resource, under this or an earlier id, and the earlier id if it is that one.
    pub(super) fn recorded(
        &self,
        desired: &'a DesiredResource,
    ) -> (Option<&'a Record>, Option<&'a ResourceId>) {
        let own = self.input.recorded.get(&desired.id);
        match &desired.extra().renamed_from {
            Some(from) if own.is_none() && self.renames.contains_key(from) => {
                (self.input.recorded.get(from), Some(from))
            }
            _ => (own, None),
        }
    }

    /// The spec of `desired` as far as it can be known now.
    pub(super) fn resolve(
        &self,
        desired: &DesiredResource,
        sealed: &Doc,
        vault: &mut Vault,
    ) -> Result<Resolved, PlanError> {
        let intent = intent_digest(sealed, desired.host.as_ref());
        let triggers = self.triggers(desired)?;
        if desired.references.is_empty() {
            return Ok(Resolved { spec: sealed.clone(), late: None, intent, triggers });
        }
        let mut late = None;
        let mut failed = None;
        let mut lost = Vec::new();
        let mut spec = sealed.value();
        let replaced = substitute(&mut spec, &mut |reference| match self.look_up(reference, vault) {
            Ok(Found::Known(value)) => Some(value),
            Ok(Found::Later(source)) => {
                late = late.take().or(Some(source));
                None
            }
            Ok(Found::Lost) => {
                lost.push(reference.clone());
                None
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        replaced.map_err(|source| PlanError::TooLarge { resource: desired.id.clone(), source })?;
        if let Some(source) = self.take_lost(desired, intent, &mut spec, lost)? {
            late = late.or(Some(source));
        }
        let kind =
            self.input.registry.kind(desired.id.kind()).expect("invariant: the desired state was checked");
        Differ { facts: kind.facts(), key: self.input.key }.seal(desired, &mut spec, vault);
        match failed {
            Some(error) => Err(error),
            None => Ok(Resolved { spec: Doc::new(&spec), late, intent, triggers }),
        }
    }

    /// Puts into `spec` what was made of those references whose values were sensitive and are lost, where neither what is desired
    /// nor what gave them has changed since: it is recorded by its mark. Gives what one refers to that is still not known.
    fn take_lost(
        &self,
        desired: &'a DesiredResource,
        intent: Digest,
        spec: &mut Value,
        lost: Vec<Reference>,
    ) -> Result<Option<ResourceId>, PlanError> {
        let Some(first) = lost.first().map(|reference| reference.from.clone()) else { return Ok(None) };
        let body_of = |resource: &'a DesiredResource| {
            let body = self.recorded(resource).0.map(Record::body).transpose();
            body.map_err(|source| PlanError::Record { resource: resource.id.clone(), source })
        };
        let record = self.recorded(desired).0.filter(|record| record.intent() == intent);
        let (Some(_), Some(body)) = (record, body_of(desired)?) else { return Ok(Some(first)) };
        let mut left = None;
        let mut taken = Vec::new();
        for reference in lost {
            let source = &self.input.desired.resources[&reference.from];
            match body_of(source)?.is_some_and(|source| is_made_after(&body, &source)) {
                true => taken.push(reference),
                false => left = left.or(Some(reference.from)),
            }
        }
        take(spec, &body.spec.value(), &taken);
        Ok(left.or_else(|| holds_any(spec, &taken).then_some(first)))
    }

    fn look_up(&self, reference: &Reference, vault: &mut Vault) -> Result<Found, PlanError> {
        let resources = &self.input.desired.resources;
        let (index, from, referenced) =
            resources.get_full(&reference.from).expect("invariant: the desired state was checked");
        let kind = self.input.registry.kind(from.kind()).expect("invariant: the desired state was checked");
        let top = reference.output.segments().swap_remove(0);
        let computed = kind.facts().outputs.is_none_or(|outputs| outputs.contains(&top.as_str()));
        let index = index as u32;
        if !computed {
            let spec = self.decided.spec(index).unwrap_or(&resources[index as usize].spec).value();
            return Ok(match vault.part(&spec, &reference.output, self.input.key) {
                Some(value) if Reference::is_form(&value) => Found::Later(from.clone()),
                Some(value) => Found::Known(value),
                None => Found::Later(from.clone()),
            });
        }
        let stays = match self.decided.kind(index) {
            ChangeKind::Keep => true,
            ChangeKind::Update => kind.facts().traits.stable_outputs.contains(&top.as_str()),
            ChangeKind::Create
            | ChangeKind::Adopt
            | ChangeKind::Replace
            | ChangeKind::Delete
            | ChangeKind::Unknown => false,
        };
        if !stays {
            return Ok(Found::Later(from.clone()));
        }
        if let Some(Observation::Present(present)) = self.input.observed.get(from)
            && let Some(seen) = &present.output
            && let Some(value) = vault.part(seen, &reference.output, self.input.key)
        {
            return Ok(Found::Known(value));
        }
        let (Some(record), _) = self.recorded(referenced) else { return Ok(Found::Later(from.clone())) };
        let body = record.body().map_err(|source| PlanError::Record { resource: from.clone(), source })?;
        let known = body
            .lookup(&reference.output)
            .or_else(|| vault.part(&body.output, &reference.output, self.input.key));
        Ok(match known {
            Some(known) => Found::Known(known),
            // One that is changed is done once more, and tells it then.
            None if self.decided.kind(index) == ChangeKind::Update => Found::Later(from.clone()),
            None if lies_in_mark(&body.output, &reference.output) => Found::Lost,
            None => Found::Later(from.clone()),
        })
    }

    fn triggers(&self, desired: &DesiredResource) -> Result<Option<TriggerToken>, PlanError> {
        let Some(extra) = desired.given_extra().filter(|extra| !extra.restart_on.is_empty()) else {
            return Ok(None);
        };
        let resources = &self.input.desired.resources;
        let named = |id: &ResourceId| {
            let (index, _, named) = resources.get_full(id).expect("invariant: the desired state was checked");
            (index as u32, named)
        };
        let changes = |id: &&ResourceId| {
            !matches!(self.decided.kind(named(id).0), ChangeKind::Keep | ChangeKind::Unknown)
        };
        let changing: Vec<ResourceId> = extra.restart_on.iter().filter(changes).cloned().collect();
        if !changing.is_empty() {
            return Ok(Some(TriggerToken::Changing(changing)));
        }
        // By the id that each was made under: a new name restarts nothing.
        let mut marks: Vec<(ResourceId, String)> = Vec::new();
        for id in &extra.restart_on {
            let (Some(record), renamed_from) = self.recorded(named(id).1) else { continue };
            let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
            let made_as = body.made_as.or_else(|| renamed_from.cloned());
            marks.push((made_as.unwrap_or_else(|| id.clone()), body.changed));
        }
        Ok(Some(TriggerToken::Known(trigger_token(marks.iter().map(|(id, changed)| (id, changed.as_str()))))))
    }
}

enum Found {
    Known(Value),
    Later(ResourceId),
    /// It lies within something sensitive that this process was not given.
    Lost,
}

/// Whether what is recorded of one was made when what is recorded of the other had been made: it has its values.
fn is_made_after(body: &RecordBody, source: &RecordBody) -> bool {
    // As in `run-7/create`.
    let run = |body: &RecordBody| body.changed.strip_prefix("run-")?.split_once('/')?.0.parse::<u64>().ok();
    run(source).is_some_and(|source| run(body).is_some_and(|run| run >= source))
}

/// Puts what is recorded in the place of these references. Where it has one mark for a part that holds more, all of that has to
/// be from them.
fn take(spec: &mut Value, recorded: &Value, taken: &[Reference]) {
    if mark_of(recorded).is_some() || Reference::is_form(spec) {
        let mut references = Vec::new();
        let are_read = collect_references(spec, &mut references).is_ok();
        if are_read && !references.is_empty() && references.iter().all(|found| taken.contains(found)) {
            *spec = recorded.clone();
        }
        return;
    }
    match (spec, recorded) {
        (Value::Array(items), Value::Array(recorded)) => {
            items.iter_mut().zip(recorded).for_each(|(item, recorded)| take(item, recorded, taken));
        }
        (Value::Object(object), Value::Object(recorded)) => {
            for (name, item) in object {
                if let Some(recorded) = recorded.get(name) {
                    take(item, recorded, taken);
                }
            }
        }
        _ => {}
    }
}

/// Whether one of these references is still in `spec`.
fn holds_any(spec: &Value, references: &[Reference]) -> bool {
    let mut left = Vec::new();
    let _never = collect_references(spec, &mut left);
    left.iter().any(|left| references.contains(left))
}
