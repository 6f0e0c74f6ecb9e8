//! An action that ends when what it made works is done only then, whoever has begun it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::Host as _;
use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership, Remove};
use detc_core::backend::memory::Files;
use detc_core::execute::{Outcome, StopHandle};
use detc_core::manage::{Manager, Resumed};
use detc_core::model::{Desired, DesiredResource, Health, HostSpec, Observation, Present, ResourceId};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource, Unhealthy};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::crash::{Cut, Dying};
use super::world::{Line, World};

const SERVER: &str = "/server";
/// While this is there, it works.
const WORKS: &str = "/works";
/// The answer to who starts it is lost.
const LOSE: &str = "/lose";
/// While this is there, whoever writes a line has the server stop working.
const DISTURB: &str = "/disturb";

/// A server that is waited for, so long at most, until it works.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {}

const PATIENCE: Duration = Duration::from_secs(30);

#[async_trait]
impl Resource for Server {
    const KIND: &'static str = "server";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.unhealthy = Unhealthy::Restarted;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::FindableByTag))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if !is_set(cx, SERVER).await? {
            return Ok(Observation::Absent);
        }
        let health = if is_set(cx, WORKS).await? { Health::Healthy } else { Health::Unhealthy };
        Ok(Observation::Present(Present::new().with_health(health)))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let host = cx.host()?;
        host.write(SERVER, b"", &Ownership::default()).await?;
        if is_set(cx, LOSE).await? {
            host.remove(LOSE, Remove::File).await?;
            return Err(ActionError::outcome_unknown("no answer"));
        }
        let works = async {
            while !is_set(cx, WORKS).await? {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, works).await {
            Ok(works) => works,
            Err(_) => {
                host.remove(SERVER, Remove::File).await?;
                Err(ActionError::permanent("it does not work in time"))
            }
        }
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(SERVER, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

async fn is_set(cx: &ActionCx<'_>, path: &str) -> Result<bool, ActionError> {
    Ok(cx.host()?.stat(path).await?.is_some())
}

async fn set(world: &World, path: &str) {
    world.machine().write(path, b"", &Ownership::default()).await.unwrap();
}

fn world() -> World {
    let append = |command: &Command, files: &mut Files| {
        files.write("/ledger", command.argv[1].as_bytes(), &Ownership::default()).unwrap();
        if files.stat(DISTURB).is_ok() {
            files.remove(WORKS, Remove::File).unwrap();
        }
        Output { status: ExitStatus::Code(0), ..Output::default() }
    };
    let host = MemoryHost::new("m").with_program("append", append);
    World::on(host).knowing(|registry| registry.with_resource::<Server>())
}

fn desired() -> Desired {
    let host = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    Desired::new().host("m", host).with(DesiredResource::new("s", &Server {}).on("m"))
}

/// What comes of the run that died while it waited, with whoever goes on with it; and the errors.
async fn resumed(world: &World, store: &Arc<dyn Store>) -> (Outcome, Vec<String>) {
    let manager = world.manager(store).await;
    let planned = manager.plan(&desired()).await.unwrap();
    let applying = tokio::time::timeout(Duration::from_secs(5), manager.apply(planned)).await;
    assert!(applying.is_err(), "it waits");
    drop(manager);
    let manager = world.successor(store).await;
    let head = manager.interrupted().await.unwrap().unwrap();
    let sink = detc_core::execute::unseen();
    match manager.resume(head, Some(&desired()), sink, StopHandle::new()).await.unwrap() {
        Resumed::Finished(applied) => outcome(applied.report),
        Resumed::Superseded(_, why) => panic!("{why}"),
    }
}

fn outcome(report: detc_core::execute::RunReport) -> (Outcome, Vec<String>) {
    (report.outcome, report.failures.into_iter().map(|failure| failure.error).collect())
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// It works, after so long.
fn works_after(world: &World, time: Duration) -> JoinSet<()> {
    let (world, mut tasks) = (world.clone(), JoinSet::new());
    tasks.spawn(async move {
        tokio::time::sleep(time).await;
        set(&world, WORKS).await;
    });
    tasks
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_waits_until_what_was_begun_works() {
    let (world, store) = (world(), store());
    let mut works = works_after(&world, Duration::from_secs(40));
    assert_eq!(resumed(&world, &store).await, (Outcome::Done, vec![]));
    assert!(works.try_join_next().is_some(), "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_and_does_not_work_in_time_has_failed() {
    let (world, store) = (world(), store());
    let (outcome, errors) = resumed(&world, &store).await;
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(errors, ["it does not work in time"]);
    assert!(world.host.stat(SERVER).await.unwrap().is_none());
}

async fn applied(manager: &Manager) -> (Outcome, Vec<String>) {
    let planned = manager.plan(&desired()).await.unwrap();
    let applied = manager.apply(planned).await.unwrap();
    outcome(applied.report)
}

#[tokio::test(start_paused = true)]
async fn what_was_started_and_whose_answer_was_lost_is_waited_for() {
    let (world, store) = (world(), store());
    set(&world, LOSE).await;
    let mut works = works_after(&world, Duration::from_secs(10));
    assert_eq!(applied(&world.manager(&store).await).await, (Outcome::Done, vec![]));
    assert!(works.try_join_next().is_some(), "it was waited for");
}

/// The server, and after it a line.
fn with_line() -> Desired {
    let line = DesiredResource::new("l", &Line::new("l")).on("m").after(&"server/s".parse().unwrap());
    desired().with(line)
}

#[tokio::test(start_paused = true)]
async fn what_fails_after_an_earlier_process_has_ended_it_is_no_failure_of_who_goes_on() {
    let mut cuts = 0;
    for commit in 1.. {
        let (world, store) = (world(), store());
        set(&world, WORKS).await;
        let dying = Dying::new(&store);
        let manager = world.manager(&(dying.clone() as Arc<dyn Store>)).await;
        let planned = manager.plan(&with_line()).await.unwrap();
        if dying.until(commit, Cut::After, manager.apply(planned)).await.is_some() {
            break;
        }
        drop(manager);
        world.host.remove(WORKS, Remove::File).await.unwrap();
        let manager = world.successor(&store).await;
        let server = manager.recorded().get(&"server/s".parse::<ResourceId>().unwrap()).cloned();
        let (Some(head), false) =
            (manager.interrupted().await.unwrap(), server.is_none_or(|record| record.is_begun()))
        else {
            continue;
        };
        let sink = detc_core::execute::unseen();
        let resumed = manager.resume(head, Some(&with_line()), sink, StopHandle::new()).await.unwrap();
        let Resumed::Finished(applied) = resumed else { panic!("it is still desired") };
        assert_eq!(outcome(applied.report), (Outcome::Done, vec![]), "cut at commit {commit}");
        let plan = manager.plan(&with_line()).await.unwrap().plan;
        assert_eq!(plan.actions.len(), 1, "the next plan heals it: {plan}");
        cuts += 1;
    }
    assert!(cuts > 0);
}

#[tokio::test(start_paused = true)]
async fn what_something_else_disturbs_for_a_moment_has_lasted_and_for_longer_has_not() {
    for (pause, expected) in [(2, Outcome::Done), (60, Outcome::Failed)] {
        let (world, store) = (world(), store());
        set(&world, WORKS).await;
        set(&world, DISTURB).await;
        let manager = world.manager(&store).await;
        let planned = manager.plan(&with_line()).await.unwrap();
        let _works = works_after(&world, Duration::from_secs(pause));
        let (outcome, errors) = outcome(manager.apply(planned).await.unwrap().report);
        assert_eq!(outcome, expected, "{errors:?}");
        if expected == Outcome::Failed {
            assert!(errors[0].starts_with("a second look found that it did not last"), "{errors:?}");
        }
    }
}
