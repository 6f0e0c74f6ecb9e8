//! Laws of specs: what was asked is what is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Bench, Findings, Verdict, failed, same};
use crate::backend::containers::{
    Access, Attachment, Change, ContainerSpec, HealthCheck, HostPort, Logging, Mount, NetworkSpec,
    Networking, New, ObjectRef, Port, Probe, Protocol, Restart, Source, Subnet, Swap, Test, VolumeSpec,
};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("a container is told as it was asked for, field by field", containers(bench).await);
    found.note("a network and a volume are told as they were asked for", others(bench).await);
    found.note("an update of limits and restarts is told, and nothing else changes", updated(bench).await);
    found.note("a container is in the networks that it was connected to", connected(bench).await);
}

const MIB: u64 = 1 << 20;

fn words(text: &str) -> Option<Vec<String>> {
    Some(text.split_whitespace().map(str::to_owned).collect())
}

/// Asks for one field.
type Ask = Box<dyn Fn(&mut ContainerSpec) + Send + Sync>;

/// What a spec can be told, one field each, on a network and with a volume of these names.
fn asked(network: &str, volume: &str) -> Vec<(&'static str, Ask)> {
    let (network, volume) = (network.to_owned(), volume.to_owned());
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let probe = |test: Test| {
        let mut probe = Probe::new(test);
        probe.interval = Duration::from_millis(1500);
        probe.timeout = Duration::from_secs(2);
        probe.start_period = Duration::from_secs(3);
        probe.retries = 4;
        HealthCheck::Probe(probe)
    };
    let command = probe(Test::Command(words("cat /there").unwrap_or_default()));
    let shell = probe(Test::Shell("cat /there && true".to_owned()));
    vec![
        ("nothing", Box::new(|_| {})),
        ("command", Box::new(|spec| spec.command = words("printf %s a"))),
        ("entrypoint", Box::new(|spec| spec.entrypoint = words("sleep"))),
        ("no command", Box::new(|spec| (spec.entrypoint, spec.command) = (words("sleep 9"), None))),
        (
            "env",
            Box::new(|spec| {
                spec.env =
                    BTreeMap::from([("SUITE".into(), "a = $b\n c".into()), ("EMPTY".into(), String::new())]);
            }),
        ),
        ("dir", Box::new(|spec| spec.dir = Some("/tmp".into()))),
        ("user", Box::new(|spec| spec.user = Some("7:8".into()))),
        ("hostname", Box::new(|spec| spec.hostname = Some("suite".into()))),
        ("labels", Box::new(|spec| drop(spec.labels.insert("a.b/c".into(), "d = \"e\"".into())))),
        (
            "ports",
            Box::new(move |spec| {
                let at = |port: u16, at: HostPort| Port::published(port, at);
                spec.ports = BTreeSet::from([
                    Port::inner(80),
                    at(81, HostPort { address: None, port: None }),
                    at(82, HostPort { address: Some(loopback), port: Some(39_081) }),
                    at(82, HostPort { address: Some(loopback), port: Some(39_082) }),
                    Port { protocol: Protocol::Udp, ..Port::inner(80) },
                ]);
            }),
        ),
        (
            "mounts",
            Box::new(move |spec| {
                let memory = Source::Memory { size: Some(MIB), mode: Some(0o1700) };
                spec.mounts = BTreeMap::from([
                    ("/a".into(), Mount::new(Source::Volume(volume.clone()))),
                    ("/b".into(), Mount::read_only(Source::Volume(volume.clone()))),
                    ("/c".into(), Mount::new(memory)),
                    ("/d".into(), Mount::read_only(Source::Bind("/tmp".into()))),
                    ("/e".into(), Mount::new(Source::Anonymous)),
                ]);
            }),
        ),
        (
            "networks",
            Box::new(move |spec| {
                spec.networking = Networking::of([
                    (network.clone(), Attachment::aliased(["web", "web.suite"])),
                    (Networking::DEFAULT.to_owned(), Attachment::default()),
                ]);
            }),
        ),
        ("no network", Box::new(|spec| spec.networking = Networking::None)),
        ("the host's network", Box::new(|spec| spec.networking = Networking::Host)),
        (
            "limits",
            Box::new(|spec| {
                spec.limits.memory_bytes = Some(64 * MIB);
                spec.limits.memory_reserved_bytes = Some(32 * MIB);
                spec.limits.cpu_nanos = Some(500_000_000);
                spec.limits.cpu_weight = Some(512);
                spec.limits.cpu_set = Some("0".into());
                spec.limits.pids_max = Some(50);
            }),
        ),
        (
            "swap",
            Box::new(|spec| {
                spec.limits.memory_bytes = Some(64 * MIB);
                spec.limits.swap = Some(Swap::Bytes(0));
            }),
        ),
        ("root", Box::new(|spec| spec.root = Access::ReadOnly)),
        (
            "capabilities",
            Box::new(|spec| {
                spec.capabilities.add = BTreeSet::from(["NET_ADMIN".into()]);
                spec.capabilities.drop = BTreeSet::from(["ALL".into()]);
            }),
        ),
        ("restart", Box::new(|spec| spec.restart = Restart::UnlessStopped)),
        ("restart at most", Box::new(|spec| spec.restart = Restart::OnFailure { retries_max: Some(3) })),
        ("health", Box::new(move |spec| spec.health = Some(command.clone()))),
        ("health by a shell", Box::new(move |spec| spec.health = Some(shell.clone()))),
        ("no health", Box::new(|spec| spec.health = Some(HealthCheck::Off))),
        ("stop signal", Box::new(|spec| spec.stop_signal = Some("SIGQUIT".into()))),
        ("stop grace", Box::new(|spec| spec.stop_grace = Some(Duration::from_secs(77)))),
        ("logging", Box::new(|spec| spec.logging = Some(Logging::files(MIB, 3)))),
        ("init", Box::new(|spec| spec.has_init = true)),
    ]
}

