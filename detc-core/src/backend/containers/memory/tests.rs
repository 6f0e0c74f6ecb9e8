use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::backend::containers::{
    Build, ContainerSpec, HealthCheck, HostPort, Phase, Port, Probe, Pull, Readiness, Restart, Status, Test,
};
use crate::backend::host::Output;
use crate::content::Content;

fn engine() -> MemoryContainers {
    let engine = MemoryContainers::new("e1");
    engine.add_image("web:1", ImageDefaults::default());
    engine
}

fn sleeper() -> ContainerSpec {
    let mut spec = ContainerSpec::new("web:1");
    spec.command = Some(vec!["sleep".into(), "600".into()]);
    spec
}

async fn run(engine: &MemoryContainers, name: &str, spec: ContainerSpec) -> Status {
    engine.create(&New::container(name, spec)).await.unwrap();
    engine.change(&Change::start(name)).await.unwrap();
    status(engine, name).await
}

async fn status(engine: &MemoryContainers, name: &str) -> Status {
    let engine: &dyn Containers = engine;
    engine.container(name).await.unwrap().unwrap().status
}

#[tokio::test]
async fn images_are_pulled_built_and_tagged_by_their_content() {
    let engine = engine();
    let pull = New::image(ImageFrom::Pull(Pull::new("r/db@sha256:1")));
    assert!(matches!(engine.create(&pull).await, Err(ContainersError::NotFound { .. })));
    engine.add_to_registry("r/db@sha256:1", ImageDefaults::default());
    let id = engine.create(&pull).await.unwrap();
    assert_eq!(engine.create(&pull).await.unwrap(), id);
    let build = |content: &[u8]| {
        let mut build = Build::new(Content::from(content));
        build.tags.insert("built:1".into());
        New::image(ImageFrom::Build(build))
    };
    let one = engine.create(&build(b"1")).await.unwrap();
    assert_eq!(engine.create(&build(b"1")).await.unwrap(), one);
    let two = engine.create(&build(b"2")).await.unwrap();
    assert_ne!(one, two);
    let engine: &dyn Containers = &engine;
    assert_eq!(engine.image("built:1").await.unwrap().unwrap().id, two, "a tag is of one image");
    assert!(engine.image(&one).await.unwrap().unwrap().references.is_empty());
}

#[tokio::test]
async fn restart_policies_are_played() {
    let engine = engine();
    let with = |command: &[&str], restart: Restart| {
        let mut spec = sleeper();
        spec.command = Some(command.iter().map(|word| (*word).to_owned()).collect());
        spec.restart = restart;
        spec
    };
    let retries_max = Some(2);
    for (name, command, restart, phase) in [
        ("never", "false", Restart::Never, Phase::Exited(1)),
        ("tries", "false", Restart::OnFailure { retries_max }, Phase::Exited(1)),
        ("works", "pwd", Restart::OnFailure { retries_max: None }, Phase::Exited(0)),
        ("loops", "false", Restart::Always, Phase::Restarting),
    ] {
        assert_eq!(run(&engine, name, with(&[command], restart)).await.phase, phase, "{name}");
    }
    for (name, restart, after) in [
        ("a1", Restart::Always, Phase::Running),
        ("u1", Restart::UnlessStopped, Phase::Running),
        ("n1", Restart::Never, Phase::Exited(0)),
    ] {
        run(&engine, name, with(&["sleep", "9"], restart)).await;
        engine.restart();
        assert_eq!(status(&engine, name).await.phase, after, "{name}");
    }
    engine.change(&Change::stop("u1")).await.unwrap();
    engine.change(&Change::stop("a1")).await.unwrap();
    engine.restart();
    assert_eq!(status(&engine, "u1").await.phase, Phase::Exited(137));
    assert_eq!(status(&engine, "a1").await.phase, Phase::Running);
    engine.exit("a1", 3);
    assert_eq!(status(&engine, "a1").await.phase, Phase::Running);
    let seen: &dyn Containers = &engine;
    assert_eq!(seen.container("a1").await.unwrap().unwrap().restarts, 1);
    assert_eq!(seen.container("tries").await.unwrap().unwrap().restarts, 2);
}

