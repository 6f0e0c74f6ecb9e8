//! Laws of writing.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Broken, Checked, commit, ensure, same};
use crate::store::{
    Compare, Entry, KeyRange, RangeOptions, Revision, Store, StoreError, Transaction, TxnReply, read_all,
};

async fn read(store: &dyn Store, key: &'static str) -> Result<Option<Entry>, Broken> {
    Ok(store.range(KeyRange::key(key), RangeOptions::default()).await?.entries.into_iter().next())
}

/// Keys and values, as text.
async fn dump(store: &dyn Store) -> Result<String, Broken> {
    let (entries, _) = read_all(store, KeyRange::all()).await?;
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let entries: Vec<_> =
        entries.iter().map(|entry| format!("{}={}", text(&entry.key), text(&entry.value))).collect();
    Ok(entries.join(" "))
}

async fn now(store: &dyn Store) -> Result<Revision, Broken> {
    Ok(store.range(KeyRange::key("none"), RangeOptions::default()).await?.revision)
}

pub(super) async fn next_revision(store: Arc<dyn Store>) -> Checked {
    let start = now(&*store).await?;
    let changes = [
        Transaction::new().put("a", "1").put("b", "1"),
        Transaction::new().put("a", "2"),
        Transaction::new().put("a", "2"),
        Transaction::new().delete("b"),
    ];
    for (n, change) in (1..).zip(changes) {
        let revision = commit(&*store, change).await?;
        same("the revision of a commit", &revision, &Revision(start.0 + n))?;
        same("the revision that is read after it", &now(&*store).await?, &revision)?;
    }
    let modified = read(&*store, "a").await?.map(|entry| entry.modified);
    same("the revision that the entry carries", &modified, &Some(Revision(start.0 + 3)))
}

pub(super) async fn no_revision(store: Arc<dyn Store>) -> Checked {
    let before = commit(&*store, Transaction::new().put("a", "1")).await?;
    let idle = [
        ("without writes", Transaction::new()),
        ("that only compares", Transaction::new().when(Compare::Present("a".into()))),
        ("that deletes what is not there", Transaction::new().delete("none")),
        ("that deletes an empty range", Transaction::new().delete_range(KeyRange::prefix("none"))),
        ("that deletes an inverted range", {
            Transaction::new().delete_range(KeyRange { start: "b".into(), end: Some("a".into()) })
        }),
    ];
    for (what, transaction) in idle {
        same(&format!("the reply to a transaction {what}"), &commit(&*store, transaction).await?, &before)?;
    }
    let refused = Transaction::new().when(Compare::Absent("a".into())).put("a", "2");
    ensure(matches!(store.transact(refused).await?, TxnReply::Conflict(_)), || {
        "a failed compare was committed".into()
    })?;
    same("the revision afterwards", &now(&*store).await?, &before)
}

pub(super) async fn all_writes(store: Arc<dyn Store>) -> Checked {
    commit(&*store, Transaction::new().put("a", "0").put("b", "0").put("c", "0")).await?;
    let change =
        Transaction::new().put("d", "1").delete("b").put("a", "1").delete_range(KeyRange::prefix("c"));
    commit(&*store, change.put("e", "")).await?;
    same("the store", &dump(&*store).await?, &"a=1 d=1 e=".to_string())
}

