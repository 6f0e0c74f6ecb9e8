//! A store whose commits are calls that go wrong, and the way to the hosts of a scenario.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::backend::{Host, HostError, MemoryHost};
use crate::manage::Clock;
use crate::model::{HostName, HostSpec};
use crate::resource::Connector;
use crate::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};
use crate::testing::calls::{CallError, Calls, Watched};

/// The scheme of the hosts of a scenario.
pub(super) const SCHEME: &str = "scenario";

/// Connects the hosts of a scenario, for one process.
#[derive(Debug)]
pub(super) struct ToHosts {
    pub(super) hosts: BTreeMap<HostName, MemoryHost>,
    pub(super) calls: Calls,
}

#[async_trait]
impl Connector for ToHosts {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        match self.hosts.get(name) {
            Some(host) => Ok(Arc::new(Watched::of_memory(host.clone(), self.calls.clone()))),
            None => {
                let what = "the scenario has no such host".to_owned();
                Err(HostError::Unreachable { host: name.to_string(), what })
            }
        }
    }
}

/// A store, as one process reaches it.
#[derive(Debug)]
pub(super) struct Mortal {
    pub(super) inner: Arc<dyn Store>,
    pub(super) calls: Calls,
}

#[async_trait]
impl Store for Mortal {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.calls.pass().await;
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.calls.pass().await;
        let store = "of the scenario".to_owned();
        match self.calls.commit(self.inner.transact(transaction)).await {
            Ok(done) => done,
            Err(CallError::Full) => {
                Err(StoreError::Full { store, source: io::ErrorKind::StorageFull.into() })
            }
            Err(error) => {
                Err(StoreError::Unavailable { store, what: "a commit".to_owned(), source: error.into() })
            }
        }
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.calls.pass().await;
        self.inner.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.calls.pass().await;
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.calls.pass().await;
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.calls.pass().await;
        self.inner.revoke(lease).await
    }
}

/// The clock of a manager, which the calls set wrong.
pub(super) struct WrongClock(pub(super) Calls);

impl Clock for WrongClock {
    fn now_ms(&self) -> u64 {
        const BEGAN_MS: i64 = 1_700_000_000_000;
        const HOUR_MS: i64 = 3_600_000;
        u64::try_from(BEGAN_MS + self.0.clock() * HOUR_MS).unwrap_or(0)
    }
}
