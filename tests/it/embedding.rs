//! What a program meets that embeds a manager with the actions of the local host.

use std::sync::Arc;

use detc_actions::backends::LocalConnector;
use detc_actions::resources::{self, FileSpec};
use detc_core::execute::Outcome;
use detc_core::manage::{ManageError, Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::{Registry, Source};
use detc_core::store::memory::MemoryStore;
use tempfile::TempDir;

async fn manager() -> Manager {
    let registry = resources::register(Registry::new()).with_connector(LocalConnector);
    Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap()
}

/// A file of another folder's, below `dir`.
fn file(dir: &TempDir, name: &str, content: &str) -> DesiredResource {
    let path = dir.path().join(name).to_str().unwrap().to_owned();
    DesiredResource::new("f", &FileSpec::new(path, content)).on("here")
}

#[tokio::test]
async fn a_live_desired_state_takes_the_content_of_files_along() {
    let (dir, manager) = (tempfile::tempdir().unwrap(), manager().await);
    let mut live = manager.live(Desired::new().host("here", HostSpec::local())).await.unwrap();
    for content in ["one", "two"] {
        let digest = live.content(content.as_bytes());
        let mut spec = FileSpec::new(dir.path().join("f").to_str().unwrap(), "");
        (spec.content, spec.source) = (None, Some(Source { path: "f.in".to_owned(), digest }));
        live.set(DesiredResource::new("f", &spec).on("here"));
        let planned = live.plan(&manager).await.unwrap();
        live.apply(&manager, planned).await.unwrap().into_result().unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("f")).unwrap(), content);
    }
}

#[tokio::test]
async fn a_live_desired_state_is_refused_by_another_manager_than_its_own() {
    let (own, other) = (manager().await, manager().await);
    let mut live = own.live(Desired::new()).await.unwrap();
    assert!(matches!(live.plan(&other).await, Err(ManageError::Foreign)));
    assert!(live.plan(&own).await.unwrap().plan.is_settled());
}

#[tokio::test]
async fn a_failed_action_is_told_by_the_report_and_is_an_error_where_one_is_wanted() {
    let (dir, manager) = (tempfile::tempdir().unwrap(), manager().await);
    let desired = Desired::new().host("here", HostSpec::local()).with(file(&dir, "none-such/f", "x"));
    let planned = manager.plan(&desired).await.unwrap();
    let applied = manager.apply(planned).await.unwrap();
    assert_eq!(applied.report.outcome, Outcome::Failed);
    let error = applied.into_result().unwrap_err();
    assert!(error.to_string().starts_with("the outcome is `failed`: create:file/f: "), "{error}");
    assert_eq!(error.0.report.tally.failed, 1);
    let planned = manager.plan(&Desired::new()).await.unwrap();
    manager.apply(planned).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_desired_state_says_what_to_do_in_its_display_too() {
    let (dir, manager) = (tempfile::tempdir().unwrap(), manager().await);
    let desired = Desired::new().host("hrere", HostSpec::local()).with(file(&dir, "f", "x"));
    let error = manager.plan(&desired).await.map(|planned| planned.plan.to_string()).unwrap_err();
    assert_eq!(error.to_string(), "file/f: host `here` is not declared (declared hosts: hrere)");
}