pub(super) async fn no_part(store: Arc<dyn Store>) -> Checked {
    let mut writers = JoinSet::new();
    let writer = Arc::clone(&store);
    writers.spawn(async move {
        for n in 0..200_u32 {
            let value = n.to_string();
            let change = Transaction::new().put("a", value.clone()).put("m", value.clone()).put("z", value);
            commit(&*writer, change).await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, Broken>(())
    });
    while writers.try_join_next().is_none() {
        let (entries, revision) = read_all(&*store, KeyRange::all()).await?;
        let whole = entries.is_empty()
            || entries.len() == 3 && entries.iter().all(|entry| entry.value == entries[0].value);
        ensure(whole, || {
            format!("a part of a transaction was read at revision {}: {entries:?}", revision.0)
        })?;
        tokio::task::yield_now().await;
    }
    // A transaction of three writes is one step of the clock.
    let end = commit(&*store, Transaction::new().put("a", "end").put("z", "end")).await?;
    let (entries, _) = read_all(&*store, KeyRange::all()).await?;
    let modified: Vec<_> = entries.iter().map(|entry| entry.modified.0).collect();
    same("the revisions of what was put together", &modified, &vec![end.0, end.0 - 1, end.0])
}

pub(super) async fn compares(store: Arc<dyn Store>) -> Checked {
    let first = commit(&*store, Transaction::new().put("k", "1")).await?;
    let second = commit(&*store, Transaction::new().put("k", "2")).await?;
    let (k, none) = (Bytes::from("k"), Bytes::from("none"));
    let compares = [
        (Compare::Absent(k.clone()), false),
        (Compare::Absent(none.clone()), true),
        (Compare::Present(k.clone()), true),
        (Compare::Present(none.clone()), false),
        (Compare::Modified(k.clone(), second), true),
        (Compare::Modified(k.clone(), first), false),
        (Compare::Modified(none.clone(), second), false),
        (Compare::Value(k.clone(), "2".into()), true),
        (Compare::Value(k, "1".into()), false),
        (Compare::Value(none, "".into()), false),
    ];
    for (compare, expected) in compares {
        let what = format!("whether {compare:?} holds");
        let reply = store.transact(Transaction::new().when(compare)).await?;
        same(&what, &matches!(reply, TxnReply::Committed(_)), &expected)?;
    }
    Ok(())
}

pub(super) async fn conflict(store: Arc<dyn Store>) -> Checked {
    let at = commit(&*store, Transaction::new().put("a", "1").put("b", "2")).await?;
    let refused = Transaction::new()
        .when(Compare::Present("a".into()))
        .when(Compare::Value("b".into(), "other".into()))
        .when(Compare::Absent("a".into()))
        .put("a", "changed")
        .put("c", "new")
        .delete("b");
    let TxnReply::Conflict(conflict) = store.transact(refused).await? else {
        return Err(Broken("a failed compare was committed".into()));
    };
    same("the compare that failed first", &conflict.compare, &1)?;
    same("the entry it was judged on", &conflict.current, &read(&*store, "b").await?)?;
    same("the revision it was judged at", &conflict.revision, &at)?;
    let refused = Transaction::new().when(Compare::Present("none".into())).delete("a");
    let TxnReply::Conflict(conflict) = store.transact(refused).await? else {
        return Err(Broken("a failed compare was committed".into()));
    };
    same("the entry that does not exist", &conflict.current, &None)?;
    same("the store", &dump(&*store).await?, &"a=1 b=2".to_string())
}

pub(super) async fn twice(store: Arc<dyn Store>) -> Checked {
    commit(&*store, Transaction::new().put("a", "0")).await?;
    let wrong = [
        Transaction::new().put("a", "1").put("b", "1").put("a", "2"),
        Transaction::new().put("a", "1").delete("a"),
        Transaction::new().delete("a").put("c", "1").delete("a"),
    ];
    for transaction in wrong {
        let what = format!("{:?}", transaction.writes);
        let reply = store.transact(transaction).await;
        ensure(matches!(reply, Err(StoreError::Invalid(_))), || format!("{what} gave {reply:?}"))?;
    }
    same("the store", &dump(&*store).await?, &"a=0".to_string())
}

pub(super) async fn delete_range(store: Arc<dyn Store>) -> Checked {
    commit(&*store, Transaction::new().put("k1", "0").put("k2", "0").put("k3", "0").put("l", "0")).await?;
    // The puts stand before and after the delete: the order of the writes does not matter.
    let range = KeyRange::prefix("k");
    commit(&*store, Transaction::new().put("k2", "1").delete_range(range).put("k4", "1")).await?;
    same("the store", &dump(&*store).await?, &"k2=1 k4=1 l=0".to_string())
}

pub(super) async fn no_lost_update(store: Arc<dyn Store>) -> Checked {
    const TASKS: u32 = 8;
    const INCREMENTS: u32 = 25;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..INCREMENTS {
                increment(&*store).await?;
            }
            Ok::<_, Broken>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or_else(|panic| Err(Broken(format!("a writer panicked: {panic}"))))?;
    }
    let count = read(&*store, "count").await?.map(|entry| entry.value);
    same("the count", &count, &Some((TASKS * INCREMENTS).to_string().into()))
}

async fn increment(store: &dyn Store) -> Checked {
    loop {
        let current = read(store, "count").await?;
        let (compare, count) = match &current {
            None => (Compare::Absent("count".into()), 0),
            Some(entry) => {
                let text = String::from_utf8_lossy(&entry.value);
                let count =
                    text.parse::<u32>().map_err(|error| Broken(format!("the count {text}: {error}")))?;
                (Compare::Modified("count".into(), entry.modified), count)
            }
        };
        // Stores that never wait would otherwise let no other task come between.
        tokio::task::yield_now().await;
        let change = Transaction::new().when(compare).put("count", (count + 1).to_string());
        if let TxnReply::Committed(_) = store.transact(change).await? {
            return Ok(());
        }
    }
}

pub(super) async fn cancelled(store: Arc<dyn Store>) -> Checked {
    for n in 0..20 {
        let (a, b) = (format!("{n}a"), format!("{n}b"));
        let mut dropped = store.transact(Transaction::new().put(a, "v").put(b, "v"));
        let _ = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(dropped);
        // What is asked for later must be answered all the same.
        commit(&*store, Transaction::new().put("later", n.to_string())).await?;
        let (entries, _) = read_all(&*store, KeyRange::prefix(n.to_string())).await?;
        let found = entries.iter().filter(|entry| entry.key.len() == n.to_string().len() + 1).count();
        ensure(found != 1, || {
            format!("one of the two writes of a dropped transaction is there: {entries:?}")
        })?;
    }
    Ok(())
}
