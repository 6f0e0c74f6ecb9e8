//! What has deadlines of its own has the time for them; what has none is cut off in the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
use detc_core::execute::{DriverOptions, Tally};
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource};
use detc_core::resource::Registry;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

/// How often each [`Slow`] was begun, and whether one has come to its end.
static TRIES: Mutex<BTreeMap<String, (u32, bool)>> = Mutex::new(BTreeMap::new());

/// A step that takes twice as long as a driver gives to one that has no deadline of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slow {
    called: String,
    has_deadline: bool,
}

fn takes() -> Duration {
    DriverOptions::default().apply_timeout * 2
}

#[async_trait]
impl Action for Slow {
    const KIND: &'static str = "slow";
    type Output = ();

    fn footprint(&self) -> Footprint {
        let footprint = Footprint::new(CrashClass::CompareAndSet);
        if self.has_deadline { footprint.lasting(takes()) } else { footprint }
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        let is_done = TRIES.lock().unwrap().get(&self.called).is_some_and(|(_, is_done)| *is_done);
        Ok(if is_done { Check::Satisfied(()) } else { Check::Needed("it is not done".to_owned()) })
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        TRIES.lock().unwrap().entry(self.called.clone()).or_default().0 += 1;
        tokio::time::sleep(takes()).await;
        TRIES.lock().unwrap().entry(self.called.clone()).or_default().1 = true;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_a_deadline_of_its_own_is_not_cut_off_before_it() {
    let registry = Registry::new().with_action::<Slow>();
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let slow = |called: &str, has_deadline: bool| {
        DesiredResource::step(called, &Slow { called: called.to_owned(), has_deadline })
    };
    let desired = Desired::new().with(slow("patient", true)).with(slow("stuck", false));
    let report = manager.apply(manager.plan(&desired).await.unwrap()).await.unwrap().report;
    assert_eq!(report.tally, Tally { done: 1, failed: 1, ..Tally::default() }, "{report:?}");
    assert!(report.failures[0].error.starts_with("not done within 3600 s"), "{report:?}");
    let tries = TRIES.lock().unwrap();
    assert_eq!(tries["patient"], (1, true));
    assert!(tries["stuck"].0 > 1 && !tries["stuck"].1, "{tries:?}");
}
