//! SIGKILL, hundreds of times: at every point of a plan's journal and at random moments. After each, `apply` goes on; in
//! the end everything was done, and nothing was done twice.
//!
//! Each action appends its name to a ledger, and its guard looks for it there. So the ledger tells what really happened,
//! whatever detc believes.

mod doubt;
mod ledger;
mod orphan;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Random, seed};
use ledger::{Guard, Kill, Ledger};

const ACTIONS: usize = 200;

/// An action has two points in the journal: its start and its end.
const POINTS: usize = 2 * ACTIONS;

/// How many of the points lie between two kills of one campaign. One campaign for each point would take half an hour
/// (`DETC_CRASH_SINGLE=1` does it); so a campaign kills at every 20th point, and 20 campaigns begin at 20 different ones.
const STRIDE: usize = 20;

#[test]
fn a_kill_at_every_point_of_the_journal_loses_nothing_and_doubles_nothing() {
    let campaigns: Vec<Vec<Kill>> = if std::env::var_os("DETC_CRASH_SINGLE").is_some() {
        (1..=POINTS).map(|point| vec![Kill::AtPoint(point)]).collect()
    } else {
        (1..=STRIDE)
            .map(|first| {
                let more = std::iter::repeat_n(Kill::AtPoint(STRIDE), POINTS / STRIDE - 1);
                std::iter::once(Kill::AtPoint(first)).chain(more).collect()
            })
            .collect()
    };
    let planned: usize = campaigns.iter().map(Vec::len).sum();
    let kills = campaign(&campaigns, ACTIONS);
    // A kill that falls into the last points may find the run at its end.
    assert!(kills * 10 >= planned * 8, "only {kills} of {planned} kills found the process alive");
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
    let kills = campaign(&campaigns, ACTIONS);
    assert!(kills >= 300, "only {kills} kills found the process alive");
}

/// Runs campaigns, two at a time, and counts the kills that found the process alive.
fn campaign(campaigns: &[Vec<Kill>], actions: usize) -> usize {
    let began = Instant::now();
    let (next, kills, runs) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let points = Mutex::new(std::collections::BTreeSet::new());
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
                        points.lock().unwrap().insert(ledger.check_after_kill());
                    }
                    ledger.place.apply();
                    ledger.check_at_end();
                    runs.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
    });
    let (kills, runs) = (kills.into_inner(), runs.into_inner());
    let points = points.into_inner().unwrap().len();
    println!(
        "{} campaigns: {runs} runs, {kills} kills, journals of {points} different lengths, {:.1} s",
        campaigns.len(),
        began.elapsed().as_secs_f32()
    );
    kills
}
