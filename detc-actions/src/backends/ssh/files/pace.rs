//! How much of a file is under way at once: what waits at the host's sshd beyond what the line holds makes it slower, and what is less
//! leaves the line empty.

use std::time::Duration;

/// What is under way over a line that holds nothing, in bytes. Of what was tried on one machine (`docs/performance.md`), 512 KiB were
/// the fastest.
const UNDER_WAY_MIN: usize = 512 << 10;

/// The most, in bytes: what an OpenSSH server lets a channel have, so that more would wait here.
const UNDER_WAY_MAX: usize = 2 << 20;

/// What a line is taken to carry, in bytes a second: 1 Gbit/s.
const LINE_RATE: f64 = 125e6;

/// How much is under way at once: what the line holds, which is told by the shortest time that an answer took. That time has less of
/// our own waiting in it than any other, and can only become less, so that waiting does not make more wait.
#[derive(Debug, Default)]
pub(super) struct Pace {
    shortest: Option<Duration>,
}

impl Pace {
    /// How many bytes may be under way.
    pub(super) fn under_way_max(&self) -> usize {
        let held = self.shortest.unwrap_or_default().as_secs_f64() * LINE_RATE;
        UNDER_WAY_MIN.saturating_add(held as usize).min(UNDER_WAY_MAX)
    }

    /// A write was answered so long after it was sent.
    pub(super) fn answered(&mut self, after: Duration) {
        self.shortest = Some(self.shortest.map_or(after, |shortest| shortest.min(after)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_line_holds_is_told_by_the_shortest_answer() {
        let mut pace = Pace::default();
        assert_eq!(pace.under_way_max(), UNDER_WAY_MIN);
        for (answered_ms, held) in [(1000, usize::MAX), (8, 1_000_000), (40, 1_000_000), (2, 250_000), (0, 0)]
        {
            pace.answered(Duration::from_millis(answered_ms));
            let expected = UNDER_WAY_MIN.saturating_add(held).min(UNDER_WAY_MAX);
            assert_eq!(pace.under_way_max(), expected, "{answered_ms} ms");
        }
    }
}
