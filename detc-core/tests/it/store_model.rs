//! Random transactions against the simplest model there is: a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use detc_core::store::file::FileStore;
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    Compare, KeyRange, RangeOptions, Revision, Store, StoreError, Transaction, TxnReply, Write, read_all,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Transact(Vec<Guess>, Vec<Write>),
    /// Open the store again, where that makes sense.
    Reopen,
}

/// A compare, before it is known what there is to compare with.
#[derive(Clone, Copy, Debug)]
struct Guess {
    key: u8,
    kind: u8,
    right: bool,
}

type Model = BTreeMap<Bytes, (Bytes, Revision)>;

fn key(n: u8) -> Bytes {
    // Few keys, of which some are prefixes of others.
    Bytes::from(vec![b'k'; usize::from(n % 3)].into_iter().chain([n / 3]).collect::<Vec<_>>())
}

fn writes() -> impl Strategy<Value = Write> {
    let range =
        (0_u8..12, 0_u8..12).prop_map(|(start, end)| KeyRange { start: key(start), end: Some(key(end)) });
    prop_oneof![
        6 => (0_u8..12, vec(any::<u8>(), 0..40)).prop_map(|(n, value)| Write::Put {
            key: key(n),
            value: value.into(),
            lease: None
        }),
        2 => (0_u8..12).prop_map(|n| Write::Delete(key(n))),
        1 => range.prop_map(Write::DeleteRange),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guess = (0_u8..12, 0_u8..4, prop::bool::weighted(0.8));
    let guess = guess.prop_map(|(key, kind, right)| Guess { key, kind, right });
    let transact = (vec(guess, 0..3), vec(writes(), 0..5)).prop_map(|(g, w)| Step::Transact(g, w));
    vec(prop_oneof![9 => transact, 1 => Just(Step::Reopen)], 1..40)
}

/// The compare that a guess stands for, and whether it holds.
fn compare(guess: Guess, model: &Model) -> (Compare, bool) {
    let key = key(guess.key);
    match (model.get(&key), guess.kind) {
        (None, _) if guess.right => (Compare::Absent(key), true),
        (None, 0) => (Compare::Present(key), false),
        (None, 1) => (Compare::Modified(key, Revision(0)), false),
        (None, _) => (Compare::Value(key, Bytes::new()), false),
        (Some(_), 0) if guess.right => (Compare::Present(key), true),
        (Some((_, modified)), 1) if guess.right => (Compare::Modified(key, *modified), true),
        (Some((value, _)), _) if guess.right => (Compare::Value(key, value.clone()), true),
        (Some(_), 0) => (Compare::Absent(key), false),
        (Some((_, modified)), 1) => (Compare::Modified(key, Revision(modified.0 + 1)), false),
        (Some((value, _)), _) => (Compare::Value(key, [&value[..], b"x"].concat().into()), false),
    }
}

/// What the model makes of the writes; `None` when they are invalid.
fn apply(model: &Model, writes: &[Write], revision: Revision) -> Option<Model> {
    let mut after = model.clone();
    let mut written = Vec::new();
    for write in writes {
        match write {
            Write::DeleteRange(range) => after.retain(|key, _| !range.contains(key)),
            Write::Put { key, .. } | Write::Delete(key) => {
                if written.contains(key) {
                    return None;
                }
                written.push(key.clone());
                after.remove(key);
            }
            _ => unreachable!(),
        }
    }
    for write in writes {
        if let Write::Put { key, value, .. } = write {
            after.insert(key.clone(), (value.clone(), revision));
        }
    }
    Some(after)
}

async fn state(store: &dyn Store, at: Option<Revision>) -> Result<Model, StoreError> {
    let options = at.map_or(RangeOptions::default(), |at| RangeOptions::default().with_at(at));
    let entries = store.range(KeyRange::all(), options).await?.entries;
    Ok(entries.into_iter().map(|entry| (entry.key, (entry.value, entry.modified))).collect())
}

/// Runs `steps` on `store`, which `reopen` may replace.
async fn run<S: Store>(mut store: S, steps: &[Step], reopen: impl AsyncFn(S) -> (S, bool)) {
    let (mut model, mut revision) = (Model::new(), Revision(0));
    let mut past = vec![model.clone()];
    let mut oldest = 0;
    for step in steps {
        let (guesses, writes) = match step {
            Step::Reopen => {
                let (again, forgot) = reopen(store).await;
                store = again;
                if forgot {
                    oldest = past.len() - 1;
                }
                assert_eq!(state(&store, None).await.unwrap(), model);
                continue;
            }
            Step::Transact(guesses, writes) => (guesses, writes),
        };
        let compares: Vec<_> = guesses.iter().map(|guess| compare(*guess, &model)).collect();
        let fails = compares.iter().position(|(_, holds)| !holds);
        let compares = compares.into_iter().map(|(compare, _)| compare).collect();
        let reply = store.transact(Transaction { compares, writes: writes.clone() }).await;
        let next = Revision(revision.0 + 1);
        match apply(&model, writes, next) {
            None => assert!(matches!(reply, Err(StoreError::Invalid(_))), "{reply:?}"),
            Some(_) if fails.is_some() => match reply.unwrap() {
                TxnReply::Conflict(conflict) => {
                    assert_eq!(Some(conflict.compare), fails);
                    assert_eq!(conflict.revision, revision);
                }
                reply @ TxnReply::Committed(_) => panic!("{reply:?}"),
            },
            Some(after) => {
                let effect = after != model;
                if effect {
                    (model, revision) = (after, next);
                    past.push(model.clone());
                }
                assert_eq!(reply.unwrap(), TxnReply::Committed(revision));
            }
        }
        assert_eq!(state(&store, None).await.unwrap(), model);
    }
    for (at, expected) in past.iter().enumerate().skip(oldest) {
        assert_eq!(&state(&store, Some(Revision(at as u64))).await.unwrap(), expected, "at revision {at}");
    }
    let (entries, read_at) = read_all(&store, KeyRange::all()).await.unwrap();
    assert_eq!((entries.len(), read_at), (model.len(), revision));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    // Each case of the file store opens and syncs real files dozens of times.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_file_store_does_what_a_map_does_even_when_it_is_opened_again(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let store = FileStore::open(dir.path()).await.unwrap();
            let reopen = async |store| {
                drop(store);
                (FileStore::open(dir.path()).await.unwrap(), true)
            };
            run(store, &steps, reopen).await;
        });
    }
}

proptest! {
    #[test]
    fn the_memory_store_does_what_a_map_does(steps in steps()) {
        runtime().block_on(run(MemoryStore::new(), &steps, async |store| (store, false)));
    }
}
