//! What the file store promises beyond the contract: one holder at a time, clear words about what is wrong, and that it
//! outlives its process.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use detc_core::store::file::FileStore;
use detc_core::store::{
    KeyRange, RangeOptions, Revision, Store, StoreError, Transaction, TxnReply, read_all,
};
use expect_test::{Expect, expect};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads as the expectation it is")]
fn check(dir: &Path, error: &StoreError, expected: Expect) {
    expected.assert_eq(&error.to_string().replace(&dir.display().to_string(), "DIR"));
}

async fn put(store: &FileStore, key: &str, value: &str) -> Revision {
    match store.transact(Transaction::new().put(key.to_string(), value.to_string())).await.unwrap() {
        TxnReply::Committed(revision) => revision,
        TxnReply::Conflict(conflict) => panic!("{conflict:?}"),
    }
}

async fn refusal(dir: &Path) -> StoreError {
    FileStore::open(dir).await.expect_err("the store should be refused")
}

#[tokio::test]
async fn a_store_is_held_by_one_opener_and_free_as_soon_as_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..50 {
        let store = FileStore::open(dir.path()).await.unwrap();
        assert_eq!(put(&store, "k", "v").await, Revision(n + 1));
        if n == 0 {
            let error = refusal(dir.path()).await;
            assert!(matches!(error, StoreError::Held { .. }));
            let text = error.to_string();
            let holder = format!("is held by a live manager (process {} on ", std::process::id());
            assert!(text.contains(&holder), "{text}");
        }
    }
}

#[tokio::test]
async fn the_lock_that_outlasts_its_holder_by_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    drop(FileStore::open(dir.path()).await.unwrap());
    let note = dir.path().join("holder");
    let left = std::fs::read_to_string(&note).unwrap();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let of_dead =
        left.replace(&format!("process {} ", std::process::id()), &format!("process {} ", dead.id()));
    assert_ne!(left, of_dead);
    std::fs::write(&note, of_dead).unwrap();
    let lock = std::fs::File::open(&note).unwrap();
    lock.lock().unwrap();
    let unlock = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        drop(lock);
    };
    let (store, ()) = tokio::join!(FileStore::open(dir.path()), unlock);
    assert_eq!(put(&store.unwrap(), "k", "v").await, Revision(1));
}

#[tokio::test]
async fn what_was_committed_is_there_when_the_store_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("not/there/yet");
    let store = FileStore::open(&deep).await.unwrap();
    assert_eq!(store.path(), deep.join("store.redb"));
    put(&store, "a", "1").await;
    put(&store, "b", "2").await;
    let before = read_all(&store, KeyRange::all()).await.unwrap();
    drop(store);
    let store = FileStore::open(&deep).await.unwrap();
    assert_eq!(read_all(&store, KeyRange::all()).await.unwrap(), before);
    assert_eq!(put(&store, "c", "3").await, Revision(3));
    let past = store.watch(KeyRange::all(), Revision(2)).await;
    assert!(matches!(past, Err(StoreError::Compacted { asked: 2, oldest: 3 })));
    let past = RangeOptions::default().with_at(Revision(1));
    let past = store.range(KeyRange::all(), past).await;
    assert!(matches!(past, Err(StoreError::Compacted { asked: 1, oldest: 2 })));
}

#[tokio::test]
async fn a_lease_ends_with_the_process_that_had_the_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let lease = store.grant(Duration::from_secs(10)).await.unwrap();
    store.transact(Transaction::new().put_leased("k", "v", lease).put("l", "w")).await.unwrap();
    drop(store);
    let store = FileStore::open(dir.path()).await.unwrap();
    let (left, _) = read_all(&store, KeyRange::all()).await.unwrap();
    assert_eq!(left.iter().map(|entry| &entry.key[..]).collect::<Vec<_>>(), [b"l"]);
    assert!(matches!(store.keep_alive(lease).await, Err(StoreError::LeaseNotFound(_))));
    let next = store.grant(Duration::from_secs(10)).await.unwrap();
    assert!(next > lease, "a lease's id must not come back");
}

#[tokio::test]
async fn transactions_in_flight_together_are_answered_each_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FileStore::open(dir.path()).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..500_u32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            // Of five that put the same key only the first may; every seventh is not even valid.
            let key = format!("k{}", n / 5);
            let mut change = Transaction::new().when(detc_core::store::Compare::Absent(key.clone().into()));
            change = change.put(key.clone(), n.to_string());
            if n % 7 == 0 {
                change = change.delete(key);
            }
            store.transact(change).await
        });
    }
    let (mut committed, mut refused, mut invalid) = (Vec::new(), 0, 0);
    while let Some(reply) = tasks.join_next().await {
        match reply.unwrap() {
            Ok(TxnReply::Committed(revision)) => committed.push(revision.0),
            Ok(TxnReply::Conflict(_)) => refused += 1,
            Err(StoreError::Invalid(_)) => invalid += 1,
            Err(error) => panic!("{error}"),
        }
    }
    committed.sort_unstable();
    assert_eq!(committed, (1..=100).collect::<Vec<_>>());
    assert_eq!((refused, invalid), (500 - 100 - 72, 72));
}

