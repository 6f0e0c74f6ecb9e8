use serde_json::json;

use super::*;
use crate::manage::{ManagerOptions, records};
use crate::resource::Registry;
use crate::resource::value::ValueSpec;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Transaction};

fn value(name: &str) -> DesiredResource {
    ValueSpec::resource(name, &json!(1)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_only_recorded_may_be_one_that_could_not_be_declared_any_more() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let old = HostSpec { connect: "pigeon://rack".to_owned(), ..HostSpec::local() };
    let mut recorded = Transaction::new();
    recorded.writes.push(records::put_hosts(&[(HostName::new("rack/1"), old.clone())].into()));
    store.transact(recorded).await.unwrap();
    let manager = Manager::open(store, Registry::new(), ManagerOptions::default()).await.unwrap();
    let mut live = manager.live(Desired::new().with(value("a"))).await.unwrap();
    assert_eq!(live.plan(&manager).await.unwrap().plan.actions.len(), 1);
    live.set(value("b"));
    assert_eq!(live.plan(&manager).await.unwrap().plan.actions.len(), 2);
    // Once it is declared, it is checked as each one is.
    live.host("rack/1", old);
    live.set(value("c"));
    let error = live.plan(&manager).await.expect_err("no host is called so").to_string();
    assert!(error.contains("rack/1"), "{error}");
}
