//! Hosts that show a certificate: `@cert-authority` lines are honoured as OpenSSH does.

use std::process::Command;

use detc_core::backend::HostError;

use crate::sshd::{Sshd, keygen};
use crate::support::connect;

/// Signs the host's key for `principal`, and has the host show that.
fn certify(sshd: &mut Sshd, principal: &str, further: &[&str]) {
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(sshd.path("authority"))
        .args(["-I", "the host", "-n", principal])
        .args(further)
        .arg(sshd.path("host_ed25519.pub"))
        .status()
        .unwrap();
    assert!(signed.success(), "ssh-keygen -s");
    sshd.stop();
    sshd.run();
}

#[tokio::test]
async fn a_certificate_is_taken_when_all_of_it_holds() {
    let mut sshd = Sshd::with_certificate();
    let authority = keygen(&sshd.path("authority"), "ed25519", "");
    let trusted = format!("@cert-authority [127.0.*]:{} {authority}", sshd.port());
    for (principal, further, known, is_in) in [
        ("127.0.1.1", &["-h"][..], trusted.clone(), true),
        ("127.0.1.2", &["-h"], trusted.clone(), false),
        // One for users.
        ("127.0.1.1", &[], trusted.clone(), false),
        ("127.0.1.1", &["-h", "-V", "20200101:20200102"], trusted.clone(), false),
        ("127.0.1.1", &["-h"], format!("{trusted}\n@revoked * {authority}"), false),
        ("127.0.1.1", &["-h"], trusted.replace("[127.0.*]", "[10.0.*]"), false),
    ] {
        certify(&mut sshd, principal, further);
        sshd.write_known_hosts(&known);
        let connected = connect(&sshd.spec()).await;
        match connected {
            Ok(_) => assert!(is_in, "{principal} {further:?} {known}"),
            Err(HostError::Untrusted { .. }) => assert!(!is_in, "{principal} {further:?} {known}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}
