//! That nothing which stays is taken away with what is removed.

use super::{Plan, PlanError, Verb};
use crate::action::Place;
use crate::model::{Desired, Doc, HostName, Recorded, ResourceId, Set};
use crate::resource::Registry;

/// A place that a plan removes with all that lies within.
struct Swept<'a> {
    by: &'a ResourceId,
    host: Option<&'a HostName>,
    place: Place,
}

/// Refuses a plan that removes a place with all that lies within, where something that stays lies: desired, or recorded and
/// not removed by this plan.
pub(crate) fn check_swept(
    plan: &Plan,
    desired: &Desired,
    recorded: &Recorded,
    registry: &Registry,
) -> Result<(), PlanError> {
    let mut swept = Vec::new();
    for action in plan.actions.iter().filter(|action| action.verb == Verb::Delete) {
        let by = &plan.change_of(action).resource;
        let places = footprint(by, &action.spec, registry).map(|it| it.sweeps).unwrap_or_default();
        swept.extend(places.into_iter().map(|place| Swept { by, host: action.host.as_ref(), place }));
    }
    if swept.is_empty() {
        return Ok(());
    }
    for (id, resource) in &desired.resources {
        check(id, resource.host.as_ref(), &resource.spec, &swept, registry)?;
    }
    let removes = plan.actions.iter().filter(|action| action.verb.removes());
    let removed: Set<&ResourceId> = removes.map(|action| &plan.change_of(action).resource).collect();
    for (id, record) in recorded {
        if !desired.resources.contains_key(id) && !removed.contains(id) {
            let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
            check(id, body.host.as_ref(), &body.spec, &swept, registry)?;
        }
    }
    Ok(())
}

fn check(
    id: &ResourceId,
    host: Option<&HostName>,
    spec: &Doc,
    swept: &[Swept<'_>],
    registry: &Registry,
) -> Result<(), PlanError> {
    let Some(footprint) = footprint(id, spec, registry) else { return Ok(()) };
    let touched = || footprint.reads.iter().chain(&footprint.writes);
    let takes = |swept: &&Swept<'_>| {
        swept.host == host
            && swept.by != id
            && touched().any(|place| *place == swept.place || place.lies_within(&swept.place))
    };
    match swept.iter().find(takes) {
        None => Ok(()),
        Some(swept) => Err(PlanError::Sweeps {
            resource: swept.by.clone(),
            place: swept.place.clone(),
            stays: id.clone(),
        }),
    }
}

fn footprint(id: &ResourceId, spec: &Doc, registry: &Registry) -> Option<crate::action::Footprint> {
    registry.kind(id.kind())?.inspect(spec, true).ok()
}
