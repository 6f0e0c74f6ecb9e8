//! A host that does not answer: what is on it is unknown, which is never taken for absent. In this process, since the
//! local host always answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use detc_actions::resources;
use detc_core::backend::memory::MemoryHost;
use detc_core::backend::{Host, HostError};
use detc_core::manage::{Manager, ManagerOptions, StatusState};
use detc_core::model::{Desired, HostName, HostSpec, load};
use detc_core::resource::{Connector, Registry};
use detc_core::store::memory::MemoryStore;

use crate::support::Place;

#[derive(Debug)]
struct Net {
    host: Arc<MemoryHost>,
    down: Arc<AtomicBool>,
}

#[async_trait]
impl Connector for Net {
    fn scheme(&self) -> &'static str {
        "net"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(HostError::Unreachable { host: name.to_string(), what: "no route to it".into() });
        }
        Ok(self.host.clone())
    }
}

async fn desired(registry: &Registry) -> Desired {
    let place = Place::new();
    place.write(
        "s.json",
        r#"{"version": 1, "hosts": {"far": {"connect": "net://far"}}, "resources": [
            {"kind": "file", "name": "f", "host": "far", "path": "/f", "content": "x"},
            {"kind": "value", "name": "v", "input": 1}]}"#,
    );
    load::load(&[place.path("s.json")], registry).unwrap()
}

#[tokio::test]
async fn what_is_on_a_host_that_does_not_answer_is_unknown_and_never_created() {
    let (host, down) = (Arc::new(MemoryHost::new("far")), Arc::new(AtomicBool::new(true)));
    let registry =
        resources::register(Registry::new()).with_connector(Net { host: host.clone(), down: down.clone() });
    let desired = desired(&registry).await;
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let planned = manager.plan(&desired).await.unwrap();
    let unknown: Vec<String> = planned.plan.unknown().map(|change| change.resource.to_string()).collect();
    assert_eq!(unknown, ["file/f"]);
    assert!(!planned.plan.is_settled());
    assert!(
        (0..planned.plan.actions.len() as u32)
            .all(|action| planned.plan.resource_of(action).as_str() == "value/v")
    );
    let shown = planned.plan.to_string();
    assert!(shown.contains("no route to it"), "{shown}");
    let report = manager.apply(planned).await.unwrap();
    assert_eq!(report.report.outcome, detc_core::execute::Outcome::Failed);

    down.store(false, Ordering::Relaxed);
    let report = manager.apply(manager.plan(&desired).await.unwrap()).await.unwrap();
    assert_eq!(report.report.outcome, detc_core::execute::Outcome::Done, "{report}");

    down.store(true, Ordering::Relaxed);
    let mut unseen = detc_core::execute::unseen();
    let status = manager.status(Some(&desired), &mut unseen).await.unwrap();
    assert_eq!(status[0].state, StatusState::Unknown);
    let planned = manager.plan(&Desired::new()).await.unwrap();
    assert!(
        (0..planned.plan.actions.len() as u32)
            .all(|action| planned.plan.resource_of(action).as_str() != "file/f")
    );
}
