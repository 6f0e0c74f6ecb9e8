//! Every store and every decorator keeps the contract.

use std::sync::Arc;

use detc_core::store::file::FileStore;
use detc_core::store::memory::MemoryStore;
use detc_core::store::prefixed::Prefixed;
use detc_core::store::{Store, Transaction};
use detc_core::testing::Violation;
use detc_core::testing::store::store_conformance;

#[track_caller]
fn assert_kept(outcome: Result<(), Vec<Violation>>) {
    let violations: Vec<_> = outcome.err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_the_contract() {
    assert_kept(store_conformance(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await);
}

#[tokio::test(start_paused = true)]
async fn the_file_store_keeps_the_contract() {
    let dirs = tempfile::tempdir().unwrap();
    let make = async || {
        let dir = tempfile::tempdir_in(dirs.path()).unwrap().keep();
        Arc::new(FileStore::open(dir).await.unwrap()) as Arc<dyn Store>
    };
    assert_kept(store_conformance(make).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_store_keeps_the_contract_in_real_time_on_many_threads() {
    let dirs = tempfile::tempdir().unwrap();
    let make = async || {
        let dir = tempfile::tempdir_in(dirs.path()).unwrap().keep();
        Arc::new(FileStore::open(dir).await.unwrap()) as Arc<dyn Store>
    };
    assert_kept(store_conformance(make).await);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_store_keeps_the_contract() {
    let make = async || {
        let below: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Arc::new(Prefixed::new(below, "part/")) as Arc<dyn Store>
    };
    assert_kept(store_conformance(make).await);
}

#[tokio::test]
async fn two_parts_of_one_store_do_not_see_each_other() {
    let below: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let [one, two] = ["one/", "two/"].map(|prefix| Prefixed::new(Arc::clone(&below), prefix));
    one.transact(Transaction::new().put("k", "1")).await.unwrap();
    two.transact(Transaction::new().put("k", "2")).await.unwrap();
    let all = detc_core::store::KeyRange::all();
    one.transact(Transaction::new().delete_range(all.clone())).await.unwrap();
    let (entries, _) = detc_core::store::read_all(&two, all.clone()).await.unwrap();
    assert_eq!(entries[0].value, "2");
    assert!(detc_core::store::read_all(&one, all).await.unwrap().0.is_empty());
}
