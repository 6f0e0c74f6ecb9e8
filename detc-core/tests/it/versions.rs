//! A newer version of a program, one kind of which has a field of another type, on the store of the older one. What it can
//! not read is looked at by what is desired and planned anew, and it says so; nothing is lost, and nothing done twice.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::execute::Outcome;
use detc_core::manage::{ManageError, Manager};
use detc_core::model::{Desired, DesiredResource, Observation, ResourceId};
use detc_core::resource::{InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::crash::die_at_commit;
use super::world::{Line, World, converge, lines};

/// A line of the ledger with a weight, whose type is not the same in all versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighed<W> {
    text: String,
    weight: W,
}

impl<W> Weighed<W> {
    fn line(&self) -> Line {
        Line::new(&self.text)
    }
}

#[async_trait]
impl<W: Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Resource for Weighed<W> {
    const KIND: &'static str = "weighed";
    type Output = ();

    fn traits() -> KindTraits {
        Line::traits()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        self.line().observe(cx).await
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.line().create(cx).await
    }

    /// The weight is only on paper: the line is there already.
    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        self.line().delete(cx).await
    }
}

fn first(registry: Registry) -> Registry {
    registry.with_resource::<Weighed<String>>()
}

fn second(registry: Registry) -> Registry {
    registry.with_resource::<Weighed<u32>>()
}

/// Lines `w0`, `w1`, …, each after the one before.
fn weighed(count: usize, weight: &Value) -> Desired {
    let mut desired = lines(0);
    for index in 0..count {
        desired = desired.with(weighed_line(index, &format!("w{index}"), weight));
    }
    desired
}

