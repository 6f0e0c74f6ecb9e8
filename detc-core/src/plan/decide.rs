//! What happens to one resource: its change, and the actions that it takes.

use super::order::Steps;
use super::resolve::{Decided, Resolver};
use super::texts::{add_text, check_text};
use super::{PlanError, PlanInput, PlannedAction, Recording, Used, Verb};
use crate::action::CrashClass;
use crate::diff::{
    Change, ChangeKind, Differ, FieldChange, Reason, View, intent_digest, is_to_heal, may_be_made_by, moved,
    ours, with_theirs,
};
use crate::model::parallel::in_parts;
use crate::model::secret::{Vault, has_mark};
use crate::model::{
    DesiredResource, Digest, Doc, Extra, Hasher, Map, Observation, Record, RecordBody, RecordError,
    ResourceId, collect_references,
};
use crate::resource::{ChangeEffect, Kind, KindFacts, Known, Removal};

static UNOBSERVABLE: Observation = Observation::Unobservable;

/// The resources that are recorded under an earlier id, by that id.
pub(super) fn renames(input: &PlanInput<'_>) -> Map<ResourceId, u32> {
    let mut renames = Map::default();
    for (index, resource) in input.desired.resources.values().enumerate() {
        if let Some(from) = &resource.extra().renamed_from
            && input.recorded.contains_key(from)
            && !input.recorded.contains_key(&resource.id)
            && !input.desired.resources.contains_key(from)
        {
            renames.insert(from.clone(), index as u32);
        }
    }
    renames
}

/// For each desired resource, whether digests alone say that it is kept, whatever happens to the others. `false` may
/// still turn out to be no difference.
pub(super) fn settled(input: &PlanInput<'_>) -> Vec<bool> {
    let resources = &input.desired.resources;
    let mut settled = vec![false; resources.len()];
    let recorded: Vec<(&ResourceId, &Record)> = input.recorded.iter().collect();
    let kept = in_parts(recorded.len(), |range| {
        let desired = recorded[range].iter().filter_map(|(id, record)| {
            let index = resources.get_index_of(*id)?;
            is_settled(&resources[index], record, input).then_some(index)
        });
        desired.collect::<Vec<usize>>()
    });
    for index in kept.into_iter().flatten() {
        settled[index] = true;
    }
    settled
}

fn is_settled(resource: &DesiredResource, record: &Record, input: &PlanInput<'_>) -> bool {
    let extra = resource.extra();
    let alone = resource.references.is_empty() && extra.restart_on.is_empty();
    if !alone || extra.renamed_from.is_some() || !extra.sensitive.is_empty() {
        return false;
    }
    let facts = kind_of(resource, input).facts();
    if !facts.traits.sensitive.is_empty() {
        return false;
    }
    let is_as_seen = || match observation(&resource.id, input) {
        Observation::Unobservable => true,
        seen @ Observation::Present(_) => seen.fingerprint() == record.seen() && !is_to_heal(facts, seen),
        Observation::Absent | Observation::Needed(_) | Observation::Unknown(_) => false,
    };
    record.intent() == intent_digest(&resource.spec, resource.host.as_ref())
        && record.relations() == resource.relations_digest()
        && is_as_seen()
}

fn kind_of<'a>(resource: &DesiredResource, input: &PlanInput<'a>) -> &'a dyn Kind {
    let kind = input.registry.kind(resource.id.kind());
    &**kind.expect("invariant: the desired state was checked")
}

pub(super) fn observation<'a>(id: &ResourceId, input: &PlanInput<'a>) -> &'a Observation {
    if input.observed.is_empty() {
        return &UNOBSERVABLE;
    }
    input.observed.get(id).unwrap_or(&UNOBSERVABLE)
}

/// Decides what happens to one resource after the other, each after all that it comes after.
pub(super) struct Decider<'a> {
    pub(super) input: PlanInput<'a>,
    pub(super) renames: &'a Map<ResourceId, u32>,
    pub(super) decided: &'a mut Decided,
    /// How many of the desired resources are recorded.
    pub(super) matched: usize,
}

