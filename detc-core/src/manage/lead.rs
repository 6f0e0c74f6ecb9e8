//! One leader at a time: a key under a lease. Every write of a run is made only while that key is still ours.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{ManageError, ManagerOptions};
use crate::store::{Compare, LeaseId, Store, StoreError, Transaction, TxnReply};

const KEY: &str = "meta/leader";

pub(super) struct Leadership {
    pub(super) lease: LeaseId,
    /// What must hold for every write: the revision that made us leader is the epoch.
    pub(super) guard: Vec<Compare>,
    /// Keeps the lease alive; ends when it is dropped.
    _keeper: JoinSet<()>,
}

pub(super) async fn take(
    store: &Arc<dyn Store>,
    options: &ManagerOptions,
) -> Result<Leadership, ManageError> {
    let lease = store.grant(options.lease).await?;
    let claim =
        Transaction::new().when(Compare::Absent(KEY.into())).put_leased(KEY, options.holder.clone(), lease);
    match store.transact(claim).await? {
        TxnReply::Committed(epoch) => {
            let mut keeper = JoinSet::new();
            // The keeper does not keep the store open: a store that is closed in good order needs no check when it is opened
            // next, and a task that was told to end is still there for a moment.
            let (store, pause) = (Arc::downgrade(store), options.lease / 3);
            keeper.spawn(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(store) = store.upgrade() else { return };
                    if let Err(StoreError::LeaseNotFound(_)) = store.keep_alive(lease).await {
                        tracing::warn!(
                            "the lease on the store has run out: this manager does not lead any more"
                        );
                        return;
                    }
                }
            });
            Ok(Leadership { lease, guard: vec![Compare::Modified(KEY.into(), epoch)], _keeper: keeper })
        }
        TxnReply::Conflict(conflict) => {
            store.revoke(lease).await?;
            let holder = conflict.current.map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
            Err(StoreError::Held {
                store: "asked for".to_owned(),
                holder: holder.unwrap_or_else(|| "another manager".to_owned()),
            }
            .into())
        }
    }
}
