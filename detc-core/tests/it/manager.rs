//! The manager on a world in memory: unreachable hosts, lost answers, doubts, leadership, other versions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
use detc_core::backend::memory::HostFault;
use detc_core::diff::ChangeKind;
use detc_core::execute::journal::{Entry, What};
use detc_core::execute::{Outcome, Progress, StopHandle, unseen};
use detc_core::manage::{ManageError, Manager, ManagerOptions, Resumed, Settlement};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation};
use detc_core::resource::value::ValueSpec;
use detc_core::resource::{InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{KeyRange, Store, StoreError, Transaction, read_all};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::{Line, World, converge, lines};

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn on_m() -> Desired {
    Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() })
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_host_never_makes_a_creating_plan() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let desired = lines(3).with(ValueSpec::resource("v", &json!(1)).unwrap());
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    world.host.fail_all(Some(HostFault::Unreachable));
    let planned = manager.plan(&desired).await.unwrap();
    assert_eq!(planned.plan.counts()[&ChangeKind::Unknown], 3);
    assert!(planned.plan.is_empty(), "nothing is to be done about what is unknown");
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Failed);
    world.host.fail_all(None);
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert_eq!(world.lines().await, ["l0", "l1", "l2"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_a_look_at_every_call() {
    for call in 0..12 {
        let (world, store) = (World::new(), memory());
        let manager = world.manager(&store).await;
        world.host.fail_call(call, HostFault::AnswerLost);
        let desired = lines(3);
        converge(&manager, &desired).await;
        assert_eq!(converge(&manager, &desired).await, Outcome::Done, "answer {call} lost");
        assert_eq!(world.lines().await, ["l0", "l1", "l2"], "answer {call} lost");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_holds_the_store_once_its_manager_is_closed() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    assert_eq!(converge(&manager, &lines(3)).await, Outcome::Done);
    manager.close().await.unwrap();
    assert_eq!(Arc::strong_count(&store), 1, "it closes in good order, here and now");
}

#[tokio::test(start_paused = true)]
async fn a_second_manager_is_refused_while_the_first_lives_and_takes_over_when_it_died() {
    let (world, store) = (World::new(), memory());
    let first = world.manager(&store).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let refused = Manager::open(store.clone(), world.registry(), ManagerOptions::default()).await;
    let error = refused.expect_err("the first one keeps its lease alive");
    assert!(
        matches!(&error, ManageError::Store(StoreError::Held { holder, .. }) if holder.starts_with("process "))
    );
    drop(first);
    world.successor(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_lost_the_lead_writes_nothing_more() {
    let (world, store) = (World::new(), memory());
    let first = world.manager(&store).await;
    let planned = first.plan(&lines(3)).await.unwrap();
    store.transact(Transaction::new().delete("meta/leader")).await.unwrap();
    let second = world.manager(&store).await;
    let error = first.apply(planned).await.expect_err("its epoch is over");
    assert!(matches!(error, ManageError::Store(StoreError::Held { .. })), "{error}");
    let error = first.plan(&lines(3)).await.expect_err("what it has read is another's by now");
    assert!(matches!(error, ManageError::Store(StoreError::Held { .. })), "{error}");
    assert!(world.lines().await.is_empty(), "nothing was done by the one who does not lead");
    assert_eq!(converge(&second, &lines(3)).await, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_manager_whose_lease_ran_out_leads_again_unless_somebody_else_did() {
    let (world, store) = (World::new(), memory());
    let first = world.manager(&store).await;
    let planned = first.plan(&lines(3)).await.unwrap();
    store.transact(Transaction::new().delete("meta/leader")).await.unwrap();
    assert_eq!(first.apply(planned).await.unwrap().report.outcome, Outcome::Done);
    let refused = Manager::open(store.clone(), world.registry(), ManagerOptions::default()).await;
    assert!(refused.is_err(), "it leads");
    // What another one has brought about meanwhile, which has gone by now, is not to be undone by one that was away.
    store.transact(Transaction::new().delete("meta/leader")).await.unwrap();
    let second = world.manager(&store).await;
    assert_eq!(converge(&second, &lines(2)).await, Outcome::Done);
    second.close().await.unwrap();
    let error = first.plan(&lines(3)).await.expect_err("somebody else has led");
    assert!(matches!(error, ManageError::Store(StoreError::Held { .. })), "{error}");
    assert_eq!(world.lines().await, ["l0", "l1"]);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_happen_twice_waits_for_a_person() {
    for settlement in ["done=line/x", "not-done=line/x"] {
        let (world, store) = (World::new(), memory());
        let desired = on_m().with(DesiredResource::new("x", &Line { once: true, ..Line::new("x") }).on("m"));
        let manager = world.manager(&store).await;
        world.host.fail_call(0, HostFault::AnswerLost);
        assert_eq!(converge(&manager, &desired).await, Outcome::Failed);
        assert_eq!(world.lines().await, ["x"]);
        let planned = manager.plan(&desired).await.unwrap();
        let reason = planned.plan.unknown().next().unwrap().reason.to_string();
        assert!(reason.contains("--settle done=line/x"), "{reason}");
        assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Failed);
        assert_eq!(world.lines().await, ["x"], "it was not done again");
        let settlement: Settlement = settlement.parse().unwrap();
        manager.settle(&settlement).await.unwrap();
        assert_eq!(converge(&manager, &desired).await, Outcome::Done);
        let expected = if matches!(settlement, Settlement::Done(_)) { vec!["x"] } else { vec!["x", "x"] };
        assert_eq!(world.lines().await, expected);
        assert!(matches!(manager.settle(&settlement).await, Err(ManageError::NoDoubt(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_stays_so_under_another_name() {
    let (world, store) = (World::new(), memory());
    let named = |name: &str| DesiredResource::new(name, &Line { once: true, ..Line::new("x") }).on("m");
    let manager = world.manager(&store).await;
    world.host.fail_call(0, HostFault::AnswerLost);
    assert_eq!(converge(&manager, &on_m().with(named("x"))).await, Outcome::Failed);
    let mut renamed = named("y");
    renamed.extra_mut().renamed_from = Some("line/x".parse().unwrap());
    let desired = on_m().with(renamed);
    assert_eq!(converge(&manager, &desired).await, Outcome::Failed);
    let live = manager.live(desired.clone()).await.unwrap().plan(&manager).await.unwrap();
    assert_eq!(live.plan.unknown().count(), 1, "{}", live.plan);
    assert_eq!(world.lines().await, ["x"], "it was not done again");
    manager.settle(&"done=line/x".parse().unwrap()).await.unwrap();
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert_eq!(world.lines().await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn sensitive_values_are_nowhere_in_the_store() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let secret = Line { secret: Some("correct-horse".to_owned()), ..Line::new("x") };
    let value = ValueSpec::resource("copy", &json!({"from": "line/x", "output": "secret"})).unwrap();
    let desired = on_m().with(DesiredResource::new("x", &secret).on("m")).with(value);
    let planned = manager.plan(&desired).await.unwrap();
    assert!(!serde_json::to_string(&*planned.plan).unwrap().contains("correct-horse"));
    assert!(planned.plan.to_string().contains("(sensitive)"));
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Done);
    assert!(manager.plan(&desired).await.unwrap().plan.is_settled());
    let (all, _) = read_all(&*store, KeyRange::all()).await.unwrap();
    for entry in all {
        assert!(!String::from_utf8_lossy(&entry.value).contains("correct-horse"), "{:?}", entry.key);
    }
    let other = Line { secret: Some("battery-staple".to_owned()), ..Line::new("x") };
    let changed = on_m().with(DesiredResource::new("x", &other).on("m"));
    let plan = manager.plan(&changed).await.unwrap().plan;
    assert!(plan.to_string().contains("secret: (sensitive)"), "{plan}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_is_resumed_where_it_stopped() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let desired = lines(9);
    let stop = StopHandle::new();
    stop.stop();
    let planned = manager.plan(&desired).await.unwrap();
    let stopped = manager.apply_with(planned, unseen(), stop).await.unwrap();
    assert_eq!(stopped.report.outcome, Outcome::Interrupted);
    let planned = manager.plan(&desired).await.unwrap();
    assert!(matches!(manager.apply(planned).await, Err(ManageError::Unfinished(_))));
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert_eq!(world.lines().await.len(), 9);
}

/// What a newer version calls a line: it has a field that the older one did not have.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewerLine {
    text: String,
    #[serde(default)]
    colour: Option<String>,
}

#[async_trait]
impl Resource for NewerLine {
    const KIND: &'static str = "line";
    type Output = ();

    fn traits() -> KindTraits {
        Line::traits()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Line::new(&self.text).inspect()
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Line::new(&self.text).observe(cx).await
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        Line::new(&self.text).create(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Line::new(&self.text).delete(cx).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_with_other_kinds_gives_an_older_run_up_and_plans_anew() {
    for (registry, says) in [
        (Registry::new(), "this program has no kind `line`"),
        (
            Registry::new().with_resource::<NewerLine>(),
            "this program's `line` has other fields than the one it was planned with",
        ),
    ] {
        let (world, store) = (World::new(), memory());
        let manager = world.manager(&store).await;
        let stop = StopHandle::new();
        stop.stop();
        let planned = manager.plan(&lines(3)).await.unwrap();
        let stopped = manager.apply_with(planned, unseen(), stop).await.unwrap();
        assert!(stopped.into_result().is_err());
        manager.close().await.unwrap();
        let newer = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        let open = newer.interrupted().await.unwrap().unwrap();
        let resumed = newer.resume(open, None, unseen(), StopHandle::new()).await.unwrap();
        assert!(matches!(&resumed, Resumed::Superseded(_, why) if why == says), "{resumed:?}");
        assert_eq!(newer.history().await.unwrap()[0].note.as_deref(), Some(says));
        assert!(newer.interrupted().await.unwrap().is_none());
    }
}

/// A step that is no resource: it counts in the ledger how often it was done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrate {
    to: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Migrated {
    rows: u32,
}

#[async_trait]
impl Action for Migrate {
    const KIND: &'static str = "migrate";
    type Output = Migrated;

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::CompareAndSet)
    }

    async fn check(&self, cx: &ActionCx<'_>) -> Result<Check<Migrated>, ActionError> {
        Ok(match cx.recorded() {
            Some(body) if body.spec.text() == format!("{{\"to\":{}}}", self.to) => {
                Check::Satisfied(Migrated { rows: 7 })
            }
            _ if self.to == 0 => Check::Unknown("nobody knows".to_owned()),
            _ => Check::Satisfied(Migrated { rows: self.to * 7 }),
        })
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<Migrated, ActionError> {
        Ok(Migrated { rows: self.to * 7 })
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_stands_in_the_desired_state_and_its_output_is_used() {
    let registry = Registry::new().with_action::<Migrate>();
    let manager = Manager::open(memory(), registry, ManagerOptions::default()).await.unwrap();
    let step = DesiredResource::step("schema", &Migrate { to: 3 });
    let value = ValueSpec::resource("rows", &json!({"from": "migrate/schema", "output": "rows"})).unwrap();
    let desired = Desired::new().with(step).with(value);
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    let rows = manager.output(&"value/rows".parse().unwrap(), &"input".parse().unwrap());
    assert_eq!(rows, Some(json!(21)));
    // What its check finds done is not done once more, though other fields are recorded.
    let further = Desired::new().with(DesiredResource::step("schema", &Migrate { to: 4 }));
    let planned = manager.plan(&further).await.unwrap();
    let report = manager.apply(planned).await.unwrap().report;
    assert_eq!((report.tally.done, report.outcome), (0, Outcome::Done), "{report:?}");
    assert!(manager.plan(&further).await.unwrap().plan.is_settled());
    let wrong = Desired::new().with(DesiredResource::step("other", &Migrate { to: 0 }));
    assert_eq!(manager.plan(&wrong).await.unwrap().plan.counts()[&ChangeKind::Unknown], 1);
}

/// Journals as earlier versions wrote them are read for ever.
#[test]
fn a_golden_journal_line_of_every_kind_is_understood() {
    let golden = include_str!("../golden/journal-1.log");
    let read: Vec<Entry> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        What::Started,
        What::Done,
        What::Satisfied,
        What::Failed { error: "no space".to_owned() },
        What::InDoubt { error: "the answer was lost".to_owned() },
        What::NotReached { because: 3 },
        What::Held { how: "it has changed since".to_owned() },
    ];
    assert_eq!(read.iter().map(|entry| entry.what.clone()).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn both_halves_of_a_replacement_may_end_at_once() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let line = |text: &str| on_m().with(DesiredResource::new("x", &Line::new(text)).on("m"));
    assert_eq!(converge(&manager, &line("old")).await, Outcome::Done);
    // What is to be made is there already, so that its half ends at the look, before the other half is recorded.
    world.append("new").await;
    assert_eq!(converge(&manager, &line("new")).await, Outcome::Done);
    assert_eq!(world.lines().await, ["new"]);
    assert!(
        manager.plan(&line("new")).await.unwrap().plan.is_settled(),
        "its new record is the one that is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_applied_once_and_only_by_a_manager_of_its_store() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let once = |text: &str| {
        let line = Line { once: true, ..Line::new(text) };
        on_m()
            .with(DesiredResource::new("x", &line).on("m"))
            .with(ValueSpec::resource("v", &json!(text)).unwrap())
    };
    let (first, second) = (manager.plan(&once("a")).await.unwrap(), manager.plan(&once("a")).await.unwrap());
    assert_eq!(manager.apply(first).await.unwrap().report.outcome, Outcome::Done);
    let error = manager.apply(second).await.expect_err("it was made for what is no longer so");
    assert!(matches!(&error, ManageError::Stale(stale) if stale.len() == 2), "{error}");
    assert_eq!(world.lines().await, ["a"]);
    let elsewhere = world.manager(&memory()).await;
    let foreign = manager.plan(&once("b")).await.unwrap();
    assert!(matches!(elsewhere.apply(foreign).await, Err(ManageError::Foreign)));
    assert_eq!(world.lines().await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn one_run_goes_on_at_a_time() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let slow = |name: &str| on_m().with(DesiredResource::new(name, &Line::new(name)).on("m"));
    let (first, second) = (manager.plan(&slow("a")).await.unwrap(), manager.plan(&slow("b")).await.unwrap());
    world.host.fail_all(Some(HostFault::Unreachable));
    // It waits for its next try when the second one comes.
    let mut applying = Box::pin(manager.apply(first));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut applying).await.is_err());
    assert!(matches!(manager.apply(second).await, Err(ManageError::Busy)));
    world.host.fail_all(None);
    assert_eq!(applying.await.unwrap().report.outcome, Outcome::Done);
    let third = manager.plan(&slow("a")).await.unwrap();
    assert_eq!(manager.apply(third).await.unwrap().report.outcome, Outcome::Done);
}

/// A step with a fault, in its check or in its apply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faulty {
    in_check: bool,
}

#[async_trait]
impl Action for Faulty {
    const KIND: &'static str = "faulty";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::DeterministicName)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        assert!(!self.in_check, "the check is wrong");
        Ok(Check::Needed("always".to_owned()))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        panic!("the apply is wrong")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_kind_ends_its_own_action_and_nothing_else() {
    let registry = Registry::new().with_action::<Faulty>();
    let manager = Manager::open(memory(), registry, ManagerOptions::default()).await.unwrap();
    let desired = Desired::new()
        .with(DesiredResource::step("a", &Faulty { in_check: true }))
        .with(DesiredResource::step("b", &Faulty { in_check: false }))
        .with(ValueSpec::resource("v", &json!(1)).unwrap());
    let planned = manager.plan(&desired).await.unwrap();
    let unknown: Vec<String> = planned.plan.unknown().map(|change| change.reason.to_string()).collect();
    assert!(unknown.len() == 1 && unknown[0].contains("the check is wrong"), "{unknown:?}");
    let report = manager.apply(planned).await.unwrap().report;
    assert_eq!(
        (report.tally.done, report.tally.failed, report.outcome),
        (1, 1, Outcome::Failed),
        "{report:?}"
    );
    assert!(report.failures[0].error.contains("the apply is wrong"), "{report:?}");
}

/// A step that panics with all that it knows: when it is made, or when it is looked at a second time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loud {
    word: String,
    in_apply: bool,
}

/// How often a [`Loud`] was looked at that does not panic in its apply.
static LOOKS: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl Action for Loud {
    const KIND: &'static str = "loud";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::DeterministicName)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        let is_planned = self.in_apply || LOOKS.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(is_planned, "the check of {} is wrong", self.word);
        Ok(Check::Needed("always".to_owned()))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        panic!("the apply of {} is wrong", self.word)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_no_secret_away() {
    let (store, registry) = (memory(), Registry::new().with_action::<Loud>());
    let manager = Manager::open(store.clone(), registry, ManagerOptions::default()).await.unwrap();
    let loud = |name: &str, in_apply: bool| {
        let mut loud = DesiredResource::step(name, &Loud { word: "open sesame".to_owned(), in_apply });
        loud.extra_mut().sensitive.push("word".parse().unwrap());
        loud
    };
    let planned = manager.plan(&Desired::new().with(loud("a", true)).with(loud("b", false))).await.unwrap();
    let told = Arc::new(Mutex::new(String::new()));
    let telling = told.clone();
    let sink =
        Box::new(move |progress: &Progress<'_>| telling.lock().unwrap().push_str(&format!("{progress:?}")));
    let report = manager.apply_with(planned, sink, StopHandle::new()).await.unwrap();
    let mut errors: Vec<&str> = report.report.failures.iter().map(|failure| failure.error.as_str()).collect();
    errors.sort_unstable();
    let panicked =
        |what: &str| format!("a fault in this program: it panicked: the {what} of (sensitive) is wrong");
    let applied = format!("{}; after that, always", panicked("apply"));
    assert_eq!(errors, [applied, panicked("check")], "{report:?}");
    assert!(!told.lock().unwrap().contains("sesame"), "{told:?}");
    let (entries, _) = read_all(&*store, KeyRange::prefix("")).await.unwrap();
    for entry in entries {
        assert!(!String::from_utf8_lossy(&entry.value).contains("sesame"), "{entry:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_can_not_be_opened_leaves_the_lead_to_the_next_try() {
    let (world, store) = (World::new(), memory());
    world.manager(&store).await.close().await.unwrap();
    store.transact(Transaction::new().put("state/line/x", "no record")).await.unwrap();
    for _ in 0..2 {
        let refused = Manager::open(store.clone(), world.registry(), ManagerOptions::default()).await;
        assert!(matches!(refused, Err(ManageError::Record { .. })), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_renamed_and_in_doubt_is_one_thing_when_it_is_settled() {
    let (world, store) = (World::new(), memory());
    let named = |name: &str, secret: &str| {
        let line = Line { once: true, secret: Some(secret.to_owned()), ..Line::new("x") };
        DesiredResource::new(name, &line).on("m")
    };
    let manager = world.manager(&store).await;
    assert_eq!(converge(&manager, &on_m().with(named("x", "correct-horse"))).await, Outcome::Done);
    let mut renamed = named("y", "battery-staple");
    renamed.extra_mut().renamed_from = Some("line/x".parse().unwrap());
    let desired = on_m().with(renamed);
    world.host.fail_call(0, HostFault::AnswerLost);
    assert_eq!(converge(&manager, &desired).await, Outcome::Failed);
    manager.settle(&"done=line/y".parse().unwrap()).await.unwrap();
    assert_eq!(manager.recorded().keys().map(ToString::to_string).collect::<Vec<_>>(), ["line/y"]);
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert_eq!(world.lines().await, ["x", "x"], "it is not removed as what it was called before");
    assert_eq!(converge(&manager, &on_m()).await, Outcome::Done);
    assert_eq!(world.lines().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_interrupted_is_finished_in_one_call_and_nothing_otherwise() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    assert!(manager.finish_interrupted(None).await.unwrap().is_none());
    let stop = StopHandle::new();
    stop.stop();
    let planned = manager.plan(&lines(3)).await.unwrap();
    let stopped = manager.apply_with(planned, unseen(), stop).await.unwrap();
    assert!(stopped.into_result().unwrap_err().to_string().contains("interrupted"));
    let finished = manager.finish_interrupted(Some(&lines(3))).await.unwrap().unwrap();
    assert!(finished.to_string().starts_with("Done: 3 of 3 actions"), "{finished}");
    assert_eq!(world.lines().await.len(), 3);
    assert!(manager.finish_interrupted(None).await.unwrap().is_none());
}
