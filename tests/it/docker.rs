//! Containers through the real programs, on engines that the tests start.

mod compose;
#[path = "../../detc-actions/tests/docker/dockerd.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod dockerd;
mod killed;
#[path = "../../detc-actions/tests/docker/raw.rs"]
mod raw;
#[path = "../../detc-actions/tests/docker/support.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod support;

use std::process::{Command, Stdio};

use crate::support::docker_service;
use dockerd::Dockerd;

#[test]
fn the_example_docker_service_loses_no_request_and_leaves_nothing() {
    let dockerd = Dockerd::start();
    let socket = dockerd.path("sock");
    let mut command = Command::new(docker_service());
    let ran = command.arg(format!("unix://{}", socket.display())).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    let told = out.lines().filter(|line| line.starts_with("They answer")).collect::<Vec<_>>();
    let [before, after] = told[..] else { panic!("{out}") };
    assert!(before.contains("times version 1") && before.ends_with("none lost"), "{out}");
    assert!(["times version 1", "times version 2", "none lost"].iter().all(|it| after.contains(it)), "{out}");
    assert_eq!(raw::labelled(&socket, "detc.cluster"), [""; 0]);
    for place in ["/containers/json?all=1", "/images/json?all=1"] {
        assert_eq!(raw::look(&socket, place), serde_json::json!([]), "{place}");
    }
}

#[test]
fn the_example_docker_service_says_what_to_do_where_no_engine_answers() {
    let ran = Command::new(docker_service()).arg("unix:///nowhere/docker.sock").output().unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{err}");
    assert!(err.contains("no engine of containers answers at unix:///nowhere/docker.sock"), "{err}");
    assert!(err.contains("Start one"), "{err}");
}
