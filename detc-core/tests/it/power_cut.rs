//! The power is cut at every call that the file store makes to its storage.
//!
//! A workload runs once on a storage that records each call. Then, for every index in that record, disks are built as
//! they may be found after a cut there: everything up to the last sync is on them, and of the writes after it none, a
//! random part, or a random part in sectors. The store must open on each of them with every acknowledged transaction,
//! and with nothing of one that is not whole.
//!
//! To repeat a failure: `DETC_SEED=<the seed it printed> cargo test -p detc-core --test it power_cut`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use detc_core::store::file::FileStore;
use detc_core::store::{KeyRange, Revision, Store, Transaction, TxnReply, read_all};
use redb::StorageBackend;
use tokio::task::JoinSet;

/// What disks write in one piece.
const SECTOR: usize = 512;

/// Enough to grow the file, split pages and reuse those that were freed.
const TRANSACTIONS: u64 = 300;

#[derive(Clone, Debug)]
enum Call {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
    Sync,
}

/// A disk, and the calls that changed it.
#[derive(Clone, Debug, Default)]
struct Recorder {
    state: Arc<Mutex<(Vec<u8>, Vec<Call>)>>,
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let end = offset as usize + out.len();
        let bytes = state.0.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Call::SetLen(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.record(Call::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.record(Call::Write { offset: offset as usize, data: data.to_vec() });
        Ok(())
    }
}

impl Recorder {
    fn on(image: Vec<u8>) -> Self {
        Self { state: Arc::new(Mutex::new((image, Vec::new()))) }
    }

    fn record(&self, call: Call) {
        let mut state = self.state.lock().unwrap();
        perform(&mut state.0, &call);
        state.1.push(call);
    }

    fn calls(&self) -> usize {
        self.state.lock().unwrap().1.len()
    }
}

fn perform(image: &mut Vec<u8>, call: &Call) {
    match call {
        Call::Write { offset, data } => {
            let end = offset + data.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[*offset..end].copy_from_slice(data);
        }
        Call::SetLen(len) => image.resize(*len, 0),
        Call::Sync => {}
    }
}

/// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

fn seed() -> u64 {
    std::env::var("DETC_SEED").ok().map_or(20_240_611, |seed| seed.parse().expect("DETC_SEED is a number"))
}

/// What is left of the writes after the last sync.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    SomeWrites,
    SomeSectors,
    /// All of them, which only the broken disk lies about.
    Everything,
}

/// Whether the disk keeps what it was told to sync.
#[derive(Clone, Copy, PartialEq)]
enum Disk {
    Honest,
    /// It says that it synced, and did not.
    Lying,
}

/// The disk after a cut: `synced` is what is safely on it, `pending` what was written since.
fn image(synced: &[u8], pending: &[Call], left: Left, random: &mut Random) -> Vec<u8> {
    let mut image = synced.to_vec();
    for call in pending {
        match (left, call) {
            (Left::Nothing, _) | (_, Call::Sync) => {}
            (Left::SomeSectors, Call::Write { offset, data }) => {
                // The first piece ends where a sector of the disk does.
                let head = (SECTOR - offset % SECTOR).min(data.len());
                let mut at = *offset;
                for sector in [&data[..head]].into_iter().chain(data[head..].chunks(SECTOR)) {
                    if random.coin() {
                        perform(&mut image, &Call::Write { offset: at, data: sector.to_vec() });
                    }
                    at += sector.len();
                }
            }
            (Left::Everything, call) => perform(&mut image, call),
            (Left::SomeWrites | Left::SomeSectors, call) => {
                if random.coin() {
                    perform(&mut image, call);
                }
            }
        }
    }
    image
}

/// What the store holds after transaction `n`: each one sets three keys to `n`, on a few hundred keys, with values
/// between nothing and some pages, and deletes one.
fn transaction(n: u64) -> Transaction {
    let mut change = Transaction::new();
    let keys = [n % 7, 100 + n % 31, 200 + n];
    for (index, key) in keys.iter().enumerate() {
        change = change.put(format!("k{key:04}"), value(n, index));
    }
    change.delete(format!("k{:04}", 200 + n.saturating_sub(40)))
}

fn value(n: u64, index: usize) -> Vec<u8> {
    let len = if n.is_multiple_of(29) { 9_000 } else { 20 + (n as usize * 37 + index * 11) % 400 };
    [format!("{n} ").into_bytes(), vec![b'x'; len]].concat()
}

type State = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// The states after each transaction, the empty one first.
fn states() -> Vec<State> {
    let mut states = vec![State::new()];
    for n in 1..=TRANSACTIONS {
        let mut state = states[n as usize - 1].clone();
        for write in transaction(n).writes {
            match write {
                detc_core::store::Write::Put { key, value, .. } => {
                    state.insert(key.to_vec(), (value.to_vec(), n));
                }
                detc_core::store::Write::Delete(key) => drop(state.remove(&key[..])),
                _ => unreachable!(),
            }
        }
        states.push(state);
    }
    states
}

