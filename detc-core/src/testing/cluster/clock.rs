//! Whether time is paused: the lives of a scenario wait for leases and retries, and take no time only where it is.

use std::hint::spin_loop;

use tokio::time::Instant;

/// # Panics
/// When the time of this runtime goes on by itself: who waits for a life then waits for minutes, and there are thousands.
pub(super) fn expect_paused() {
    assert!(
        is_paused(),
        "the time of this runtime is not paused, and each life waits a minute and more for retries and leases: pause it, by \
         `#[tokio::test(start_paused = true)]`, `start_paused(true)` of the runtime's builder, or `tokio::time::pause()` (feature \
         `test-util` of tokio)"
    );
}

/// Tokio does not tell. Time that is paused stands still as long as anybody is at work: also when the real one has gone on.
fn is_paused() -> bool {
    let before = Instant::now();
    let real = std::time::Instant::now();
    while std::time::Instant::now() == real {
        spin_loop();
    }
    Instant::now() == before
}

#[cfg(test)]
mod tests {
    use super::super::{Faults, Scenario, check_cluster, check_seeds, trace};
    use super::*;
    use crate::resource::Registry;

    fn nothing() -> Scenario {
        Scenario::new(Registry::new(), [])
    }

    #[tokio::test]
    async fn it_is_known_whether_time_is_paused() {
        assert!(!is_paused());
        tokio::time::pause();
        assert!(is_paused());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert!(is_paused());
        tokio::time::resume();
        assert!(!is_paused());
    }

    #[tokio::test]
    #[should_panic(expected = "pause it, by `#[tokio::test(start_paused = true)]`")]
    async fn one_who_would_wait_for_faults_is_told_at_once() {
        check_cluster(nothing, Faults::default()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the time of this runtime is not paused")]
    async fn one_who_would_wait_for_seeds_is_told_at_once() {
        check_seeds(|_| nothing(), 0..1).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the time of this runtime is not paused")]
    async fn one_who_would_wait_for_a_trace_is_told_at_once() {
        trace(|_| nothing(), 0).await;
    }
}
