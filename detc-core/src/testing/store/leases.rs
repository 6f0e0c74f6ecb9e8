//! Laws of leases.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Broken, Checked, commit, ensure, event, events, same};
use crate::store::{
    KeyRange, LeaseId, Revision, Store, StoreError, StoreEvent, Transaction, Watch, read_all,
};

/// Short enough for a test, and long enough for a server that counts in seconds.
const TTL: Duration = Duration::from_secs(2);

/// How late an expiry may come before the suite gives up waiting.
const LATE_MAX: Duration = Duration::from_secs(60);

async fn keys(store: &dyn Store) -> Result<String, Broken> {
    let (entries, _) = read_all(store, KeyRange::all()).await?;
    let keys: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).collect();
    Ok(keys.join(" "))
}

/// Waits for an event however late the store's expiry is.
async fn late_event(watch: &mut Watch) -> Result<StoreEvent, Broken> {
    let next = timeout(TTL * 2 + LATE_MAX, watch.next()).await;
    let next = next.map_err(|_| Broken("what was put under the lease was not deleted".into()))?;
    Ok(next.ok_or_else(|| Broken("the watch ended".into()))??)
}

/// Puts two keys under a lease and one beside; returns a watch from then on.
async fn fill(store: &dyn Store, lease: LeaseId) -> Result<(Watch, Revision), Broken> {
    let change = Transaction::new().put_leased("a", "1", lease).put("b", "2").put_leased("c", "3", lease);
    let at = commit(store, change).await?;
    Ok((store.watch(KeyRange::all(), Revision(at.0 + 1)).await?, at))
}

pub(super) async fn revoke(store: Arc<dyn Store>) -> Checked {
    let lease = store.grant(TTL * 100).await?;
    let (mut watch, at) = fill(&*store, lease).await?;
    let (entries, _) = read_all(&*store, KeyRange::all()).await?;
    let leases: Vec<_> = entries.iter().map(|entry| entry.lease).collect();
    same("the leases of the entries", &leases, &vec![Some(lease), None, Some(lease)])?;
    store.revoke(lease).await?;
    same("the keys left", &keys(&*store).await?, &"b".to_string())?;
    let at = at.0 + 1;
    let expected = vec![format!("{at} deleted b\"a\""), format!("{at} deleted b\"c\"")];
    same("the events", &events(&mut watch, 2).await?, &expected)
}

pub(super) async fn expire(store: Arc<dyn Store>) -> Checked {
    let lease = store.grant(TTL).await?;
    let (mut watch, at) = fill(&*store, lease).await?;
    for _ in 0..2 {
        let event = late_event(&mut watch).await?;
        let deleted = matches!(&event, StoreEvent::Deleted { key, .. } if key != "b");
        ensure(deleted, || format!("an expiry gave {event:?}"))?;
        same("the revision of a deletion", &event.revision(), &Revision(at.0 + 1))?;
    }
    same("the keys left", &keys(&*store).await?, &"b".to_string())
}

pub(super) async fn not_early(store: Arc<dyn Store>) -> Checked {
    let granted = Instant::now();
    let lease = store.grant(TTL).await?;
    let (mut watch, _) = fill(&*store, lease).await?;
    late_event(&mut watch).await?;
    let lived = granted.elapsed();
    ensure(lived >= TTL, || format!("a lease of {TTL:?} lived for {lived:?}"))
}

pub(super) async fn keep_alive(store: Arc<dyn Store>) -> Checked {
    let lease = store.grant(TTL).await?;
    let (mut watch, _) = fill(&*store, lease).await?;
    let mut kept = Instant::now();
    for _ in 0..4 {
        sleep(TTL / 2).await;
        kept = Instant::now();
        same("the time a lease is given", &store.keep_alive(lease).await?, &TTL)?;
    }
    same("the keys of a lease kept alive", &keys(&*store).await?, &"a b c".to_string())?;
    late_event(&mut watch).await?;
    let lived = kept.elapsed();
    ensure(lived >= TTL, || format!("a lease of {TTL:?} ended {lived:?} after it was kept alive"))
}

pub(super) async fn ended(store: Arc<dyn Store>) -> Checked {
    let revoked = store.grant(TTL).await?;
    store.revoke(revoked).await?;
    let expired = store.grant(TTL).await?;
    let (mut watch, _) = fill(&*store, expired).await?;
    late_event(&mut watch).await?;
    let (_, before) = read_all(&*store, KeyRange::all()).await?;
    for (lease, how) in [(revoked, "revoked"), (expired, "expired")] {
        let put =
            store.transact(Transaction::new().put("x", "").put_leased("y", "", lease)).await.map(|_| ());
        let kept = store.keep_alive(lease).await.map(|_| ());
        let ended = store.revoke(lease).await;
        for (what, reply) in [("a put under", put), ("keeping alive", kept), ("revoking", ended)] {
            ensure(matches!(reply, Err(StoreError::LeaseNotFound(id)) if id == lease.0), || {
                format!("{what} a lease that was {how} gave {reply:?}")
            })?;
        }
    }
    let (entries, after) = read_all(&*store, KeyRange::all()).await?;
    same("the entries and the revision afterwards", &(entries.len(), after), &(1, before))
}

pub(super) async fn moved(store: Arc<dyn Store>) -> Checked {
    let (first, second) = (store.grant(TTL * 100).await?, store.grant(TTL * 100).await?);
    let change = Transaction::new().put_leased("forever", "", first).put_leased("other", "", first);
    commit(&*store, change.put_leased("gone", "", first).put_leased("same", "", first)).await?;
    let change = Transaction::new().put("forever", "").put_leased("other", "", second).delete("gone");
    commit(&*store, change.put_leased("same", "again", first)).await?;
    commit(&*store, Transaction::new().put("gone", "back")).await?;
    store.revoke(first).await?;
    same("the keys after the first lease", &keys(&*store).await?, &"forever gone other".to_string())?;
    store.revoke(second).await?;
    same("the keys after the second lease", &keys(&*store).await?, &"forever gone".to_string())
}

pub(super) async fn unique(store: Arc<dyn Store>) -> Checked {
    let mut seen = Vec::new();
    for _ in 0..10 {
        let lease = store.grant(TTL).await?;
        ensure(!seen.contains(&lease), || format!("lease {} was granted twice", lease.0))?;
        seen.push(lease);
        store.revoke(lease).await?;
    }
    let refused = store.grant(Duration::ZERO).await;
    ensure(matches!(refused, Err(StoreError::Invalid(_))), || {
        format!("a lease without time to live gave {refused:?}")
    })?;
    // A store that still answers events has not been upset by all that.
    let mut watch = store.watch(KeyRange::all(), Revision(1)).await?;
    commit(&*store, Transaction::new().put("k", "v")).await?;
    event(&mut watch).await.map(|_| ())
}
