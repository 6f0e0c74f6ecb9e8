//! Failures in words: each has its own case, its host, and what to do next.

use std::fs;
use std::net::TcpListener;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Ownership};

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

#[tokio::test]
async fn a_key_with_a_passphrase_is_asked_for() {
    use detc_core::resource::Connector;
    let sshd = Sshd::start();
    let public = keygen(&sshd.path("locked"), "ed25519", "open sesame");
    fs::write(sshd.path("authorized_keys"), format!("{public}\n")).unwrap();
    let mut spec = sshd.spec();
    spec["identity"] = sshd.path("locked").to_str().unwrap().into();
    let error = connect(&spec).await.unwrap_err();
    assert!(error.to_string().contains("has a passphrase: add it to an agent"), "{error}");
    let asking = |answer: &'static str| {
        detc_actions::backends::SshConnector::default().with_passphrases(move |_| Some(answer.to_owned()))
    };
    let (name, spec) = (detc_core::model::HostName::new("h1"), serde_json::from_value(spec).unwrap());
    assert!(asking("open sesame").connect(&name, &spec).await.is_ok());
    let error = asking("wrong").connect(&name, &spec).await.unwrap_err();
    assert!(error.to_string().contains("the passphrase is wrong"), "{error}");
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
