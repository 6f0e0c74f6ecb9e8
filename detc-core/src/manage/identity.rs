//! Who a store is: a name among all stores, and a secret that marks of sensitive values are keyed with. Both are made
//! once, when a manager first opens it.

use serde::{Deserialize, Serialize};

use super::{Clock, ManageError};
use crate::model::Digest;
use crate::model::secret::MarkKey;
use crate::store::{Compare, KeyRange, RangeOptions, Store, StoreError, Transaction, Write};

const KEY: &str = "meta/identity";
const FORMAT: &str = "detc.store/1";

pub(super) struct Identity {
    pub(super) scope: String,
    pub(super) key: MarkKey,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: String,
    scope: String,
    key: Digest,
    made_ms: u64,
}

pub(super) async fn read_or_make(store: &dyn Store, clock: &dyn Clock) -> Result<Identity, ManageError> {
    loop {
        let reply = store.range(KeyRange::key(KEY), RangeOptions::default()).await?;
        if let Some(entry) = reply.entries.first() {
            return read(&entry.value);
        }
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable {
            store: "being made".to_owned(),
            what: "the system gives no random numbers".to_owned(),
            source: error.to_string().into(),
        })?;
        let key = Digest::from(random);
        let scope = Digest::keyed(&random, b"detc.scope").short();
        let kept = Kept { format: FORMAT.to_owned(), scope, key, made_ms: clock.now_ms() };
        let value = serde_json::to_vec(&kept).expect("invariant: an identity is JSON");
        store.transact(Transaction::new().when(Compare::Absent(KEY.into())).put(KEY, value)).await?;
    }
}

/// The write that makes a store the same as another one.
pub(super) fn put(scope: &str, key: &MarkKey) -> Write {
    let key = Digest::from(*key.as_bytes());
    let kept = Kept { format: FORMAT.to_owned(), scope: scope.to_owned(), key, made_ms: 0 };
    let value = serde_json::to_vec(&kept).expect("invariant: an identity is JSON").into();
    Write::Put { key: KEY.into(), value, lease: None }
}

fn read(value: &[u8]) -> Result<Identity, ManageError> {
    let corrupt = |what: String| StoreError::Corrupt { store: "of this manager".to_owned(), what };
    let kept: Kept =
        serde_json::from_slice(value).map_err(|error| corrupt(format!("its identity: {error}")))?;
    if kept.format != FORMAT {
        return Err(corrupt(format!("its format is `{}`, expected `{FORMAT}`", kept.format)).into());
    }
    Ok(Identity { scope: kept.scope, key: MarkKey::new(*kept.key.as_bytes()) })
}
