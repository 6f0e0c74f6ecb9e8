//! Journals as earlier versions wrote them are resumed for ever. `golden/interrupted-1.json` is the store of the first
//! version, just after its process died in the middle of a run; a new one is added when the format changes, and none is
//! ever altered. `DETC_WRITE_GOLDEN=1 cargo test -p detc-core --test it golden` writes one where it is missing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use detc_core::execute::Outcome;
use detc_core::store::memory::MemoryStore;
use detc_core::store::{KeyRange, Store, Transaction, Write, read_all};

use super::crash::die_at_commit;
use super::world::{World, converge, lines};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/interrupted-1.json");

/// A store's text keys and values, without leadership: that died with the process.
async fn dump(store: &Arc<dyn Store>) -> BTreeMap<String, String> {
    let (entries, _) = read_all(&**store, KeyRange::all()).await.unwrap();
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let kept = entries.iter().filter(|entry| &entry.key[..] != b"meta/leader");
    kept.map(|entry| (text(&entry.key), text(&entry.value))).collect()
}

async fn load(golden: BTreeMap<String, String>) -> Arc<dyn Store> {
    let bytes = |text: String| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let put = |(key, value): (String, String)| Write::Put {
        key: bytes(key).into(),
        value: bytes(value).into(),
        lease: None,
    };
    let writes = golden.into_iter().map(put).collect();
    let store = MemoryStore::new();
    store.transact(Transaction { compares: Vec::new(), writes }).await.unwrap();
    Arc::new(store)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_first_version_left_in_the_middle_is_finished() {
    if std::env::var_os("DETC_WRITE_GOLDEN").is_some() && !Path::new(GOLDEN).exists() {
        let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
        assert!(die_at_commit(&world, &store, &lines(9), 6).await);
        std::fs::write(GOLDEN, serde_json::to_string_pretty(&dump(&store).await).unwrap()).unwrap();
    }
    let golden: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
    assert!(golden.keys().any(|key| key.starts_with("run-log/")), "it was in the middle");
    let recorded: Vec<String> =
        golden.keys().filter_map(|key| key.strip_prefix("state/line/")).map(str::to_owned).collect();
    assert!(!recorded.is_empty() && recorded.len() < 9, "it was in the middle: {recorded:?}");
    let (world, store) = (World::new(), load(golden).await);
    for line in &recorded {
        world.append(line).await;
    }
    let manager = world.manager(&store).await;
    assert!(manager.interrupted().await.unwrap().is_some());
    assert_eq!(converge(&manager, &lines(9)).await, Outcome::Done);
    let expected: Vec<String> = (0..9).map(|index| format!("l{index}")).collect();
    assert_eq!(world.lines().await, expected, "what was recorded as done is not done again");
    assert_eq!(manager.history().await.unwrap().len(), 1, "it was resumed, not planned anew");
}
