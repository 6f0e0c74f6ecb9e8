//! Hosts that hand on large content to each other.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detc_actions::backends::SshConnector;
use detc_core::backend::Host;
use detc_core::backend::host::Ownership;
use detc_core::content::{Content, Sum};
use detc_core::model::HostName;
use detc_core::resource::Connector;

use crate::sshd::{Sshd, keygen};
use crate::wire::Wire;

const LEN: usize = 12 << 20;

fn content() -> Content {
    (0..LEN).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into()
}

/// A host, and the line to it.
struct Machine {
    sshd: Sshd,
    wire: Wire,
    host: Arc<dyn Host>,
}

impl Machine {
    fn path(&self) -> PathBuf {
        self.sshd.path("home/big")
    }
}

/// So many hosts, which all take one key, and share the word `relay`.
async fn machines(count: usize, config: &[&str], relay: Option<&str>) -> Vec<Machine> {
    let connector = SshConnector::default();
    let mut machines: Vec<Machine> = Vec::new();
    for number in 0..count {
        let sshd = Sshd::with_config(config);
        let wire = Wire::to(&sshd, || u64::MAX);
        let mut spec = wire.spec(&sshd);
        if let Some(word) = relay {
            spec["relay"] = word.into();
        }
        let spec = serde_json::from_value(spec).unwrap();
        let host = connector.connect(&HostName::new(&format!("h{number}")), &spec).await.unwrap();
        machines.push(Machine { sshd, wire, host });
    }
    machines
}

async fn send_to_all(machines: &[Machine]) {
    let mut writes = tokio::task::JoinSet::new();
    for machine in machines {
        let (host, path) = (Arc::clone(&machine.host), machine.path().display().to_string());
        writes.spawn(async move { host.write_from(&path, &content(), &Ownership::default()).await });
    }
    for written in writes.join_all().await {
        written.unwrap();
    }
    for machine in machines {
        assert_eq!(Sum::of(&fs::read(machine.path()).unwrap()), content().sum());
    }
}

fn sent(machines: &[Machine]) -> u64 {
    machines.iter().map(|machine| machine.wire.passed().0).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_hosts_get_what_is_sent_once_and_keep_nothing_of_ours() {
    let machines = machines(10, &[], Some("dc1")).await;
    send_to_all(&machines).await;
    let (sent, len) = (sent(&machines), LEN as u64);
    assert!(sent < len * 3 / 2, "{sent} bytes left this machine for {len}");
    let handed: u64 = machines.iter().map(|machine| machine.wire.handed()).sum();
    assert!(handed >= 9 * len, "{handed} bytes went from host to host");
    for machine in &machines {
        let left: Vec<_> =
            fs::read_dir(machine.sshd.path("home")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["big"]);
    }
    let keys: Vec<String> = (machines.iter())
        .map(|machine| fs::read_to_string(machine.sshd.path("host_ed25519.pub")).unwrap())
        .map(|key| key.split(' ').nth(1).unwrap().to_owned())
        .collect();
    // Other tests have theirs there while they run.
    let temporary = |entry: fs::DirEntry| {
        let known = fs::read_to_string(entry.path().join("host"));
        known.is_ok_and(|known| keys.iter().any(|key| known.contains(key)))
    };
    assert!(!fs::read_dir(std::env::temp_dir()).unwrap().flatten().any(temporary));
}

#[tokio::test]
async fn who_has_it_at_another_place_copies_it_and_who_is_not_asked_hands_nothing_on() {
    let machines = machines(2, &[], None).await;
    send_to_all(&machines).await;
    assert!(sent(&machines) >= 2 * LEN as u64);
    assert_eq!(machines.iter().map(|machine| machine.wire.handed()).sum::<u64>(), 0);
    let before = sent(&machines);
    let copy = machines[0].sshd.path("home/it's another");
    machines[0].host.write_from(copy.to_str().unwrap(), &content(), &Ownership::default()).await.unwrap();
    assert_eq!(Sum::of(&fs::read(&copy).unwrap()), content().sum());
    assert!(sent(&machines) - before < 100_000, "it was there already");
    // What is remembered to be there is not any more.
    fs::write(machines[0].path(), "other").unwrap();
    fs::write(&copy, "other").unwrap();
    let third = machines[0].sshd.path("home/third");
    machines[0].host.write_from(third.to_str().unwrap(), &content(), &Ownership::default()).await.unwrap();
    assert_eq!(Sum::of(&fs::read(&third).unwrap()), content().sum());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_agent_is_forwarded_all_comes_from_here() {
    let machines = machines(3, &["AllowAgentForwarding no"], Some("dc1")).await;
    send_to_all(&machines).await;
    assert!(sent(&machines) >= 3 * LEN as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_hands_on_something_else_is_found_out() {
    let machines = machines(2, &[], Some("dc1")).await;
    let [first, second] = machines.as_slice() else { unreachable!() };
    let path = first.path().display().to_string();
    first.host.write_from(&path, &content(), &Ownership::default()).await.unwrap();
    let mut other = content().bytes(u64::MAX).unwrap().to_vec();
    other[LEN / 2] ^= 1;
    fs::write(first.path(), other).unwrap();
    let path = second.path().display().to_string();
    second.host.write_from(&path, &content(), &Ownership::default()).await.unwrap();
    assert_eq!(Sum::of(&fs::read(second.path()).unwrap()), content().sum());
    assert!(second.wire.handed() >= LEN as u64 && second.wire.passed().0 >= LEN as u64);
}

/// A host of another key shows itself where the second one should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_not_handed_on_to_under_another_key() {
    let mut machines = machines(2, &[], Some("dc1")).await;
    let path = machines[0].path().display().to_string();
    machines[0].host.write_from(&path, &content(), &Ownership::default()).await.unwrap();
    let second = &mut machines[1];
    // Our own connection is from before, and stays.
    for file in ["host_ed25519", "host_ed25519.pub"] {
        fs::remove_file(second.sshd.path(file)).unwrap();
    }
    keygen(&second.sshd.path("host_ed25519"), "ed25519", "");
    second.sshd.run_anew();
    let path = second.path().display().to_string();
    second.host.write_from(&path, &content(), &Ownership::default()).await.unwrap();
    assert_eq!(Sum::of(&fs::read(second.path()).unwrap()), content().sum());
    assert!(second.wire.handed() < 100_000, "it got {} bytes", second.wire.handed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_on_ends_when_nobody_waits_for_it() {
    let machines = machines(2, &[], Some("dc1")).await;
    let [first, second] = machines.as_slice() else { unreachable!() };
    let path = first.path().display().to_string();
    first.host.write_from(&path, &content(), &Ownership::default()).await.unwrap();
    second.wire.slow_down_others();
    let path = second.path().display().to_string();
    {
        let content = content();
        let ownership = Ownership::default();
        let mut write = std::pin::pin!(second.host.write_from(&path, &content, &ownership));
        while second.wire.handed() < 100_000 {
            let waited = tokio::time::timeout(Duration::from_millis(50), &mut write).await;
            assert!(waited.is_err(), "it is done already");
        }
    }
    // At this pace there is more for half a minute.
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut last, mut still) = (second.wire.handed(), 0);
    while still < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = second.wire.handed();
        still = if now == last { still + 1 } else { 0 };
        assert!(Instant::now() < deadline, "{now} bytes were handed on, and more are");
        last = now;
    }
    assert!(last < LEN as u64 / 2, "{last} bytes were handed on");
}
