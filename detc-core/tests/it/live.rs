//! A desired state kept beside a running manager: it plans what the manager would plan that looks at everything.

use std::sync::Arc;

use detc_core::backend::memory::HostFault;
use detc_core::diff::ChangeKind;
use detc_core::execute::Outcome;
use detc_core::manage::{Live, Manager};
use detc_core::model::{DesiredResource, HostSpec, ResourceId};
use detc_core::resource::value::ValueSpec;
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use proptest::prelude::*;
use serde_json::json;

use super::counting::Counting;
use super::crash::{Cut, Dying};
use super::world::{Line, World, lines, lines_stay};

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

const RESOURCES: u8 = 8;

fn kind(who: u8) -> &'static str {
    match who % 4 {
        0 => "value",
        1 => "signed",
        _ => "line",
    }
}

/// One of the shapes of the resource number `who`; it names only those before it.
fn resource(who: u8, shape: u8) -> DesiredResource {
    let name = format!("r{who}");
    if who.is_multiple_of(4) {
        return ValueSpec::resource(&name, &json!(format!("text-{who}-{}", shape % 3))).unwrap();
    }
    let text = match shape % 4 {
        // A line whose text another resource has; no two lines have the same.
        0 if who % 4 == 1 => json!({ "from": format!("value/r{}", who / 4 * 4), "output": "input" }),
        shape => json!(format!("l{who}-{shape}")),
    };
    let secret = match shape % 5 {
        0 => json!(format!("secret-{shape}")),
        // A secret that another resource has, once it is there.
        1 if who % 4 > 1 => json!({ "from": format!("signed/r{}", who / 4 * 4 + 1), "output": "letters" }),
        _ => json!(null),
    };
    let mut fields = json!({ "text": text, "secret": secret });
    if kind(who) == "line" {
        fields["once"] = json!(shape % 7 == 6);
    }
    let mut line = DesiredResource::from_value(kind(who), &name, &fields).unwrap().on("m");
    if shape & 32 != 0 && who > 2 {
        line = line.after(&id("signed/r1")).after(&id("value/r0"));
    }
    line
}

