//! Failures in words: each has its own case, its host, and what to do next.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use detc_actions::backends::SshConnector;
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Ownership};
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector;

use crate::sshd::{Sshd, keygen};
use crate::support::connect;

/// What an operator reads, without what changes from run to run.
fn said(error: &HostError, sshd: &Sshd) -> String {
    let text = error.full_message();
    text.replace(&sshd.port().to_string(), "PORT").replace(sshd.path("").to_str().unwrap(), "DIR/")
}

#[tokio::test]
async fn a_host_that_does_not_listen_can_not_be_reached() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let error = connect(&sshd.spec()).await.unwrap_err();
    let wanted = "h1 can not be reached: 127.0.1.1:PORT: Connection refused (os error 111) \
                  (see that it is up, and that its address and port are right)";
    assert_eq!(said(&error, &sshd), wanted);
}

/// The clock goes as fast as there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_can_not_be_reached() {
    let sshd = Sshd::start();
    let silent = TcpListener::bind("127.0.1.1:0").unwrap();
    let mut spec = sshd.spec();
    spec["connect"] = format!("ssh://root@{}", silent.local_addr().unwrap()).into();
    let error = connect(&spec).await.unwrap_err();
    assert!(matches!(error, HostError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().ends_with("did not answer within 20 s"), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_know_the_key_does_not_let_in() {
    let sshd = Sshd::start();
    fs::write(sshd.path("authorized_keys"), "").unwrap();
    let error = connect(&sshd.spec()).await.unwrap_err();
    let HostError::NotLetIn { what, hint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(what.replace(sshd.path("").to_str().unwrap(), "DIR/"), "it takes none of DIR/id");
    assert!(hint.contains("authorized_keys"), "{hint}");
    let mut spec = sshd.spec();
    spec["identity"] = "/nowhere/id".into();
    let error = connect(&spec).await.unwrap_err();
    assert!(error.to_string().ends_with("there was no key to offer; /nowhere/id does not exist"), "{error}");
}

/// An sshd that waits two seconds for a login, and a spec with a key that has a passphrase.
fn with_a_locked_key(passphrase: &str) -> (Sshd, HostSpec) {
    let sshd = Sshd::with_config(&["LoginGraceTime 2"]);
    let public = keygen(&sshd.path("locked"), "ed25519", passphrase);
    fs::write(sshd.path("authorized_keys"), format!("{public}\n")).unwrap();
    let mut spec = sshd.spec();
    spec["identity"] = sshd.path("locked").to_str().unwrap().into();
    (sshd, serde_json::from_value(spec).unwrap())
}

#[tokio::test]
async fn a_key_with_a_passphrase_is_asked_for_once_however_long_the_answer_takes() {
    let (sshd, spec) = with_a_locked_key("open sesame");
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, locked) = (Arc::clone(&asked), sshd.path("locked"));
    let connector = SshConnector::default().with_passphrases(move |file| {
        assert_eq!(file, locked);
        counted.fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::disallowed_methods,
            reason = "a person types, longer than the host waits for a login"
        )]
        std::thread::sleep(Duration::from_secs(4));
        Some("open sesame".to_owned())
    });
    let mut connections = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (connector, spec) = (connector.clone(), spec.clone());
        let name = HostName::new(&format!("h{number}"));
        connections
            .spawn(async move { connector.connect(&name, &spec).await.unwrap().stat("/").await.unwrap() });
    }
    assert!(connections.join_all().await.iter().all(Option::is_some));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_key_whose_passphrase_nobody_knows_lets_nobody_in() {
    let (sshd, spec) = with_a_locked_key("open sesame");
    let name = HostName::new("h1");
    let said =
        async |connector: &SshConnector| said(&connector.connect(&name, &spec).await.unwrap_err(), &sshd);
    let error = said(&SshConnector::default()).await;
    assert!(error.contains("no key to offer; DIR/locked has a passphrase: add it to an agent"), "{error}");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let wrong = SshConnector::default().with_passphrases(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Some("wrong".to_owned())
    });
    for _ in 0..2 {
        let error = said(&wrong).await;
        assert!(error.contains("DIR/locked: the passphrase is wrong"), "{error}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it would be as wrong the next time");
    let error = said(&SshConnector::default().with_passphrases(|_| None)).await;
    assert!(error.contains("DIR/locked has a passphrase, and none was given"), "{error}");
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_the_command_that_accepts_it() {
    let sshd = Sshd::start();
    sshd.write_known_hosts("");
    let error = connect(&sshd.spec()).await.unwrap_err();
    let HostError::Untrusted { what, hint, .. } = &error else { panic!("{error:?}") };
    assert!(what.starts_with("its key, ssh-ed25519 SHA256:") && what.ends_with(", is not known"), "{what}");
    let (_, command) = hint.split_once("accept it with: ").unwrap();
    let ran = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(ran.success());
    connect(&sshd.spec()).await.unwrap();
}

#[tokio::test]
async fn a_host_whose_key_changes_while_it_is_managed_is_refused_from_then_on() {
    let mut sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    assert!(host.stat("/").await.unwrap().is_some());
    sshd.stop();
    for file in ["host_ed25519", "host_ed25519.pub"] {
        fs::remove_file(sshd.path(file)).unwrap();
    }
    keygen(&sshd.path("host_ed25519"), "ed25519", "");
    sshd.run();
    let error = host.stat("/").await.unwrap_err();
    let HostError::Untrusted { what, .. } = &error else { panic!("{error:?}") };
    assert!(what.contains("known_hosts:1 has another"), "{what}");
}

#[tokio::test]
async fn a_host_without_sftp_says_so() {
    let sshd = Sshd::with_config(&["ForceCommand /bin/false"]);
    let host = connect(&sshd.spec()).await.unwrap();
    let error = host.stat("/").await.unwrap_err();
    assert!(matches!(error, HostError::AnswerLost { .. } | HostError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn what_another_user_may_not_do_is_refused() {
    let sshd = Sshd::start();
    let mut spec = sshd.spec();
    spec["become"] = "nobody".into();
    let host = connect(&spec).await.unwrap();
    let error = host.write("/etc/detc-test", b"x", &Ownership::default()).await.unwrap_err();
    assert!(error.full_message().contains("give the user the right to do it"), "{}", error.full_message());
    let output = host.run(&Command::new(["id", "-un"])).await.unwrap();
    assert_eq!(output.stdout, b"nobody\n");
}
