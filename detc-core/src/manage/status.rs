//! What is there, against what is recorded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::look::{Look, look_at_all};
use super::planned::Sight;
use super::{ManageError, Manager};
use crate::action::CrashClass;
use crate::diff::{said_of_theirs, with_theirs};
use crate::execute::{Checked, Phase, ProgressSink, judge};
use crate::model::secret::Vault;
use crate::model::{Desired, Health, HostName, Observation, Record, RecordBody, ResourceId};
use crate::plan::Observed;

/// One resource as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceStatus {
    /// The resource.
    pub resource: ResourceId,
    /// Whether it is there, and as it was left.
    pub state: StatusState,
    /// Whether it works.
    pub health: Health,
    /// More, in words.
    pub detail: Option<String>,
    /// The fields of which it was not seen whether they are as they were left; `detail` says why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncompared: Vec<String>,
}

/// Whether a resource is there, and as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// It is there, as it was left.
    Present,
    /// It is not there.
    Absent,
    /// It is there, and not as it was left.
    Drifted,
    /// It could not be found out.
    Unknown,
}

impl Manager {
    /// Looks at everything that is recorded, in doubt or desired. What a look can not tell of, only the record does: then
    /// what is not recorded is absent. Linear in what there is.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the desired state is wrong, the store fails, or a record is damaged.
    pub async fn status(
        &self,
        desired: Option<&Desired>,
        sink: &mut ProgressSink,
    ) -> Result<Vec<ResourceStatus>, ManageError> {
        if let Some(desired) = desired {
            desired.check(&self.registry)?;
        }
        self.catch_up().await?;
        let empty = Desired::new();
        let mut given = std::borrow::Cow::Borrowed(desired.unwrap_or(&empty));
        self.add_known_hosts(&mut given).await?;
        let recorded = self.recorded();
        let vault = Arc::new(Mutex::new(Vault::new()));
        self.keep_secrets(&given, &vault);
        let mut observed = Observed::default();
        let (mut looks, mut unread) = (Vec::new(), Vec::new());
        for id in recorded.keys() {
            let by_record = self.is_by_record(id);
            if let (false, Some(body)) = (by_record, self.body(id)?) {
                if self.unread(id, &body).is_some() {
                    unread.push(id);
                    continue;
                }
                let (spec, host, extra) = (body.spec.clone(), body.host.clone(), body.extra.clone());
                looks.push(Look { id: id.clone(), host, spec, extra, base: Some(body) });
            }
        }
        let doubts = self.doubts();
        let is_listed = |id: &ResourceId| recorded.contains_key(id) || doubts.contains_key(id);
        let unrecorded: Vec<&ResourceId> = given.resources.keys().filter(|id| !is_listed(id)).collect();
        for id in unread.iter().chain(&unrecorded) {
            match self.sight(&given, id, &vault)? {
                Sight::Look(look) => looks.push(look),
                Sight::Known(seen) => _ = observed.insert((*id).clone(), seen),
                Sight::Nothing => {}
            }
        }
        let mut around = self.surroundings(&given, vault);
        let needed: BTreeSet<HostName> = looks.iter().filter_map(|look| look.host.clone()).collect();
        around.hosts = self.connect(&given.hosts, &needed).await;
        look_at_all(&Arc::new(around), looks, &mut observed, sink).await;
        self.add_doubts(&given, &mut observed);
        let mut all = Vec::new();
        for id in recorded.keys() {
            all.push(self.status_of(id, observed.get(id).unwrap_or(&Observation::Unobservable))?);
        }
        for id in doubts.keys().filter(|id| !recorded.contains_key(*id)) {
            all.push(self.status_of(id, observed.get(id).unwrap_or(&Observation::Unobservable))?);
        }
        for id in unrecorded {
            let renamed_from = given.resources[id].extra().renamed_from.as_ref();
            let renamed_from = renamed_from.filter(|before| recorded.contains_key(*before));
            all.push(status_of_unrecorded(id, renamed_from, observed.get(id)));
        }
        all.sort_by(|a, b| a.resource.cmp(&b.resource));
        Ok(all)
    }

    fn status_of(&self, id: &ResourceId, observed: &Observation) -> Result<ResourceStatus, ManageError> {
        let (mut state, mut health, mut detail) = (StatusState::Present, Health::None, None);
        let mut uncompared = Vec::new();
        match observed {
            Observation::Absent => {
                state = StatusState::Absent;
                let begun = self.recorded().get(id).is_some_and(Record::is_begun);
                let said = if begun {
                    "its making had begun, and it is not there"
                } else {
                    "it was made, and is gone"
                };
                detail = Some(said.to_owned());
            }
            Observation::Needed(why) => {
                state = StatusState::Absent;
                detail = Some(why.clone());
            }
            Observation::Unknown(why) => {
                (state, health) = (StatusState::Unknown, Health::Unknown);
                detail = Some(why.clone());
            }
            Observation::Unobservable if self.registry.kind(id.kind()).is_none() => {
                state = StatusState::Unknown;
                detail = Some(format!("this program has no kind `{}`", id.kind()));
            }
            Observation::Unobservable => {}
            Observation::Present(present) => {
                (health, detail) = (present.health, present.detail.clone());
                uncompared.clone_from(&present.uncompared);
                // A run of this manager may have removed it since it was looked at.
                let Some(body) = self.body(id)? else {
                    let (state, health) = (StatusState::Absent, Health::None);
                    let detail = Some("it was removed meanwhile".to_owned());
                    return Ok(ResourceStatus { resource: id.clone(), state, health, detail, uncompared });
                };
                let token = body.triggers.as_deref();
                let theirs = said_of_theirs(&body.spec, present, body.extra.as_deref());
                detail = detail.or(theirs);
                let spec = with_theirs(&body.spec, present, body.extra.as_deref());
                let body = RecordBody { spec: spec.into_owned(), ..body.clone() };
                let judged = judge(
                    &body.spec,
                    observed,
                    Some(&body),
                    token,
                    Phase::First,
                    CrashClass::DeterministicName,
                );
                if let Checked::Needed(why) = judged {
                    state = StatusState::Drifted;
                    detail = Some(why);
                } else if self.recorded().get(id).is_some_and(Record::is_begun) {
                    state = StatusState::Drifted;
                    detail = Some("its making had begun, and is not recorded as done".to_owned());
                }
            }
        }
        Ok(ResourceStatus { resource: id.clone(), state, health, detail, uncompared })
    }
}

/// The status of what is desired and not recorded, or under the id that it had before.
fn status_of_unrecorded(
    id: &ResourceId,
    renamed_from: Option<&ResourceId>,
    observed: Option<&Observation>,
) -> ResourceStatus {
    let (state, health, detail) = match observed {
        Some(Observation::Present(present)) => {
            let recorded = match renamed_from {
                Some(before) => format!("recorded as {before}"),
                None => "not recorded: apply adopts it".to_owned(),
            };
            let more = present.detail.as_ref().map(|detail| format!("; {detail}")).unwrap_or_default();
            (StatusState::Present, present.health, recorded + &more)
        }
        Some(Observation::Unknown(why)) => (StatusState::Unknown, Health::Unknown, why.clone()),
        Some(Observation::Absent | Observation::Needed(_) | Observation::Unobservable) | None => {
            (StatusState::Absent, Health::None, "desired, and not made yet".to_owned())
        }
    };
    ResourceStatus { resource: id.clone(), state, health, detail: Some(detail), uncompared: Vec::new() }
}
