//! Reads what is recorded.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::ManageError;
use crate::execute::TriedKey;
use crate::execute::journal::{DOUBT, STATE, TRIED, state_key};
use crate::model::{HostName, HostSpec, Map, Record, Recorded, ResourceId};
use crate::store::{Entry, KeyRange, RangeOptions, Store, StoreError};

/// Every record.
pub(super) async fn read(store: &dyn Store) -> Result<Recorded, ManageError> {
    let mut recorded = Vec::new();
    each(store, STATE, |name, value| {
        recorded.push((parse_id(name)?, parse(name, value)?));
        Ok(())
    })
    .await?;
    Ok(recorded.into_iter().collect())
}

/// The records of these resources; `None` for those that have none.
pub(super) async fn read_some(
    store: &dyn Store,
    ids: &BTreeSet<ResourceId>,
) -> Result<Vec<(ResourceId, Option<Record>)>, ManageError> {
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        let reply = store.range(KeyRange::key(state_key(id)), RangeOptions::default()).await?;
        let entry = reply.entries.into_iter().next();
        let record = entry.map(|entry| parse(id.as_str(), entry.value)).transpose()?;
        records.push((id.clone(), record));
    }
    Ok(records)
}

fn parse(name: &str, value: Bytes) -> Result<Record, ManageError> {
    Record::from_bytes(value).map_err(|source| ManageError::Record { resource: name.to_owned(), source })
}

/// The records that actions would have left that are in doubt.
pub(super) async fn doubts(store: &dyn Store) -> Result<BTreeMap<ResourceId, Bytes>, ManageError> {
    let mut doubts = BTreeMap::new();
    each(store, DOUBT, |name, value| {
        doubts.insert(parse_id(name)?, value);
        Ok(())
    })
    .await?;
    Ok(doubts)
}

/// The idempotency keys of what was tried and did not end well.
pub(super) async fn keys(store: &dyn Store) -> Result<Map<ResourceId, TriedKey>, ManageError> {
    let mut keys = Map::default();
    each(store, TRIED, |name, value| {
        let key = TriedKey::from_bytes(&value);
        let key = key.map_err(|error| corrupt(&format!("the key of what was tried of {name}: {error}")))?;
        keys.insert(parse_id(name)?, key);
        Ok(())
    })
    .await?;
    Ok(keys)
}

async fn each(
    store: &dyn Store,
    prefix: &'static str,
    mut take: impl FnMut(&str, Bytes) -> Result<(), ManageError>,
) -> Result<(), ManageError> {
    let mut range = KeyRange::prefix(prefix);
    loop {
        let page = store.range(range.clone(), RangeOptions::default()).await?;
        let last = page.entries.last().map(|entry| entry.key.clone());
        for Entry { key, value, .. } in page.entries {
            let name = std::str::from_utf8(&key[prefix.len()..]).map_err(|_| corrupt("a key is not text"))?;
            take(name, value)?;
        }
        match last {
            Some(last) if page.more => range = range.after(&last),
            _ => return Ok(()),
        }
    }
}

fn parse_id(name: &str) -> Result<ResourceId, ManageError> {
    name.parse().map_err(|error| corrupt(&format!("{error}")).into())
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { store: "of this manager".to_owned(), what: what.to_owned() }
}

const HOSTS: &str = "meta/hosts";

/// The hosts as they were last declared, for commands that are given no desired state.
pub(super) async fn hosts(store: &dyn Store) -> Result<BTreeMap<HostName, HostSpec>, ManageError> {
    let reply = store.range(KeyRange::key(HOSTS), RangeOptions::default()).await?;
    let Some(entry) = reply.entries.first() else { return Ok(BTreeMap::new()) };
    serde_json::from_slice(&entry.value).map_err(|error| corrupt(&format!("its hosts: {error}")).into())
}

/// The write that keeps the hosts.
pub(super) fn put_hosts(hosts: &BTreeMap<HostName, HostSpec>) -> crate::store::Write {
    let value = serde_json::to_vec(hosts).expect("invariant: hosts are JSON").into();
    crate::store::Write::Put { key: HOSTS.into(), value, lease: None }
}
