//! That nothing which stays is taken away with what is removed.

use super::{Plan, PlanError, PlannedAction, Verb};
use crate::action::{Footprint, Place};
use crate::diff::{ChangeKind, Reason};
use crate::model::{Desired, Doc, HostName, Recorded, ResourceId, Set};
use crate::resource::{Known, LATER, Registry};

/// A place that a plan removes with all that lies within.
struct Swept<'a> {
    by: &'a ResourceId,
    host: Option<&'a HostName>,
    place: Place,
}

/// Refuses a plan that removes a place with all that lies within, where something lies that stays, or that the plan makes.
/// What is recorded stays where it is recorded to be, unless the plan removes it; what is only desired may be there.
pub(crate) fn check_swept(
    plan: &Plan,
    desired: &Desired,
    recorded: &Recorded,
    registry: &Registry,
) -> Result<(), PlanError> {
    let mut swept = Vec::new();
    for action in plan.actions.iter().filter(|action| action.sweeps) {
        let by = &plan.change_of(action).resource;
        let places = footprint(by, &action.spec, registry).map(|it| it.sweeps).unwrap_or_default();
        swept.extend(places.into_iter().map(|place| Swept { by, host: action.host.as_ref(), place }));
    }
    if swept.is_empty() {
        return Ok(());
    }
    for action in plan.actions.iter().filter(|action| action.recording.is_some()) {
        check(&plan.change_of(action).resource, action.host.as_ref(), &action.spec, &swept, registry)?;
    }
    let made: Set<&ResourceId> = plan
        .actions
        .iter()
        .filter(|action| action.recording.is_some())
        .map(|action| &plan.change_of(action).resource)
        .collect();
    for (id, resource) in &desired.resources {
        if !made.contains(id) && !recorded.contains_key(id) {
            check(id, resource.host.as_ref(), &resource.spec, &swept, registry)?;
        }
    }
    let gone = plan.actions.iter().filter(|action| is_gone_after(plan, action));
    let gone: Set<&ResourceId> =
        gone.map(|action| action.renamed_from().unwrap_or(&plan.change_of(action).resource)).collect();
    for (id, record) in recorded.iter().filter(|(id, _)| !gone.contains(id)) {
        let body = record.body().map_err(|source| PlanError::Record { resource: id.clone(), source })?;
        check(id, body.host.as_ref(), &body.spec, &swept, registry)?;
    }
    Ok(())
}

/// Refuses a plan that removes a place with all that lies within, where detc keeps its own things: what tells of all that it
/// manages would be gone, and what runs by it be found no more. `own` has folders on hosts.
pub(crate) fn check_own(
    plan: &Plan,
    own: &[(HostName, String)],
    registry: &Registry,
) -> Result<(), PlanError> {
    for action in plan.actions.iter().filter(|action| action.sweeps) {
        let resource = &plan.change_of(action).resource;
        let places = footprint(resource, &action.spec, registry).map(|it| it.sweeps).unwrap_or_default();
        for place in places {
            let meets = |(host, dir): &&(HostName, String)| {
                let dir = Place::path(dir);
                Some(host) == action.host.as_ref()
                    && (dir == place || dir.lies_within(&place) || place.lies_within(&dir))
            };
            if let Some((_, dir)) = own.iter().find(meets) {
                return Err(PlanError::SweepsOwn { resource: resource.clone(), place, dir: dir.clone() });
            }
        }
    }
    Ok(())
}

/// Whether an action leaves nothing of what is recorded. What was there before detc is only forgotten, and stays.
fn is_gone_after(plan: &Plan, action: &PlannedAction) -> bool {
    let change = plan.change_of(action);
    match action.verb {
        Verb::Delete => true,
        Verb::Forget => {
            change.kind != ChangeKind::Replace
                && !matches!(change.reason, Reason::WasAdopted | Reason::WasOthers)
        }
        // What is made anew was gone where it was recorded to be.
        Verb::Create => change.kind != ChangeKind::Replace,
        Verb::Adopt | Verb::Update | Verb::Restart | Verb::Record => false,
    }
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
    let near = || swept.iter().filter(|swept| swept.host == host && swept.by != id);
    let is_within =
        |swept: &&Swept<'_>| touched().any(|place| *place == swept.place || place.lies_within(&swept.place));
    if let Some(Swept { by, place, .. }) = near().find(is_within) {
        let (resource, place, stays) = ((*by).clone(), place.clone(), id.clone());
        return Err(PlanError::Sweeps { resource, place, stays });
    }
    let is_late = |place: &Place| matches!(place, Place::Path(path) if path.contains(LATER));
    match near().next().filter(|_| touched().any(is_late)) {
        None => Ok(()),
        Some(Swept { by, place, .. }) => {
            let (resource, place, makes) = ((*by).clone(), place.clone(), id.clone());
            Err(PlanError::MaySweep { resource, place, makes })
        }
    }
}

fn footprint(id: &ResourceId, spec: &Doc, registry: &Registry) -> Option<Footprint> {
    registry.kind(id.kind())?.inspect(spec, Known::SomeLater).ok()
}