fn weighed_line(index: usize, text: &str, weight: &Value) -> DesiredResource {
    let fields = json!({ "text": text, "weight": weight });
    let line = DesiredResource::from_value("weighed", &format!("w{index}"), &fields).unwrap().on("m");
    match index.checked_sub(1) {
        Some(before) => line.after(&id(&format!("weighed/w{before}"))),
        None => line,
    }
}

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// Lines that the first version has made, and the second version's manager.
async fn made_by_the_first(count: usize) -> (World, Manager) {
    let (world, store) = (World::new().knowing(first), memory());
    let manager = world.manager(&store).await;
    assert_eq!(converge(&manager, &weighed(count, &json!("5"))).await, Outcome::Done);
    manager.close().await.unwrap();
    let world = world.knowing(second);
    let manager = world.manager(&store).await;
    (world, manager)
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_specs_the_newer_version_can_not_read_is_given_up_and_each_line_is_there_once() {
    let (mut given_up, mut new) = (0, 0);
    for commit in 1.. {
        let (world, store) = (World::new().knowing(first), memory());
        if !die_at_commit(&world, &store, &weighed(5, &json!("5")), commit).await {
            break;
        }
        let desired = weighed(5, &json!(5));
        let manager = world.knowing(second).successor(&store).await;
        let is_interrupted = manager.interrupted().await.unwrap().is_some();
        assert_eq!(converge(&manager, &desired).await, Outcome::Done, "commit {commit}");
        assert_eq!(world.lines().await, ["w0", "w1", "w2", "w3", "w4"], "commit {commit}");
        assert!(manager.plan(&desired).await.unwrap().plan.is_settled(), "commit {commit}");
        let history = manager.history().await.unwrap();
        let run = history.last().unwrap();
        if is_interrupted {
            given_up += 1;
            assert_eq!(run.outcome, Some(Outcome::Superseded), "commit {commit}");
            let why = run.note.as_deref().unwrap_or_default();
            let expected = "was planned by another version of the kind `weighed`, and this one can not read it: `weight` ";
            assert!(why.contains(expected), "{why}");
            assert_eq!(history.len(), 2, "it was planned anew");
        } else {
            new += 1;
        }
    }
    assert!(given_up > 6 && new > 0, "died {given_up} times within the run, {new} times outside of it");
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_spec_the_newer_version_can_not_read_is_given_up_and_does_not_fail() {
    let mut given_up = 0;
    for commit in 1.. {
        let (world, store) = (World::new().knowing(first), memory());
        let manager = world.manager(&store).await;
        assert_eq!(converge(&manager, &weighed(3, &json!("5"))).await, Outcome::Done);
        manager.close().await.unwrap();
        if !die_at_commit(&world, &store, &lines(0), commit).await {
            break;
        }
        let manager = world.knowing(second).successor(&store).await;
        let is_left = world.lines().await.len();
        if manager.interrupted().await.unwrap().is_none() || is_left == 0 {
            continue;
        }
        given_up += 1;
        let outcome = converge(&manager, &lines(0)).await;
        assert_eq!(outcome, Outcome::Failed, "what can not be read is not removed: commit {commit}");
        assert_eq!(world.lines().await.len(), is_left, "commit {commit}");
        let history = manager.history().await.unwrap();
        assert_eq!(history[0].outcome, Some(Outcome::Superseded), "commit {commit}: {history:?}");
        // As the newer version has it, it is taken over, and then removed.
        let left = Desired { resources: weighed(is_left, &json!(5)).resources, ..lines(0) };
        assert_eq!(converge(&manager, &left).await, Outcome::Done, "commit {commit}");
        assert_eq!(world.lines().await.len(), is_left, "commit {commit}");
        assert_eq!(converge(&manager, &lines(0)).await, Outcome::Done, "commit {commit}");
        assert_eq!(world.lines().await, Vec::<String>::new(), "commit {commit}");
        assert!(manager.recorded().is_empty());
    }
    assert!(given_up > 3, "died {given_up} times within the run");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_can_not_be_read_says_so_with_a_way_out_and_what_is_desired_beside_it_is_changed() {
    let (world, manager) = made_by_the_first(2).await;
    let desired = weighed(1, &json!(7));
    let planned = manager.plan(&desired).await.unwrap();
    let text = planned.plan.to_string();
    assert!(text.contains("weight: \"5\" → 7"), "{text}");
    let expected = "its record was written by another version of the kind `weighed`, and this one can not read it: `weight`";
    assert!(text.contains(expected) && text.contains("apply --forget weighed/w1"), "{text}");
    let report = manager.apply(planned).await.unwrap();
    assert_eq!(report.report.outcome, Outcome::Failed, "weighed/w1 is still there, and recorded");
    assert_eq!(world.lines().await, ["w0", "w1"]);
    let error = manager.forget(&id("weighed/w0")).await.unwrap_err();
    assert!(matches!(error, ManageError::Managed(_)), "{error}");
    manager.forget(&id("weighed/w1")).await.unwrap();
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert!(manager.plan(&desired).await.unwrap().plan.is_settled());
    assert_eq!(world.lines().await, ["w0", "w1"], "what is forgotten is left as it is");
    let error = manager.forget(&id("weighed/w1")).await.unwrap_err();
    assert!(matches!(error, ManageError::NoRecord(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_desired_at_another_place_than_a_record_that_can_not_be_read_is_not_made_there() {
    let (world, manager) = made_by_the_first(1).await;
    let moved = lines(0).with(weighed_line(0, "elsewhere", &json!(5)));
    let planned = manager.plan(&moved).await.unwrap();
    assert!(planned.plan.to_string().contains("apply --forget weighed/w0"), "{}", planned.plan);
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Failed);
    assert_eq!(world.lines().await, ["w0"], "nothing is left behind that nobody knows of");
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_that_takes_over_what_another_version_recorded_is_applied() {
    let (world, manager) = made_by_the_first(2).await;
    let desired = weighed(2, &json!(5));
    let plan = (*manager.plan(&desired).await.unwrap().plan).clone();
    let prepared = manager.prepare(plan, Some(&desired), &mut detc_core::execute::unseen()).await.unwrap();
    assert_eq!(manager.apply(prepared).await.unwrap().report.outcome, Outcome::Done);
    assert!(manager.plan(&desired).await.unwrap().plan.is_settled());
    assert_eq!(world.lines().await, ["w0", "w1"]);
}
