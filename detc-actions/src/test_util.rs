//! What the tests of this crate share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use detc_core::action::{ActionCx, CxParts};
use detc_core::backend::Host;
use detc_core::content::Content;
use detc_core::model::{Digest, FieldPath, Observation, RecordBody, ResourceId};
use serde::Serialize;
use tempfile::TempDir;

use crate::backends::LocalHost;

/// A name that no other host of these tests has, so that nothing is shared with one: with time that stands still, a test
/// that waits for another has waited too long at once.
pub(crate) fn host_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("m{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

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

/// The surroundings of one resource on this machine, in a directory of its own.
pub(crate) struct Bench {
    dir: TempDir,
    id: ResourceId,
    scope: String,
    host: Arc<dyn Host>,
    state_dir: String,
    blobs: BTreeMap<Digest, Content>,
    recorded: Option<RecordBody>,
    pub(crate) triggers: Option<String>,
    pub(crate) begun_before: bool,
    pub(crate) sensitive: Vec<FieldPath>,
    pub(crate) cut_off: bool,
    pub(crate) heals: bool,
    pub(crate) key: &'static str,
}

impl Bench {
    pub(crate) fn new(id: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state").to_str().unwrap().to_owned();
        Self {
            id: id.parse().unwrap(),
            scope: state_dir.clone(),
            host: Arc::new(LocalHost::new("here")),
            state_dir,
            dir,
            blobs: BTreeMap::new(),
            recorded: None,
            triggers: None,
            begun_before: false,
            sensitive: Vec::new(),
            cut_off: false,
            heals: false,
            key: "key",
        }
    }

    pub(crate) fn with_host(mut self, host: &Arc<dyn Host>) -> Self {
        self.host = Arc::clone(host);
        self
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Puts content at hand, as a desired state file does with the files beside it.
    pub(crate) fn blob(&mut self, content: &[u8]) -> Digest {
        let content = Content::from(content);
        let digest = Digest::of_content(&content);
        self.blobs.insert(digest, content);
        digest
    }

    /// Records that `spec` was applied.
    pub(crate) fn record(&mut self, spec: &impl Serialize) {
        self.record_with(spec, &());
    }

    /// Records that `spec` was applied, and what came of it.
    pub(crate) fn record_with(&mut self, spec: &impl Serialize, output: &impl Serialize) {
        let schema = Digest::of(b"schema");
        let body = serde_json::json!({"spec": spec, "output": output, "changed": "1/a", "schema": schema});
        self.recorded = Some(serde_json::from_value(body).unwrap());
    }

    pub(crate) fn cx(&self) -> ActionCx<'_> {
        ActionCx::new(CxParts {
            resource: &self.id,
            identity: &self.id,
            host: Some(&self.host),
            backends: const { &detc_core::backend::Backends::none() },
            recorded: self.recorded.as_ref(),
            triggers: self.triggers.as_deref(),
            scope: &self.scope,
            state_dir: &self.state_dir,
            key: self.key,
            begun_before: self.begun_before,
            sensitive: &self.sensitive,
            cut_off: self.cut_off,
            heals: self.heals,
            blobs: &self.blobs,
        })
    }
}

/// The fields of something that is present, in JSON.
#[track_caller]
pub(crate) fn fields(observation: Observation) -> String {
    match observation {
        Observation::Present(present) => serde_json::to_string(&present.fields).unwrap(),
        other => panic!("not present: {other:?}"),
    }
}
