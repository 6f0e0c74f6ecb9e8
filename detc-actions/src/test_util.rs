//! What the tests of this crate share.

use std::time::Duration;

/// Waits until `look` finds something.
///
/// # Panics
/// When it does not within the deadline, which is long enough for a machine that is busy with other tests.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