impl<'a> Decider<'a> {
    /// Decides what happens to the desired resource at `index`. What is kept takes no step.
    pub(super) fn desired(
        &mut self,
        index: u32,
        vault: &mut Vault,
        steps: &mut Steps,
    ) -> Result<(), PlanError> {
        let desired = &self.input.desired.resources[index as usize];
        let kind = kind_of(desired, &self.input);
        let differ = Differ { facts: kind.facts(), key: self.input.key };
        let resolver = Resolver { input: self.input, renames: self.renames, decided: self.decided };
        let (record, renamed_from) = resolver.recorded(desired);
        self.matched += usize::from(record.is_some());
        let sealed = differ.sealed(desired, vault);
        let resolved = resolver.resolve(desired, &sealed, vault)?;
        let observed = observation(&desired.id, &self.input);
        let begun = record.filter(|record| record.is_begun()).map(Record::body).transpose();
        let begun = begun.map_err(|source| damaged(&desired.id, source))?;
        let others = begun.filter(|body| is_made_by_others(kind, body, observed));
        // It is found there, like anything that is not recorded, unless it is to be elsewhere.
        let place = (&resolved.spec, desired.host.as_ref());
        let is_found = others.as_ref().is_some_and(|body| moved(kind.facts(), place, body).is_none());
        let known = record.filter(|_| !is_found);
        let view = View { desired, resolved: &resolved, record: known, renamed_from, observed };
        let mut change = differ.change(view).map_err(|source| damaged(&desired.id, source))?;
        if !matches!(change.kind, ChangeKind::Keep | ChangeKind::Unknown)
            && let Some(unknown) = self.unknown_dependency(index)
        {
            change.kind = ChangeKind::Unknown;
            change.reason = Reason::Waits(unknown);
            change.to = None;
            change.fields = Box::default();
        }
        let known = change.to.as_ref().unwrap_or(&resolved.spec);
        let differs = *known != desired.spec;
        self.decided.note(index, &change, differs.then_some(known));
        if change.kind == ChangeKind::Keep {
            return Ok(());
        }
        let body = record.map(|record| record.body().map_err(|source| damaged(&desired.id, source)));
        let body = body.transpose()?;
        if change.kind == ChangeKind::Unknown {
            let mut step = steps.add(Some(index), change);
            if let Some(body) = body {
                step.was_after(body.after);
            }
            return Ok(());
        }
        check_text(desired, change.to.as_ref(), &self.input, kind.facts())?;
        add_text(&mut change, desired, &self.input, kind.facts(), (observed, body.as_ref()));
        let basis = basis(record, observed, desired.given_extra());
        let is_replaced = change.kind == ChangeKind::Replace;
        let spec = change.to.clone().expect("invariant: a change that makes something has a spec");
        // What is sensitive is known where it is desired.
        let told = if has_mark(spec.text()) { &desired.spec } else { &spec };
        let known = if told.may_hold_references() { Known::SomeLater } else { Known::All };
        let declared = kind.inspect(told, known).map(|footprint| footprint.crash);
        let crash = match declared.unwrap_or(CrashClass::DeterministicName) {
            // Whoever remembers the key of a try does it no second time: nothing has to be seen for that.
            CrashClass::IdempotencyKey => CrashClass::IdempotencyKey,
            _ if is_blind_rerun(kind.facts(), &change, observed) => CrashClass::AtMostOnce,
            declared => declared,
        };
        let recording = Recording {
            intent: resolved.intent,
            relations: desired.relations_digest(),
            after: self.recorded_after(index, desired),
            extra: desired.given_extra().cloned().map(Box::new),
            renamed_from: renamed_from.cloned(),
            uses: self.uses(desired, &spec)?,
        };
        // What another version has recorded was looked at by what is desired, and is removed by that.
        let is_unread = |body: &RecordBody| kind.facts().reads(&body.spec).is_err();
        let seen_by = (is_replaced && body.as_ref().is_some_and(is_unread)).then(|| spec.clone());
        let make = PlannedAction {
            verb: verb_of(&change, kind.facts()),
            change: 0,
            after: Box::default(),
            host: desired.host.clone(),
            spec,
            basis,
            crash,
            recorded_as: None,
            sweeps: false,
            recording: Some(Box::new(recording)),
        };
        let mut step = steps.add(Some(index), change);
        step.make(make);
        if let Some(body) = body {
            if is_replaced {
                let is_left = others.is_some()
                    || is_foreign(kind, &body)
                    || kind.facts().traits.removal == Removal::Forget;
                let verb = if is_left { Verb::Forget } else { Verb::Delete };
                let basis = self::basis(record, observed, body.extra.as_deref());
                let recorded_as = renamed_from.cloned();
                let mut removal = removal(kind, &body, basis, verb);
                removal.sweeps &= !record.is_some_and(Record::is_begun);
                removal.spec = seen_by.unwrap_or(removal.spec);
                step.remove(PlannedAction { recorded_as, ..removal });
            }
            step.was_after(body.after);
        }
        Ok(())
    }

