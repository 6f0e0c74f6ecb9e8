//! The laws of [`Host`] over a real sshd.

use detc_core::testing::host::check_host;

use crate::sshd::Sshd;
use crate::support::connect;

#[tokio::test]
async fn a_host_over_ssh_conforms() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let scratch = sshd.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let found = check_host(&*host, scratch.to_str().unwrap()).await;
    assert!(found.is_empty(), "{found:#?}");
}
