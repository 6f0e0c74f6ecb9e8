use detc_core::backend::MemoryHost;
use detc_core::backend::host::Output;
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::json;

use super::*;
use crate::test_util::Bench;

const PRINTED: &str = r#"@uname
web-1
6.1.0-28-amd64
x86_64
@os
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
VERSION_ID="12"
ID=debian
@cpus
4
@memory
MemTotal:        8123456 kB
MemFree:          123456 kB
@ipv4
Main:
     +-- 10.0.0.0/24 2 0 2
        |-- 10.0.0.0
           /24 link UNICAST
        |-- 10.0.0.20
           /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
        |-- 127.0.0.1
           /32 host LOCAL
Local:
        |-- 10.0.0.20
           /32 host LOCAL
        |-- 10.0.0.3
           /32 host LOCAL
@ipv6
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
20010db8000000000000000000000002 04 40 00 82     eth0
@disks
Filesystem     1024-blocks      Used Available Capacity Mounted on
udev               4012345         0   4012345       0% /dev
/dev/vda1         20511312   5123456  14321234      27% /
/dev/vdb          10240000         0  10240000       0% /srv/my data
@end
"#;

#[test]
fn facts_are_read_out_of_what_a_host_prints() {
    let facts = serde_json::to_value(read::facts(PRINTED).unwrap()).unwrap();
    let wanted = json!({
        "hostname": "web-1", "kernel": "6.1.0-28-amd64", "architecture": "x86_64", "cpus": 4, "memory_mib": 7933,
        "os": { "id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)" },
        "addresses": ["10.0.0.3", "10.0.0.20", "2001:db8::2"],
        "disks": [
            { "path": "/", "device": "/dev/vda1", "size_mib": 20030 },
            { "path": "/srv/my data", "device": "/dev/vdb", "size_mib": 10000 },
        ],
    });
    assert_eq!(facts, wanted);
}

#[test]
fn what_is_missing_is_named_and_never_made_up() {
    for (lost, why) in [
        ("@end", "all of it"),
        ("6.1.0-28-amd64\n", "its name and kernel"),
        ("4\n@memory", "how many processors it has"),
        ("MemTotal:", "its memory"),
        ("% /", "its disks"),
    ] {
        let printed = match lost {
            "4\n@memory" => PRINTED.replace(lost, "@memory"),
            "% /" => PRINTED.split("@disks").next().unwrap().to_owned() + "@end\n",
            lost => PRINTED.replace(lost, ""),
        };
        assert_eq!(read::facts(&printed), Err(why));
    }
}

#[tokio::test(start_paused = true)]
async fn facts_keep_the_contract() {
    let trial = || {
        let host = MemoryHost::new(&crate::test_util::host_name())
            .with_program("sh", |_, _| Output { stdout: PRINTED.into(), ..Output::default() });
        Trial::in_memory(host, [json!({})]).untampered("what changes in the world is what is to be seen")
    };
    assert_eq!(check_resource::<FactsSpec>(trial).await, []);
}

#[tokio::test]
async fn this_machine_has_facts_and_they_are_seen_once_they_are_recorded() {
    let mut bench = Bench::new("facts/here");
    let spec = FactsSpec {};
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Unobservable);
    let facts = spec.create(&bench.cx()).await.unwrap();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(facts.hostname, name.trim());
    assert_eq!(facts.architecture, std::env::consts::ARCH);
    assert!(facts.cpus >= 1 && facts.memory_mib > 100 && facts.disks.iter().any(|disk| disk.path == "/"));
    bench.record(&spec);
    let seen = spec.observe(&bench.cx()).await.unwrap();
    let Observation::Present(Present { output: Some(output), .. }) = seen else { panic!("{seen:?}") };
    assert_eq!(output["kernel"], json!(facts.kernel));
}
