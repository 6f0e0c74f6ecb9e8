//! How long nothing was heard of a host.
//!
//! Many looks at one host begin together, and those that run commands wait for their turn there. That is no silence: as long
//! as others are answered, it does what it was asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a host was last heard of.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// It was heard of.
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Waits until nothing was heard for so long, from now on.
    pub(super) async fn nothing_for(&self, patience: Duration) {
        let mut since = Instant::now();
        loop {
            tokio::time::sleep_until(since + patience).await;
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match last {
                Some(last) if last > since => since = last,
                _ => return,
            }
        }
    }
}
