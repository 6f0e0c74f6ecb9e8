//! The ways to an engine: over TCP with certificates, and through another machine.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use detc_actions::backends::docker::TlsSpec;
use detc_actions::backends::{DockerEngine, DockerSpec};
use detc_core::backend::containers::{ObjectKind, Query};
use detc_core::backend::host::Command as Inside;
use detc_core::backend::{Containers, ContainersError};

use crate::dockerd::Dockerd;
use crate::support::{idle, name, remove, run};

fn openssl(dir: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let made = command.current_dir(dir).args(arguments.split(' ')).output();
    let made = made.expect("openssl is installed by .ci/test (openssl)");
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority, and a certificate of it for a server at loopback and for a client.
fn certificates(dir: &Path, ca: &str) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {KEY} -keyout {ca}.key -out {ca}.pem -days 2 -subj /CN={ca}"));
    for (who, extension) in
        [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")]
    {
        let file = format!("{ca}-{who}");
        std::fs::write(dir.join(format!("{file}.ext")), extension).unwrap();
        openssl(dir, &format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={who}"));
        openssl(
            dir,
            &format!(
                "x509 -req -in {file}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 -extfile {file}.ext -out {file}.pem"
            ),
        );
    }
}

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whatever the way, a command in a container reads its input to the end and prints it back.
async fn is_of_use(engine: &dyn Containers) {
    let name = name("way");
    run(engine, &name, idle()).await;
    let input = vec![b'x'; 300_000];
    let output = engine.host(&name).run(&Inside::new(["cat"]).with_stdin(input.clone())).await.unwrap();
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn an_engine_over_the_network_is_trusted_by_certificate_and_so_are_we() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), "ours");
    certificates(dir.path(), "theirs");
    let file = |name: &str| dir.path().join(name);
    let shown = |name: &str| file(name).display().to_string();
    let port = free_port();
    let dockerd = Dockerd::with(&[
        "--host",
        &format!("tcp://127.0.0.1:{port}"),
        "--tlsverify",
        &format!("--tlscacert={}", shown("ours.pem")),
        &format!("--tlscert={}", shown("ours-server.pem")),
        &format!("--tlskey={}", shown("ours-server.key")),
    ]);
    let engine = |ca: &str, client: &str| {
        let tls = TlsSpec::Mutual {
            ca: file(&format!("{ca}.pem")),
            cert: file(&format!("{client}-client.pem")),
            key: file(&format!("{client}-client.key")),
        };
        let spec = DockerSpec::new(format!("tcp://127.0.0.1:{port}")).with_tls(tls);
        DockerEngine::new("far", &spec).unwrap()
    };
    dockerd.image().await;
    is_of_use(&engine("ours", "ours")).await;

    let query = Query::new(ObjectKind::Container);
    let error = engine("theirs", "ours").list(&query).await.unwrap_err();
    assert!(matches!(error, ContainersError::Untrusted { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("`ca`"), "{error:?}");
    let error = engine("ours", "theirs").list(&query).await.unwrap_err();
    assert!(matches!(error, ContainersError::NotLetIn { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("`cert`"), "{error:?}");
    let plain = DockerSpec::new(format!("tcp://127.0.0.1:{port}")).with_tls(TlsSpec::Off);
    let error = DockerEngine::new("far", &plain).unwrap().list(&query).await.unwrap_err();
    assert!(error.to_string().contains("far"), "{error:?}");
}

#[tokio::test]
async fn an_engine_in_the_clear_at_loopback_is_used_when_that_is_said() {
    let port = free_port();
    let host = format!("tcp://127.0.0.1:{port}");
    let dockerd = Dockerd::with(&["--host", &host, "--tls=false"]);
    dockerd.image().await;
    is_of_use(&DockerEngine::new("near", &DockerSpec::new(host).with_tls(TlsSpec::Off)).unwrap()).await;
}

#[cfg(feature = "ssh")]
#[tokio::test]
async fn an_engine_of_another_machine_is_used_through_ssh() {
    use detc_actions::backends::SshConnector;
    use detc_core::model::HostName;

    let (dockerd, sshd) = (Dockerd::shared(), crate::sshd::Sshd::start());
    dockerd.image().await;
    let spec = serde_json::from_value(sshd.spec()).unwrap();
    let host = SshConnector::default().host(&HostName::new("h1"), &spec).await.unwrap();
    let socket = dockerd.path("sock").display().to_string();
    let engine = DockerEngine::through("through h1", &host, &socket);
    is_of_use(&engine).await;
    // A lost connection is made anew. What only looks is not disturbed by it.
    assert_ne!(sshd.kill_sessions(), 0);
    engine.list(&Query::new(ObjectKind::Image)).await.unwrap();
    is_of_use(&engine).await;

    let nowhere = DockerEngine::through("nowhere", &host, "/no/such.sock");
    let error = nowhere.list(&Query::new(ObjectKind::Image)).await.unwrap_err();
    assert!(matches!(error, ContainersError::NotLetIn { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("/no/such.sock"), "{error:?}");
}
