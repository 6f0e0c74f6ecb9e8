use std::sync::Arc;

use detc_core::backend::host::Remove;
use detc_core::backend::{Host, MemoryHost};
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};

use super::play::{host, put, text};
use super::*;
use crate::test_util::Bench;

fn bench(host: &MemoryHost) -> Bench {
    Bench::new("package/p").with_host(&(Arc::new(host.clone()) as Arc<dyn Host>))
}

fn has(host: &MemoryHost, path: &str) -> Option<String> {
    host.with_files(|files| text(files, path))
}

#[tokio::test(start_paused = true)]
async fn a_package_keeps_the_contract_whoever_manages_it() {
    for manager in ["apt", "dnf", "apk"] {
        let specs = || {
            [
                json!({ "package": "hello", "version": "1-1" }),
                json!({ "package": "hello", "version": "2-1" }),
                json!({ "package": "hello" }),
            ]
        };
        let trial = || {
            let host = host(manager);
            let (removed, changed) = (host.clone(), host.clone());
            // The index, which is the host's own, is not looked at.
            let seen = host.clone();
            let world = move || {
                let dump = seen.with_files(|files| files.dump("/var/lib/detc-trial"));
                let kept = dump.lines().filter(|line| line.starts_with("/db"));
                kept.map(|line| format!("{line}\n")).collect()
            };
            Trial::new(Arc::new(host), specs(), world)
                .tampered("somebody removes it", move || {
                    removed.with_files(|files| files.remove("/db/hello", Remove::File)).unwrap();
                })
                .tampered("somebody installs another version", move || {
                    changed.with_files(|files| put(files, "/db/hello", "3-1"));
                })
        };
        assert_eq!(check_resource::<PackageSpec>(trial).await, [], "{manager}");
    }
}

#[tokio::test]
async fn the_index_is_refreshed_when_it_lacks_something_and_once_a_run() {
    let host = host("apt");
    let mut bench = bench(&host);
    PackageSpec::new("hello").create(&bench.cx()).await.unwrap();
    assert_eq!(has(&host, "/refreshed").as_deref(), Some("1"));
    PackageSpec::new("other").create(&bench.cx()).await.unwrap();
    let error = PackageSpec::new("none").create(&bench.cx()).await.unwrap_err();
    assert!(
        error.to_string().starts_with("`apt-get install` of package/p ended with exit code 100:\nE: Unable")
    );
    assert!(error.hint().unwrap().contains("sources"));
    assert_eq!(has(&host, "/refreshed").as_deref(), Some("1"));
    bench.key = "another run";
    PackageSpec::new("none").create(&bench.cx()).await.unwrap_err();
    assert_eq!(has(&host, "/refreshed").as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for_and_not_for_ever() {
    for manager in ["apt", "dnf", "apk"] {
        let host = host(manager);
        host.with_files(|files| put(files, "/locked", "9"));
        let output = PackageSpec::new("hello").create(&bench(&host).cx()).await.unwrap();
        assert_eq!(output.version, "2-1", "{manager}");
        host.with_files(|files| put(files, "/locked", "9999"));
        let error = PackageSpec::new("hello").delete(&bench(&host).cx()).await.unwrap_err();
        assert!(error.to_string().contains("lock"), "{error}");
    }
}

#[tokio::test]
async fn what_was_cut_off_is_mended_first() {
    let host = host("apt");
    host.with_files(|files| {
        put(files, "/torn", "");
        put(files, "/db/hello", "half-configured 1-1");
    });
    let spec = PackageSpec::new("hello");
    let seen = spec.observe(&bench(&host).cx()).await.unwrap();
    assert_eq!(seen, Observation::Needed("hello is only half-configured".to_owned()));
    assert_eq!(spec.create(&bench(&host).cx()).await.unwrap().version, "2-1");
    assert_eq!(has(&host, "/torn"), None);
}

#[tokio::test]
async fn what_others_need_is_left_and_said_so() {
    for manager in ["apt", "dnf", "apk"] {
        let host = host(manager);
        host.with_files(|files| put(files, "/needed", "base"));
        let removed = PackageSpec::new("base").delete(&bench(&host).cx()).await.unwrap();
        let why = "the package base stays, since others that are installed need it";
        assert_eq!(removed, Removed::Left(why.to_owned()), "{manager}");
        assert!(has(&host, "/db/base").is_some());
    }
}

#[tokio::test]
async fn a_host_without_a_manager_says_so() {
    let bare = MemoryHost::new("bare");
    let error = PackageSpec::new("hello").observe(&bench(&bare).cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "package/p can not be looked at: bare has none of `apt`, `dnf`, `apk`");
    let named = PackageSpec { manager: Some("dnf".into()), ..PackageSpec::new("hello") };
    let error = named.observe(&bench(&bare).cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "package/p needs `dnf`, and there is no rpm on bare");
}

#[test]
fn a_name_is_one_package_and_nothing_that_a_manager_reads_otherwise() {
    let of = |fields: Value| serde_json::from_value::<PackageSpec>(fields).unwrap().inspect().map(drop);
    for good in ["g++", "libc6:amd64", "python3.11", "NetworkManager", "0ad"] {
        assert_eq!(of(json!({ "package": good })), Ok(()), "{good}");
    }
    for bad in ["", "-y", "hello-", "hello=1", "./x.deb", "a b", "hello*"] {
        let error = of(json!({ "package": bad })).unwrap_err().to_string();
        assert_eq!(error, format!("`package` must be the name of one package, not `{bad}`"));
    }
    assert!(of(json!({ "package": "a", "version": "1 -y" })).is_err());
    let error = of(json!({ "package": "a", "manager": "brew" })).unwrap_err().to_string();
    assert_eq!(error, "`manager` must be one of `apt`, `dnf`, `apk`, not `brew`");
}
