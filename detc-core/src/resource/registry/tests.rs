//! What can not be registered, and a connector for the tests of others.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Connector, Registry};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint};
use crate::backend::{Host, HostError};
use crate::model::{HostName, HostSpec, Observation};
use crate::resource::{InvalidField, KindTraits, Removed, Resource};

#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    name: String,
    weight: u8,
}

#[async_trait]
impl Resource for Lease {
    const KIND: &'static str = "lease";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits::default()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(Observation::Absent)
    }

    async fn create(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }

    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

/// In a file it would be the resource's own name, and the field could never be given.
#[test]
#[should_panic(
    expected = "the kind `lease` has a field `name`, as every resource has one in a file: call it otherwise"
)]
fn a_field_is_not_called_as_what_every_resource_has() {
    drop(Registry::new().with_resource::<Lease>());
}

/// A connector for what never connects: hosts that are called `local` are fine by it.
#[derive(Debug)]
pub(crate) struct Nowhere;

#[async_trait]
impl Connector for Nowhere {
    fn scheme(&self) -> &'static str {
        "local"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, _: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        unreachable!("nothing is done here")
    }
}
