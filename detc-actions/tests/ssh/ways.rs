//! Hosts that are reached through others, and hosts where another user does the work.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use detc_actions::backends::SshConnector;
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus, Ownership};
use detc_core::model::HostName;
use detc_core::resource::Connector;

use crate::sshd::Sshd;
use crate::support::connect;

#[tokio::test]
async fn a_host_is_reached_through_another_and_both_must_be_known() {
    let (gate, inner) = (Sshd::start(), Sshd::start());
    let public = fs::read_to_string(inner.path("id.pub")).unwrap();
    fs::write(gate.path("authorized_keys"), public).unwrap();
    let mut spec = inner.spec();
    spec["jump"] = gate.url().strip_prefix("ssh://").unwrap().into();
    let (of_gate, of_inner) = (gate.host_line("host_ed25519"), inner.host_line("host_ed25519"));
    inner.write_known_hosts(&of_inner);
    let error = connect(&spec).await.unwrap_err();
    assert!(matches!(error, HostError::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("on the way to h1"), "{error}");
    inner.write_known_hosts(&format!("{of_gate}\n{of_inner}"));
    let host = connect(&spec).await.unwrap();
    assert_eq!(host.run(&Command::new(["echo", "through"])).await.unwrap().stdout, b"through\n");
    assert!(host.stat("/").await.unwrap().is_some());
}

#[tokio::test]
async fn hosts_behind_one_gate_share_its_connection() {
    let (gate, inner) = (Sshd::start(), Sshd::start());
    let public = fs::read_to_string(inner.path("id.pub")).unwrap();
    fs::write(gate.path("authorized_keys"), public).unwrap();
    inner.write_known_hosts(&format!(
        "{}\n{}",
        gate.host_line("host_ed25519"),
        inner.host_line("host_ed25519")
    ));
    let mut spec = inner.spec();
    spec["jump"] = gate.url().strip_prefix("ssh://").unwrap().into();
    let spec = serde_json::from_value(spec).unwrap();
    let connector = SshConnector::default();
    let mut hosts = Vec::new();
    for name in ["a", "b", "c"] {
        hosts.push(connector.connect(&HostName::new(name), &spec).await.unwrap());
    }
    assert_eq!(gate.log().matches("Accepted publickey").count(), 1, "{}", gate.log());
    assert_eq!(inner.log().matches("Accepted publickey").count(), 3);
    // When the gate's connection is lost, all behind it come back through a new one.
    gate.kill_sessions();
    for host in &hosts {
        assert!(host.stat("/").await.unwrap().is_some());
    }
    assert_eq!(gate.log().matches("Accepted publickey").count(), 2, "{}", gate.log());
}

#[tokio::test]
async fn another_user_does_the_work_by_sudo() {
    let sshd = Sshd::start();
    // Beneath a folder that only its owner enters, the other user would see nothing.
    fs::set_permissions(sshd.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let place = sshd.path("open");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let mut spec = sshd.spec();
    spec["become"] = "nobody".into();
    let host = connect(&spec).await.unwrap();
    let file = place.join("file");
    host.write(file.to_str().unwrap(), b"theirs", &Ownership::new(Some(0o600), None, None)).await.unwrap();
    let owner =
        String::from_utf8(std::process::Command::new("id").args(["-u", "nobody"]).output().unwrap().stdout);
    assert_eq!(fs::metadata(&file).unwrap().uid().to_string(), owner.unwrap().trim());
    let status = host.run(&Command::new(["sh", "-c", "exit 7"])).await.unwrap().status;
    assert_eq!(status, ExitStatus::Code(7));
    let slow = Command::new(["sleep", "600"]).with_timeout(std::time::Duration::from_millis(300));
    assert!(matches!(host.run(&slow).await, Err(HostError::TimedOut { .. })));
}

/// In the place of `sudo`, it asks for a password, and tells what it was called with.
const ASKS: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$SUDO_LOG"
printf '%s' "$3" >&2
read -r password
until [ "$password" = "open sesame" ]; do printf 'Sorry.\n%s' "$3" >&2; read -r password || exit 1; done
shift 5
exec "$@"
"#;

#[tokio::test]
async fn a_password_goes_to_sudo_alone_and_only_when_it_asks() {
    let probe = tempfile::tempdir().unwrap();
    let (bin, log) = (probe.path().join("sudo"), probe.path().join("log"));
    fs::write(&bin, ASKS).unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("SetEnv PATH={}:/usr/bin:/bin SUDO_LOG={}", probe.path().display(), log.display());
    let sshd = Sshd::with_config(&[&path]);
    let mut spec = sshd.spec();
    spec["become"] = "nobody".into();
    let spec = serde_json::from_value(spec).unwrap();
    let with =
        |password: &'static str| SshConnector::default().with_passwords(move |_| Some(password.to_owned()));
    let name = HostName::new("h1");
    let host = with("open sesame").connect(&name, &spec).await.unwrap();
    let printed = host.run(&Command::new(["sh", "-c", "echo done; env"])).await.unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.starts_with("done\n") && !printed.contains("sesame"), "{printed}");
    assert!(host.stat("/").await.unwrap().is_some());
    let called = fs::read_to_string(&log).unwrap();
    assert!(called.lines().count() >= 2 && !called.contains("sesame"), "{called}");
    let host = with("wrong").connect(&name, &spec).await.unwrap();
    let error = host.run(&Command::new(["true"])).await.unwrap_err().full_message();
    assert!(error.contains("sudo does not take the password"), "{error}");
    let host = SshConnector::default().connect(&name, &spec).await.unwrap();
    let error = host.run(&Command::new(["true"])).await.unwrap_err().full_message();
    assert!(error.contains("there is no password"), "{error}");
}
