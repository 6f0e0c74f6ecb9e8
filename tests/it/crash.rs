//! SIGKILL, hundreds of times: at every length of a plan's journal, at syncs far apart, and at random moments. After each, `apply` goes on; in
//! the end everything was done, and nothing was done twice.
//!
//! Each action appends its name to a ledger, and its guard looks for it there. So the ledger tells what really happened,
//! whatever detc believes.

pub(crate) use at_sync::die_at_sync;

mod at_sync;
mod doubt;
mod edited;
mod ledger;
mod orphan;
mod others;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Random, seed};
use ledger::{Guard, Kill, Ledger};

const ACTIONS: usize = 200;

#[test]
fn a_kill_at_every_length_of_the_journal_loses_nothing_and_doubles_nothing() {
    let began = Instant::now();
    // One half begins where the other one ends: they take place at the same time.
    let (first, second) = (prepared(), prepared());
    assert!(second.apply_and_kill(Kill::AtSync(ACTIONS)).is_none(), "a whole run takes more syncs");
    let half = second.check_after_kill().unwrap();
    assert!((ACTIONS / 2..3 * ACTIONS / 2).contains(&half), "{half} is no half of {}", 2 * ACTIONS);
    let (mut met, more) = std::thread::scope(|scope| {
        let halves = [(first, half), (second, 2 * ACTIONS)]
            .map(|(ledger, upto)| scope.spawn(move || entry_by_entry(&ledger, upto)));
        let [first, second] = halves.map(|half| half.join().unwrap());
        (first, second)
    });
    met.extend(more.into_iter().chain([half]));
    println!("journals of {} lengths, {:.1} s", met.len(), began.elapsed().as_secs_f32());
    let missed: Vec<usize> = (0..=2 * ACTIONS).filter(|length| !met.contains(length)).collect();
    assert!(missed.is_empty(), "no kill found a journal of these lengths: {missed:?}");
}

/// A ledger whose store is there already: what its lives sync first is the same for all.
fn prepared() -> Ledger {
    let ledger = Ledger::new(ACTIONS, Guard::Unless);
    let desired = ledger.place.read("detc.json");
    ledger.place.desire(&[]);
    ledger.place.apply();
    ledger.place.write("detc.json", desired);
    ledger
}

/// Lives that each die when their first entry is in the journal, until it is so long: one action is at work at a time, and no
/// other one is looked for in the same life, so that nothing is committed with it. So no length is passed by, however fast or
/// busy the machine is. At the end the run is finished. Returns the lengths that were met.
fn entry_by_entry(ledger: &Ledger, upto: usize) -> BTreeSet<usize> {
    // One sync more is at most one commit more: the run has begun before its first action has.
    let begins = |sync| {
        assert!(ledger.apply_and_kill(Kill::AtSync(sync)).is_none(), "it has not begun");
        ledger.check_after_kill()
    };
    let mut length = match ledger.check_after_kill() {
        Some(length) => length,
        None => (1..).find_map(begins).unwrap(),
    };
    let mut met = BTreeSet::from([length]);
    let mut idle = 0;
    while length < upto {
        assert!(ledger.apply_and_kill(Kill::AtEntry).is_none(), "it came to its end with {length} entries");
        let before = std::mem::replace(&mut length, ledger.check_after_kill().unwrap());
        // A busy machine may take so long that its lease is kept alive first.
        idle = if length == before { idle + 1 } else { 0 };
        assert!(
            length <= before + 1 && idle < IDLE_MAX,
            "{before} entries became {length}, {idle} times none"
        );
        met.insert(length);
    }
    ledger.place.apply();
    ledger.check_at_end();
    met
}

/// How many lives in a row may add nothing to the journal.
const IDLE_MAX: usize = 10;

/// How many syncs lie between two kills of one campaign.
const STRIDE: usize = 24;

/// How many campaigns there are, which begin at different points.
const STARTS: usize = 8;

