//! Until when a process can be sure that it leads, by its own clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a lease was granted, or kept alive last, counted from before that was asked for. While it lasts nobody
/// else leads; after it, a process that was paused can not know. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Mutex<Instant>>);

impl Tenure {
    /// Of a lease of `ttl`, which was asked for at `asked`.
    pub fn new(asked: Instant, ttl: Duration) -> Self {
        Self(Arc::new(Mutex::new(asked + ttl)))
    }

    /// The lease was kept alive for `ttl`, which was asked for at `asked`.
    pub fn extend(&self, asked: Instant, ttl: Duration) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(asked + ttl);
    }

    /// Whether it lasts.
    pub fn lasts(&self) -> bool {
        Instant::now() < *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
