//! What goes wrong around an apply: names and ports that others have, versions that do not work, an engine that ends in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use detc_core::backend::Containers;
use detc_core::backend::containers::{ContainerSpec, HostPort, ObjectKind, Phase, Port};
use detc_core::execute::{Progress, StopHandle};
use detc_core::model::Desired;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Looks, desired, on_engine};
use crate::dockerd::Dockerd;
use crate::raw;
use crate::support::{IMAGE, eventually, idle, name, remove, run};

/// A container that ends as soon as it is asked to.
fn web(container: &str, fields: Value) -> Value {
    let mut spec = json!({ "container": container, "image": IMAGE, "stop": { "signal": "SIGKILL" } });
    let Value::Object(fields) = fields else { panic!("not fields") };
    spec.as_object_mut().unwrap().extend(fields);
    spec
}

fn one(kind: &str, spec: &Value) -> Desired {
    desired().with(on_engine(kind, "one", spec))
}

/// The container, which serves.
async fn serving(engine: &dyn Containers, name: &str) -> String {
    let container = engine.container(name).await.unwrap().unwrap();
    assert_eq!(container.status.phase, Phase::Running, "{name}");
    container.id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_the_name_of_is_not_touched_and_it_is_said_whose_it_is_not() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let engine: &dyn Containers = &dockerd.engine();
    let socket = dockerd.path("sock");
    let mark = name("foreign");
    let foreign = run(engine, &mark, idle()).await;
    raw::done(&socket, "POST", "/networks/create", Some(&json!({ "Name": mark, "CheckDuplicate": true })));
    raw::done(&socket, "POST", "/volumes/create", Some(&json!({ "Name": mark })));
    let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
    for (kind, spec) in [
        ("container", web(&mark, json!({}))),
        ("network", json!({ "network": mark })),
        ("volume", json!({ "volume": mark, "removable": mark })),
    ] {
        let told = cluster.fails(&one(kind, &spec)).await;
        let says =
            format!("can not have its name: there is a {kind} `{mark}` on dockerd that is not its own");
        assert!(told.contains(&says), "{told}");
        cluster.brings_about(&desired()).await;
    }
    assert_eq!(serving(engine, &mark).await, foreign);
    remove(engine, ObjectKind::Container, &mark).await;
    remove(engine, ObjectKind::Network, &mark).await;
    remove(engine, ObjectKind::Volume, &mark).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_a_foreign_container_has_fails_the_change_and_what_was_there_serves_on() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let engine: &dyn Containers = &dockerd.engine();
    let (mark, foreign) = (name("port"), name("foreign"));
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (taken, other) = (free(), free());
    let mut spec = ContainerSpec::new(IMAGE);
    spec.ports.insert(Port::published(80, HostPort { address: Some(taken.ip()), port: Some(taken.port()) }));
    let theirs = run(engine, &foreign, spec).await;
    let at = |port: u16| {
        let publish = json!({ "address": "127.0.0.1", "port": port });
        one("container", &web(&mark, json!({ "ports": [{ "port": 80, "publish": publish }] })))
    };
    let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
    let told = cluster.fails(&at(taken.port())).await;
    assert!(told.contains(&format!("port {taken} is taken")), "{told}");
    cluster.brings_about(&at(other.port())).await;
    let before = serving(engine, &mark).await;
    let told = cluster.fails(&at(taken.port())).await;
    assert!(told.contains(&format!("port {taken} is taken")), "{told}");
    assert_eq!(serving(engine, &mark).await, before, "the old one is started again");
    assert_eq!(serving(engine, &foreign).await, theirs);
    remove(engine, ObjectKind::Container, &foreign).await;
    cluster.brings_about(&at(taken.port())).await;
    cluster.brings_about(&desired()).await;
    assert_eq!(engine.container(&mark).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_work_is_told_with_its_last_lines_and_the_old_one_serves_on() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let engine: &dyn Containers = &dockerd.engine();
    let mark = name("version");
    let health = |command: &str| json!({ "shell": command, "interval_ms": 100, "retries": 2 });
    let good = one("container", &web(&mark, json!({ "health": health("exit 0") })));
    let sick = json!({
        "command": ["sh", "-c", "echo no such table; exec sleep 600"], "health": health("echo not ready yet; exit 1")
    });
    // How soon they end depends on what else the machine does.
    let ending = json!({ "command": ["sh", "-c", "echo no such file >&2; exit 3"], "min_ready_ms": 20_000 });
    let ending_in_circles = json!({
        "command": ["sh", "-c", "echo again; exit 4"], "restart": "always", "min_ready_ms": 20_000
    });
    let missing = json!({ "command": ["no-such-program"] });
    let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
    for first in [true, false] {
        if !first {
            cluster.brings_about(&good).await;
        }
        let before = engine.container(&mark).await.unwrap().map(|it| it.id);
        for (bad, says) in [
            (
                &sick,
                &["is not healthy: its health check failed, and said: not ready yet", "no such table"][..],
            ),
            (&ending, &["ended with exit code 3 while it started", "no such file"]),
            (&ending_in_circles, &["again", "it said:\n"]),
            (&missing, &["no-such-program"]),
        ] {
            let told = cluster.fails(&one("container", &web(&mark, bad.clone()))).await;
            assert!(says.iter().all(|it| told.contains(it)), "{says:?} are not all in: {told}");
            let there = raw::labelled(&dockerd.path("sock"), "detc.cluster");
            let there: Vec<&String> = there.iter().filter(|it| it.contains(&mark)).collect();
            match &before {
                None => assert_eq!(there, [""; 0], "{told}"),
                Some(before) => {
                    assert_eq!(there, [&format!("container {mark}")], "{told}");
                    assert_eq!(serving(engine, &mark).await, *before, "{told}");
                }
            }
        }
    }
    cluster.brings_about(&good).await;
    cluster.brings_about(&desired()).await;
}

/// How an engine ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    InOrder,
    AsACrashWould,
}

