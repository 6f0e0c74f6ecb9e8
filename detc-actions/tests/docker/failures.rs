//! What goes wrong is said in words, with what to do next.

use std::net::TcpListener;

use detc_actions::backends::{DockerEngine, DockerSpec};
use detc_core::backend::containers::{
    Change, HostPort, ImageFrom, New, ObjectKind, ObjectRef, Phase, Port, Pull, Query,
};
use detc_core::backend::{Containers, ContainersError};

use crate::dockerd::Dockerd;
use crate::support::{idle, name, remove};

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let engine = DockerEngine::new("e1", &DockerSpec::new(format!("unix://{}", path.display()))).unwrap();
    let query = Query::new(ObjectKind::Container);
    let check = |error: ContainersError, what: &str| {
        assert_eq!(error.to_string(), format!("e1 can not be reached: {what} {}", path.display()));
        assert!(error.hint().is_some());
    };
    check(engine.list(&query).await.unwrap_err(), "there is no socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    check(engine.list(&query).await.unwrap_err(), "nobody listens at the socket");
    check(engine.watch().await.map(drop).unwrap_err(), "nobody listens at the socket");
}

#[tokio::test]
async fn a_port_that_some_other_program_has_is_taken() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    let mut spec = idle();
    let place = HostPort { address: Some(at.ip()), port: Some(at.port()) };
    spec.ports.insert(Port::published(80, place));
    let name = name("port");
    engine.create(&New::container(&name, spec)).await.unwrap();
    let error = engine.change(&Change::start(&name)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("container `{name}` can not be started on dockerd: port {at} is taken")
    );
    assert_eq!(engine.container(&name).await.unwrap().unwrap().status.phase, Phase::Created);
    drop(other);
    engine.change(&Change::start(&name)).await.unwrap();
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn a_registry_that_is_not_reached_is_told_as_the_engine_tells_it() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    let pull = New::image(ImageFrom::Pull(Pull::new("127.0.0.1:1/none:1")));
    let error = engine.create(&pull).await.unwrap_err();
    assert!(matches!(error, ContainersError::Refused { .. }), "{error:?}");
    assert!(error.to_string().starts_with("dockerd refused to pull image `127.0.0.1:1/none:1`: "), "{error}");
}

#[tokio::test]
async fn the_beginning_of_an_id_is_the_name_of_nothing() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("whole");
    let id = engine.create(&New::container(&name, idle())).await.unwrap();
    for part in [&id[..4], &id[..12], &id[..63]] {
        assert_eq!(engine.inspect(&ObjectRef::container(part)).await.unwrap(), None, "{part}");
        let error = engine.change(&Change::start(part)).await.unwrap_err();
        assert!(matches!(error, ContainersError::NotFound { .. }), "{error:?}");
        remove(engine, ObjectKind::Container, part).await;
    }
    assert!(engine.container(&id).await.unwrap().is_some());
    remove(engine, ObjectKind::Container, &id).await;
}
