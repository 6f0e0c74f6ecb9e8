//! What these tests share.

use std::sync::Arc;
use std::time::Duration;

use detc_actions::backends::SshConnector;
use detc_core::backend::{Host, HostError};
use detc_core::model::HostName;
use detc_core::resource::Connector;

/// Connects as a desired state file would have it.
pub(crate) async fn connect(spec: &serde_json::Value) -> Result<Arc<dyn Host>, HostError> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    SshConnector::default().connect(&HostName::new("h1"), &spec).await
}

/// Waits until `look` finds something.
///
/// # Panics
/// When it does not within the deadline, which is long enough for a machine that is busy with other tests.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
