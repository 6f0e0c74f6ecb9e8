//! How much of a file is under way at once.
//!
//! As much as the line holds, and a little that waits at its end, so that it is never empty. More would only wait: in the memory of
//! the host's sshd, which needs longer for the same then. It is told by the time that a write takes: what is longer than the shortest
//! that was seen was spent waiting.
//!
//! Source: L. S. Brakmo and L. L. Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", 1995, section 3.2:
//! here in bytes, and for what is asked instead of segments.

use std::time::Duration;

/// The least that is under way.
const MIN: usize = 512 << 10;

/// The most: a line of 400 Mbit/s and 40 ms is full. An OpenSSH server takes no more before it is read.
const MAX: usize = 2 << 20;

/// How much may wait: below the first, more is sent; above the second, less.
const WAITING: [f64; 2] = [256e3, 512e3];

/// How much is under way at once.
#[derive(Debug)]
pub(super) struct Pace {
    max: usize,
    shortest: Option<Duration>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { max: MIN, shortest: None }
    }

    /// How many bytes may be under way.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// A write of `len` bytes was answered so long after it was sent, with as much under way as may be.
    pub(super) fn answered(&mut self, len: usize, after: Duration) {
        let shortest = self.shortest.map_or(after, |shortest| shortest.min(after));
        self.shortest = Some(shortest);
        let waited =
            after.saturating_sub(shortest).as_secs_f64() / after.as_secs_f64().max(f64::MIN_POSITIVE);
        let waiting = self.max as f64 * waited;
        if waiting < WAITING[0] {
            self.max = (self.max + len).min(MAX);
        } else if waiting > WAITING[1] {
            self.max = self.max.saturating_sub(len).max(MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LEN: usize = 128 << 10;

    /// What is under way in the end over a line whose answers take so long, and that takes so many bytes a second, one after the other.
    fn in_the_end(delay_s: f64, bytes_per_s: f64) -> usize {
        let mut pace = Pace::new();
        let mut under_way = VecDeque::new();
        let (mut now, mut is_free_at) = (0.0_f64, 0.0_f64);
        for _ in 0..2000 {
            while under_way.len() * LEN < pace.max() {
                is_free_at = is_free_at.max(now) + LEN as f64 / bytes_per_s;
                under_way.push_back((now, is_free_at + delay_s));
            }
            let (sent_at, answered_at) = under_way.pop_front().unwrap();
            now = answered_at;
            pace.answered(LEN, Duration::from_secs_f64(answered_at - sent_at));
        }
        pace.max()
    }

    #[test]
    fn a_short_line_has_little_under_way_and_a_long_one_as_much_as_it_holds() {
        let (fast, slow) = (300e6, 10e6);
        for rate in [fast, slow] {
            let full = in_the_end(0.0002, rate);
            assert!((MIN..=MIN + LEN).contains(&full), "{full}");
        }
        // 1.2 MB are in it.
        let holds = 1_200_000;
        let full = in_the_end(0.004, fast);
        assert!((holds..holds + 600_000).contains(&full), "{full}");
        assert_eq!(in_the_end(0.2, fast), MAX);
    }

    #[test]
    fn what_was_too_much_becomes_less() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.answered(LEN, Duration::from_millis(10));
        }
        assert_eq!(pace.max(), MAX);
        for _ in 0..100 {
            pace.answered(LEN, Duration::from_millis(100));
        }
        assert_eq!(pace.max(), MIN);
    }
}
