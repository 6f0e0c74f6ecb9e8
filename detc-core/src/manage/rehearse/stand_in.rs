//! What stands for the kinds and hosts of a program: it keeps what a kind declares, and acts in the simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::point::{Moment, Point};
use super::thing::{Counted, Part, Thing};
use super::world::World;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Meanwhile};
use crate::backend::{Host, HostError, MemoryHost};
use crate::model::{Desired, Doc, HostName, HostSpec, Observation, Present, ResourceId};
use crate::resource::{ChangeEffect, Connector, Kind, KindFacts, Known, LATER, Removed, Unhealthy};

/// A kind that keeps the contract of another one, and touches nothing outside of the world.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) kind: Arc<dyn Kind>,
    pub(super) world: Arc<World>,
    pub(super) desired: Arc<Desired>,
}

/// Whether making or changing something starts it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// It does not.
    Not,
    /// It does.
    Now,
    /// Somebody who died has started it, and it is only waited for.
    Before,
}

impl StandIn {
    /// What the whole of it looks like.
    fn whole(&self, spec: &Value, cx: &ActionCx<'_>, before: &Observation) -> Present {
        let known = match before {
            Observation::Present(present) => present.output.clone(),
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => None,
        };
        let known = known.or_else(|| cx.recorded().map(|body| body.output.clone()));
        let restarts = self.kind.facts().traits.change != ChangeEffect::InPlace;
        let known = known.filter(|output| !output.is_null());
        let mut present = Present::new().with_triggers(cx.triggers().map(str::to_owned));
        present.output = known.clone().filter(|_| !restarts).or_else(|| self.made_up(cx.resource()));
        if let (Some(Value::Object(output)), Some(known)) = (&mut present.output, &known) {
            for name in self.kind.facts().traits.stable_outputs {
                output.extend(known.get(name).map(|value| ((*name).to_owned(), value.clone())));
            }
        }
        present.fields = spec.as_object().cloned().unwrap_or_default();
        present
    }

    /// The fields that are never half done: those that say which it is, and those that are others' to set.
    fn whole_fields(&self, id: &ResourceId) -> Vec<String> {
        let others = self.desired.resources.get(id).map(|desired| desired.extra().ownership.keys());
        let roots = others.into_iter().flatten().map(|path| path.segments().swap_remove(0));
        self.kind.facts().traits.replace_on.iter().map(|name| (*name).to_owned()).chain(roots).collect()
    }

    /// Outputs that are made up: those that others refer to, where the type does not tell.
    fn made_up(&self, id: &ResourceId) -> Option<Value> {
        self.kind.facts().sample.clone().or_else(|| {
            let all = self.desired.resources.values().flat_map(|other| &other.references);
            let paths: Vec<Vec<String>> =
                all.filter(|it| it.from == *id).map(|it| it.output.segments()).collect();
            let mut made = Value::Null;
            for path in &paths {
                let mut at = &mut made;
                for segment in path {
                    if !at.is_object() {
                        *at = Value::Object(serde_json::Map::new());
                    }
                    at = at.as_object_mut()?.entry(segment.as_str()).or_insert(LATER.into());
                }
            }
            Some(made).filter(|made| !made.is_null())
        })
    }

    fn counted(&self, id: &ResourceId, spec: &Value) -> Counted {
        let desired = self.desired.resources.get(id);
        let labels = desired.map_or_else(BTreeMap::new, |desired| desired.extra().labels.clone());
        Counted { host: desired.and_then(|desired| desired.host.clone()), labels, spec: spec.clone() }
    }

    /// Whether what is there takes part while it becomes so.
    fn part(&self, counted: Option<&Counted>, spec: &Value, triggers_differ: bool) -> Part {
        let traits = &self.kind.facts().traits;
        if traits.change != ChangeEffect::Restart {
            return Part::Takes;
        }
        let field = |of: &Value, name: &str| of.get(name).cloned().unwrap_or_default();
        let names = spec.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let mut restarting = names.filter(|name| !traits.in_place.contains(name));
        let differs = |name| counted.is_some_and(|before| field(&before.spec, name) != field(spec, name));
        let overlaps = || {
            let footprint = self.kind.inspect(&Doc::new(spec), Known::SomeLater);
            footprint.is_ok_and(|footprint| footprint.meanwhile.contains(&Meanwhile::Overlaps))
        };
        if (triggers_differ || restarting.any(differs)) && !overlaps() { Part::Away } else { Part::Takes }
    }

