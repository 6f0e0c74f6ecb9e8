//! Asks the person at the terminal of this process, without showing what is typed.
//!
//! It is the terminal itself that is asked, so that standard input and output may be something else. Nobody's thread waits for a
//! person: who is no longer waited for is asked no more, and the terminal is as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// How much a person may type.
const LEN_MAX: usize = 4096;

/// How often is looked whether somebody has typed: nobody notices, and it costs nothing.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A terminal that shows nothing of what is typed. Dropped, it does again.
struct Hidden {
    terminal: File,
    /// As it was. Only to be shared between threads is it behind a lock.
    before: Mutex<Termios>,
}

impl Hidden {
    /// The terminal of this process, where it has one.
    fn open() -> io::Result<Self> {
        let not_blocking = OFlag::O_NONBLOCK.bits();
        let terminal =
            OpenOptions::new().read(true).write(true).custom_flags(not_blocking).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        let hidden = Self { terminal, before: Mutex::new(before) };
        // Also no signals: the process could end before all is as it was.
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        // What was typed before the question is no answer to it.
        tcsetattr(&hidden.terminal, SetArg::TCSAFLUSH, &quiet)?;
        Ok(hidden)
    }

    fn show(&self, text: &str) {
        // Of a question that nobody sees there is no answer.
        let _unseen = (&self.terminal).write_all(text.as_bytes());
    }

    async fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 256];
        loop {
            match (&self.terminal).read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
                read => {
                    bytes.truncate(read?);
                    return Ok(bytes);
                }
            }
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let before = self.before.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A terminal that is gone shows nothing anyway.
        let _gone = tcsetattr(&self.terminal, SetArg::TCSADRAIN, before);
    }
}

/// What a person has typed so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line(Vec<u8>);

/// What a key does to a line.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    More,
    Done,
    /// There is no answer.
    Ends,
    /// As [`Ends`](Self::Ends), and the process is told.
    Interrupts,
}

impl Line {
    fn key(&mut self, key: u8) -> Then {
        const CTRL_C: u8 = 3;
        const CTRL_D: u8 = 4;
        const BACKSPACE: u8 = 8;
        const CTRL_U: u8 = 21;
        const DELETE: u8 = 127;
        match key {
            b'\r' | b'\n' => return Then::Done,
            CTRL_C => return Then::Interrupts,
            CTRL_D if self.0.is_empty() => return Then::Ends,
            CTRL_D => return Then::Done,
            CTRL_U => self.0.clear(),
            BACKSPACE | DELETE => {
                // A letter may be several bytes, of which the first alone does not begin with the bits 10.
                while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            _ if self.0.len() == LEN_MAX => return Then::Ends,
            byte => self.0.push(byte),
        }
        Then::More
    }
}

/// Asks for a secret. `None`: there is no terminal, or no answer.
pub(super) async fn ask(question: &str) -> Option<String> {
    let hidden = Hidden::open().ok()?;
    hidden.show(&format!("{question}: "));
    let mut line = Line::default();
    let then = loop {
        let typed = hidden.read().await.unwrap_or_default();
        if typed.is_empty() {
            break Then::Ends;
        }
        if let Some(then) = typed.into_iter().map(|key| line.key(key)).find(|then| *then != Then::More) {
            break then;
        }
    };
    hidden.show("\n");
    drop(hidden);
    match then {
        Then::Done => String::from_utf8(line.0).ok(),
        Then::More | Then::Ends => None,
        Then::Interrupts => {
            // Who handles it does so, and the process of who does not ends here.
            let _handled = raise(Signal::SIGINT);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        for (typed, line, then) in [
            ("open sesame\r", "open sesame", Then::Done),
            ("ab\u{7f}c\u{8}d\n", "ad", Then::Done),
            ("a\u{fc}\u{20ac}\u{7f}\u{7f}b\r", "ab", Then::Done),
            ("\u{7f}a\r", "a", Then::Done),
            ("wrong\u{15}right\r", "right", Then::Done),
            ("\r", "", Then::Done),
            ("a\u{4}", "a", Then::Done),
            ("\u{4}", "", Then::Ends),
            ("a\u{3}", "a", Then::Interrupts),
            ("a", "a", Then::More),
        ] {
            let mut made = Line::default();
            let last = typed.bytes().map(|key| made.key(key)).last().unwrap();
            assert_eq!((std::str::from_utf8(&made.0).unwrap(), last), (line, then), "{typed:?}");
        }
        let mut long = Line(vec![b'x'; LEN_MAX]);
        assert_eq!(long.key(b'x'), Then::Ends);
    }
}