    /// What stands in `spec` of other resources that stay as they are recorded.
    #[expect(clippy::box_collection, reason = "most have none, and there may be a million")]
    fn uses(&self, desired: &DesiredResource, spec: &Doc) -> Result<Option<Box<Vec<Used>>>, PlanError> {
        let mut late = Vec::new();
        if spec.may_hold_references() {
            let _never = collect_references(&spec.value(), &mut late);
        }
        let mut uses = Vec::new();
        for reference in desired.references.iter().filter(|reference| !late.contains(reference)) {
            let index = self.input.desired.resources.get_index_of(&reference.from);
            let stays = |index: usize| self.decided.kind(index as u32) == ChangeKind::Keep;
            let record = self.input.recorded.get(&reference.from).filter(|_| index.is_some_and(stays));
            let Some(record) = record else { continue };
            let body = record.body().map_err(|source| damaged(&reference.from, source))?;
            uses.push(Used::new(&reference.from, &reference.output, body.lookup(&reference.output).as_ref()));
        }
        Ok((!uses.is_empty()).then(|| Box::new(uses)))
    }

    fn unknown_dependency(&self, index: u32) -> Option<ResourceId> {
        let dependencies = self.input.topology.dependencies(index);
        let unknown = dependencies.iter().find(|index| self.decided.kind(**index) == ChangeKind::Unknown)?;
        Some(self.input.desired.resources[*unknown as usize].id.clone())
    }

    /// What the resource at `index` comes after in all: mostly what it says itself, which is shared.
    fn recorded_after(&self, index: u32, desired: &DesiredResource) -> std::sync::Arc<[ResourceId]> {
        let (all, own) = (self.input.topology.dependencies(index), desired.dependencies());
        if all.len() == own.len() {
            return own.clone();
        }
        all.iter().map(|index| self.input.desired.resources[*index as usize].id.clone()).collect()
    }

    /// Decides what happens to a resource that is recorded and no longer desired.
    pub(super) fn orphan(
        &self,
        id: &ResourceId,
        record: &Record,
        steps: &mut Steps,
    ) -> Result<(), PlanError> {
        let body = record.body().map_err(|source| damaged(id, source))?;
        let observed = observation(id, &self.input);
        let Some(kind) = self.input.registry.kind(id.kind()) else {
            let why = format!("this program has no kind `{}`; {}", id.kind(), how_to_forget(id));
            let reason = Reason::Unobserved(why);
            let change = Change {
                resource: id.clone(),
                kind: ChangeKind::Unknown,
                reason,
                fields: Box::default(),
                to: None,
            };
            steps.add(None, change).was_after(body.after);
            return Ok(());
        };
        let mut change = Differ { facts: kind.facts(), key: self.input.key }.removal(id, observed);
        let is_deleted = change.kind == ChangeKind::Delete;
        let is_others = record.is_begun() && is_made_by_others(&**kind, &body, observed);
        let is_left =
            is_others || (is_foreign(&**kind, &body) && matches!(observed, Observation::Present(_)));
        if is_left && is_deleted {
            change.reason = if is_others { Reason::WasOthers } else { Reason::WasAdopted };
        }
        let verb = match (kind.facts().traits.removal, observed) {
            _ if is_left => Verb::Forget,
            // It is not there, and something of its making may be.
            (Removal::Delete, Observation::Absent) if record.is_begun() => Verb::Delete,
            (Removal::Forget, _) | (Removal::Delete, Observation::Absent | Observation::Needed(_)) => {
                Verb::Forget
            }
            (Removal::Delete, _) => Verb::Delete,
        };
        let mut step = steps.add(None, change);
        if is_deleted {
            let mut removal =
                removal(&**kind, &body, basis(Some(record), observed, body.extra.as_deref()), verb);
            removal.sweeps &= !record.is_begun();
            step.remove(removal);
        }
        step.was_after(body.after);
        Ok(())
    }
}

