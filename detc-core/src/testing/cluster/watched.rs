//! A store whose commits are calls that go wrong, and the way to the hosts of a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::backend::{Host, HostError};
use crate::model::{HostName, HostSpec};
use crate::resource::Connector;
use crate::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};
use crate::testing::calls::{Calls, Watched};

/// The scheme of the hosts of a scenario.
pub(super) const SCHEME: &str = "scenario";

/// Connects the hosts of a scenario.
#[derive(Debug)]
pub(super) struct ToHosts {
    pub(super) hosts: BTreeMap<HostName, Arc<dyn Host>>,
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
            Some(host) => Ok(Arc::new(Watched::new(host.clone(), self.calls.clone()))),
            None => {
                let what = "the scenario has no such host".to_owned();
                Err(HostError::Unreachable { host: name.to_string(), what })
            }
        }
    }
}

/// A store, at a commit of which its process may die.
#[derive(Debug)]
pub(super) struct Mortal {
    pub(super) inner: Arc<dyn Store>,
    pub(super) calls: Calls,
}

#[async_trait]
impl Store for Mortal {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.calls.commit(self.inner.transact(transaction)).await
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }
}
