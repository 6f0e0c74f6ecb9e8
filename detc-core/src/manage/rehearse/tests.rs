//! What a rehearsal shows, and that it sees what is wrong.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::lives::{chosen, evenly};
use super::point::{Moment, Point};
use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::manage::{ManagerOptions, Settlement};
use crate::model::{
    DesiredResource, Digest, Health, Invariant, InvariantBound, Measure, Observation, Present, Record,
    RecordBody, Selector,
};
use crate::resource::{
    ChangeEffect, InvalidField, KindTraits, Registry, Removed, Resource, Unhealthy, value::ValueSpec,
};
use crate::store::Write;
use crate::store::memory::MemoryStore;

mod services;
mod ways;

/// A server, or something that nobody can look at, found out about as `class` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    version: u32,
    class: CrashClass,
    #[serde(default)]
    is_blind: bool,
    #[serde(default)]
    uses: serde_json::Value,
    /// A port that it writes, which may be known only later.
    #[serde(default)]
    takes: serde_json::Value,
}

/// The version that does not come up.
const FAILS: u32 = 13;

/// What there is for real.
#[derive(Debug, Default)]
struct Servers(Mutex<BTreeMap<ResourceId, (Server, Option<String>)>>);

#[derive(Debug, Serialize, Deserialize)]
struct Port {
    port: u32,
}

#[async_trait]
impl Resource for Server {
    const KIND: &'static str = "server";
    type Output = Port;

