//! Compose files through `fleet`, on an engine of the test's own.

use std::fs;

use serde_json::json;

use super::dockerd::Dockerd;
use super::raw;
use crate::support::{Place, Ran};

/// A service that is built, of which two serve once what comes before is done.
const FILE: &str = r#"
services:
  web:
    build: { context: app, args: { VERSION: "${VERSION:-1}" } }
    depends_on:
      cache: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    deploy: { replicas: 2, update_config: { parallelism: 1, order: start-first } }
    environment: { VERSION: "${VERSION:-1}" }
    volumes: ["data:/data:ro"]
    secrets: [key]
    stop_signal: SIGKILL
  migrate: { build: app, image: "migrate:1", command: [touch, /data/migrated], volumes: ["data:/data"] }
  cache:
    image: "migrate:1"
    command: [sleep, "600"]
    healthcheck: { test: [CMD, "true"], interval: 200ms, timeout: 5s }
    networks: { default: { aliases: [store] } }
    stop_signal: SIGKILL
volumes: { data: {} }
secrets: { key: { file: key.txt } }
"#;

fn folder(place: &Place) {
    place.write("compose.yaml", FILE);
    place.write("key.txt", "s3cret");
    for folder in ["app", "app/bin"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::copy("/bin/busybox", place.path("app/bin/busybox")).unwrap();
    let recipe = "FROM scratch\nARG VERSION\nENV PATH=/bin\nCOPY bin/busybox /bin/sleep\nCOPY bin/busybox /bin/touch\n\
                  COPY bin/busybox /bin/true\nCMD [\"sleep\", \"600\"]\n";
    place.write("app/Dockerfile", recipe);
}

#[test]
fn a_compose_file_is_brought_about_changed_and_taken_away() {
    let (dockerd, place) = (Dockerd::start(), Place::new());
    folder(&place);
    let socket = dockerd.path("sock");
    let run = |version: &str, args: &[&str]| -> Ran {
        let args = [&["-f", "compose.yaml"], args].concat();
        let mut command = place.command(&args);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("VERSION", version);
        place.start_as(command, &args).wait()
    };
    let ran = run("1", &["apply", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let project = place.path("").file_name().unwrap().to_string_lossy().to_lowercase();
    let project: String = project.chars().filter(char::is_ascii_alphanumeric).collect();
    let named = |name: &str| format!("/containers/{project}-{name}/json");
    let migrate = raw::look(&socket, &named("migrate-1"));
    assert_eq!((&migrate["State"]["Status"], &migrate["State"]["ExitCode"]), (&json!("exited"), &json!(0)));
    let web = raw::look(&socket, &named("web-2"));
    assert_eq!(web["State"]["Running"], json!(true));
    // It began when what comes before was done.
    assert!(web["State"]["StartedAt"].as_str() > migrate["State"]["FinishedAt"].as_str(), "{web}");
    let text = web.to_string();
    assert!(text.contains("VERSION=1") && !text.contains("s3cret"), "{text}");
    let ran = run("1", &["plan", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Of another version one of the two serves at every moment, which is proven.
    let ran = run("2", &["plan", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.out.contains("1 of web serve at every moment"), "{ran:?}");
    let ran = run("2", &["apply", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let again = raw::look(&socket, &named("web-2"));
    assert!(again.to_string().contains("VERSION=2"), "{again}");
    // What was done once is not done again.
    assert_eq!(raw::look(&socket, &named("migrate-1"))["Id"], migrate["Id"]);
    let ran = run("2", &["destroy", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // But for the volume, which nobody said may go.
    assert_eq!(raw::labelled(&socket, "detc.cluster"), [format!("volume {project}_data")]);
}

#[test]
fn what_is_wrong_with_a_compose_file_is_told_with_its_line() {
    let place = Place::new();
    place.write("compose.yaml", "services:\n  web:\n    image: x\n    privileged: true\n");
    let args = ["-f", "compose.yaml", "plan"];
    let ran = place.start_as(place.command(&args), &args).wait();
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.err.contains("compose.yaml:4: `services.web.privileged` is not supported"), "{ran:?}");
}
