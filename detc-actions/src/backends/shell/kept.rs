//! What is kept of a command's outputs, and what comes before them.

use std::collections::VecDeque;

/// How much start-up files may print: a message of the day is a few KiB, and what prints more than this does not end.
pub(in crate::backends) const START_UP_MAX: usize = 1 << 20;

/// The beginning of a stream.
#[derive(Debug)]
pub(in crate::backends) struct Kept {
    pub(in crate::backends) bytes: Vec<u8>,
    max: usize,
    /// Whether there was more.
    pub(in crate::backends) more: bool,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, more: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(self.max - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.more |= room < bytes.len();
    }
}

/// A stream that belongs to the command from a line on that begins with a mark.
#[derive(Debug)]
pub(in crate::backends) struct Marked {
    mark: String,
    /// What came before the mark: what start-up files print. Of more than [`Self::BEFORE_MAX`] the end is kept.
    before: Vec<u8>,
    /// How much that was in all.
    before_len: usize,
    /// What follows the mark on its line.
    head: Option<String>,
    kept: Kept,
    /// The last bytes of all, in which a second mark may stand.
    tail: VecDeque<u8>,
}

/// A stream at its end.
#[derive(Debug)]
pub(in crate::backends) struct Finished {
    pub(in crate::backends) kept: Kept,
    /// What the shell said when it could not become the command.
    pub(in crate::backends) failed_to_become: Option<String>,
}

impl Marked {
    const BEFORE_MAX: usize = 64 << 10;

    pub(in crate::backends) fn new(mark: &str, max: usize) -> Self {
        Self {
            mark: mark.to_owned(),
            before: Vec::new(),
            before_len: 0,
            head: None,
            kept: Kept::new(max),
            tail: VecDeque::new(),
        }
    }

    /// What follows the mark on its line, once it was seen.
    pub(in crate::backends) fn head(&self) -> Option<String> {
        self.head.clone()
    }

    /// Whether more came before the mark than any start-up file prints that comes to an end.
    #[cfg_attr(not(feature = "ssh"), allow(dead_code, reason = "no start-up files are read in a container"))]
    pub(in crate::backends) fn is_endless(&self) -> bool {
        self.head.is_none() && self.before_len > START_UP_MAX
    }

    /// What came before the mark.
    pub(in crate::backends) fn before(&self) -> String {
        String::from_utf8_lossy(&self.before).into_owned()
    }

    pub(in crate::backends) fn push(&mut self, bytes: &[u8]) {
        if self.head.is_some() {
            return self.keep(bytes);
        }
        self.before.extend_from_slice(bytes);
        self.before_len += bytes.len();
        let Some(begin) = find(&self.before, self.mark.as_bytes()) else {
            let spare = self.before.len().saturating_sub(Self::BEFORE_MAX);
            self.before.drain(..spare);
            return;
        };
        let Some(len) = self.before[begin..].iter().position(|byte| *byte == b'\n') else { return };
        let rest = self.before.split_off(begin + len + 1);
        let line = self.before.split_off(begin);
        let head = String::from_utf8_lossy(&line[self.mark.len()..len]).trim_start().to_owned();
        self.head = Some(head);
        self.keep(&rest);
    }

    /// What is kept so far, which is then kept no more.
    #[cfg(feature = "docker")]
    pub(in crate::backends) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept.bytes)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.push(bytes);
        let len = self.mark.len() + 1;
        self.tail.extend(&bytes[bytes.len().saturating_sub(len)..]);
        let spare = self.tail.len().saturating_sub(len);
        self.tail.drain(..spare);
    }

    pub(in crate::backends) fn finish(mut self) -> Finished {
        let is_marked = self.tail.make_contiguous() == format!("{}\n", self.mark).as_bytes();
        let said = || String::from_utf8_lossy(&self.kept.bytes).replace(&self.mark, "").trim().to_owned();
        let failed_to_become = is_marked.then(said);
        Finished { failed_to_become, kept: self.kept }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(parts: &[&str], max: usize) -> Marked {
        let mut marked = Marked::new("MARK", max);
        parts.iter().for_each(|part| marked.push(part.as_bytes()));
        marked
    }

    #[test]
    fn what_comes_before_the_mark_is_no_output() {
        let whole = "welcome\nMARK ok 12\nout\nMARK put";
        for at in 0..=whole.len() {
            let marked = pushed(&[&whole[..at], &whole[at..]], 100);
            assert_eq!(marked.head().as_deref(), Some("ok 12"), "cut at {at}");
            assert_eq!(marked.before(), "welcome\n");
            let finished = marked.finish();
            assert_eq!(finished.kept.bytes, b"out\nMARK put");
            assert_eq!(finished.failed_to_become, None);
        }
    }

    #[test]
    fn a_mark_at_the_end_tells_that_the_shell_did_not_become_the_command() {
        let finished = pushed(&["MARK\n", "sh: no", "pe\nMA", "RK\n"], 100).finish();
        assert_eq!(finished.failed_to_become.as_deref(), Some("sh: nope"));
        let cut = pushed(&["MARK\n", "sh: nope\nMARK\n"], 3).finish();
        assert_eq!(cut.failed_to_become.as_deref(), Some("sh:"));
    }

    #[test]
    fn more_than_is_wanted_is_dropped_and_said_so() {
        let exact = pushed(&["MARK\n", "four"], 4).finish();
        assert_eq!((exact.kept.bytes.len(), exact.kept.more), (4, false));
        let longer = pushed(&["MARK\n", "fo", "urs"], 4).finish();
        assert_eq!((longer.kept.bytes.len(), longer.kept.more), (4, true));
    }
}