/// A service of a network, a volume and four containers, one after the other.
fn service(version: &str) -> Desired {
    let mut wanted = desired()
        .with(on_engine("network", "net", &json!({ "network": "midway" })))
        .with(on_engine("volume", "data", &json!({ "volume": "midway", "removable": "midway" })));
    for at in 0..4 {
        let spec = json!({
            "env": { "VERSION": version },
            "networks": { "midway": { "aliases": ["all"] } },
            "mounts": { "/data": { "volume": "midway", "read_only": true } },
        });
        let container = on_engine("container", &format!("c{at}"), &web(&format!("midway-{at}"), spec));
        wanted = wanted.with(match at {
            0 => container,
            _ => container.after(&format!("container/c{}", at - 1).parse().unwrap()),
        });
    }
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_stopped_and_started_in_the_middle_of_an_apply_orphans_nothing() {
    let mut dockerd = Dockerd::start();
    dockerd.image().await;
    let cluster = Arc::new(Cluster::new(dockerd.engine(), Looks::Usual).await);
    let socket = dockerd.path("sock");
    let mut version = 0;
    for ends in [Ends::InOrder, Ends::AsACrashWould] {
        // While things are made for the first time, while they are replaced, and while they are removed.
        for step in 0..3 {
            version += 1;
            let wanted = if step == 2 { desired() } else { service(&version.to_string()) };
            let planned = cluster.manager.plan(&wanted).await.unwrap();
            let actions = planned.plan.actions.len();
            let (reached, mut middle) = tokio::sync::mpsc::unbounded_channel();
            let begun = AtomicUsize::new(0);
            let progress = Box::new(move |progress: &Progress<'_>| {
                let is_begun = matches!(progress, Progress::Applying { .. });
                if is_begun && begun.fetch_add(1, Ordering::Relaxed) == actions / 2 {
                    let _heard = reached.send(());
                }
            });
            let applying = Arc::clone(&cluster);
            let applying = async move {
                let applied =
                    applying.manager.apply_with(planned, progress, StopHandle::new()).await.unwrap();
                applied.to_string()
            };
            let ending = async {
                middle.recv().await.expect("it comes to the middle");
                tokio::task::block_in_place(|| {
                    match ends {
                        Ends::InOrder => dockerd.stop(),
                        Ends::AsACrashWould => dockerd.kill(),
                    }
                    dockerd.run();
                });
            };
            let (told, ()) = tokio::join!(applying, ending);
            println!("{ends:?}, step {step}: {told}");
            if let Some(resumed) = cluster.manager.finish_interrupted(Some(&wanted)).await.unwrap() {
                println!("{resumed}");
            }
            cluster.brings_about(&wanted).await;
            let there = raw::labelled(&socket, "detc.cluster");
            let expected: &[&str] = match step {
                2 => &[],
                _ => &[
                    "container midway-0",
                    "container midway-1",
                    "container midway-2",
                    "container midway-3",
                    "network midway",
                    "volume midway",
                ],
            };
            assert_eq!(there, expected, "{ends:?}, step {step}: {told}");
        }
    }
}

