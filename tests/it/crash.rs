//! SIGKILL, hundreds of times: at every point of a plan's journal and at random moments. After each, `apply` goes on; in
//! the end everything was done, and nothing was done twice.
//!
//! Each action appends its name to a ledger, and its guard looks for it there. So the ledger tells what really happened,
//! whatever detc believes.

mod at_sync;
mod doubt;
mod edited;
mod ledger;
mod orphan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Random, seed};
use ledger::{Guard, Kill, Ledger};

const ACTIONS: usize = 200;

/// How many syncs lie between two kills of one campaign. A campaign for each point would take ten minutes; so each kills
/// again and again, and as many campaigns begin at different points.
const STRIDE: usize = 24;

#[test]
fn a_kill_at_every_point_of_the_journal_loses_nothing_and_doubles_nothing() {
    let syncs = |first| std::iter::once(first).chain(std::iter::repeat_n(STRIDE, ACTIONS));
    let campaigns: Vec<Vec<Kill>> =
        (1..=STRIDE).map(|first| syncs(first).map(Kill::AtSync).collect()).collect();
    let (_, mut lengths) = campaign(&campaigns, ACTIONS);
    // The end of one action may be committed with the start of the next, so that one of two lengths is met.
    let missed = |lengths: &BTreeSet<usize>| -> Vec<usize> {
        let is_missed = |at: &usize| !lengths.contains(at) && !lengths.contains(&(at + 1));
        (0..=2 * ACTIONS).step_by(2).filter(is_missed).collect()
    };
    // What the campaigns passed by is met by a kill in a run's beginning, the nearer to it the more is known of the runs.
    let mut known = BTreeMap::from([(0, 0), (4 * ACTIONS, 2 * ACTIONS)]);
    for _ in 0..TRIES_MAX {
        let Some(at) = missed(&lengths).first().copied() else { break };
        let sync = between(&known, at);
        let (_, met) = campaign(&[vec![Kill::AtSync(sync)]], ACTIONS);
        known.insert(sync, met.last().copied().unwrap_or(2 * ACTIONS));
        lengths.extend(met);
    }
    let missed = missed(&lengths);
    println!("journals of {} different lengths; not met: {missed:?}", lengths.len());
    assert!(missed.len() <= MISSED_MAX, "no kill found a journal of these lengths: {missed:?}");
}

/// How often a length is looked for that no campaign met.
const TRIES_MAX: usize = 20;

/// How many of the 201 lengths may stay unmet. What is committed together differs from run to run, so that which ones a
/// campaign meets does, too: some ten are left to look for, as a rule.
const MISSED_MAX: usize = 20;

/// The sync at which the journal should be so long, by those at which it is known how long it is.
fn between(known: &BTreeMap<usize, usize>, length: usize) -> usize {
    let (from, shorter) = known.iter().rev().find(|(_, known)| **known <= length).expect("0 is known");
    let (to, longer) = known.range(from + 1..).next().unwrap_or((from, shorter));
    let share = (length - shorter) * (to - from) / (longer - shorter).max(1);
    (from + share).clamp(from + 1, (*to).max(from + 1))
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
    let mut campaigns: Vec<Vec<Kill>> = Vec::new();
    for number in 0..32 {
        // The first kill may come at any moment of a run, the further ones soon enough to find one alive.
        let upto = if number % 2 == 0 { whole } else { whole / 4 };
        campaigns.push(std::iter::once(moment(upto)).chain((0..10).map(|_| moment(whole / 5))).collect());
    }
    let (kills, _) = campaign(&campaigns, ACTIONS);
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
                        lengths.lock().unwrap().insert(ledger.check_after_kill());
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
