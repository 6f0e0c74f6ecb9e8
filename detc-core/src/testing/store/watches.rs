//! Laws of watching.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Broken, Checked, commit, event, events, same, same_list, words};
use crate::store::{KeyRange, Revision, Store, Transaction};

/// Makes ten transactions of two puts each, from number `first` on; returns their events in words.
async fn ten(store: &dyn Store, first: u32) -> Result<Vec<String>, Broken> {
    let mut expected = Vec::new();
    for n in first..first + 10 {
        let change = Transaction::new().put(format!("a{}", n % 3), n.to_string()).put("b", n.to_string());
        let revision = commit(store, change).await?.0;
        expected.push(format!("{revision} put b\"a{}\" b\"{n}\"", n % 3));
        expected.push(format!("{revision} put b\"b\" b\"{n}\""));
    }
    Ok(expected)
}

/// Nothing more than `last`, a mark put now, may come.
async fn nothing_more(store: &dyn Store, watch: &mut crate::store::Watch, key: &'static str) -> Checked {
    let revision = commit(store, Transaction::new().put(key, "mark")).await?.0;
    same("the next event", &words(&event(watch).await?), &format!("{revision} put b\"{key}\" b\"mark\""))
}

pub(super) async fn past(store: Arc<dyn Store>) -> Checked {
    let mut expected = ten(&*store, 0).await?;
    let mut watches = Vec::new();
    for from in [0, 1, 2, 6, 10, 11] {
        watches.push((from, store.watch(KeyRange::all(), Revision(from)).await?));
    }
    expected.extend(ten(&*store, 10).await?);
    for (from, watch) in &mut watches {
        // Two events a revision, and the first revision is 1.
        let expected = expected[2 * (*from).max(1) as usize - 2..].to_vec();
        let found = events(watch, expected.len()).await?;
        same_list(&format!("the events from revision {from}"), &found, &expected)?;
    }
    let revision = commit(&*store, Transaction::new().put("b", "mark")).await?.0;
    for (_, watch) in &mut watches {
        let next = words(&event(watch).await?);
        same("the event after those", &next, &format!("{revision} put b\"b\" b\"mark\""))?;
    }
    Ok(())
}

pub(super) async fn live(store: Arc<dyn Store>) -> Checked {
    const WRITERS: u32 = 4;
    const EACH: u32 = 50;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for n in 0..EACH {
                commit(&*store, Transaction::new().put(format!("w{writer}"), n.to_string())).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Broken>(())
        });
    }
    // Watches that begin at various moments of the writing.
    let mut watches = Vec::new();
    while !writers.is_empty() {
        watches.push(store.watch(KeyRange::all(), Revision(1)).await?);
        if let Some(ended) = writers.join_next().await {
            ended.unwrap_or_else(|panic| Err(Broken(format!("a writer panicked: {panic}"))))?;
        }
    }
    for watch in &mut watches {
        for revision in 1..=u64::from(WRITERS * EACH) {
            same("the revision of the next event", &event(watch).await?.revision(), &Revision(revision))?;
        }
    }
    for watch in &mut watches {
        let mark = commit(&*store, Transaction::new().put("mark", "")).await?;
        loop {
            let next = event(watch).await?;
            same("the key of an event after those", next.key(), &"mark".into())?;
            if next.revision() == mark {
                break;
            }
        }
    }
    Ok(())
}

pub(super) async fn filtered(store: Arc<dyn Store>) -> Checked {
    let later = Revision(15);
    let mut watch = store.watch(KeyRange::key("a1"), later).await?;
    let mut expected = ten(&*store, 0).await?;
    expected.extend(ten(&*store, 10).await?);
    let expected: Vec<_> = expected.into_iter().skip(28).filter(|event| event.contains("a1")).collect();
    same_list(
        "the events of key a1 from revision 15",
        &events(&mut watch, expected.len()).await?,
        &expected,
    )?;
    nothing_more(&*store, &mut watch, "a1").await
}

pub(super) async fn deleted(store: Arc<dyn Store>) -> Checked {
    commit(&*store, Transaction::new().put("a", "").put("k1", "").put("k2", "").put("k3", "")).await?;
    let mut watch = store.watch(KeyRange::all(), Revision(2)).await?;
    let change = Transaction::new().delete("a").delete("none").put("k2", "new");
    let at = commit(&*store, change.delete_range(KeyRange::prefix("k"))).await?.0;
    let expected = [
        format!("{at} deleted b\"a\""),
        format!("{at} deleted b\"k1\""),
        format!("{at} put b\"k2\" b\"new\""),
        format!("{at} deleted b\"k3\""),
    ];
    same_list("the events", &events(&mut watch, 4).await?, &expected)?;
    nothing_more(&*store, &mut watch, "k4").await
}
