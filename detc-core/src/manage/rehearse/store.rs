//! The store of a rehearsal: a process may die before and after each of its commits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::point::Point;
use super::world::World;
use crate::execute::journal::STATE;
use crate::model::{Record, RecordBody, ResourceId};
use crate::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
    Write,
};

/// The store of a world, at each commit of which the process may die, before it or after it.
#[derive(Debug)]
pub(super) struct Rehearsed(pub(super) Arc<World>);

/// What the key of a record says whose it is.
pub(super) fn recorded_id(key: &Bytes) -> Option<ResourceId> {
    std::str::from_utf8(key).ok()?.strip_prefix(STATE)?.parse().ok()
}

impl Rehearsed {
    /// What is recorded from this transaction on, by the ids that things were made under, where that is all that tells of
    /// it; and what is recorded no more.
    async fn recorded(&self, transaction: &Transaction) -> Vec<(ResourceId, Option<RecordBody>)> {
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for write in &transaction.writes {
            match write {
                Write::Put { key, value, .. } => there.extend(
                    recorded_id(key).filter(|id| self.0.is_by_record(id)).and_then(|id| body_of(id, value)),
                ),
                Write::Delete(key) => {
                    let Some(id) = recorded_id(key) else { continue };
                    let before =
                        self.0.store.range(KeyRange::key(key.clone()), RangeOptions::default()).await;
                    let before = before.ok().and_then(|reply| reply.entries.into_iter().next());
                    gone.extend(before.and_then(|entry| body_of(id, &entry.value)));
                }
                Write::DeleteRange(_) => {}
            }
        }
        let is_put = |id: &ResourceId| {
            transaction.writes.iter().any(|write| match write {
                Write::Put { key, value, .. } => recorded_id(key)
                    .is_some_and(|key| body_of(key, value).is_some_and(|(made_as, _)| made_as == *id)),
                Write::Delete(_) | Write::DeleteRange(_) => false,
            })
        };
        gone.retain(|(id, _)| !is_put(id));
        let gone = gone.into_iter().map(|(id, _)| (id, None));
        gone.chain(there.into_iter().map(|(id, body)| (id, Some(body)))).collect()
    }
}

/// The id that a thing was made under, and what is recorded of it, if this is a record that it is there.
fn body_of(id: ResourceId, value: &Bytes) -> Option<(ResourceId, RecordBody)> {
    let record = Record::from_bytes(value.clone()).ok().filter(|record| !record.is_begun())?;
    let body = record.body().ok()?;
    Some((body.made_as.clone().unwrap_or(id), body))
}

#[async_trait]
impl Store for Rehearsed {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.0.store.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.0.point(Point::BeforeCommit).await;
        let recorded = self.recorded(&transaction).await;
        let reply = self.0.store.transact(transaction).await;
        if let Ok(TxnReply::Committed(_)) = &reply {
            self.0.take_note(recorded);
        }
        self.0.point(Point::AfterCommit).await;
        reply
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.0.store.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.store.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.0.store.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.store.revoke(lease).await
    }
}
