//! Laws of reading.

use std::sync::Arc;

use bytes::Bytes;

use super::{Broken, Checked, commit, ensure, same, same_list};
use crate::store::{KeyRange, RangeOptions, Revision, Store, StoreError, Transaction, read_all};

const KEYS: [&[u8]; 9] = [b"", b"\0", b"a", b"a\0", b"a\0\0", b"ab", b"b", b"\xc3\xa9", b"\xff\xff"];

async fn keys(store: &dyn Store, range: KeyRange) -> Result<Vec<Bytes>, Broken> {
    let (entries, _) = read_all(store, range).await?;
    Ok(entries.into_iter().map(|entry| entry.key).collect())
}

/// Puts [`KEYS`] in an order of its own.
async fn fill(store: &dyn Store) -> Checked {
    for index in [4, 8, 0, 2, 6, 1, 7, 5, 3] {
        commit(store, Transaction::new().put(KEYS[index], "v")).await?;
    }
    Ok(())
}

pub(super) async fn order(store: Arc<dyn Store>) -> Checked {
    fill(&*store).await?;
    let expected: Vec<Bytes> = KEYS.iter().map(|key| Bytes::from_static(key)).collect();
    same_list("all keys", &keys(&*store, KeyRange::all()).await?, &expected)
}

pub(super) async fn bounds(store: Arc<dyn Store>) -> Checked {
    fill(&*store).await?;
    let ranges: [(KeyRange, &[&'static [u8]]); 6] = [
        (KeyRange::key("a"), &[b"a"]),
        (KeyRange::prefix("a"), &KEYS[2..6]),
        (KeyRange { start: "a".into(), end: Some("b".into()) }, &KEYS[2..6]),
        (KeyRange::prefix(&b"\xff"[..]), &KEYS[8..]),
        (KeyRange { start: "b".into(), end: None }, &KEYS[6..]),
        (KeyRange { start: "b".into(), end: Some("a".into()) }, &[]),
    ];
    for (range, expected) in ranges {
        let expected: Vec<Bytes> = expected.iter().map(|key| Bytes::from_static(key)).collect();
        same_list(&format!("the keys of {range:?}"), &keys(&*store, range).await?, &expected)?;
    }
    Ok(())
}

pub(super) async fn more(store: Arc<dyn Store>) -> Checked {
    let at = commit(&*store, Transaction::new().put("a", "1").put("b", "2").put("c", "3")).await?;
    for at in [None, Some(at)] {
        for (limit, entries, more) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false)] {
            let options = RangeOptions { at, limit };
            let page = store.range(KeyRange::all(), options).await?;
            let what = format!("the entries, and more, of a page with room for {limit} of 3");
            same(&what, &(page.entries.len(), page.more), &(entries, more))?;
        }
    }
    let none = store.range(KeyRange::all(), RangeOptions { at: None, limit: 0 }).await;
    ensure(matches!(none, Err(StoreError::Invalid(_))), || format!("a page without room gave {none:?}"))
}

pub(super) async fn pages_at_one_revision(store: Arc<dyn Store>) -> Checked {
    let key = |n: u32| format!("k{n:03}");
    let mut fill = Transaction::new();
    for n in (0..100).step_by(2) {
        fill = fill.put(key(n), n.to_string());
    }
    commit(&*store, fill).await?;
    let (expected, revision) = read_all(&*store, KeyRange::all()).await?;
    let mut found = Vec::new();
    let mut range = KeyRange::all();
    let mut n = 0;
    loop {
        let page = store.range(range.clone(), RangeOptions { at: Some(revision), limit: 7 }).await?;
        same("the revision of a page", &page.revision, &revision)?;
        found.extend(page.entries);
        let Some(last) = found.last().filter(|_| page.more) else { break };
        range = range.after(&last.key);
        // One new key, one changed and one deleted, ahead of the reader and behind it.
        let ahead = 97 - 2 * n;
        let change = Transaction::new().put(key(ahead), "new").put(key(n * 4), "changed");
        commit(&*store, change.delete(key(98 - n * 2))).await?;
        n += 1;
    }
    ensure(n > 3, || "the pages were fewer than their limit makes them".into())?;
    same_list("what was read in pages", &found, &expected)
}

pub(super) async fn past(store: Arc<dyn Store>) -> Checked {
    let mut states = Vec::new();
    for n in 0..30_u32 {
        let mut change = Transaction::new().put(format!("k{}", n % 7), n.to_string());
        if n % 3 == 0 {
            change = change.delete(format!("k{}", (n + 2) % 7));
        }
        if n % 11 == 10 {
            change = Transaction::new().delete_range(KeyRange::prefix("k"));
        }
        commit(&*store, change).await?;
        states.push(read_all(&*store, KeyRange::all()).await?);
    }
    for (entries, revision) in states {
        match store.range(KeyRange::all(), RangeOptions { at: Some(revision), limit: 100 }).await {
            Ok(page) => same_list(&format!("the store at revision {}", revision.0), &page.entries, &entries)?,
            Err(StoreError::Compacted { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) async fn ahead(store: Arc<dyn Store>) -> Checked {
    let now = commit(&*store, Transaction::new().put("k", "v")).await?;
    let options = RangeOptions { at: Some(Revision(now.0 + 1)), limit: 1 };
    let reply = store.range(KeyRange::all(), options).await;
    ensure(matches!(reply, Err(StoreError::Invalid(_))), || format!("reading ahead gave {reply:?}"))
}
