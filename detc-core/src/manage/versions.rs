//! What another version of the program has left: whether this one can read it, by what it is looked at where it can not, and
//! what a person can do about the rest.
//!
//! The journal and the records are data. What of it reads is gone on with; what does not is looked at by what is desired now,
//! and planned anew. Nothing is translated here: what a field of an older version meant only its kind knows, which reads it
//! then, with `serde`'s `default`, `alias` and the like.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::look::Look;
use super::planned::Sight;
use super::{ManageError, Manager, records};
use crate::diff::moved;
use crate::execute::NodeEnd;
use crate::execute::journal::{state_key, tried_key};
use crate::model::secret::Vault;
use crate::model::{Desired, Doc, Observation, RecordBody, ResourceId, Set};
use crate::plan::{Plan, Verb, how_to_forget};
use crate::resource::{Known, Removal};
use crate::store::Write;

impl Manager {
    /// Why the plan of another version of this program can not be gone on with, by its kinds.
    pub(super) fn unknown_kind(&self, plan: &Plan) -> Option<String> {
        plan.kinds.iter().find_map(|(name, schema)| match self.registry.kind(name) {
            None => Some(format!("this program has no kind `{name}`")),
            Some(kind) if kind.facts().schema != *schema => {
                Some(format!("this program's `{name}` has other fields than the one it was planned with"))
            }
            Some(_) => None,
        })
    }

    /// The same, by the specs of its actions: of what is left, and of what is looked at once more at the end.
    pub(super) fn unreadable(&self, plan: &Plan, ended: &[(u32, NodeEnd)]) -> Option<String> {
        let ended: Set<u32> = ended.iter().map(|(action, _)| *action).collect();
        plan.actions.iter().enumerate().find_map(|(index, action)| {
            let id = plan.resource_of(index as u32);
            let kind = self.registry.kind(id.kind())?;
            let said = match action.verb {
                Verb::Forget if kind.facts().traits.removal == Removal::Forget => return None,
                Verb::Delete | Verb::Forget if ended.contains(&(index as u32)) => return None,
                Verb::Delete | Verb::Forget => kind.facts().reads(&action.spec),
                Verb::Create | Verb::Adopt | Verb::Update | Verb::Restart | Verb::Record => {
                    kind.inspect(&action.spec, Known::SomeLater).map(drop)
                }
            };
            let said = said.err()?;
            let name = id.kind();
            Some(format!(
                "{id} was planned by another version of the kind `{name}`, and this one can not read it: {said}"
            ))
        })
    }

    /// Why this program can not read what is recorded, where it can not.
    pub(super) fn unread(&self, id: &ResourceId, recorded: &RecordBody) -> Option<String> {
        let facts = self.registry.kind(id.kind())?.facts();
        let said = facts.reads(&recorded.spec).err()?;
        let (name, schema) = (facts.name, facts.schema.short());
        let with = if recorded.schema.starts_with(&schema) { "" } else { ", with other fields" };
        Some(format!(
            "its record was written by another version of the kind `{name}`{with}, and this one can not read it: {said}"
        ))
    }

    /// How a resource is seen whose record this program can not read, for the reason `said`.
    pub(super) fn sight_of_unread(
        &self,
        desired: &Desired,
        id: &ResourceId,
        (recorded_as, body, said): (&ResourceId, RecordBody, &str),
        vault: &Mutex<Vault>,
    ) -> Sight {
        let unknown = |way: &str| {
            Sight::Known(Observation::Unknown(format!("{said}; {way}, or {}", how_to_forget(recorded_as))))
        };
        let Some(facts) = self.registry.kind(id.kind()).map(|kind| kind.facts()) else {
            return Sight::Nothing;
        };
        let Some(resource) = desired.resources.get(id) else {
            return match facts.traits.removal {
                // There is nothing to find out about what is only forgotten.
                Removal::Forget => Sight::Known(Observation::Unobservable),
                Removal::Delete => {
                    unknown("desire it as this version has it, apply that, and take it out again")
                }
            };
        };
        let wanted = self.resolve_now(desired, resource, vault, &mut super::planned::Followed::new());
        let host = resource.host.clone();
        match wanted.filter(|wanted| moved(facts, (wanted, host.as_ref()), &body).is_none()) {
            Some(spec) => {
                let extra = resource.given_extra().cloned().map(Box::new);
                Sight::Look(Look { id: id.clone(), host, spec, base: Some(body), extra })
            }
            None => unknown("desire it where it is recorded to be, and apply that first"),
        }
    }

    /// By what the action of a saved plan is looked at whose resource's record this program can not read.
    pub(super) fn look_spec_of_unread(&self, id: &ResourceId, planned: &Doc) -> Option<Doc> {
        let facts = self.registry.kind(id.kind())?.facts();
        facts.reads(planned).ok().map(|()| planned.clone())
    }

    /// Drops the record of a resource of which this program can make nothing: it has no such kind, or the record can not be
    /// read. The thing itself is left as it is, and nobody's from then on.
    ///
    /// Cancellation: it is forgotten, or it is not; what is recorded is read again before it is used.
    ///
    /// # Errors
    /// [`ManageError::Managed`] where it can be read, [`ManageError::NoRecord`] where there is none,
    /// [`ManageError::Unfinished`] when an interrupted run is to be resumed first, [`ManageError::Busy`] while a run of this
    /// manager goes on, [`ManageError::ReadOnly`] without the lead; otherwise when the store fails.
    pub async fn forget(&self, id: &ResourceId) -> Result<(), ManageError> {
        let _place = self.take_place()?;
        self.catch_up().await?;
        let recorded = self.recorded();
        let record = recorded.get(id).ok_or_else(|| ManageError::NoRecord(id.clone()))?;
        let is_known = self.registry.kind(id.kind()).is_some();
        if is_known && record.body().is_ok_and(|body| self.unread(id, &body).is_none()) {
            return Err(ManageError::Managed(id.clone()));
        }
        if let Some(open) = self.interrupted().await? {
            return Err(ManageError::Unfinished(open.number));
        }
        let mut writes = vec![Write::Delete(state_key(id))];
        let has_key = records::keys(&*self.store).await?.contains_key(id);
        writes.extend(has_key.then(|| Write::Delete(tried_key(id))));
        self.stale.store(true, std::sync::atomic::Ordering::SeqCst);
        self.commit(writes).await?;
        self.refresh(1, || BTreeSet::from([id.clone()])).await?;
        self.stale.store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }
}
