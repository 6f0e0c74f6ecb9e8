//! What holds for every plan.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{World, changes, from, id, unit, value};
use crate::model::{DesiredResource, Map, ResourceId};
use crate::plan::{Plan, Selection};

/// A resource of a random world: an input, whether it is a unit, and which earlier ones it comes after or refers to.
type Seed = (u8, bool, Vec<(usize, bool)>);

/// At most this many: enough for every shape of diamond, small enough to shrink.
const RESOURCES_MAX: usize = 12;

fn worlds() -> impl Strategy<Value = Vec<Option<Seed>>> {
    let seed = (0_u8..3, any::<bool>(), prop::collection::vec((0..RESOURCES_MAX, any::<bool>()), 0..3));
    prop::collection::vec(prop::option::weighted(0.8, seed), 0..RESOURCES_MAX)
}

fn resources(seeds: &[Option<Seed>]) -> Vec<DesiredResource> {
    let name = |index: usize| {
        let unit = seeds[index].as_ref().is_some_and(|seed| seed.1);
        id(&format!("{}/r{index}", if unit { "unit" } else { "value" }))
    };
    let mut resources = Vec::new();
    for (index, seed) in seeds.iter().enumerate() {
        let Some((input, is_unit, links)) = seed else { continue };
        let earlier = links.iter().filter(|(to, _)| *to < index && seeds[*to].is_some());
        let references: Vec<Value> = earlier
            .clone()
            .filter(|(_, refers)| *refers)
            .map(|(to, _)| {
                let id = name(*to);
                let output = if id.kind() == "unit" { "pid" } else { "input" };
                from(id.as_str(), output)
            })
            .collect();
        let mut resource = if *is_unit {
            unit(&format!("r{index}"), json!({"path": format!("/{index}/{input}"), "replicas": input}))
        } else {
            value(&format!("r{index}"), json!({"n": input, "of": references}))
        };
        for (to, _) in earlier.filter(|(_, refers)| !refers) {
            resource = resource.after(&name(*to));
        }
        resources.push(resource);
    }
    resources
}

/// That each action is once, and after all that it must come after: told from the desired state and the records alone.
fn validate(world: &World, plan: &Plan) -> Result<(), String> {
    let mut place: Map<(ResourceId, bool), usize> = Map::default();
    for (at, action) in plan.actions.iter().enumerate() {
        let key = (plan.resource_of(at as u32).clone(), action.verb.removes());
        if place.insert(key.clone(), at).is_some() {
            return Err(format!("{key:?} twice"));
        }
        if let Some(late) = action.after.iter().find(|before| **before as usize >= at) {
            return Err(format!("{at} comes after {late}"));
        }
    }
    let reaches = |after: usize, before: usize| {
        let mut stack = vec![after];
        while let Some(at) = stack.pop() {
            if at == before {
                return true;
            }
            stack.extend(plan.actions[at].after.iter().map(|before| *before as usize));
        }
        false
    };
    let depends = |on: &ResourceId, resource: &DesiredResource| {
        resource.dependencies().contains(on)
            || resource.references.iter().any(|reference| &reference.from == on)
    };
    for resource in world.desired.resources.values() {
        for other in world.desired.resources.keys().filter(|other| depends(other, resource)) {
            let (after, before) =
                (place.get(&(resource.id.clone(), false)), place.get(&(other.clone(), false)));
            if let (Some(after), Some(before)) = (after, before)
                && !reaches(*after, *before)
            {
                return Err(format!("{} is not made after {other}", resource.id));
            }
        }
    }
    for (resource, record) in &world.recorded {
        for other in record.body().map_err(|error| error.to_string())?.after.iter() {
            let (first, then) = (place.get(&(resource.clone(), true)), place.get(&(other.clone(), true)));
            if let (Some(first), Some(then)) = (first, then)
                && !reaches(*then, *first)
            {
                return Err(format!("{other} is not removed after {resource}"));
            }
        }
    }
    Ok(())
}

/// What is recorded, as the desired state would say it: every reference looked up.
fn holds(world: &World) -> Result<(), String> {
    if world.recorded.len() != world.desired.resources.len() {
        return Err("not as many records as are desired".to_owned());
    }
    for resource in world.desired.resources.values() {
        let body =
            world.recorded.get(&resource.id).ok_or("no record")?.body().map_err(|error| error.to_string())?;
        let mut spec = resource.spec.value();
        crate::model::substitute(&mut spec, &mut |reference| {
            world.recorded.get(&reference.from)?.body().ok()?.lookup(&reference.output)
        })
        .map_err(|error| error.to_string())?;
        if body.spec.value() != spec || body.host != resource.host {
            return Err(format!("{}: recorded {} where {spec} is desired", resource.id, body.spec));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn doing_what_the_plan_says_gives_what_is_desired_and_then_there_is_nothing_to_do(
        before in worlds(), after in worlds()
    ) {
        let mut world = World::new().having(resources(&before)).want(resources(&after));
        let plan = world.plan();
        prop_assert!(plan.is_intact());
        prop_assert_eq!(validate(&world, &plan), Ok(()));
        world.apply(&plan);
        prop_assert_eq!(holds(&world), Ok(()));
        let again = world.plan();
        prop_assert!(again.is_settled(), "{}", changes(&again));
        prop_assert_eq!(again.kept, world.desired.resources.len());
    }

    #[test]
    fn the_order_in_which_things_are_written_down_changes_nothing(
        before in worlds(), after in worlds(), seed in any::<u64>()
    ) {
        let world = World::new().having(resources(&before)).want(resources(&after));
        let mut shuffled = world.clone();
        let key = |id: &ResourceId| crate::model::Digest::keyed(&[seed as u8; 32], id.as_str().as_bytes());
        shuffled.desired.resources.sort_by_cached_key(|id, _| key(id));
        shuffled.observed.sort_by_cached_key(|id, _| key(id));
        let bytes = |world: &World| serde_json::to_string(&world.plan()).unwrap();
        prop_assert_eq!(bytes(&world), bytes(&shuffled));
    }

    #[test]
    fn any_part_of_a_plan_can_be_done_by_itself_and_the_rest_later(
        before in worlds(), after in worlds(), pick in 0..RESOURCES_MAX, only in any::<bool>()
    ) {
        let mut world = World::new().having(resources(&before)).want(resources(&after));
        let pattern = format!("*/r{pick}").parse().unwrap();
        let selection = if only { Selection::all().only(pattern) } else { Selection::all().except(pattern) };
        let whole = world.plan();
        let named = |plan: &Plan| plan.changes.iter().any(|change| change.resource.name() == format!("r{pick}"));
        if named(&whole) {
            let part = whole.select(&selection);
            prop_assert_eq!(named(&part), only, "{}", changes(&part));
            prop_assert_eq!(validate(&world, &part), Ok(()));
            world.apply(&part);
        }
        let rest = world.plan();
        world.apply(&rest);
        prop_assert_eq!(holds(&world), Ok(()));
        prop_assert!(world.plan().is_settled(), "{}", changes(&world.plan()));
    }

    #[test]
    fn a_plan_with_any_numbers_in_it_is_opened_as_it_was_saved(numbers in prop::collection::vec(any::<f64>(), 1..8)) {
        let numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
        let plan = World::new().want([value("a", json!(numbers))]).plan();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        crate::plan::file::save(&plan, "store", &path).unwrap();
        prop_assert_eq!(crate::plan::file::open(&path).unwrap().plan, plan);
    }
}
