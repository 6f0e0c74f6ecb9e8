//! What these tests share.

use std::sync::Arc;

use detc_actions::backends::SshConnector;
use detc_core::backend::{Host, HostError};
use detc_core::model::HostName;
use detc_core::resource::Connector;

/// Connects as a desired state file would have it.
pub(crate) async fn connect(spec: &serde_json::Value) -> Result<Arc<dyn Host>, HostError> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    SshConnector::default().connect(&HostName::new("h1"), &spec).await
}
