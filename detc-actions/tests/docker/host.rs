//! A container as a host: what the conformance suites can not see.

use std::time::Duration;

use detc_core::backend::containers::{Change, ContainerSpec, ObjectKind};
use detc_core::backend::host::{Command, ExitStatus, Ownership};
use detc_core::backend::{Containers, Host, HostError};

use crate::dockerd::Dockerd;
use crate::support::{context, eventually, idle, name, remove, run};

#[tokio::test]
async fn files_of_all_lengths_are_written_and_read_whole() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("files");
    run(engine, &name, idle()).await;
    let host = engine.host(&name);
    for round in 0..12_u8 {
        let content = vec![round; usize::from(round) * 17_000];
        host.write("/srv/file", &content, &Ownership::default()).await.unwrap();
        assert!(host.read("/srv/file", 1 << 20).await.unwrap() == content, "round {round}");
    }
    let left = host.run(&Command::new(["ls", "-A", "/srv"])).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "file\n");
    remove(engine, ObjectKind::Container, &name).await;
}

/// Whether something runs in the container that has this word among its arguments.
async fn runs(host: &dyn Host, word: &str) -> bool {
    let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null";
    let output = host.run(&Command::new(["sh", "-c", script])).await.unwrap();
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with(word))
}

#[tokio::test]
async fn a_command_whose_time_is_up_or_whose_caller_has_gone_is_ended() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("ended");
    run(engine, &name, idle()).await;
    let host = engine.host(&name);
    let late = Command::new(["sleep", "601"]).with_timeout(Duration::from_millis(300));
    let error = host.run(&late).await.unwrap_err();
    assert!(matches!(error, HostError::TimedOut { .. }), "{error:?}");
    assert!(!runs(&*host, "sleep 601").await);

    let command = Command::new(["sleep", "602"]);
    let running = host.run(&command);
    let seen = eventually("the command runs", async || runs(&*host, "sleep 602").await.then_some(()));
    tokio::select! {
        ended = running => panic!("{ended:?}"),
        () = seen => {}
    }
    eventually("the command is gone", async || (!runs(&*host, "sleep 602").await).then_some(())).await;
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn a_command_is_the_users_of_its_container_and_files_are_roots() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("user");
    let mut spec = idle();
    spec.user = Some("web".into());
    run(engine, &name, spec).await;
    let host = engine.host(&name);
    let output = host.run(&Command::new(["id", "-un"])).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "web\n");
    let ownership = Ownership::new(Some(0o640), Some("web".into()), None);
    host.write("/srv/file", b"x", &ownership).await.unwrap();
    let stat = host.stat("/srv/file").await.unwrap().unwrap();
    assert_eq!(
        (stat.mode, stat.owner.to_string(), stat.group.to_string()),
        (0o640, "web".into(), "root".into())
    );
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn what_outlives_its_program_does_not_hold_a_command_that_does_not_wait() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("outlives");
    run(engine, &name, idle()).await;
    let host = engine.host(&name);
    let command = Command::new(["sh", "-c", "sleep 603 & echo begun"]).outliving();
    let output = host.run(&command).await.unwrap();
    assert_eq!((output.status, &output.stdout[..]), (ExitStatus::Code(0), &b"begun\n"[..]));
    assert!(runs(&*host, "sleep 603").await);
    remove(engine, ObjectKind::Container, &name).await;
}

/// An image with one program and nothing else.
#[tokio::test]
async fn files_are_written_and_read_where_there_is_no_shell() {
    use detc_core::backend::containers::{Build, ImageFrom, New};

    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    let mut build = Build::new(context(""));
    build.dockerfile = "Dockerfile.bare".into();
    build.tags.insert("detc-bare:1".into());
    engine.create(&New::image(ImageFrom::Build(build))).await.unwrap();
    let name = name("bare");
    run(engine, &name, ContainerSpec::new("detc-bare:1")).await;
    let host = engine.host(&name);
    let error = host.run(&Command::new(["/sleep", "0"])).await.unwrap_err();
    assert!(error.full_message().contains("start a shell"), "{}", error.full_message());
    assert_eq!(host.stat("/etc/app.conf").await.unwrap(), None);
    host.make_dir("/etc", &Ownership::default()).await.unwrap_err();
    host.write("/app.conf", b"one", &Ownership::default()).await.unwrap();
    host.write("/app.conf", b"two", &Ownership::new(Some(0o600), None, None)).await.unwrap();
    assert_eq!(host.read("/app.conf", 10).await.unwrap(), b"two");
    assert!(matches!(host.read("/app.conf", 2).await, Err(HostError::TooLarge { .. })));
    assert_eq!(host.stat("/app.conf").await.unwrap().map(|stat| (stat.mode, stat.size)), Some((0o600, 3)));
    let error = host.write("/etc/none/app.conf", b"", &Ownership::default()).await.unwrap_err();
    assert!(matches!(error, HostError::NotFound { .. }), "{error:?}");
    // What it has in memory alone is not mistaken for what is on disk.
    assert!(host.stat("/dev/null").await.is_err());
    engine.change(&Change::stop(&name)).await.unwrap();
    assert_eq!(host.read("/app.conf", 10).await.unwrap(), b"two");
    remove(engine, ObjectKind::Container, &name).await;
}
