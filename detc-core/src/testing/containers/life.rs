//! Laws of starting, ending and health.

use std::time::Duration;

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::ContainersError;
use crate::backend::containers::{
    Change, HealthCheck, LogLine, LogQuery, ObjectRef, Phase, Probe, Readiness, Restart, Stream, Test,
};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("a container that was made does not run before it is started", made(bench).await);
    found.note("starting what runs and stopping what does not change nothing", idempotent(bench).await);
    found.note("how a container ended and what it printed is told", ended(bench).await);
    found.note("the last lines of a log are told, as many as asked for", lines(bench).await);
    found.note("a container whose program does not exist is NotStarted", not_started(bench).await);
    found.note("a signal reaches what runs, and is NotRunning otherwise", signals(bench).await);
    found.note("one that is stopped is not started again", stays_stopped(bench).await);
    found.note("what a health check comes to is told", healthy(bench).await);
}

async fn made(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("made", bench.spec("made")).await?;
    same("its phase", &bench.container(&name).await?.status.phase, &Phase::Created)?;
    bench.change(&Change::start(&name)).await?;
    let status = bench.container(&name).await?.status;
    expect(status.is_ready(), || format!("after its start it is {status:?}"))?;
    bench.remove(ObjectRef::container(&name)).await
}

async fn idempotent(bench: &Bench<'_>) -> Verdict {
    let name = bench.run("twice", bench.spec("twice")).await?;
    bench.change(&Change::start(&name)).await?;
    same("its phase", &bench.container(&name).await?.status.phase, &Phase::Running)?;
    let stop = Change::Stop { container: name.clone(), grace: Some(Duration::ZERO) };
    for _ in 0..2 {
        bench.change(&stop).await?;
        let phase = bench.container(&name).await?.status.phase;
        expect(matches!(phase, Phase::Exited(_)), || format!("after its stop it is {phase}"))?;
    }
    bench.change(&Change::start(&name)).await?;
    same("its phase", &bench.container(&name).await?.status.phase, &Phase::Running)?;
    bench.remove(ObjectRef::container(&name)).await?;
    bench.remove(ObjectRef::container(&name)).await
}

async fn logs(bench: &Bench<'_>, name: &str, lines_max: usize) -> Result<Vec<LogLine>, String> {
    let lines = bench.engine.logs(name, &LogQuery::last(lines_max)).await;
    lines.map_err(|error| failed("logs", &error))
}

fn line(text: &str) -> LogLine {
    LogLine { stream: Stream::Stdout, text: text.to_owned() }
}

async fn ended(bench: &Bench<'_>) -> Verdict {
    let said = bench.run("said", bench.spec_of("ended", &["printf", "%s\\n", "one", "two"])).await?;
    bench.until(&said, "ended", |it| it.status.phase == Phase::Exited(0)).await?;
    same("its log", &logs(bench, &said, 10).await?, &vec![line("one"), line("two")])?;
    let failing = bench.run("failing", bench.spec_of("ended", &["false"])).await?;
    bench.until(&failing, "ended with exit code 1", |it| it.status.phase == Phase::Exited(1)).await
}

async fn lines(bench: &Bench<'_>) -> Verdict {
    let name = bench.run("lines", bench.spec_of("lines", &["printf", "%s\\n", "1", "2", "3", "4"])).await?;
    bench.until(&name, "ended", |it| it.status.phase == Phase::Exited(0)).await?;
    same("the last two", &logs(bench, &name, 2).await?, &vec![line("3"), line("4")])?;
    let mut query = LogQuery::last(10);
    query.bytes_max = 3;
    let few = bench.engine.logs(&name, &query).await.map_err(|error| failed("logs", &error))?;
    same("three bytes of it", &few, &vec![line("2"), line("3"), line("4")])
}

async fn not_started(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("no-program", bench.spec_of("no-program", &["detc-no-such-program"])).await?;
    let result = bench.engine.change(&Change::start(&name)).await;
    refuses("start", result, |error| matches!(error, ContainersError::NotStarted { .. }))?;
    let found = bench.container(&name).await?;
    expect(found.status.phase != Phase::Running, || "it is said to run".to_owned())
}

async fn signals(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("signal", bench.spec("signal")).await?;
    let kill = Change::Signal { container: name.clone(), signal: "SIGKILL".to_owned() };
    let result = bench.engine.change(&kill).await;
    refuses("signal", result, |error| matches!(error, ContainersError::NotRunning { .. }))?;
    bench.change(&Change::start(&name)).await?;
    bench.change(&kill).await?;
    bench.until(&name, "ended by the signal", |it| it.status.phase == Phase::Exited(137)).await?;
    let result = bench.engine.change(&kill).await;
    refuses("signal", result, |error| matches!(error, ContainersError::NotRunning { .. }))
}

async fn stays_stopped(bench: &Bench<'_>) -> Verdict {
    let mut spec = bench.spec("stopped");
    spec.restart = Restart::Always;
    let name = bench.run("stopped", spec).await?;
    bench.change(&Change::Stop { container: name.clone(), grace: Some(Duration::ZERO) }).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let phase = bench.container(&name).await?.status.phase;
    expect(matches!(phase, Phase::Exited(_)), || format!("it is {phase}"))?;
    bench.remove(ObjectRef::container(&name)).await
}

async fn healthy(bench: &Bench<'_>) -> Verdict {
    let of = |name: &'static str, test: &'static str| async move {
        let mut probe = Probe::new(Test::Command(vec![test.to_owned()]));
        probe.interval = Duration::from_millis(100);
        probe.retries = 2;
        let mut spec = bench.spec(name);
        spec.health = Some(HealthCheck::Probe(probe));
        bench.run(name, spec).await
    };
    let name = of("healthy", "pwd").await?;
    bench.until(&name, "healthy", |it| it.status.readiness == Readiness::Healthy).await?;
    bench.remove(ObjectRef::container(&name)).await?;
    let name = of("unhealthy", "false").await?;
    bench.until(&name, "unhealthy", |it| it.status.readiness == Readiness::Unhealthy).await?;
    bench.remove(ObjectRef::container(&name)).await?;
    let name = bench.run("unchecked", bench.spec("unchecked")).await?;
    same("its readiness", &bench.container(&name).await?.status.readiness, &Readiness::Unchecked)
}