    /// Takes note of what is touched from here on. Returns how it is found out what came of it.
    fn enter(&self, spec: &Value, cx: &ActionCx<'_>) -> Option<CrashClass> {
        let footprint = self.kind.inspect(&Doc::new(spec), Known::SomeLater).ok()?;
        let class = footprint.crash;
        let host = cx.host().ok().map(|host| HostName::new(&host.to_string()));
        let desired = self.desired.resources.get(cx.resource());
        let references = desired.map(|desired| &desired.references);
        let made_up = references.into_iter().flatten().filter(|it| !self.world.is_by_record(&it.from));
        let taken = made_up.map(|it| (it.from.clone(), it.output.to_string())).collect();
        let mut state = self.world.state();
        let after = desired.into_iter().flat_map(|desired| {
            desired.dependencies().iter().chain(desired.references.iter().map(|it| &it.from))
        });
        state.looks_back(cx.identity(), after);
        state.enter(cx.identity(), host.as_ref(), (&footprint, taken));
        Some(class)
    }

    async fn make(&self, verb: &'static str, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        let (world, id) = (&self.world, cx.identity());
        let at = |moment| Point::Effect(moment, verb, cx.resource().clone());
        world.point(at(Moment::Before)).await;
        let class = self.enter(spec, cx);
        let is_gated = self.kind.facts().traits.unhealthy == Unhealthy::Restarted;
        let (whole, counted, starts) = {
            let mut state = world.state();
            let thing = state.thing(id);
            let seen = thing.map_or(&Observation::Absent, |thing| &thing.seen);
            let whole = self.whole(spec, cx, seen);
            let counted = self.counted(cx.resource(), spec);
            let triggers_differ = match seen {
                Observation::Present(present) => present.triggers != whole.triggers,
                Observation::Absent
                | Observation::Needed(_)
                | Observation::Unobservable
                | Observation::Unknown(_) => false,
            };
            let part = self.part(thing.and_then(|thing| thing.counted.as_ref()), spec, triggers_differ);
            let keep = self.whole_fields(cx.resource());
            let at_once = self.kind.facts().traits.at_once;
            let is_there = matches!(seen, Observation::Present(_));
            let starts = if thing.is_some_and(|thing| thing.is_awaited(&whole)) {
                Starts::Before
            } else {
                state.change(id, |thing| {
                    if is_gated && !is_there {
                        thing.be_probed();
                    }
                    thing.become_half((&counted, part), &whole, &keep, at_once);
                });
                let starts = part == Part::Away || cx.heals() || !is_there;
                if starts { Starts::Now } else { Starts::Not }
            };
            (whole, counted, starts)
        };
        if starts != Starts::Before {
            world.point(at(Moment::Midst)).await;
        }
        // One without a check works as soon as it is there.
        let is_probed = || world.state().thing(id).is_some_and(|thing| thing.is_probed);
        if starts != Starts::Not && is_gated && is_probed() {
            // Its action comes to its end when it is healthy.
            world.state().change(id, |thing| thing.become_unready(whole.clone()));
            world.point(at(Moment::Unready)).await;
        }
        let output = whole.output.clone().unwrap_or_default();
        let key = Some(cx.idempotency_key()).filter(|_| class == Some(CrashClass::IdempotencyKey));
        world.state().change(id, |thing| thing.become_whole(counted, whole, key));
        world.state().leave(id);
        world.point(at(Moment::After)).await;
        Ok(output)
    }
}

#[async_trait]
impl Kind for StandIn {
    fn facts(&self) -> &KindFacts {
        self.kind.facts()
    }

    fn inspect(&self, spec: &Doc, known: Known) -> Result<Footprint, String> {
        self.kind.inspect(spec, known)
    }

    async fn observe(&self, _: &Value, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(self.world.look(cx.identity()))
    }

    async fn create(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.make("create", spec, cx).await
    }

    async fn update(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.make("update", spec, cx).await
    }

    async fn delete(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let (world, id) = (&self.world, cx.identity());
        let at = |moment| Point::Effect(moment, "delete", cx.resource().clone());
        world.point(at(Moment::Before)).await;
        let _looked_for = self.enter(spec, cx);
        world.state().change(id, Thing::vanish);
        world.point(at(Moment::Midst)).await;
        world.state().change(id, Thing::be_gone);
        world.state().leave(id);
        world.point(at(Moment::After)).await;
        Ok(Removed::Gone)
    }
}

/// Connects to nothing: what a stand-in does it does in the world.
#[derive(Debug)]
pub(super) struct Nowhere(pub(super) &'static str);

#[async_trait]
impl Connector for Nowhere {
    fn scheme(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(MemoryHost::new(name.as_str())))
    }
}
