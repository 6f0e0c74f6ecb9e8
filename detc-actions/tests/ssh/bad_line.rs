//! Lines that are slow and lose packets: a network namespace with an sshd in it, and a line to it that does what `tc netem`
//! would. Not every kernel has that; each has what this takes: root, `ip`, and /dev/net/tun.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Instant;

use detc_core::backend::host::{Command, Ownership};
use detc_core::content::{Content, Sum};

use crate::cuts::number;
use crate::sshd::Sshd;
use crate::support::connect;

/// How bad a line is, as `line.py` is told.
struct Bad {
    delay_ms: f64,
    jitter_ms: f64,
    loss: f64,
    duplicate: f64,
    mbit: u32,
}

/// A namespace, and the line to it. Dropped, both are gone.
struct Line {
    space: String,
    /// What the line is made by.
    by: Child,
    /// The number that its addresses have.
    number: u32,
}

fn ip(words: &str) {
    let ran =
        Process::new("ip").args(words.split(' ')).output().expect("ip is installed by .ci/test (iproute2)");
    assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
}

impl Line {
    fn new(number: u32, bad: &Bad) -> Self {
        let space = format!("detc-{}x{number}", std::process::id() % 100_000);
        ip(&format!("netns add {space}"));
        let seed = self::number("DETC_SSH_SEED", 3);
        eprintln!("repeat with DETC_SSH_SEED={seed}");
        let by = Process::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ssh/line.py"))
            .args([&space, &number.to_string(), &seed.to_string()])
            .args(
                [bad.delay_ms, bad.jitter_ms, bad.loss, bad.duplicate, f64::from(bad.mbit)]
                    .map(|it| it.to_string()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = Self { space, by, number };
        let mut said = String::new();
        BufReader::new(line.by.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "a line needs root and /dev/net/tun");
        line
    }

    fn sshd(&self) -> Sshd {
        Sshd::at(&format!("10.213.{}.2", self.number), Some(&self.space), &[])
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _gone = self.by.kill();
        let _status = self.by.wait();
        let _gone = Process::new("ip").args(["netns", "del", &self.space]).output();
    }
}

async fn all_of_it(number: u32, len: usize, bad: Bad) {
    let line = Line::new(number, &bad);
    let sshd = line.sshd();
    let host = connect(&sshd.spec()).await.unwrap();
    let path = sshd.path("home/f").display().to_string();
    let small: Vec<u8> = b"small".repeat(10_000);
    host.write(&path, &small, &Ownership::default()).await.unwrap();
    assert_eq!(host.read(&path, 1 << 20).await.unwrap(), small);
    let output = host.run(&Command::new(["head", "-c", "300000", "/dev/zero"])).await.unwrap();
    assert_eq!((output.stdout.len(), output.truncated), (300_000, false));
    let content = Content::from((0..len).map(|at| (at % 251) as u8).collect::<Vec<u8>>());
    let began = Instant::now();
    host.write_from(&path, &content, &Ownership::default()).await.unwrap();
    let mib_s = (len >> 20) as f64 / began.elapsed().as_secs_f64();
    eprintln!("{mib_s:.1} MiB/s to the host");
    let mut back = Vec::new();
    host.read_to(&path, u64::MAX, &mut back).await.unwrap();
    assert_eq!(Sum::of(&back), content.sum());
}

const GOOD: Bad = Bad { delay_ms: 0.0, jitter_ms: 0.0, loss: 0.0, duplicate: 0.0, mbit: 0 };

#[tokio::test]
async fn all_arrives_over_a_line_that_is_slow() {
    all_of_it(1, 6 << 20, Bad { delay_ms: 50.0, ..GOOD }).await;
}

#[tokio::test]
async fn all_arrives_over_a_line_that_loses_doubles_and_turns_around_packets() {
    all_of_it(2, 3 << 20, Bad { delay_ms: 5.0, jitter_ms: 3.0, loss: 0.01, duplicate: 0.01, mbit: 0 }).await;
}

#[tokio::test]
async fn all_arrives_over_a_line_that_is_narrow() {
    all_of_it(3, 3 << 20, Bad { delay_ms: 10.0, mbit: 20, ..GOOD }).await;
}
