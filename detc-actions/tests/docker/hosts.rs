//! Hosts as a desired state file declares them, and the engines beside them.

use detc_actions::backends::{DockerHosts, LocalConnector};
use detc_actions::resources;
use detc_core::manage::Manager;
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::Registry;
use serde_json::{Value, json};

use crate::dockerd::Dockerd;
use crate::raw;
use crate::support::{IMAGE, name};

fn registry() -> Registry {
    let docker = DockerHosts::new();
    let registry = resources::register(Registry::new()).with_connector(docker.local(LocalConnector));
    #[cfg(feature = "ssh")]
    let registry = registry.with_connector(docker.ssh(detc_actions::backends::SshConnector::default()));
    docker.register(registry)
}

fn host(value: &Value) -> HostSpec {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_has_the_engine_that_it_is_or_that_is_beside_it() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dockerd = Dockerd::with(&["--host", &format!("tcp://127.0.0.1:{port}"), "--tls=false"]);
    dockerd.image().await;
    let socket = format!("unix://{}", dockerd.path("sock").display());
    let tcp = json!({ "connect": format!("tcp://127.0.0.1:{port}"), "tls": "off" });
    let mut hosts = vec![
        ("socket", json!({ "connect": socket })),
        ("local", json!({ "connect": "local", "engine": socket })),
        ("net", tcp.clone()),
        ("local-net", json!({ "connect": "local", "engine": tcp })),
    ];
    #[cfg(feature = "ssh")]
    let sshd = crate::sshd::Sshd::start();
    #[cfg(feature = "ssh")]
    {
        let mut spec = sshd.spec();
        spec["engine"] = json!(socket);
        hosts.push(("ssh", spec));
    }
    let mark = name("hosts");
    let mut wanted = Desired::new();
    for (name, spec) in &hosts {
        let fields =
            json!({ "container": format!("{mark}-{name}"), "image": IMAGE, "stop": { "signal": "SIGKILL" } });
        let container = DesiredResource::from_value("container", name, &fields).unwrap().on(name);
        wanted = wanted.host(name, host(spec)).with(container);
    }
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::embedded(dir.path().join("store"), registry()).await.unwrap();
    let applied = manager.apply(manager.plan(&wanted).await.unwrap()).await.unwrap();
    let told = applied.to_string();
    assert!(applied.into_result().is_ok(), "{told}");
    let again = manager.plan(&wanted).await.unwrap().plan;
    assert!(again.is_settled(), "{again}");
    let mut expected: Vec<_> = hosts.iter().map(|(name, _)| format!("container {mark}-{name}")).collect();
    expected.sort();
    assert_eq!(raw::labelled(&dockerd.path("sock"), "detc.cluster"), expected);

    // What is no container is not for a host that is an engine alone, and is said to be so.
    let file = json!({ "path": "/tmp/x", "content": "x" });
    let file = DesiredResource::from_value("file", "x", &file).unwrap().on("socket");
    let planned = manager.plan(&wanted.clone().with(file)).await.unwrap();
    let told = planned.plan.to_string();
    assert!(told.contains("this host is an engine of containers alone"), "{told}");
    let mut nothing = Desired::new();
    nothing.hosts = wanted.hosts.clone();
    manager.apply(manager.plan(&nothing).await.unwrap()).await.unwrap().into_result().unwrap();
}

#[test]
fn a_host_that_can_not_be_so_is_refused_with_what_is_wrong() {
    let registry = registry();
    let check = |spec: Value, wrong: &str| {
        let spec = host(&spec);
        let told = registry.connector(spec.scheme()).unwrap().check(&spec).unwrap_err();
        assert_eq!(told, wrong);
    };
    check(
        json!({ "connect": "tcp://h1:2375", "tls": "off" }),
        "`h1` is not this machine: without TLS whoever is on the way could be root there",
    );
    check(json!({ "connect": "tcp://h1:2375" }), "how TCP is secured is not said: `tls`");
    check(
        json!({ "connect": "local", "engine": "docker.sock" }),
        "`engine`: `docker.sock` begins neither with `unix://` nor with `tcp://`",
    );
    check(
        json!({ "connect": "unix:///run/docker.sock", "user": "x" }),
        "unknown field `user`, expected `connect` or `tls`",
    );
    #[cfg(feature = "ssh")]
    check(
        json!({ "connect": "ssh://h1", "engine": { "connect": "tcp://127.0.0.1:2375", "tls": "off" } }),
        "`engine` must be a socket there, `unix:///…`, not `tcp://127.0.0.1:2375`: for one that is reached over the network declare a host \
         of its own",
    );
}
