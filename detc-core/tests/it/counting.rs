//! A store that counts what is read of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};

#[derive(Debug)]
pub(crate) struct Counting {
    below: MemoryStore,
    /// Where each range began.
    read: Mutex<Vec<bytes::Bytes>>,
}

impl Counting {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { below: MemoryStore::new(), read: Mutex::default() })
    }

    /// How many ranges were read so far that began with `prefix`.
    pub(crate) fn reads_of(&self, prefix: &str) -> usize {
        let read = self.read.lock().unwrap();
        read.iter().filter(|start| start.starts_with(prefix.as_bytes())).count()
    }
}

#[async_trait]
impl Store for Counting {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.read.lock().unwrap().push(range.start.clone());
        self.below.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.below.transact(transaction).await
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.below.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.below.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.below.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.below.revoke(lease).await
    }
}