async fn agrees(live: &mut Live, manager: &Manager) -> Result<(), TestCaseError> {
    let all = manager.plan(live.desired()).await.map_err(|error| error.to_string());
    let kept = live.plan(manager).await.map_err(|error| error.to_string());
    prop_assert_eq!(kept.map(|planned| planned.plan), all.map(|planned| planned.plan));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is set, removed, applied, in part too, cut off in the midst of it, or done behind its back and looked at
    /// again.
    #[test]
    fn it_plans_what_a_manager_plans_that_looks_at_everything(
        steps in prop::collection::vec((0_u8..8, 0_u8..RESOURCES, any::<u8>()), 1..16),
        kept in prop::option::of(1_i64..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (world, dying) = (World::new(), Dying::new(&memory()));
            let manager = world.manager(&(dying.clone() as Arc<dyn Store>)).await;
            let mut desired = lines(0);
            for who in 0..RESOURCES {
                desired = desired.with(resource(who, 1));
            }
            if let Some(bound) = kept {
                desired = desired.invariant(lines_stay(bound));
            }
            let mut live = manager.live(desired).await.unwrap();
            agrees(&mut live, &manager).await?;
            for (what, who, shape) in steps {
                match what {
                    0..3 => live.set(resource(who, shape)),
                    3 => _ = live.remove(&resource(who, 0).id),
                    4 => {
                        let line = match who {
                            0 | 4 => format!("text-{who}-{}", shape % 3),
                            who => format!("l{who}-{}", shape % 3 + 1),
                        };
                        world.append(&line).await;
                        live.look_at_all();
                    }
                    5 => {
                        let Ok(planned) = live.plan(&manager).await else { continue };
                        let (commit, cut) = (u64::from(shape % 8) + 1, if shape < 128 { Cut::Before } else { Cut::After });
                        let _whatever_comes_of_it = dying.until(commit, cut, live.apply(&manager, planned)).await;
                        agrees(&mut live, &manager).await?;
                        manager.finish_interrupted(Some(live.desired())).await.unwrap();
                        live.look_at_all();
                    }
                    _ => {
                        let Ok(planned) = live.plan(&manager).await else { continue };
                        // Now and then a call fails in the middle.
                        if shape.is_multiple_of(3) {
                            world.host.fail_call(u64::from(shape % 16), detc_core::backend::memory::HostFault::AnswerLost);
                        }
                        let _whatever_comes_of_it = live.apply(&manager, planned).await;
                        // A failure that the apply did not come to must not hit one of the two looks.
                        for _ in 0..16 {
                            let _lost = world.machine().read("/nothing", 1).await;
                        }
                    }
                }
                agrees(&mut live, &manager).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_after_one_change_looks_at_one_resource_and_an_apply_too() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let mut live = manager.live(lines(300)).await.unwrap();
    let planned = live.plan(&manager).await.unwrap();
    assert_eq!(live.apply(&manager, planned).await.unwrap().report.outcome, Outcome::Done);
    assert!(live.plan(&manager).await.unwrap().plan.is_empty());
    let before = world.host.calls();
    assert!(live.plan(&manager).await.unwrap().plan.is_empty());
    assert_eq!(world.host.calls(), before, "nothing was touched, and nothing is looked at");
    live.set(DesiredResource::new("one", &Line::new("one")).on("m"));
    let planned = live.plan(&manager).await.unwrap();
    assert_eq!((planned.plan.actions.len(), world.host.calls() - before), (1, 1));
    assert_eq!(live.apply(&manager, planned).await.unwrap().report.outcome, Outcome::Done);
    assert!(live.plan(&manager).await.unwrap().plan.is_empty());
    let calls = world.host.calls() - before;
    assert!(calls < 10, "{calls} calls for one of 301 resources");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_declared_later_is_connected_and_one_that_moved_is_looked_at_again() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let mut live = manager.live(detc_core::model::Desired::new()).await.unwrap();
    live.set(DesiredResource::new("x", &Line::new("x")).on("m"));
    let error = live.plan(&manager).await.expect_err("the host is not declared");
    assert!(error.to_string().contains('m'), "{error}");
    let memory = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    live.host("m", memory.clone());
    let planned = live.plan(&manager).await.unwrap();
    assert_eq!(live.apply(&manager, planned).await.unwrap().report.outcome, Outcome::Done);
    assert_eq!(world.lines().await, ["x"]);
    assert!(live.plan(&manager).await.unwrap().plan.is_empty());
    let before = world.host.calls();
    live.host("m", memory);
    assert!(live.plan(&manager).await.unwrap().plan.is_empty());
    assert_eq!(world.host.calls() - before, 1, "it may be another machine by now");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_change_is_refused_and_the_next_one_corrects_it() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    let mut live = manager.live(lines(3)).await.unwrap();
    live.set(DesiredResource::new("l1", &Line::new("l1")).on("m").after(&id("line/nobody")));
    assert!(
        live.plan(&manager).await.expect_err("it comes after nobody").to_string().contains("line/nobody")
    );
    live.set(DesiredResource::new("l1", &Line::new("l1")).on("m"));
    let planned = live.plan(&manager).await.unwrap();
    assert_eq!(live.apply(&manager, planned).await.unwrap().report.outcome, Outcome::Done);
    assert_eq!(world.lines().await, ["l0", "l1", "l2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_yet_is_looked_for_where_its_references_lead_now() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    world.append("b").await;
    let value = |text: &str| ValueSpec::resource("v", &json!(text)).unwrap();
    let text = json!({ "text": { "from": "value/v", "output": "input" } });
    let line = DesiredResource::from_value("line", "x", &text).unwrap().on("m");
    let mut live = manager.live(lines(0).with(value("a")).with(line)).await.unwrap();
    assert_eq!(live.plan(&manager).await.unwrap().plan.counts()[&ChangeKind::Create], 2);
    live.set(value("b"));
    assert_eq!(live.plan(&manager).await.unwrap().plan.counts()[&ChangeKind::Adopt], 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_did_not_end_well_is_read_once_and_not_at_each_plan() {
    let (world, store) = (World::new(), Counting::new());
    let manager = world.manager(&(store.clone() as Arc<dyn Store>)).await;
    assert_eq!(super::world::converge(&manager, &lines(3)).await, Outcome::Done);
    let secret = Line { secret: Some("correct-horse".to_owned()), ..Line::new("l0") };
    let changed = lines(3).with(DesiredResource::new("l0", &secret).on("m")).invariant(lines_stay(1));
    let planned = manager.plan(&changed).await.unwrap();
    world.host.fail_all(Some(HostFault::Refused(std::io::ErrorKind::PermissionDenied)));
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Failed);
    world.host.fail_all(None);
    let mut live = manager.live(changed).await.unwrap();
    let reads = store.reads_of("run-plan/");
    assert!(reads > 0, "what it did not end well has to be known");
    for index in 0..3 {
        live.look(&id("line/l1"));
        let planned = live.plan(&manager).await.unwrap();
        assert_eq!(planned.plan.proofs[0].base, 2, "look {index}: whether l0 works is in doubt");
    }
    assert_eq!(store.reads_of("run-plan/"), reads);
}
