//! Connections that are cut at random points: nothing is lost, nothing is done twice, and no file is half.
//!
//! `DETC_SSH_CUTS` sets how many cuts there are, `DETC_SSH_SEED` repeats a run.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use detc_core::backend::host::{Command, Ownership};
use detc_core::backend::{Host, HostError};

use crate::sshd::Sshd;
use crate::support::connect;

const CUTS: usize = 200;

/// Numbers that look random and are the same for one seed (Steele, Lea and Flood, SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

pub(crate) fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// What became of a command, as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Unknown,
    NotDone,
}

/// Commands that each add a line of their own to a file, and what their callers were told.
pub(crate) struct Ledger {
    file: PathBuf,
    told: Vec<Told>,
}

impl Ledger {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, told: Vec::new() }
    }

    /// Has the next line added.
    pub(crate) async fn add(&mut self, host: &dyn Host, patience: Duration) {
        let line = format!("echo {} >>{}", self.told.len(), self.file.display());
        let command = Command::new(["sh", "-c", &line]);
        let ran = tokio::time::timeout(patience, host.run(&command)).await;
        self.told.push(match ran.expect("a command ends when its connection does") {
            Ok(output) => {
                assert!(output.success(), "{output:?}");
                Told::Done
            }
            Err(HostError::AnswerLost { .. }) => Told::Unknown,
            Err(HostError::Unreachable { .. }) => Told::NotDone,
            Err(other) => panic!("{other:?}"),
        });
    }

    /// How many were told to be done, to be unknown, and not to be done. Each must be as it was told.
    pub(crate) fn check(&self) -> [usize; 3] {
        let lines = fs::read_to_string(&self.file).unwrap_or_default();
        for (number, told) in self.told.iter().enumerate() {
            let times = lines.lines().filter(|line| *line == number.to_string()).count();
            let is_right = match told {
                Told::Done => times == 1,
                Told::Unknown => times <= 1,
                Told::NotDone => times == 0,
            };
            assert!(is_right, "line {number}: told {told:?}, done {times} times");
        }
        let of = |wanted| self.told.iter().filter(|told| **told == wanted).count();
        let all = [Told::Done, Told::Unknown, Told::NotDone].map(of);
        eprintln!("commands: {} done, {} unknown, {} not done", all[0], all[1], all[2]);
        all
    }
}

/// That it is over.
#[derive(Default)]
struct Flag(AtomicBool);

struct Raise<'a>(&'a Flag);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// No call waits longer, for what will never come.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, call).await.expect("a call ends when its connection does")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_loses_nothing_and_does_nothing_twice() {
    let cuts = number("DETC_SSH_CUTS", CUTS as u64) as usize;
    let seed = number("DETC_SSH_SEED", 11);
    eprintln!("repeat with DETC_SSH_CUTS={cuts} DETC_SSH_SEED={seed}");
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let mut ledger = Ledger::new(sshd.path("ledger"));
    let file = sshd.path("file").display().to_string();
    let content = |round: usize| format!("{round}\n").repeat(20_000).into_bytes();
    let began = Instant::now();
    let again = connect(&sshd.spec()).await.unwrap();
    assert!(again.run(&Command::new(["true"])).await.unwrap().success());
    again.write(&file, &content(0), &Ownership::default()).await.unwrap();
    let round_us = u64::try_from(began.elapsed().as_micros()).unwrap();
    let (made, is_over) = (AtomicUsize::new(0), Flag::default());
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut random = Random(seed);
            while !is_over.0.load(Ordering::Relaxed) {
                // As long as two rounds take, with a handshake: however busy the machine is, all is reached, and some is
                // done.
                #[expect(
                    clippy::disallowed_methods,
                    reason = "when the cut comes is chance, and nothing waits for it"
                )]
                std::thread::sleep(Duration::from_micros(random.below(2 * round_us)));
                if sshd.kill_sessions() > 0 {
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        // Also when what follows panics.
        let _over_when_dropped = Raise(&is_over);
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let mut last: Option<usize> = None;
                for round in 1.. {
                    if made.load(Ordering::Relaxed) >= cuts {
                        break;
                    }
                    ledger.add(&*host, PATIENCE).await;
                    let (content_now, mode) = (content(round), Ownership::new(Some(0o640), None, None));
                    match in_time(host.write(&file, &content_now, &mode)).await {
                        Ok(()) => last = Some(round),
                        Err(HostError::AnswerLost { .. } | HostError::Unreachable { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    // Whole, and no older than the last that was said to be done.
                    if let Ok(seen) = fs::read(&file) {
                        let number = String::from_utf8(seen.clone()).unwrap();
                        let number: usize = number.lines().next().unwrap().parse().unwrap();
                        assert_eq!(seen, content(number));
                        assert!(last.is_none_or(|last| number >= last), "{number} is older than {last:?}");
                    }
                }
            });
        });
    });
    let [done, unknown, _] = ledger.check();
    assert!(done > 0 && unknown > 0, "the cuts miss what they are for");
    let leftover = |name: &str| name.starts_with(".detc-new-");
    host.write(&file, b"last", &Ownership::default()).await.unwrap();
    let left = fs::read_dir(sshd.path(""))
        .unwrap()
        .filter(|entry| leftover(entry.as_ref().unwrap().file_name().to_str().unwrap()));
    assert_eq!(left.count(), 0, "what cut writes left is taken away by the next");
}