/// `found`, without what `asked` leaves to the engine.
fn as_far_as_asked(mut found: ContainerSpec, asked: &ContainerSpec) -> ContainerSpec {
    if asked.hostname.is_none() {
        found.hostname = None;
    }
    if asked.logging.is_none() {
        found.logging = None;
    }
    if asked.limits.swap.is_none() {
        found.limits.swap = None;
    }
    if asked.stop_grace.is_none() {
        found.stop_grace = None;
    }
    found
}

async fn told(bench: &Bench<'_>, name: &str, asked: &ContainerSpec) -> Verdict {
    let found = bench.container(name).await?.spec.beside(&bench.defaults);
    let wanted = asked.clone().beside(&bench.defaults);
    same("the spec", &as_far_as_asked(found, &wanted), &wanted)
}

async fn containers(bench: &Bench<'_>) -> Verdict {
    let (network, volume) = (bench.name("f1"), bench.name("f1"));
    let labels = bench.mark("f1").labels();
    let spec = NetworkSpec { labels: labels.clone(), ..NetworkSpec::default() };
    bench.create(&New::Network { name: network.clone(), spec }).await?;
    let spec = VolumeSpec { labels, ..VolumeSpec::default() };
    bench.create(&New::Volume { name: volume.clone(), spec }).await?;
    let mut wrong = Vec::new();
    for (field, ask) in asked(&network, &volume) {
        let mut spec = bench.spec("fields");
        ask(&mut spec);
        let checked = async {
            let name = bench.make("fields", spec.clone()).await?;
            told(bench, &name, &spec).await
        };
        if let Err(detail) = checked.await {
            wrong.push(format!("{field}: {detail}"));
        }
        bench.remove(ObjectRef::container(bench.name("fields"))).await?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

async fn others(bench: &Bench<'_>) -> Verdict {
    let labels = bench.mark("f2").labels();
    let name = bench.name("f2");
    let mut subnet = Subnet::new("10.213.0.0/24");
    subnet.gateway = Some(IpAddr::V4(Ipv4Addr::new(10, 213, 0, 9)));
    subnet.range = Some("10.213.0.128/25".to_owned());
    let network = NetworkSpec {
        is_internal: true,
        subnets: vec![subnet],
        options: BTreeMap::from([("com.docker.network.driver.mtu".to_owned(), "1400".to_owned())]),
        labels: labels.clone(),
        ..NetworkSpec::default()
    };
    bench.create(&New::Network { name: name.clone(), spec: network.clone() }).await?;
    let found = bench.engine.network(&name).await.map_err(|error| failed("inspect", &error))?;
    same("the network", &found.map(|it| (it.name, it.spec)), &Some((name.clone(), network)))?;
    let volume = VolumeSpec { labels, ..VolumeSpec::default() };
    bench.create(&New::Volume { name: name.clone(), spec: volume.clone() }).await?;
    let found = bench.engine.volume(&name).await.map_err(|error| failed("inspect", &error))?;
    same("the volume", &found.map(|it| (it.name, it.spec)), &Some((name, volume)))
}

async fn updated(bench: &Bench<'_>) -> Verdict {
    let mut spec = bench.spec("updated");
    spec.limits.memory_bytes = Some(64 * MIB);
    spec.limits.swap = Some(Swap::Bytes(0));
    let name = bench.run("updated", spec.clone()).await?;
    let before = bench.container(&name).await?;
    spec.limits.memory_bytes = Some(96 * MIB);
    spec.limits.cpu_nanos = Some(500_000_000);
    spec.limits.pids_max = Some(50);
    spec.restart = Restart::Always;
    let (limits, restart) = (spec.limits.clone(), spec.restart);
    bench.change(&Change::Update { container: name.clone(), limits, restart }).await?;
    told(bench, &name, &spec).await?;
    let after = bench.container(&name).await?;
    same("id and phase", &(after.id, after.status), &(before.id, before.status))?;
    bench.remove(ObjectRef::container(&name)).await
}

async fn connected(bench: &Bench<'_>) -> Verdict {
    let network = bench.name("f3");
    let labels = bench.mark("f3").labels();
    let made = NetworkSpec { labels, ..NetworkSpec::default() };
    bench.create(&New::Network { name: network.clone(), spec: made }).await?;
    let mut spec = bench.spec("connected");
    let name = bench.run("connected", spec.clone()).await?;
    let default = (Networking::DEFAULT.to_owned(), Attachment::default());
    for alias in ["one", "one", "two"] {
        let attachment = Attachment::aliased([alias]);
        spec.networking = Networking::of([default.clone(), (network.clone(), attachment.clone())]);
        let (container, network) = (name.clone(), network.clone());
        bench.change(&Change::Connect { container, network, attachment }).await?;
        told(bench, &name, &spec).await?;
    }
    let found = bench.engine.network(&network).await.map_err(|error| failed("inspect", &error))?;
    let members = found.map(|it| it.members);
    same("its members", &members, &Some(BTreeSet::from([name.clone()])))?;
    let addresses = bench.container(&name).await?.addresses;
    same("where it has an address", &addresses.len(), &2)?;
    for _ in 0..2 {
        let (container, network) = (name.clone(), network.clone());
        bench.change(&Change::Disconnect { container, network }).await?;
        spec.networking = Networking::of([default.clone()]);
        told(bench, &name, &spec).await?;
    }
    bench.remove(ObjectRef::container(&name)).await
}