#[test]
fn kills_at_syncs_far_apart_lose_nothing_and_double_nothing() {
    let syncs = |first| std::iter::once(first).chain(std::iter::repeat_n(STRIDE, ACTIONS));
    let campaigns: Vec<Vec<Kill>> =
        (1..=STRIDE).step_by(STRIDE / STARTS).map(|first| syncs(first).map(Kill::AtSync).collect()).collect();
    let (kills, lengths) = campaign(&campaigns, ACTIONS);
    assert!(kills >= 40 && lengths.len() >= 40, "{kills} kills found {} lengths", lengths.len());
}

#[test]
fn a_store_that_is_lost_between_two_lives_does_not_go_unnoticed() {
    let ledger = Ledger::new(20, Guard::Unless);
    assert!(ledger.apply_and_kill(Kill::AtPoint(30)).is_none());
    assert!(ledger.check_after_kill() > Some(0));
    std::fs::remove_dir_all(ledger.place.path(".detc")).unwrap();
    let unnoticed = std::panic::catch_unwind(AssertUnwindSafe(|| ledger.check_after_kill()));
    assert!(unnoticed.is_err(), "the guards alone make up for a store that is lost: {unnoticed:?}");
    // What goes on without it has a journal of its own, which is shorter.
    assert!(ledger.apply_and_kill(Kill::AtPoint(1)).is_none());
    let unnoticed = std::panic::catch_unwind(AssertUnwindSafe(|| ledger.check_after_kill()));
    assert!(unnoticed.is_err(), "it has another journal: {unnoticed:?}");
}

#[test]
fn kills_at_random_moments_lose_nothing_and_double_nothing() {
    let mut random = Random::new(seed("kills_at_random_moments"));
    let whole = {
        let ledger = Ledger::new(ACTIONS, Guard::Unless);
        let began = Instant::now();
        ledger.place.apply();
        began.elapsed()
    };
    let mut moment =
        |upto: Duration| Kill::After(Duration::from_micros(random.below(upto.as_micros() as u64)));
    // The first kill may come at any moment of a run, the further ones soon enough to find one alive.
    let mut of = |number: usize| -> Vec<Kill> {
        let upto = if number.is_multiple_of(2) { whole } else { whole / 4 };
        std::iter::once(moment(upto)).chain((0..10).map(|_| moment(whole / 5))).collect()
    };
    let (mut kills, mut tried) = (0, 0);
    // Where the machine has become less busy since that run, many come too late: others take their place.
    while kills < 300 && tried < 128 {
        let until = if tried == 0 { 32 } else { tried + 8 };
        let campaigns: Vec<Vec<Kill>> = (tried..until).map(&mut of).collect();
        kills += campaign(&campaigns, ACTIONS).0;
        tried = until;
    }
    assert!(kills >= 300, "only {kills} kills found the process alive");
}

/// Runs campaigns, two at a time. Returns how many kills found the process alive, and how long the journals were then.
fn campaign(campaigns: &[Vec<Kill>], actions: usize) -> (usize, BTreeSet<usize>) {
    let began = Instant::now();
    let (next, kills, runs) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let lengths = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(campaign) = campaigns.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ledger = Ledger::new(actions, Guard::Unless);
                    for kill in campaign {
                        runs.fetch_add(1, Ordering::Relaxed);
                        if let Some(ended) = ledger.apply_and_kill(*kill) {
                            ended.exits(0);
                            break;
                        }
                        kills.fetch_add(1, Ordering::Relaxed);
                        lengths.lock().unwrap().extend(ledger.check_after_kill());
                    }
                    ledger.place.apply();
                    ledger.check_at_end();
                    runs.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
    });
    let (kills, runs) = (kills.into_inner(), runs.into_inner());
    let lengths = lengths.into_inner().unwrap();
    println!(
        "{} campaigns: {runs} runs, {kills} kills, journals of {} different lengths, {:.1} s",
        campaigns.len(),
        lengths.len(),
        began.elapsed().as_secs_f32()
    );
    (kills, lengths)
}