    fn traits() -> KindTraits {
        KindTraits { change: ChangeEffect::Restart, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(self.class);
        Ok(match self.takes.as_u64() {
            Some(port) => footprint.writing(Place::name("port", &port.to_string())),
            None => footprint,
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if self.is_blind {
            return Ok(Observation::Unobservable);
        }
        let servers = cx.backend::<Servers>()?;
        let servers = servers.0.lock().unwrap();
        Ok(match servers.get(cx.identity()) {
            None => Observation::Absent,
            Some((server, triggers)) => Observation::Present(
                Present::new()
                    .with_field("version", server.version)
                    .with_output(&Port { port: 7 })
                    .with_triggers(triggers.clone()),
            ),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Port, ActionError> {
        if self.version == FAILS {
            return Err(ActionError::permanent("it does not come up"));
        }
        let triggers = cx.triggers().map(str::to_owned);
        let servers = cx.backend::<Servers>()?;
        servers.0.lock().unwrap().insert(cx.identity().clone(), (self.clone(), triggers));
        Ok(Port { port: 7 })
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Port, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.backend::<Servers>()?.0.lock().unwrap().remove(cx.identity());
        Ok(Removed::Gone)
    }
}

fn server(name: &str, version: u32) -> DesiredResource {
    of_class(name, version, CrashClass::DeterministicName)
}

fn of_class(name: &str, version: u32, class: CrashClass) -> DesiredResource {
    let is_blind = matches!(class, CrashClass::AtMostOnce | CrashClass::IdempotencyKey);
    let [uses, takes] = [serde_json::Value::Null, serde_json::Value::Null];
    DesiredResource::new(name, &Server { version, class, is_blind, uses, takes }).label("app", "web")
}

/// A real manager, what it manages, and what it has brought about.
async fn after(desired: &Desired) -> (Manager, Arc<Servers>) {
    after_finding(desired, &[]).await
}

/// The same where some are there before, of an older version.
async fn after_finding(desired: &Desired, found: &[&str]) -> (Manager, Arc<Servers>) {
    let servers = Arc::new(Servers::default());
    let old = || Server {
        version: 9,
        class: CrashClass::DeterministicName,
        is_blind: false,
        uses: serde_json::Value::Null,
        takes: serde_json::Value::Null,
    };
    let found = found.iter().map(|id| (id.parse().unwrap(), (old(), None)));
    servers.0.lock().unwrap().extend(found);
    let registry = Registry::new().with_resource::<Server>().with_resource::<Gated>();
    let registry = registry.with_backend(servers.clone());
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let planned = manager.plan(desired).await.unwrap();
    manager.apply(planned).await.unwrap().into_result().unwrap();
    (manager, servers)
}

/// What is rehearsed of the way from one state to another; nothing is done for real.
async fn rehearsed(from: &Desired, to: &Desired, options: RehearsalOptions) -> Rehearsal {
    let (manager, servers) = after(from).await;
    let before = servers.0.lock().unwrap().clone();
    let planned = manager.plan(to).await.unwrap();
    let rehearsal = manager.rehearse(&planned, to, &Selection::all(), options).await.unwrap();
    assert_eq!(*servers.0.lock().unwrap(), before, "a rehearsal does nothing");
    assert_eq!(manager.history().await.unwrap().len(), usize::from(!from.resources.is_empty()));
    rehearsal
}

/// Two servers of a version, one that restarts on a value that changes with it, one that takes that value, and one that takes
/// an output of another; of the first version there is one more, and of the second another.
fn release(version: u32) -> Desired {
    let value = ValueSpec::resource("v", &version.into()).unwrap();
    let from = serde_json::json!({ "from": "value/v", "output": "input" });
    let fields = serde_json::json!({ "version": 7, "class": "deterministic_name", "uses": from });
    let taker = DesiredResource::from_value("server", "taker", &fields).unwrap().label("app", "web");
    let restarts = server("restarts", 7).restart_on(&value.id);
    let of_a = serde_json::json!({ "from": "server/a", "output": "port" });
    let fields = serde_json::json!({ "version": 7, "class": "deterministic_name", "uses": of_a });
    let of_a = DesiredResource::from_value("server", "of-a", &fields).unwrap().label("app", "web");
    let mut desired = Desired::new().with(value).with(restarts).with(taker).with(of_a);
    for name in ["a", "b"] {
        desired = desired.with(server(name, version));
    }
    if version == 1 {
        desired = desired.with(server("gone", 1).after(&"server/a".parse().unwrap()));
    } else {
        desired = desired.with(server("new", 1));
    }
    desired
}

fn available(bound: InvariantBound) -> Invariant {
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let of = Selector { labels, ..Selector::default() };
    Invariant { name: "web is up".to_owned(), measure: Measure::Available(of), bound }
}

#[tokio::test]
async fn a_plan_comes_to_the_same_end_from_each_of_its_points() {
    let kept = || vec![available(InvariantBound::AtLeast(3)), available(InvariantBound::AtMost(6))];
    for (from, invariants) in [(Some(1), vec![]), (Some(1), kept()), (None, vec![]), (None, kept())] {
        let [mut from, mut to] = [from.map_or_else(Desired::new, release), release(2)];
        (from.invariants, to.invariants) = (invariants.clone(), invariants);
        let rehearsal = rehearsed(&from, &to, RehearsalOptions::default()).await;
        assert_eq!(rehearsal.violations, []);
        assert!(rehearsal.points > 25 && rehearsal.covered == rehearsal.points, "{rehearsal}");
        assert!(rehearsal.one_by_one > 25 && rehearsal.deaths > rehearsal.one_by_one, "{rehearsal}");
        assert!(rehearsal.doubts.is_empty() && rehearsal.seed.is_none(), "{rehearsal}");
    }
}

/// A server whose start comes to its end when it is healthy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Gated(Server);

#[async_trait]
impl Resource for Gated {
    const KIND: &'static str = "gated";
    type Output = Port;

    fn traits() -> KindTraits {
        KindTraits { unhealthy: Unhealthy::Restarted, ..Server::traits() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        self.0.inspect()
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        // One of them has no check.
        let health = if cx.identity().name() == "c" { Health::None } else { Health::Healthy };
        Ok(match self.0.observe(cx).await? {
            Observation::Present(present) => Observation::Present(present.with_health(health)),
            other => other,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Port, ActionError> {
        self.0.create(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Port, ActionError> {
        self.0.update(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        self.0.delete(cx).await
    }
}

/// Three of which one comes after another, of this version, and of the second one there is one more.
fn gated(version: u32) -> Desired {
    let fields = serde_json::json!({ "version": version, "class": "findable_by_tag" });
    let gated = |name: &str| DesiredResource::from_value("gated", name, &fields).unwrap().label("app", "web");
    let mut desired = Desired::new().with(gated("a"));
    for name in ["b", "c", "new"].iter().take(1 + version as usize) {
        desired = desired.with(gated(name).after(&"gated/a".parse().unwrap()));
    }
    desired
}

#[tokio::test]
async fn what_is_started_is_waited_for_by_who_goes_on() {
    for invariants in [vec![], vec![available(InvariantBound::AtLeast(2))]] {
        let [mut from, mut to] = [gated(1), gated(2)];
        (from.invariants, to.invariants) = (vec![], invariants);
        let options = RehearsalOptions::default();
        for from in [from, Desired::new()] {
            let rehearsal = rehearsed(&from, &to, options).await;
            assert_eq!(rehearsal.violations, []);
            assert_eq!(rehearsal.covered, rehearsal.points);
            // Before it, in its midst, before it is healthy, and after it: of four.
            assert!(rehearsal.points >= 16, "{rehearsal}");
        }
    }
}

#[tokio::test]
async fn who_would_be_asked_is_told_and_who_remembers_a_key_is_not() {
    let to = Desired::new()
        .with(of_class("once", 1, CrashClass::AtMostOnce))
        .with(of_class("keyed", 1, CrashClass::IdempotencyKey))
        .with(server("named", 1));
    let rehearsal = rehearsed(&Desired::new(), &to, RehearsalOptions::default()).await;
    assert_eq!(rehearsal.violations, []);
    let doubts: Vec<&str> = rehearsal.doubts.iter().map(ResourceId::as_str).collect();
    assert_eq!(doubts, ["server/once"]);
    assert!(rehearsal.to_string().contains("whether it was done: server/once."), "{rehearsal}");
}

#[tokio::test]
async fn what_is_called_findable_and_can_not_be_seen_is_found_to_be_made_twice() {
    let liar = Server {
        version: 1,
        class: CrashClass::DeterministicName,
        is_blind: true,
        uses: serde_json::Value::Null,
        takes: serde_json::Value::Null,
    };
    let to = Desired::new().with(DesiredResource::new("liar", &liar));
    let rehearsal = rehearsed(&Desired::new(), &to, RehearsalOptions::default()).await;
    let found: Vec<String> = rehearsal.violations.iter().map(|(_, what)| what.clone()).collect();
    assert!(
        found
            .iter()
            .any(|what| what.contains("server/liar is made or changed 2 times, and 1 without the death")),
        "{rehearsal}"
    );
}

#[tokio::test]
async fn what_is_worse_than_the_proof_says_is_found() {
    let [from, mut to] = [release(1), release(2)];
    to.invariants = vec![available(InvariantBound::AtLeast(2))];
    let (manager, _) = after(&from).await;
    let mut planned = manager.plan(&to).await.unwrap();
    let base = planned.plan.proofs[0].base;
    Arc::make_mut(&mut planned.plan).proofs[0].worst = base;
    let options = RehearsalOptions::default();
    let rehearsal = manager.rehearse(&planned, &to, &Selection::all(), options).await.unwrap();
    let told = format!("`web is up` is {}, and {base} is the worst that the proof says", base - 1);
    assert!(rehearsal.violations.iter().any(|(_, what)| *what == told), "{told}: {rehearsal}");
}

#[tokio::test]
async fn above_the_budget_points_are_drawn_the_same_ones_for_a_seed_and_that_is_said() {
    let [from, to] = [release(1), release(2)];
    let options = RehearsalOptions::default().with_deaths_max(5).with_seed(9);
    let rehearsal = rehearsed(&from, &to, options).await;
    assert_eq!((rehearsal.deaths, rehearsal.seed), (5, Some(9)));
    assert!(
        rehearsal.to_string().contains(" points to die at, in 5 deaths drawn from seed 9; "),
        "{rehearsal}"
    );
    assert_eq!(evenly(100, 5, 9), evenly(100, 5, 9));
    assert_ne!(evenly(100, 5, 9), evenly(100, 5, 8));
    assert_eq!(evenly(7, 7, 1), (0..7).collect());
}

#[tokio::test]
async fn what_is_only_forgotten_counts_no_more_and_what_was_in_doubt_before_is_not_the_plans() {
    let few = || vec![available(InvariantBound::AtMost(2))];
    let mut from = Desired::new().with(server("found", 9));
    from.invariants = few();
    let (manager, _) = after_finding(&from, &["server/found"]).await;
    let mut to = Desired::new().with(server("new", 1)).with(of_class("once", 1, CrashClass::AtMostOnce));
    to.invariants = few();
    let doubt = Write::Put { key: b"doubt/server/other"[..].into(), value: record_of_other(), lease: None };
    manager.commit(vec![doubt]).await.unwrap();
    manager.refresh(usize::MAX, BTreeSet::new).await.unwrap();
    let planned = manager.plan(&to).await.unwrap();
    assert!(planned.refusal().is_none(), "{}", planned.plan);
    let options = RehearsalOptions::default();
    let rehearsal = manager.rehearse(&planned, &to, &Selection::all(), options).await.unwrap();
    assert_eq!(rehearsal.violations, []);
    let doubts: Vec<&str> = rehearsal.doubts.iter().map(ResourceId::as_str).collect();
    assert_eq!(doubts, ["server/once"]);
}

#[tokio::test]
async fn what_failed_where_nobody_can_look_is_half_done_until_it_is_done_or_settled_also_for_a_rehearsal() {
    let all = |of_keyed, version| {
        let keyed = of_class("keyed", of_keyed, CrashClass::IdempotencyKey);
        let mut all = Desired::new().with(keyed).with(server("a", version)).with(server("b", version));
        all.invariants = [InvariantBound::AtLeast(2), InvariantBound::AtMost(3)].map(available).to_vec();
        all
    };
    let (manager, _) = after(&all(1, 1)).await;
    let failed = manager.apply(manager.plan(&all(FAILS, 1)).await.unwrap()).await.unwrap();
    assert!(failed.into_result().is_err());
    let to = all(2, 2);
    let planned = manager.plan(&to).await.unwrap();
    let (proved, ordered) = (&planned.plan.proofs[0], planned.plan.ordered.len());
    assert_eq!((proved.base, proved.base_if_at_work(), proved.holds, ordered), (2, 3, true, 2));
    let mut live = manager.live(to.clone()).await.unwrap();
    assert_eq!(live.plan(&manager).await.unwrap().plan.proofs, planned.plan.proofs);
    let options = RehearsalOptions::default();
    let rehearsal = manager.rehearse(&planned, &to, &Selection::all(), options).await.unwrap();
    assert_eq!(rehearsal.violations, []);
    let keyed = "server/keyed".parse().unwrap();
    manager.settle(&Settlement::NotDone(keyed)).await.unwrap();
    let proved = &manager.plan(&to).await.unwrap().plan.proofs[0];
    assert_eq!((proved.base, &proved.if_at_work), (3, &None));
}

/// The record that an action would have left which is in doubt.
fn record_of_other() -> bytes::Bytes {
    let spec = serde_json::json!({ "version": 1, "class": "at_most_once", "is_blind": true, "uses": null, "takes": null });
    let body = RecordBody {
        made_as: None,
        adopted: false,
        cut_off: false,
        spec: crate::model::Doc::new(&spec),
        output: serde_json::Value::Null,
        host: None,
        after: Arc::from([]),
        extra: None,
        triggers: None,
        traces: Default::default(),
        changed: "run-1/create".to_owned(),
        schema: String::new(),
    };
    Record::new(Digest::NONE, Digest::NONE, Digest::NONE, &body).as_bytes().clone()
}

#[tokio::test]
async fn a_plan_that_is_not_of_a_whole_look_is_not_rehearsed() {
    let desired = release(1);
    let (manager, _) = after(&desired).await;
    let planned = manager.live(release(2)).await.unwrap().plan(&manager).await.unwrap();
    let error = manager.rehearse(&planned, &desired, &Selection::all(), RehearsalOptions::default()).await;
    assert!(matches!(error, Err(ManageError::NotSeen)));
}

#[tokio::test]
async fn independent_ones_die_at_once_so_that_more_of_them_have_no_more_deaths() {
    let many = |count: u32| {
        (0..count).fold(Desired::new(), |desired, at| desired.with(server(&format!("s{at}"), 1)))
    };
    let options = RehearsalOptions::default().with_work_max(usize::MAX);
    let mut deaths = Vec::new();
    for count in [10, 60] {
        let rehearsal = rehearsed(&Desired::new(), &many(count), options).await;
        assert_eq!(rehearsal.violations, []);
        assert_eq!((rehearsal.covered, rehearsal.seed), (rehearsal.points, None));
        assert!(rehearsal.points > 3 * count as usize, "{rehearsal}");
        deaths.push(rehearsal.deaths - rehearsal.one_by_one);
    }
    assert_eq!(deaths[0], deaths[1]);
    assert!(deaths[0] < 20, "{deaths:?}");
}

#[test]
fn of_too_many_steps_one_of_each_class_is_among_those_that_are_tried() {
    let point =
        |moment, name: &str| Point::Effect(moment, "create", format!("server/{name}").parse().unwrap());
    let mut steps: Vec<Vec<Point>> = (0..50).map(|at| vec![point(Moment::Before, &at.to_string())]).collect();
    steps[37] = vec![point(Moment::Before, "a"), point(Moment::Midst, "b")];
    let few = chosen(&steps, 3, 1);
    assert_eq!((few.len(), few.contains(&0), few.contains(&37)), (3, true, true), "{few:?}");
    assert_eq!(chosen(&steps, 50, 1).len(), 50);
    assert_eq!(chosen(&steps, 1, 1), [0].into());
}

#[tokio::test]
async fn what_two_write_at_a_place_that_is_known_only_later_is_found_unless_it_is_only_made_up() {
    let taking = |name: &str, from: &str| {
        let takes = serde_json::json!({ "from": format!("server/{from}"), "output": "port" });
        let fields = serde_json::json!({ "version": 1, "class": "deterministic_name", "takes": takes });
        DesiredResource::from_value("server", name, &fields).unwrap()
    };
    let both = |of_b: &str| {
        let makers = Desired::new().with(server("x", 1)).with(server("y", 1));
        makers.with(taking("a", "x")).with(taking("b", of_b))
    };
    let options = RehearsalOptions::default();
    let rehearsal = rehearsed(&Desired::new(), &both("x"), options).await;
    let told = |what: &str| rehearsal.violations.iter().any(|(_, told)| told.contains(what));
    assert!(told("the plan has neither come after the other"), "{rehearsal}");
    assert_eq!(rehearsed(&Desired::new(), &both("y"), options).await.violations, []);
    let ordered = both("x").resources.into_values().fold(Desired::new(), |desired, one| {
        let is_second = one.id.name() == "b";
        desired.with(if is_second { one.after(&"server/a".parse().unwrap()) } else { one })
    });
    assert_eq!(rehearsed(&Desired::new(), &ordered, options).await.violations, []);
}

#[tokio::test]
async fn there_is_no_way_back_from_what_takes_away_overwrites_or_happens_once() {
    let from = Desired::new().with(server("gone", 1)).with(server("changed", 1)).with(server("drifted", 1));
    let (manager, servers) = after(&from).await;
    let drifted = "server/drifted".parse::<ResourceId>().unwrap();
    servers.0.lock().unwrap().get_mut(&drifted).unwrap().0.version = 7;
    let found =
        servers.0.lock().unwrap().get(&"server/gone".parse::<ResourceId>().unwrap()).cloned().unwrap();
    servers.0.lock().unwrap().insert("server/found".parse().unwrap(), found);
    let to = Desired::new()
        .with(server("changed", 2))
        .with(server("drifted", 1))
        .with(server("found", 2))
        .with(server("new", 1))
        .with(of_class("once", 1, CrashClass::AtMostOnce));
    let planned = manager.plan(&to).await.unwrap();
    let rehearsal =
        manager.rehearse(&planned, &to, &Selection::all(), RehearsalOptions::default()).await.unwrap();
    assert_eq!(rehearsal.violations, []);
    assert_eq!(
        rehearsal.no_return,
        ["restart:server/drifted", "adopt:server/found", "delete:server/gone", "create:server/once"]
    );
    assert!(
        rehearsal.to_string().contains("No way back from here on, in this order: restart:"),
        "{rehearsal}"
    );
}