/// An empty store, as the file store puts it in its place: whole, or not at all.
async fn empty() -> Vec<u8> {
    let disk = Recorder::default();
    let on = disk.clone();
    drop(FileStore::open_with("empty", move || on.clone()).await.unwrap());
    let state = disk.state.lock().unwrap();
    state.0.clone()
}

/// The workload's calls on the disk `empty`, and how many of them had been made when each transaction was acknowledged.
async fn record(empty: Vec<u8>) -> (Vec<Call>, Vec<usize>) {
    let disk = Recorder::on(empty);
    let on = disk.clone();
    let store = Arc::new(FileStore::open_with("recorded", move || on.clone()).await.unwrap());
    let mut acknowledged = vec![0];
    let mut n = 0;
    while n < TRANSACTIONS {
        // One at a time, and now and then several that share a commit.
        let together = if n % 10 == 0 { 5 } else { 1 };
        let mut batch = JoinSet::new();
        for n in n + 1..=n + together {
            let store = Arc::clone(&store);
            batch.spawn(async move { (n, store.transact(transaction(n)).await.unwrap()) });
        }
        while let Some(done) = batch.join_next().await {
            let (n, reply) = done.unwrap();
            assert_eq!(reply, TxnReply::Committed(Revision(n)));
        }
        n += together;
        acknowledged.resize(n as usize + 1, disk.calls());
    }
    drop(store);
    let calls = disk.state.lock().unwrap().1.clone();
    (calls, acknowledged)
}

/// Opens the store on `image`, and says what is wrong with it.
async fn examine(image: Vec<u8>, acknowledged: u64, states: &[State]) -> Result<(), String> {
    let disk = Recorder::on(image);
    let store = FileStore::open_with("cut", move || disk.clone()).await;
    let store = store.map_err(|error| format!("it does not open: {error}"))?;
    let read = read_all(&store, KeyRange::all()).await;
    let (entries, revision) = read.map_err(|error| format!("it can not be read: {error}"))?;
    if revision.0 < acknowledged {
        return Err(format!("it is at revision {}, and {acknowledged} was acknowledged", revision.0));
    }
    let found: State =
        entries.into_iter().map(|e| (e.key.to_vec(), (e.value.to_vec(), e.modified.0))).collect();
    if states.get(revision.0 as usize) != Some(&found) {
        return Err(format!("it is at revision {}, but holds another state", revision.0));
    }
    // It must not only be read: the next commit goes on from there.
    let next = store.transact(Transaction::new().put("next", "")).await;
    match next {
        Ok(TxnReply::Committed(next)) if next.0 == revision.0 + 1 => Ok(()),
        other => Err(format!("at revision {} the next transaction gave {other:?}", revision.0)),
    }
}

/// Cuts the power after each call; returns how many disks were examined, and what was wrong with which.
async fn cut_everywhere(disk: Disk, seed: u64) -> (usize, Vec<String>) {
    let mut synced = empty().await;
    let (calls, acknowledged) = record(synced.clone()).await;
    let states = states();
    let mut random = Random(seed);
    let mut pending: Vec<Call> = Vec::new();
    let (mut examined, mut wrong) = (0, Vec::new());
    for cut in 0..=calls.len() {
        let done = acknowledged.partition_point(|calls| *calls <= cut) as u64 - 1;
        // Right after a sync nothing is pending, and the three kinds of disk are one.
        let kinds: &[Left] = match (disk, pending.is_empty()) {
            (_, true) => &[Left::Nothing],
            (Disk::Honest, _) => &[Left::Nothing, Left::SomeWrites, Left::SomeSectors, Left::Everything],
            (Disk::Lying, _) if cut % 97 == 0 => &[Left::Nothing, Left::SomeSectors],
            (Disk::Lying, _) => &[],
        };
        for &left in kinds {
            let image = image(&synced, &pending, left, &mut random);
            examined += 1;
            if let Err(what) = examine(image, done, &states).await {
                wrong.push(format!("cut after call {cut} of {}, {left:?} left: {what}", calls.len()));
            }
        }
        match calls.get(cut) {
            Some(Call::Sync) if disk == Disk::Honest => {
                pending.drain(..).for_each(|call| perform(&mut synced, &call));
            }
            Some(call) => pending.push(call.clone()),
            None => {}
        }
    }
    (examined, wrong)
}

#[tokio::test]
async fn no_cut_of_the_power_loses_an_acknowledged_transaction_or_shows_half_of_one() {
    let seed = seed();
    let (examined, wrong) = cut_everywhere(Disk::Honest, seed).await;
    println!("examined {examined} disks with DETC_SEED={seed}");
    assert!(examined > TRANSACTIONS as usize * 4, "only {examined} disks were examined");
    assert!(wrong.is_empty(), "DETC_SEED={seed}, {} of {examined} disks:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn on_a_disk_that_does_not_sync_the_same_cuts_lose_transactions() {
    let (examined, wrong) = cut_everywhere(Disk::Lying, seed()).await;
    assert!(!wrong.is_empty(), "{examined} disks were examined, and the test found nothing wrong");
    let lost = wrong.iter().any(|what| what.contains("was acknowledged") || what.contains("does not open"));
    assert!(lost, "{}", wrong.join("\n"));
}
