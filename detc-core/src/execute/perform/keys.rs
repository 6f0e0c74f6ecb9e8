//! Idempotency keys: decided when an action starts, durable before its first call, and the same for each further try, also
//! of later runs, until an action of the resource ends well.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::journal::tried_key;
use super::PlanWork;
use crate::action::CrashClass;
use crate::model::{Digest, Doc, Hasher, ResourceId};
use crate::plan::{PlannedAction, Verb};
use crate::store::Write;

/// The key of an action that has started and not ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TriedKey {
    verb: Verb,
    /// What it leads to; `None` where it makes the resource, which is to be there once, however its spec has changed since
    /// the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Digest>,
    key: String,
}

impl PlanWork {
    /// The key of an action: that of its first try, if there was one.
    pub(super) fn tried_key(&self, index: u32, spec: &Doc, token: Option<&str>) -> TriedKey {
        let (action, id) = self.action(index);
        let to = (action.verb != Verb::Create).then(|| {
            let mut hasher = Hasher::new("detc.tried/1");
            hasher.part(spec.digest().as_bytes()).part(token.unwrap_or_default().as_bytes());
            hasher.finish()
        });
        if action.crash == CrashClass::IdempotencyKey {
            let state = self.state();
            let mut tried = own_ids(action, id).filter_map(|id| state.keys.get(id));
            if let Some(tried) = tried.find(|tried| (tried.verb, tried.to) == (action.verb, to)) {
                return tried.clone();
            }
        }
        TriedKey { verb: action.verb, to, key: self.around.key(&self.plan, index) }
    }

    /// The write that keeps the key of an action that is about to be tried.
    pub(super) fn keep_key(&self, index: u32, key: TriedKey) -> Write {
        let id = self.plan.resource_of(index);
        let value = serde_json::to_vec(&key).expect("invariant: a key is JSON").into();
        self.state().keys.insert(id.clone(), key);
        Write::Put { key: tried_key(id), value, lease: None }
    }

    /// The writes that drop the key of a resource, an action of which has ended well: nothing of it is open any more.
    pub(super) fn drop_key(&self, index: u32) -> Vec<Write> {
        let (action, id) = self.action(index);
        let mut state = self.state();
        let kept = own_ids(action, id).filter(|id| state.keys.swap_remove(*id).is_some());
        kept.map(|id| Write::Delete(tried_key(id))).collect()
    }
}

/// The ids that a resource has, or had.
fn own_ids<'a>(action: &'a PlannedAction, id: &'a ResourceId) -> impl Iterator<Item = &'a ResourceId> {
    std::iter::once(id).chain(action.earlier_id())
}

impl TriedKey {
    /// What the other side is told.
    pub(super) fn as_str(&self) -> &str {
        &self.key
    }

    /// One that was kept.
    ///
    /// # Errors
    /// When it can not be understood by this version.
    pub(crate) fn from_bytes(value: &Bytes) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}