#[tokio::test]
async fn what_is_no_longer_in_its_place_takes_no_more() {
    type Move = fn(&Path, &Path);
    let moves: [Move; 4] = [
        |dir, _| std::fs::remove_file(dir.join("store.redb")).unwrap(),
        |dir, other| std::fs::rename(other.join("store.redb"), dir.join("store.redb")).unwrap(),
        |dir, other| std::fs::rename(other.join("holder"), dir.join("holder")).unwrap(),
        |dir, other| std::fs::rename(dir, other.join("away")).unwrap(),
    ];
    for (at, take_away) in moves.into_iter().enumerate() {
        let root = tempfile::tempdir().unwrap();
        let (dir, other) = (root.path().join("store"), root.path().join("other"));
        drop(FileStore::open(&other).await.unwrap());
        let store = FileStore::open(&dir).await.unwrap();
        put(&store, "a", "1").await;
        take_away(&dir, &other);
        let lost = store.transact(Transaction::new().put("b", "2")).await;
        assert!(matches!(&lost, Err(StoreError::Unavailable { .. })), "{at}: {lost:?}");
    }
}

#[tokio::test]
async fn a_foreign_file_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.redb");
    let foreign = "this is a letter to my aunt\n".repeat(1000);
    fs::write(&file, &foreign).unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    check(
        dir.path(),
        &error,
        expect!["the store DIR/store.redb can not be understood: Not a redb database: magic number mismatch"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), foreign);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = redb::TableDefinition::<&str, &str>::new("meta");
    let database = redb::Database::create(dir.path().join("store.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(table).unwrap().insert("k", "v").unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_whose_making_was_cut_short_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.redb.new"), "half of").unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    assert_eq!(put(&store, "k", "v").await, Revision(1));
    assert!(!dir.path().join("store.redb.new").exists());
}

#[tokio::test]
async fn a_truncated_file_is_refused_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    for n in 0..20 {
        put(&store, &format!("k{n}"), &"v".repeat(10_000)).await;
    }
    let file = store.path().to_path_buf();
    drop(store);
    let whole = fs::read(&file).unwrap();
    for len in [1, 100, 4096, 5000, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..len]).unwrap();
        let error = refusal(dir.path()).await;
        assert!(matches!(error, StoreError::Corrupt { .. }), "{len} of {} bytes: {error:?}", whole.len());
    }
}

#[tokio::test]
async fn a_place_that_can_not_be_written_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("store")).await;
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    check(
        dir.path(),
        &error,
        expect!["the store DIR/file/store/store.redb can not be used: making its directory failed"],
    );
}

/// A disk that outlives the stores on it, with room for so many blocks. Like files on real ones, it takes any length,
/// and fails when a write needs a block that it does not have.
#[derive(Clone, Debug)]
struct Disk {
    bytes: Arc<InMemoryBackend>,
    used: Arc<Mutex<BTreeSet<u64>>>,
    room: Arc<Mutex<usize>>,
}

const BLOCK: u64 = 4096;

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.used.lock().unwrap().retain(|block| *block < len.div_ceil(BLOCK));
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut used = self.used.lock().unwrap();
        used.extend(offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK));
        if used.len() > *self.room.lock().unwrap() {
            used.retain(|block| {
                !(offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK)).contains(block)
            });
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_refuses_a_transaction_and_takes_the_next_when_there_is_room() {
    let disk = Disk {
        bytes: Arc::new(InMemoryBackend::new()),
        used: Arc::default(),
        room: Arc::new(Mutex::new(100)),
    };
    let on = disk.clone();
    let store = FileStore::open_with("disk", move || on.clone()).await.unwrap();
    assert_eq!(put(&store, "small", "v").await, Revision(1));
    let mut watch = store.watch(KeyRange::all(), Revision(2)).await.unwrap();
    for _ in 0..3 {
        let large = Transaction::new().put("large", vec![b'x'; 600_000]);
        let error = store.transact(large).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        let (entries, revision) = read_all(&store, KeyRange::all()).await.unwrap();
        assert_eq!((entries.len(), revision), (1, Revision(1)));
    }
    let lease = store.grant(Duration::from_secs(10)).await.unwrap();
    assert_eq!(put(&store, "other", "v").await, Revision(2), "what fits is taken all the time");
    *disk.room.lock().unwrap() = 1_000;
    let large = Transaction::new().put_leased("large", vec![b'x'; 600_000], lease);
    assert_eq!(store.transact(large).await.unwrap(), TxnReply::Committed(Revision(3)));
    assert_eq!(watch.next().await.unwrap().unwrap().key(), "other");
    assert_eq!(watch.next().await.unwrap().unwrap().key(), "large");
}

#[tokio::test]
async fn those_who_read_share_a_store_and_change_nothing_and_one_who_writes_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let writer = FileStore::open(dir.path()).await.unwrap();
    put(&writer, "k", "v").await;
    let error = FileStore::open_to_read(dir.path()).await.expect_err("somebody writes");
    assert!(error.to_string().contains(&format!("(process {} on ", std::process::id())), "{error}");
    drop(writer);
    let bytes = || fs::read(dir.path().join("store.redb")).unwrap();
    let before = bytes();
    let readers = [
        FileStore::open_to_read(dir.path()).await.unwrap(),
        FileStore::open_to_read(dir.path()).await.unwrap(),
    ];
    assert_eq!(put(&readers[0], "k", "scratch").await, Revision(2));
    let read = |store| async move { read_all(store, KeyRange::all()).await.unwrap().0[0].value.clone() };
    assert_eq!((read(&readers[0]).await, read(&readers[1]).await), ("scratch".into(), "v".into()));
    let mut opening = Box::pin(FileStore::open(dir.path()));
    let waited = tokio::time::timeout(Duration::from_millis(100), &mut opening).await;
    assert!(waited.is_err(), "it waits");
    drop(readers);
    assert_eq!(bytes(), before);
    assert_eq!(put(&opening.await.unwrap(), "k", "w").await, Revision(2));
}
