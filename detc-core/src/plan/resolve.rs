//! Late binding at plan time: which outputs are known already, and which only after some action.

use serde_json::Value;

use super::{PlanError, PlanInput};
use crate::diff::{Change, ChangeKind, Reason, Resolved, TriggerToken, intent_digest, trigger_token};
use crate::model::{DesiredResource, Doc, Map, Observation, Record, Reference, ResourceId, substitute};

/// Resolves references and triggers while the resources are walked in order.
pub(super) struct Resolver<'a> {
    input: PlanInput<'a>,
    /// What happens to each desired resource, as far as decided. A change of its record alone is none of the thing.
    kinds: Vec<ChangeKind>,
    /// The earlier ids under which renamed resources are recorded.
    renamed: Map<u32, ResourceId>,
    /// The specs that differ from the desired text: sensitive values marked, references replaced.
    specs: Map<u32, Doc>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(input: PlanInput<'a>) -> Self {
        let kinds = vec![ChangeKind::Keep; input.desired.resources.len()];
        Self { input, kinds, renamed: Map::default(), specs: Map::default() }
    }

    /// What was decided for the resource at `index`.
    pub(super) fn kind(&self, index: u32) -> ChangeKind {
        self.kinds[index as usize]
    }

    /// Takes note of what was decided.
    pub(super) fn decided(&mut self, index: u32, change: &Change, sealed: &Doc, resolved: &Resolved) {
        self.kinds[index as usize] = match change.reason {
            Reason::RecordOnly | Reason::Renamed(_) => ChangeKind::Keep,
            _ => change.kind,
        };
        let desired = &self.input.desired.resources[index as usize];
        let known = change.to.as_ref().unwrap_or(&resolved.spec);
        if *known != desired.spec || *sealed != desired.spec {
            self.specs.insert(index, known.clone());
        }
    }

    /// Takes note of the earlier id under which the resource at `index` is recorded.
    pub(super) fn renamed(&mut self, index: u32, from: &ResourceId) {
        self.renamed.insert(index, from.clone());
    }

    /// What is recorded of the resource at `index`, under this or an earlier id.
    fn recorded(&self, index: u32, id: &ResourceId) -> Option<&'a Record> {
        self.input.recorded.get(self.renamed.get(&index).unwrap_or(id))
    }

    /// The spec of `desired` as far as it can be known now.
    pub(super) fn resolve(&self, desired: &DesiredResource, sealed: &Doc) -> Result<Resolved, PlanError> {
        let intent = intent_digest(sealed, desired.host.as_ref());
        let triggers = self.triggers(desired)?;
        if desired.references.is_empty() {
            return Ok(Resolved { spec: sealed.clone(), late: None, intent, triggers });
        }
        let mut late = None;
        let mut failed = None;
        let mut spec = sealed.value();
        substitute(&mut spec, &mut |reference| match self.look_up(reference) {
            Ok(Found::Known(value)) => Some(value),
            Ok(Found::Later(source)) => {
                late = late.take().or(Some(source));
                None
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(Resolved { spec: Doc::new(&spec), late, intent, triggers }),
        }
    }

    fn look_up(&self, reference: &Reference) -> Result<Found, PlanError> {
        let resources = &self.input.desired.resources;
        let (index, from, _) =
            resources.get_full(&reference.from).expect("invariant: the desired state was checked");
        let kind = self.input.registry.kind(from.kind()).expect("invariant: the desired state was checked");
        let top = reference.output.segments().swap_remove(0);
        let computed = kind.facts().outputs.is_none_or(|outputs| outputs.contains(&top.as_str()));
        let index = index as u32;
        if !computed {
            let spec = self.specs.get(&index).unwrap_or(&resources[index as usize].spec).value();
            return Ok(match reference.output.get(&spec) {
                Some(value) if Reference::is_form(value) => Found::Later(from.clone()),
                Some(value) => Found::Known(value.clone()),
                None => Found::Later(from.clone()),
            });
        }
        if self.kind(index) != ChangeKind::Keep {
            return Ok(Found::Later(from.clone()));
        }
        if let Some(Observation::Present(present)) = self.input.observed.get(from)
            && let Some(value) = present.output.as_ref().and_then(|output| reference.output.get(output))
        {
            return Ok(Found::Known(value.clone()));
        }
        let Some(record) = self.recorded(index, from) else { return Ok(Found::Later(from.clone())) };
        let body = record.body().map_err(|source| PlanError::Record { resource: from.clone(), source })?;
        Ok(body.lookup(&reference.output).map_or_else(|| Found::Later(from.clone()), Found::Known))
    }

    fn triggers(&self, desired: &DesiredResource) -> Result<Option<TriggerToken>, PlanError> {
        let Some(extra) = desired.extra.as_ref().filter(|extra| !extra.restart_on.is_empty()) else {
            return Ok(None);
        };
        let resources = &self.input.desired.resources;
        let index_of = |id: &ResourceId| {
            resources.get_index_of(id).expect("invariant: the desired state was checked") as u32
        };
        let changes =
            |id: &&ResourceId| !matches!(self.kind(index_of(id)), ChangeKind::Keep | ChangeKind::Unknown);
        let changing: Vec<ResourceId> = extra.restart_on.iter().filter(changes).cloned().collect();
        if !changing.is_empty() {
            return Ok(Some(TriggerToken::Changing(changing)));
        }
        // By the id that each was made under: a new name restarts nothing.
        let mut marks: Vec<(ResourceId, String)> = Vec::new();
        for id in &extra.restart_on {
            let index = index_of(id);
            let Some(record) = self.recorded(index, id) else { continue };
            let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
            let made_as = body.made_as.or_else(|| self.renamed.get(&index).cloned());
            marks.push((made_as.unwrap_or_else(|| id.clone()), body.changed));
        }
        Ok(Some(TriggerToken::Known(trigger_token(marks.iter().map(|(id, changed)| (id, changed.as_str()))))))
    }
}

enum Found {
    Known(Value),
    Later(ResourceId),
}
