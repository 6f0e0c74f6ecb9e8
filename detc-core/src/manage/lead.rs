//! One leader at a time: a key under a lease. Every write of a run is made only while that key is still ours: once it is not,
//! a run begins nothing more, and what is in flight comes to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{ManageError, Manager, ManagerOptions};
use crate::store::{
    Compare, KeyRange, LeaseId, Revision, Store, StoreError, Transaction, TxnReply, read_all,
};

pub(super) const KEY: &str = "meta/leader";

/// Who took the lead last, which stays when its lease has run out.
const LAST: &str = "meta/last-leader";

/// After this a lease that could not be kept alive is tried again: several times before it runs out.
const KEEP_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Leadership {
    pub(super) lease: LeaseId,
    /// The revision that made us leader.
    epoch: Revision,
    /// Keeps the lease alive; ends when it is dropped.
    _keeper: JoinSet<()>,
}

impl Leadership {
    /// What must hold for every write.
    pub(super) fn guard(&self) -> Vec<Compare> {
        vec![Compare::Modified(KEY.into(), self.epoch)]
    }
}

impl Manager {
    /// Takes the lead again, if this manager had it, its lease has run out, and nobody has led since: the process was
    /// paused, or the store was away. Somebody else may have brought about another desired state, which this one would undo.
    ///
    /// # Errors
    /// [`StoreError::Held`] when somebody else has led since.
    pub(super) async fn lead_again(&self) -> Result<(), ManageError> {
        let _turn = self.refreshing.lock().await;
        let Some(epoch) = self.leadership().as_ref().map(|leadership| leadership.epoch) else {
            return Ok(());
        };
        let (found, _) = read_all(&*self.store, KeyRange::key(KEY)).await?;
        if found.iter().any(|entry| entry.modified == epoch) {
            return Ok(());
        }
        let taken = take(&self.store, &self.options, Some(epoch)).await?;
        tracing::info!("the lease on the store had run out: this manager has taken the lead again");
        *self.leadership() = Some(taken);
        Ok(())
    }
}

/// Takes the lead; `since`: only if nobody has since that revision.
pub(super) async fn take(
    store: &Arc<dyn Store>,
    options: &ManagerOptions,
    since: Option<Revision>,
) -> Result<Leadership, ManageError> {
    let lease = store.grant(options.lease).await?;
    let mut claim = Transaction::new()
        .when(Compare::Absent(KEY.into()))
        .put_leased(KEY, options.holder.clone(), lease)
        .put(LAST, options.holder.clone());
    if let Some(since) = since {
        claim = claim.when(Compare::Modified(LAST.into(), since));
    }
    match store.transact(claim).await? {
        TxnReply::Committed(epoch) => {
            let mut keeper = JoinSet::new();
            // The keeper does not keep the store open: a store that is closed in good order needs no check when it is opened
            // next, and a task that was told to end is still there for a moment.
            let (store, pause) = (Arc::downgrade(store), options.lease / 3);
            keeper.spawn(async move {
                let mut next = pause;
                loop {
                    tokio::time::sleep(next).await;
                    let Some(store) = store.upgrade() else { return };
                    next = match tokio::time::timeout(pause, store.keep_alive(lease)).await {
                        Ok(Ok(_)) => pause,
                        Ok(Err(StoreError::LeaseNotFound(_))) => {
                            tracing::warn!(
                                "the lease on the store has run out: this manager does not lead any more"
                            );
                            return;
                        }
                        Ok(Err(error)) => {
                            tracing::warn!(%error, "the lease on the store could not be kept alive");
                            pause.min(KEEP_AGAIN)
                        }
                        Err(_) => {
                            tracing::warn!("the store does not answer to keep the lease alive");
                            pause.min(KEEP_AGAIN)
                        }
                    };
                }
            });
            Ok(Leadership { lease, epoch, _keeper: keeper })
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