/// What a person can do about a record of which this program can make nothing.
pub(crate) fn how_to_forget(id: &ResourceId) -> String {
    format!("drop its record with `apply --forget {id}`, which leaves the thing itself as it is")
}

/// Whether what is recorded was there before detc, and is not detc's to remove. What carries a mark of detc was made by
/// it, whoever recorded it.
fn is_foreign(kind: &dyn Kind, body: &RecordBody) -> bool {
    body.adopted && kind.facts().traits.removal == Removal::Delete && !is_marked(kind, body)
}

/// Whether what is there is not what the making can have left of which it is only recorded that it had begun. What was found to
/// be detc's own before it was gone on with is that, whatever it says since, like what was made.
fn is_made_by_others(kind: &dyn Kind, begun: &RecordBody, observed: &Observation) -> bool {
    let Observation::Present(present) = observed else { return false };
    if begun.cut_off {
        return false;
    }
    let facts = kind.facts();
    if facts.traits.removal == Removal::Forget || facts.reads(&begun.spec).is_err() || is_marked(kind, begun)
    {
        return false;
    }
    let spec = with_theirs(&begun.spec, present, begun.extra.as_deref());
    !may_be_made_by(facts, &spec.value(), present)
}

/// Whether it carries a mark of detc's.
fn is_marked(kind: &dyn Kind, body: &RecordBody) -> bool {
    let footprint = kind.inspect(&body.spec, Known::All);
    footprint.is_ok_and(|footprint| footprint.crash == CrashClass::FindableByTag)
}

fn verb_of(change: &Change, facts: &KindFacts) -> Verb {
    let stays = |field: &FieldChange| facts.traits.in_place.contains(&&*field.path.segments().swap_remove(0));
    let restarts =
        || facts.traits.change == ChangeEffect::Restart && change.fields.iter().any(|field| !stays(field));
    match (&change.reason, change.kind) {
        (Reason::RecordOnly | Reason::Overtaken | Reason::Renamed(_), _) => Verb::Record,
        (Reason::Trigger(_) | Reason::Unhealthy(_), _) => Verb::Restart,
        (_, ChangeKind::Adopt) => Verb::Adopt,
        (_, ChangeKind::Update) if restarts() => Verb::Restart,
        (_, ChangeKind::Update) => Verb::Update,
        (_, _) => Verb::Create,
    }
}

fn removal(kind: &dyn Kind, body: &RecordBody, basis: Digest, verb: Verb) -> PlannedAction {
    let sweeps = verb == Verb::Delete
        && !body.cut_off
        && kind.inspect(&body.spec, Known::All).is_ok_and(|footprint| !footprint.sweeps.is_empty());
    PlannedAction {
        verb,
        change: 0,
        after: Box::default(),
        host: body.host.clone(),
        spec: body.spec.clone(),
        basis,
        crash: CrashClass::DeterministicName,
        sweeps,
        recorded_as: None,
        recording: None,
    }
}

/// The digest of what an action is derived from, besides what is desired.
pub(crate) fn basis(record: Option<&Record>, observed: &Observation, extra: Option<&Extra>) -> Digest {
    if record.is_none() && matches!(observed, Observation::Unobservable) {
        return Digest::NONE;
    }
    let mut hasher = Hasher::new("detc.basis/1");
    hasher.part(record.map_or(&[][..], |record| record.as_bytes()));
    hasher.part(ours(observed, extra).fingerprint().as_bytes());
    hasher.finish()
}

/// Whether something that is there is to be done once more, and a look could not tell whether that happened.
fn is_blind_rerun(facts: &KindFacts, change: &Change, observed: &Observation) -> bool {
    let Observation::Present(present) = observed else { return false };
    let is_seen = |field: &FieldChange| present.fields.contains_key(&field.path.segments().swap_remove(0));
    let is_rerun = facts.traits.change == ChangeEffect::Rerun;
    match verb_of(change, facts) {
        Verb::Update => is_rerun && !change.fields.iter().all(is_seen),
        Verb::Restart => is_rerun,
        Verb::Create | Verb::Adopt | Verb::Record | Verb::Delete | Verb::Forget => false,
    }
}

pub(super) fn damaged(resource: &ResourceId, source: RecordError) -> PlanError {
    PlanError::Record { resource: resource.clone(), source }
}
