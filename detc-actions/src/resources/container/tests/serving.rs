//! What serves while a container is changed, and when that fails.

use std::fmt::{self, Display};
use std::sync::Arc;

use async_trait::async_trait;
use detc_core::backend::Host;
use detc_core::backend::containers::{
    Change, Containers, ContainersError, Listing, LogLine, LogQuery, MemoryContainers, New, Object,
    ObjectRef, Phase, Query, Restart, Watch,
};
use serde_json::json;

use super::*;
use crate::test_engine::{Bench, now, world};

/// An engine that can not rename what it has started again, and on which what is to be renamed from `web-next-1` ends before that.
#[derive(Debug)]
struct EndsBeforeItsName(MemoryContainers);

#[async_trait]
impl Containers for EndsBeforeItsName {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        self.0.list(query).await
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        self.0.inspect(object).await
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        self.0.create(new).await
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        match change {
            Change::Rename { container, to } => {
                let next = self.0.container_now("web-next-1");
                if to == "web" && next.is_some_and(|it| it.spec.restart == Restart::Always) {
                    self.0.exit("web-next-1", 4);
                }
                let there = (&self.0 as &dyn Containers).container(container).await?;
                let runs = |phase| !matches!(phase, Phase::Created | Phase::Exited(_));
                if there.is_some_and(|it| it.restarts > 0 && runs(it.status.phase)) {
                    let (engine, what) = (self.to_string(), change.to_string());
                    return Err(ContainersError::Refused { engine, what, said: "no sandbox".to_owned() });
                }
                self.0.change(change).await
            }
            _ => self.0.change(change).await,
        }
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        self.0.logs(container, query).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        self.0.watch().await
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        self.0.host(container)
    }
}

