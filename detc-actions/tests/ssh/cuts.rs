//! Connections that are cut at random points: nothing is lost, nothing is done twice, and no file is half.
//!
//! `DETC_SSH_CUTS` sets how many cuts there are, `DETC_SSH_SEED` repeats a run.

use std::fs;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Ownership};

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

/// That it is over.
#[derive(Default)]
struct Flag(AtomicBool);

struct Raise<'a>(&'a Flag);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// No call waits for what will never come.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("a call ends when its connection does")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_loses_nothing_and_does_nothing_twice() {
    let cuts = number("DETC_SSH_CUTS", CUTS as u64) as usize;
    let seed = number("DETC_SSH_SEED", 11);
    eprintln!("repeat with DETC_SSH_CUTS={cuts} DETC_SSH_SEED={seed}");
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let ledger = sshd.path("ledger");
    let file = sshd.path("file").display().to_string();
    let content = |round: usize| format!("{round}\n").repeat(20_000).into_bytes();
    let began = Instant::now();
    let again = connect(&sshd.spec()).await.unwrap();
    assert!(again.run(&Command::new(["true"])).await.unwrap().success());
    again.write(&file, &content(0), &Ownership::default()).await.unwrap();
    let round_us = u64::try_from(began.elapsed().as_micros()).unwrap();
    let (made, is_over) = (AtomicUsize::new(0), Flag::default());
    let mut told = Vec::new();
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
                    let line = format!("echo {round} >>{}", ledger.display());
                    let command = Command::new(["sh", "-c", &line]);
                    told.push(match in_time(host.run(&command)).await {
                        Ok(output) => {
                            assert!(output.success(), "{output:?}");
                            Told::Done
                        }
                        Err(HostError::AnswerLost { .. }) => Told::Unknown,
                        Err(HostError::Unreachable { .. }) => Told::NotDone,
                        // The shell was begun, and its session was cut before it spoke.
                        Err(other) => panic!("{other:?}"),
                    });
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
    let lines = fs::read_to_string(&ledger).unwrap();
    for (round, told) in (1..).zip(&told) {
        let times = lines.lines().filter(|line| *line == round.to_string()).count();
        let is_right = match told {
            Told::Done => times == 1,
            Told::Unknown => times <= 1,
            Told::NotDone => times == 0,
        };
        assert!(is_right, "round {round}: told {told:?}, done {times} times");
    }
    let of = |wanted: Told| told.iter().filter(|told| **told == wanted).count();
    eprintln!("{} done, {} unknown, {} not done", of(Told::Done), of(Told::Unknown), of(Told::NotDone));
    assert!(of(Told::Done) > 0 && of(Told::Unknown) > 0, "the cuts miss what they are for");
    let leftover = |name: &str| name.starts_with(".detc-new-");
    host.write(&file, b"last", &Ownership::default()).await.unwrap();
    let left = fs::read_dir(sshd.path(""))
        .unwrap()
        .filter(|entry| leftover(entry.as_ref().unwrap().file_name().to_str().unwrap()));
    assert_eq!(left.count(), 0, "what cut writes left is taken away by the next");
}