#[tokio::test]
async fn a_health_check_is_made_when_somebody_looks() {
    let engine = engine();
    let checked = |test: &str| {
        let mut probe = Probe::new(Test::Command(vec![test.into(), "/ready".into()]));
        probe.retries = 2;
        let mut spec = sleeper();
        spec.health = Some(HealthCheck::Probe(probe));
        spec
    };
    let engine = engine.with_program("test-file", |command: &Command, files: &mut Files| {
        let there = files.stat(&command.argv[1]).is_ok();
        let status = crate::backend::host::ExitStatus::Code(i32::from(!there));
        Output { status, ..Output::default() }
    });
    let mut watch = engine.watch().await.unwrap();
    assert_eq!(run(&engine, "web", checked("test-file")).await.readiness, Readiness::Starting);
    assert!(watch.next().await.is_some());
    assert_eq!(status(&engine, "web").await.readiness, Readiness::Unhealthy);
    engine.host("web").write("/ready", b"", &crate::backend::host::Ownership::default()).await.unwrap();
    assert_eq!(status(&engine, "web").await.readiness, Readiness::Healthy);
    assert!(status(&engine, "web").await.is_ready());
}

#[tokio::test]
async fn ports_that_are_free_are_given_and_those_that_are_taken_are_not() {
    let engine = engine();
    let at = |port: Option<u16>| {
        let mut spec = sleeper();
        spec.ports.insert(Port::published(80, HostPort { address: None, port }));
        spec
    };
    run(&engine, "a1", at(None)).await;
    run(&engine, "a2", at(None)).await;
    run(&engine, "a3", at(Some(8080))).await;
    engine.create(&New::container("a4", at(Some(8080)))).await.unwrap();
    let taken = engine.change(&Change::start("a4")).await.unwrap_err();
    assert_eq!(taken.to_string(), "container `a4` can not be started on e1: port 8080 is taken");
    let seen: &dyn Containers = &engine;
    let mut ports = Vec::new();
    for name in ["a1", "a2", "a3"] {
        ports.push(seen.container(name).await.unwrap().unwrap().published[0].host_port);
    }
    assert_eq!(ports, [32768, 32769, 8080]);
    engine.change(&Change::stop("a3")).await.unwrap();
    engine.change(&Change::start("a4")).await.unwrap();
}

#[tokio::test]
async fn faults_are_met_and_what_was_before_is_seen() {
    let engine = engine().remembering();
    engine.fail_call(0, HostFault::AnswerLost);
    let lost = engine.create(&New::container("web", sleeper())).await.unwrap_err();
    assert_eq!(lost.to_string(), "the answer of e1 to create container `web` was lost");
    engine.fail_call(0, HostFault::Unreachable);
    assert!(engine.change(&Change::start("web")).await.is_err());
    engine.fail_call(0, HostFault::Refused(ErrorKind::StorageFull));
    assert!(matches!(engine.change(&Change::start("web")).await, Err(ContainersError::Refused { .. })));
    assert_eq!(status(&engine, "web").await.phase, Phase::Created);
    engine.change(&Change::start("web")).await.unwrap();
    assert_eq!(status(&engine.before(1), "web").await.phase, Phase::Created);
    let before: &dyn Containers = &engine.before(2);
    assert_eq!(before.container("web").await.unwrap(), None);
    let made = BTreeMap::from([("create container `web`".into(), 1), ("start container `web`".into(), 1)]);
    assert_eq!(engine.changes(), made);
    assert!(engine.dump().contains("container web of web:1 running"), "{}", engine.dump());
    let stop = Change::Stop { container: "web".into(), grace: Some(Duration::ZERO) };
    engine.change(&stop).await.unwrap();
    engine.change(&stop).await.unwrap();
    assert_eq!(engine.changes().len(), 3);
}
