//! A manager of what is on one engine: applies, and tells what the next plan finds.

use std::sync::Arc;

use detc_actions::backends::LocalConnector;
use detc_actions::resources::{self, Engines};
use detc_core::backend::Containers;
use detc_core::content::Content;
use detc_core::manage::Manager;
use detc_core::model::{Desired, DesiredResource, Digest, HostSpec};
use detc_core::resource::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How containers are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Looks {
    /// As it is usual: by the listing, where that tells all.
    Usual,
    /// Each by itself.
    InFull,
}

/// A manager with a store of its own.
pub(crate) struct Cluster {
    pub(crate) manager: Manager,
    _dir: TempDir,
}

impl Cluster {
    pub(crate) async fn new(engine: impl Containers, looks: Looks) -> Self {
        let engines = match looks {
            Looks::Usual => Engines::new(),
            Looks::InFull => Engines::new().looking_in_full(),
        };
        let engines = engines.with_engine("here", Arc::new(engine));
        let registry = resources::register(Registry::new())
            .with_connector(LocalConnector)
            .with_backend(Arc::new(engines));
        let dir = tempfile::tempdir().unwrap();
        let manager = Manager::embedded(dir.path().join("store"), registry).await.unwrap();
        Self { manager, _dir: dir }
    }

    /// Brings it about, after which the next plan finds nothing to do.
    #[track_caller]
    pub(crate) fn brings_about(&self, desired: &Desired) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let planned = self.manager.plan(desired).await.unwrap();
            let plan = planned.plan.to_string();
            let applied = self.manager.apply(planned).await.unwrap();
            let told = applied.to_string();
            assert!(applied.into_result().is_ok(), "at {caller}: {plan}\n{told}");
            let again = self.manager.plan(desired).await.unwrap().plan;
            assert!(again.is_settled(), "at {caller}: after {plan}\nstill {again}");
        }
    }

    /// Tries to bring it about, which fails: what is told.
    pub(crate) async fn fails(&self, desired: &Desired) -> String {
        let planned = self.manager.plan(desired).await.unwrap();
        let applied = self.manager.apply(planned).await.unwrap();
        let told = applied.to_string();
        assert!(applied.into_result().is_err(), "{told}");
        told
    }

    /// What differs, a resource and its fields in each line.
    pub(crate) async fn differences(&self, desired: &Desired) -> String {
        let plan = self.manager.plan(desired).await.unwrap().plan;
        let mut lines = Vec::new();
        for change in &plan.changes {
            let fields: Vec<String> =
                change.fields.iter().map(|it| format!("{} {} -> {}", it.path, it.from, it.to)).collect();
            lines.push(format!("{} {}: {}", change.kind, change.resource, fields.join(", ")));
        }
        lines.sort();
        lines.join("\n")
    }
}

/// What is desired on the engine.
pub(crate) fn desired() -> Desired {
    Desired::new().host("here", HostSpec::local())
}

/// A resource on the engine.
pub(crate) fn on_engine(kind: &str, name: &str, fields: &Value) -> DesiredResource {
    DesiredResource::from_value(kind, name, fields).unwrap().on("here")
}

/// A content, as the source of a spec.
pub(crate) fn source(desired: &mut Desired, content: Content) -> Value {
    let digest = Digest::of_content(&content);
    desired.blobs.insert(digest, content);
    json!({ "path": "content", "digest": digest })
}
