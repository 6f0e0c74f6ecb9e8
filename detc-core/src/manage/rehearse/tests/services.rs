//! Kinds that live on services are rehearsed like others, and no service is called for it.

use serde_json::json;

use super::*;
use crate::model::{FieldPath, Reference};
use crate::testing::resource::Calls;
use crate::testing::services::kinds::{Entry, Run, Vm, count, engine};
use crate::testing::services::{Machines, Names};

/// Two machines with a container and a name each; they are of this size, and the containers of this image.
fn fleet(size: &str, image: &str, count: usize) -> Desired {
    let address: FieldPath = "address".parse().unwrap();
    (0..count).fold(Desired::new(), |desired, at| {
        let resource = |kind: &str, fields: serde_json::Value| {
            DesiredResource::from_value(kind, &format!("w{at}"), &fields).unwrap()
        };
        let name = format!("w{at}");
        let vm = resource("vm", json!({ "tag": name, "size": size })).label("app", "web");
        let run = resource("run", json!({ "container": name, "image": image })).after(&vm.id);
        let entry = resource("entry", json!({ "entry": name, "address": null }));
        let entry = entry.bind(&address, Reference::new(vm.id.clone(), address.clone())).unwrap();
        desired.with(vm).with(run).with(entry)
    })
}

#[tokio::test]
async fn what_lives_on_services_is_rehearsed_from_what_is_there_and_no_service_is_called_for_it() {
    let calls = Calls::new();
    let machines = Arc::new(Machines::new(calls.clone()));
    let containers = Arc::new(engine(calls.clone()));
    let names = Arc::new(Names::new(calls.clone()));
    let dump = || [machines.dump(), containers.dump(), names.dump()].concat();
    let registry = Registry::new()
        .with_resource::<Vm<0>>()
        .with_resource::<Run<0>>()
        .with_resource::<Entry<0>>()
        .with_backend(machines.clone())
        .with_backend(containers.clone())
        .with_backend(names.clone());
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let from = fleet("small", "v1", 2);
    manager.apply(manager.plan(&from).await.unwrap()).await.unwrap().into_result().unwrap();
    let before = dump();
    assert_eq!(before.matches("machine w").count(), 2, "{before}");
    for mut to in [fleet("large", "v2", 3), fleet("small", "v2", 1), Desired::new()] {
        to.invariants = vec![available(InvariantBound::AtMost(3))];
        let planned = manager.plan(&to).await.unwrap();
        let made = count(&calls);
        let options = RehearsalOptions::default();
        let rehearsal = manager.rehearse(&planned, &to, &Selection::all(), options).await.unwrap();
        assert_eq!(rehearsal.violations, []);
        assert!(rehearsal.points >= 6 && rehearsal.covered == rehearsal.points, "{rehearsal}");
        assert_eq!((dump(), count(&calls)), (before.clone(), made));
    }
}
