//! A `fleet` that runs while the test does something else.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Ran;

/// What takes longer hangs. It is long, because the machine may be busy with other tests.
const DEADLINE: Duration = Duration::from_secs(120);

/// A process whose output is taken as it comes. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    what: String,
    err_lines: Receiver<String>,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub(crate) fn new(mut child: Child, what: String) -> Self {
        let (mut stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let (send, err_lines) = channel();
        let err = std::thread::spawn(move || {
            let (mut all, mut reader) = (Vec::new(), BufReader::new(stderr));
            loop {
                let from = all.len();
                if reader.read_until(b'\n', &mut all).unwrap() == 0 {
                    return all;
                }
                let _gone = send.send(String::from_utf8_lossy(&all[from..]).trim_end().to_owned());
            }
        });
        Self { child, what, err_lines, out: Some(out), err: Some(err) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `wanted` lines on standard error were `like` this. False: it ended before.
    #[track_caller]
    pub(crate) fn saw(&self, wanted: usize, like: impl Fn(&str) -> bool) -> bool {
        let mut seen = 0;
        while seen < wanted {
            match self.err_lines.recv_timeout(DEADLINE) {
                Ok(line) => seen += usize::from(like(&line)),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("`{}` says nothing more", self.what),
            }
        }
        true
    }

    /// Lets it run for this long, or until it ends.
    pub(crate) fn run_for(&self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Err(RecvTimeoutError::Disconnected) = self.err_lines.recv_timeout(left) {
                return;
            }
        }
    }

    /// Ends it by SIGKILL. `Some`: it had ended by itself.
    pub(crate) fn kill(mut self) -> Option<Ran> {
        let _ended = self.child.kill();
        let ran = self.finish();
        ran.code.is_some().then_some(ran)
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ran {
        until(&format!("`{}` ends", self.what), || self.child.try_wait().unwrap().is_some());
        self.finish()
    }

    fn finish(&mut self) -> Ran {
        let status: ExitStatus = self.child.wait().unwrap();
        let text = |stream: &mut Option<JoinHandle<Vec<u8>>>| {
            String::from_utf8_lossy(&stream.take().unwrap().join().unwrap()).into_owned()
        };
        Ran {
            what: self.what.clone(),
            code: status.code(),
            out: text(&mut self.out),
            err: text(&mut self.err),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits for a condition of the world, which tells nobody when it comes about.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "in vain it was waited until {what}");
        #[allow(clippy::disallowed_methods, reason = "this is the waiting for a condition with a deadline")]
        std::thread::sleep(Duration::from_millis(2));
    }
}