impl Display for EndsBeforeItsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// The images of the containers that run, by name.
fn running(bench: &Bench) -> Vec<String> {
    let lines = bench.engine.dump();
    let runs = lines.lines().filter(|line| line.starts_with("container ") && line.contains(" running "));
    runs.map(|line| line.split(" running ").next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_at_once_is_told_with_its_last_words_and_the_old_one_serves() {
    let mut bench = Bench::new("container/web", engine());
    let crash = spec(json!({ "command": ["crash"] }));
    let error = bench.tried(&crash).await.unwrap_err().full_message();
    let ended = "container/web ended with exit code 3 while it started; it said:\nbegan\nno config";
    assert_eq!((error.as_str(), running(&bench).len()), (ended, 0));
    assert!(bench.container("web").await.is_none(), "what never worked is removed");

    let old = bench.apply(&spec(json!({}))).await;
    let error = bench.tried(&crash).await.unwrap_err().full_message();
    assert_eq!(error, ended);
    let serves = bench.container("web").await.unwrap();
    assert_eq!((serves.id, serves.status.phase), (old.id.clone(), Phase::Running));

    // Where both can not be there at once, the old one is given its place back.
    let alone = json!({ "order": "stop_first", "command": ["crash"] });
    assert_eq!(bench.tried(&spec(alone)).await.unwrap_err().full_message(), ended);
    let serves = bench.container("web").await.unwrap();
    assert_eq!((serves.id, serves.status.phase), (old.id, Phase::Running));
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_whose_health_check_fails_is_told_and_the_old_one_serves() {
    let mut bench = Bench::new("container/web", engine());
    bench.apply(&spec(json!({}))).await;
    let ill = spec(json!({ "health": { "command": ["false"], "retries": 2 } }));
    let error = bench.tried(&ill).await.unwrap_err().full_message();
    assert_eq!(error, "container/web is not healthy: its health check failed");
    assert_eq!(running(&bench), ["container web of web:1"]);
    let slow = json!({ "health": { "command": ["false"], "retries": 99 }, "ready_timeout_ms": 700 });
    let error = bench.tried(&spec(slow)).await.unwrap_err();
    let why = "container/web does not work after 700 ms: its health check has not passed yet";
    assert_eq!(
        (error.full_message().as_str(), error.hint()),
        (why, Some("give it more time with `ready_timeout_ms`"))
    );
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_a_dead_manager_has_begun_goes_when_it_does_not_work_and_the_old_one_serves() {
    let mut bench = Bench::new("container/web", engine());
    let old = bench.apply(&spec(json!({}))).await;
    let ill = json!({ "order": "stop_first", "health": { "command": ["false"], "retries": 9 } });
    let ill = spec(ill);
    let died = tokio::time::timeout(std::time::Duration::from_millis(1), bench.tried(&ill)).await;
    assert!(died.is_err(), "it is done already");
    // Whoever comes sees by its name that the old one goes.
    assert_eq!(bench.container("web").await, None);
    let error = bench.tried(&ill).await.unwrap_err().full_message();
    assert_eq!(error, "container/web is not healthy: its health check failed");
    let serves = bench.container("web").await.unwrap();
    assert_eq!((serves.id, serves.status.phase), (old.id, Phase::Running));
    assert_eq!(running(&bench), ["container web of web:1"]);
}

/// The engine ends it yet for somebody who is gone.
#[tokio::test(start_paused = true)]
async fn one_that_was_to_go_is_not_counted_on_though_it_runs() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({}));
    let old = bench.apply(&wanted).await;
    let to = format!("web-gone-{}", &old.id[..12]);
    bench.engine.change(&Change::Rename { container: old.id.clone(), to }).await.unwrap();
    // One that can not take its place gives it back what it had.
    let ill = spec(json!({ "order": "start_first", "health": { "command": ["false"], "retries": 2 } }));
    let error = bench.tried(&ill).await.unwrap_err().full_message();
    assert_eq!(error, "container/web is not healthy: its health check failed");
    let serves = bench.container("web").await.unwrap();
    assert_eq!((&serves.id, serves.status.phase), (&old.id, Phase::Running));
    let to = format!("web-gone-{}", &old.id[..12]);
    bench.engine.change(&Change::Rename { container: old.id.clone(), to }).await.unwrap();
    let new = bench.apply(&wanted).await;
    assert_ne!(new.id, old.id);
    assert_eq!(bench.container("web").await.unwrap().id, new.id);
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_started_again_and_again_does_not_work() {
    let bench = Bench::new("container/web", engine());
    let loops = spec(json!({ "command": ["crash"], "restart": "always" }));
    let error = bench.tried(&loops).await.unwrap_err().full_message();
    assert!(
        error.starts_with("container/web ended, and is started again and again, while it started"),
        "{error}"
    );
    assert_eq!(running(&bench), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_works_only_when_it_has_for_as_long_as_it_must() {
    let mut bench = Bench::new("container/web", engine());
    let old = bench.apply(&spec(json!({}))).await;
    // Each ends a second after its start.
    let engine = bench.engine.clone();
    let fails_late = |fields: Value| {
        let ends = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ["web", "web-next-1"].iter().for_each(|name| engine.exit(name, 7));
        };
        let bench = &bench;
        async move { tokio::join!(async { bench.tried(&spec(fields)).await }, ends).0 }
    };
    for check in [json!({ "off": true }), json!({ "command": ["printf", "ok"], "interval_ms": 10 })] {
        let engine = bench.engine.clone();
        now(engine.change(&Change::start(&old.id))).unwrap();
        let patient =
            json!({ "order": "stop_first", "health": check, "min_ready_ms": 1500, "ready_timeout_ms": 500 });
        let error = fails_late(patient).await.unwrap_err().full_message();
        assert!(error.starts_with("container/web ended with exit code 7 while it started"), "{error}");
        let serves = bench.container("web").await.unwrap();
        assert_eq!((&serves.id, serves.status.phase), (&old.id, Phase::Running));
    }
    let hasty = json!({ "env": { "A": "1" } });
    fails_late(hasty).await.unwrap();
    assert_eq!(bench.container("web").await.unwrap().status.phase, Phase::Exited(7), "it was taken at once");
}

#[tokio::test(start_paused = true)]
async fn one_that_runs_does_not_wait_again_when_it_is_changed_in_place() {
    let mut bench = Bench::new("container/web", engine());
    let first = bench.apply(&spec(json!({ "min_ready_ms": 3_600_000 }))).await;
    let begun = tokio::time::Instant::now();
    let longer = json!({ "min_ready_ms": 7_200_000, "limits": { "memory_mib": 64 } });
    assert_eq!(bench.apply(&spec(longer.clone())).await, first);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    bench.engine.exit("web", 1);
    assert_eq!(bench.apply(&spec(longer)).await, first);
    assert!(begun.elapsed() >= Duration::from_secs(7200), "it was started again");
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_and_can_not_be_renamed_is_stopped_first() {
    for order in ["stop_first", "start_first"] {
        let engine = engine();
        let way = Arc::new(EndsBeforeItsName(engine.clone()));
        let mut bench = Bench::through(way, "container/web", engine);
        bench.apply(&spec(json!({ "restart": "always" }))).await;
        bench.engine.exit("web", 1);
        let old = bench.container("web").await.unwrap();
        assert!(old.restarts > 0);
        let new = bench.apply(&spec(json!({ "env": { "A": "1" }, "order": order }))).await;
        assert_ne!(new.id, old.id);
        assert_eq!(running(&bench), ["container web of web:1"], "{order}");
    }
    let engine = engine();
    let way = Arc::new(EndsBeforeItsName(engine.clone()));
    let mut bench = Bench::through(way, "container/web", engine);
    let wanted = spec(json!({ "restart": "always" }));
    bench.apply(&wanted).await;
    bench.engine.exit("web", 1);
    wanted.delete(&bench.cx()).await.unwrap();
    assert!(bench.container("web").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_started_again_before_it_has_its_name_does_not_work_and_the_old_one_serves() {
    let engine = engine();
    let way = Arc::new(EndsBeforeItsName(engine.clone()));
    let mut bench = Bench::through(way, "container/web", engine);
    let old = bench.apply(&spec(json!({}))).await;
    let error = bench.tried(&spec(json!({ "restart": "always", "env": { "A": "1" } }))).await.unwrap_err();
    let error = error.full_message();
    assert!(error.starts_with("container/web ended, and was started again, while it started"), "{error}");
    let serves = bench.container("web").await.unwrap();
    assert_eq!((serves.id, serves.status.phase), (old.id, Phase::Running));
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_foreign_is_never_touched() {
    let bench = Bench::new("container/web", engine());
    let of_others = detc_core::backend::containers::ContainerSpec::new("web:2");
    let id = now(bench.engine.create(&New::container("web", of_others))).unwrap();
    now(bench.engine.change(&Change::start(&id))).unwrap();
    let before = world(&bench.engine);
    let wanted = spec(json!({}));
    assert_eq!(wanted.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    let error = bench.tried(&wanted).await.unwrap_err();
    let why = "container/web can not have its name: there is a container `web` on m that is not its own";
    assert_eq!(error.full_message(), why);
    wanted.delete(&bench.cx()).await.unwrap();
    assert_eq!(world(&bench.engine), before);
    // One of another cluster is foreign, too, and so is one of another resource.
    let mut other = Bench::new("container/other", bench.engine.clone());
    other.apply(&spec(json!({ "container": "other" }))).await;
    wanted.delete(&bench.cx()).await.unwrap();
    assert!(bench.container("other").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_there_is_told_before_anything_stops() {
    let mut bench = Bench::new("container/web", engine());
    bench.apply(&spec(json!({ "order": "stop_first" }))).await;
    let before = bench.engine.changes();
    let error = bench.tried(&spec(json!({ "order": "stop_first", "image": "none:1" }))).await.unwrap_err();
    assert_eq!(error.full_message(), "image `none:1` does not exist on m");
    assert_eq!(bench.engine.changes(), before);
}

#[tokio::test(start_paused = true)]
async fn one_that_restarts_or_is_healed_is_another_one() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({}));
    let first = bench.apply(&wanted).await;
    bench.triggers = Some("t1".to_owned());
    let second = bench.apply(&wanted).await;
    assert_ne!(first, second);
    assert_eq!(bench.seen(&wanted).await.triggers.as_deref(), Some("t1"));
    assert_eq!(bench.apply(&wanted).await, second, "it has restarted for this");
    bench.heals = true;
    let third = bench.apply(&wanted).await;
    assert_ne!(second, third);
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_ended_is_started_again() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({}));
    let first = bench.apply(&wanted).await;
    bench.engine.exit("web", 7);
    let seen = bench.seen(&wanted).await;
    assert_eq!(seen.detail.as_deref(), Some("nothing of it runs: web (ended with exit code 7)"));
    assert_eq!(bench.apply(&wanted).await, first);
    assert_eq!(running(&bench), ["container web of web:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_the_engine_still_makes_for_somebody_who_is_gone_is_waited_for() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = spec(json!({}));
    bench.cut_off = true;
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        now(bench.engine.create(&New::container("web", made::made(&wanted, &bench.cx())))).unwrap();
    };
    let cx = bench.cx();
    let ((), removed) = tokio::join!(late, wanted.delete(&cx));
    removed.unwrap();
    assert!(bench.container("web").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_whose_making_was_cut_off_is_removed_and_one_that_is_not_whole_marked_is_foreign() {
    let bench = Bench::new("container/web", engine());
    let wanted = spec(json!({ "secrets": { "KEY": "s3cret" } }));
    // It has not got its files.
    let begun = made::made(&wanted, &bench.cx());
    let left = now(bench.engine.create(&New::container("web", begun.clone()))).unwrap();
    let output = bench.tried(&wanted).await.unwrap();
    assert_ne!(output.id, left);
    assert_eq!(bench.engine.host("web").read("/run/secrets/KEY", 100).await.unwrap(), b"s3cret");
    wanted.delete(&bench.cx()).await.unwrap();

    let mut less = begun;
    less.labels.remove("detc.spec");
    now(bench.engine.create(&New::container("theirs", less))).unwrap();
    assert_eq!(wanted.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    wanted.delete(&bench.cx()).await.unwrap();
    assert!(bench.container("theirs").await.is_some());
}