/// Who applies is gone while the engine starts a container for it; the engine finishes that.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_a_death_in_the_midst_of_a_start_succeeds_at_once() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let mark = name("dies");
    let wanted = one("container", &web(&mark, json!({})));
    let mut died = 0;
    for (at, delay) in (0..12).map(|at| (at, Duration::from_millis(40 * at))) {
        let engine: &dyn Containers = &dockerd.engine();
        let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
        let planned = cluster.manager.plan(&wanted).await.unwrap();
        let (begins, begun) = tokio::sync::oneshot::channel();
        let begins = std::sync::Mutex::new(Some(begins));
        let progress = Box::new(move |progress: &Progress<'_>| {
            if matches!(progress, Progress::Applying { .. })
                && let Some(begins) = begins.lock().unwrap().take()
            {
                begins.send(()).unwrap();
            }
        });
        let is_dead = tokio::select! {
            applied = cluster.manager.apply_with(planned, progress, StopHandle::new()) => {
                applied.unwrap().into_result().unwrap();
                false
            }
            () = async {
                begun.await.unwrap();
                tokio::time::sleep(delay).await;
            } => true,
        };
        died += u32::from(is_dead);
        let after = if at % 2 == 0 { wanted.clone() } else { desired() };
        let resumed = cluster.manager.finish_interrupted(Some(&after)).await.unwrap();
        println!(
            "after {delay:?} (dead: {is_dead}): {}",
            resumed.map(|it| it.to_string()).unwrap_or_default()
        );
        cluster.brings_about(&after).await;
        assert_eq!(engine.container(&mark).await.unwrap().is_some(), at % 2 == 0, "after {delay:?}");
        cluster.brings_about(&desired()).await;
    }
    assert!(died >= 6, "it died {died} times");
}

/// The same of one that it stops: what ends yet is not what is left to serve.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_a_death_in_the_midst_of_a_stop_is_left_with_one_that_serves() {
    let dockerd = Dockerd::shared();
    dockerd.image().await;
    let engine: &dyn Containers = &dockerd.engine();
    let mark = name("ends");
    let stubborn = |version: &str, order: &str| {
        let spec = json!({
            "container": mark, "image": IMAGE, "order": order, "env": { "VERSION": version }, "stop": { "grace_s": 2 },
            "command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
        });
        one("container", &spec)
    };
    for (order, dies_in) in [
        ("start_first", desired()),
        ("start_first", stubborn("2", "start_first")),
        ("stop_first", stubborn("2", "stop_first")),
    ] {
        let cluster = Cluster::new(dockerd.engine(), Looks::Usual).await;
        let wanted = stubborn("1", order);
        cluster.brings_about(&wanted).await;
        let planned = cluster.manager.plan(&dies_in).await.unwrap();
        let old = serving(engine, &mark).await;
        // It dies when the old one is on its way out.
        let leaves = async {
            loop {
                let found = engine.container(&old).await.unwrap();
                if found.is_none_or(|it| it.name != mark) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            applied = cluster.manager.apply(planned) => panic!("it is done: {}", applied.unwrap()),
            () = async { leaves.await; tokio::time::sleep(Duration::from_millis(300)).await } => {}
        }
        let resumed = cluster.manager.finish_interrupted(Some(&wanted)).await.unwrap();
        println!("{order}: {}", resumed.map(|it| it.to_string()).unwrap_or_default());
        cluster.brings_about(&wanted).await;
        // What the engine ends yet for who has died has ended.
        eventually("the old one has ended", async || {
            let found = engine.container(&old).await.unwrap();
            found.is_none_or(|it| it.status.phase != Phase::Running).then_some(())
        })
        .await;
        serving(engine, &mark).await;
        let settled = cluster.manager.plan(&wanted).await.unwrap().plan;
        assert!(settled.is_settled(), "{order}: {settled}");
        cluster.brings_about(&desired()).await;
    }
}
