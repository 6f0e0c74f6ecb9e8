//! A line to an sshd that counts what goes over it, and breaks where it is told to.

#![allow(dead_code, reason = "each test program that has this module uses a part of it")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::sshd::Sshd;

/// The line. Dropped, it takes no more connections.
pub(crate) struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes to the host, and from it, of connections of ours.
    passed: [AtomicU64; 2],
    /// Bytes to the host of connections of OpenSSH's own client.
    handed: AtomicU64,
    /// Whether what other hosts send is carried slowly: some 300 KiB in a second.
    is_slow: AtomicBool,
    cuts: AtomicU64,
    is_over: AtomicBool,
    /// How many bytes, in either direction, the next connection lives for.
    lives: Mutex<Box<dyn FnMut() -> u64 + Send>>,
}

impl Wire {
    /// A line to `sshd`; each connection breaks after as many bytes as `lives` says.
    pub(crate) fn to(sshd: &Sshd, lives: impl FnMut() -> u64 + Send + 'static) -> Self {
        let listener = TcpListener::bind((sshd.address(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            passed: Default::default(),
            handed: AtomicU64::new(0),
            is_slow: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            lives: Mutex::new(Box::new(lives)),
        });
        let (address, to, line) = (sshd.address().to_owned(), sshd.port(), Arc::clone(&shared));
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if line.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(far) = TcpStream::connect((address.as_str(), to)) else { continue };
                let left = Arc::new(AtomicU64::new((line.lives.lock().unwrap())()));
                for (way, from, into) in [(0, &near, &far), (1, &far, &near)] {
                    let (from, into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
                    let (line, left) = (Arc::clone(&line), Arc::clone(&left));
                    std::thread::spawn(move || line.carry(way, from, into, &left));
                }
            }
        });
        Self { port, shared }
    }

    /// How the host is declared that is reached over it.
    pub(crate) fn spec(&self, sshd: &Sshd) -> serde_json::Value {
        let key = sshd.host_line("host_ed25519");
        let (_, key) = key.split_once(' ').unwrap();
        sshd.write_known_hosts(&format!("[{}]:{} {key}", sshd.address(), self.port));
        let mut spec = sshd.spec();
        spec["connect"] = sshd.url().replace(&sshd.port().to_string(), &self.port.to_string()).into();
        spec
    }

    /// Bytes that went to the host, and that came from it.
    pub(crate) fn passed(&self) -> (u64, u64) {
        let [to, from] = &self.shared.passed;
        (to.load(Ordering::Relaxed), from.load(Ordering::Relaxed))
    }

    /// Bytes that other hosts have sent to the host.
    pub(crate) fn handed(&self) -> u64 {
        self.shared.handed.load(Ordering::Relaxed)
    }

    pub(crate) fn slow_down_others(&self) {
        self.shared.is_slow.store(true, Ordering::Relaxed);
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn carry(&self, way: usize, mut from: TcpStream, mut into: TcpStream, left: &AtomicU64) {
        let mut bytes = vec![0; 16 << 10];
        let mut is_theirs = None;
        while let Ok(read) = from.read(&mut bytes) {
            if read == 0 || into.write_all(&bytes[..read]).is_err() {
                break;
            }
            let is_theirs =
                *is_theirs.get_or_insert_with(|| bytes.starts_with(b"SSH-2.0-OpenSSH") && way == 0);
            let counter = if is_theirs { &self.handed } else { &self.passed[way] };
            counter.fetch_add(read as u64, Ordering::Relaxed);
            if is_theirs && self.is_slow.load(Ordering::Relaxed) {
                #[expect(clippy::disallowed_methods, reason = "it is the pace of a line")]
                std::thread::sleep(Duration::from_millis(50));
            }
            let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(read as u64))
            });
            let before = before.unwrap_or_default();
            if before <= read as u64 {
                self.cuts.fetch_add(u64::from(before > 0), Ordering::Relaxed);
                break;
            }
        }
        for end in [&from, &into] {
            let _gone = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _waken = TcpStream::connect(("127.0.1.1", self.port));
    }
}
