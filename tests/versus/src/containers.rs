//! Services of containers from one Compose file, beside `docker-compose` and a bare loop of the same calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HealthStatusEnum, HostConfig, NetworkCreateRequest,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cost::{Cost, measure, median};
use crate::terraform::build_fleet;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    pub services: usize,
    pub replicas: usize,
    pub times: usize,
    /// Whether docker-compose and the bare loop are measured, too.
    pub peers: bool,
}

/// How many the bare loop makes at a time: as detc does it.
const AT_ONCE: usize = 16;

/// What each of them is called by, in order.
const PHASES: [&str; 4] = ["up", "again", "one changed", "down"];

/// Measures all, in turns, and prints a table.
pub fn compare(options: &Options) -> anyhow::Result<()> {
    ensure!(
        std::env::var("DOCKER_HOST").is_ok_and(|host| host.starts_with("unix://")),
        "`DOCKER_HOST` names no socket of an engine: start a `dockerd`, and set it to unix:///PATH"
    );
    let fleet = build_fleet()?.display().to_string();
    let dir = tempfile::tempdir()?;
    let mut runs: BTreeMap<(usize, &str), Vec<Cost>> = BTreeMap::new();
    for _ in 0..options.times {
        let mut add = |phase, what, cost| runs.entry((phase, what)).or_default().push(cost);
        let file = |version: usize| compose(dir.path(), options, version);
        let store = dir.path().join("store");
        let _none = fs::remove_dir_all(&store);
        image(dir.path())?;
        let with = [fleet.as_str(), "-f", "compose.yaml", "--store", "store", "--quiet"];
        let detc = |command: &[&str]| measure(dir.path(), &[0], &[&with, command].concat());
        file(1)?;
        add(0, "detc", detc(&["apply", "--yes"])?);
        check(options, 1)?;
        add(1, "detc", detc(&["apply", "--yes"])?);
        file(2)?;
        add(2, "detc", detc(&["apply", "--yes"])?);
        check(options, 2)?;
        add(3, "detc", detc(&["destroy", "--yes"])?);
        ensure!(running()?.is_empty(), "detc has left containers");
        if !options.peers {
            continue;
        }
        image(dir.path())?;
        let peer = |command: &[&str]| {
            measure(
                dir.path(),
                &[0],
                &[&["docker-compose", "--no-ansi", "-f", "compose.yaml"], command].concat(),
            )
        };
        file(1)?;
        add(0, "docker-compose", peer(&["up", "-d"])?);
        check(options, 1)?;
        add(1, "docker-compose", peer(&["up", "-d"])?);
        file(2)?;
        add(2, "docker-compose", peer(&["up", "-d"])?);
        check(options, 2)?;
        add(3, "docker-compose", peer(&["down"])?);
        ensure!(running()?.is_empty(), "docker-compose has left containers");
        let own = std::env::current_exe()?.display().to_string();
        let (services, replicas) = (options.services.to_string(), options.replicas.to_string());
        let bare = |what: &str| {
            measure(dir.path(), &[0], &[&own, "bare-containers", what, services.as_str(), replicas.as_str()])
        };
        add(0, "bare loop", bare("up")?);
        check(options, 1)?;
        add(3, "bare loop", bare("down")?);
    }
    println!("\n{} services of {}, medians of {}\n", options.services, options.replicas, options.times);
    println!(
        "| | | wall time | each run | processor of the client | peak memory |\n|---|---|---|---|---|---|"
    );
    for ((phase, what), costs) in &runs {
        let middle = median(costs);
        let each: Vec<String> = costs.iter().map(|cost| format!("{:.2}", cost.wall.as_secs_f64())).collect();
        println!(
            "| {} | {what} | {:.2} s | {} | {:.2} s | {:.0} MiB |",
            PHASES[*phase],
            middle.wall.as_secs_f64(),
            each.join(", "),
            middle.processor.as_secs_f64(),
            middle.peak_mib,
        );
    }
    Ok(())
}

/// On which service one depends: a tree of three levels.
fn depends_on(service: usize) -> Option<usize> {
    match service {
        0 => None,
        1..=3 => Some(0),
        _ => Some(1 + service % 3),
    }
}

/// Whether others wait until it is healthy. Only these are checked: a check of an engine costs it more than all else here.
fn is_waited_for(service: usize) -> bool {
    service < 4
}

/// Writes the file; `version` is a variable of the last service.
fn compose(dir: &Path, options: &Options, version: usize) -> anyhow::Result<()> {
    let mut text = "name: bench\nservices:\n".to_owned();
    // The peer does not know the name, and takes its own from the environment.
    if options.peers {
        text = "services:\n".to_owned();
    }
    for service in 0..options.services {
        let version = if service + 1 == options.services { version } else { 1 };
        write!(
            text,
            "  s{service}:\n    image: bench:1\n    command: [sleep, '1000000']\n    scale: {}\n    environment: {{ VERSION: '{version}' }}\n    \
             stop_signal: SIGKILL\n",
            options.replicas
        )?;
        if is_waited_for(service) {
            writeln!(
                text,
                "    healthcheck: {{ test: [CMD, 'true'], interval: 2s, timeout: 10s, retries: 3 }}"
            )?;
        }
        if let Some(on) = depends_on(service) {
            writeln!(text, "    depends_on: {{ s{on}: {{ condition: service_healthy }} }}")?;
        }
    }
    Ok(fs::write(dir.join("compose.yaml"), text)?)
}

/// Builds the image, of a busybox that is linked by itself.
fn image(dir: &Path) -> anyhow::Result<()> {
    let context = dir.join("image");
    fs::create_dir_all(&context)?;
    fs::copy("/bin/busybox", context.join("busybox")).context("needs Debian's busybox-static")?;
    let recipe = "FROM scratch\nCOPY busybox /bin/sleep\nCOPY busybox /bin/true\nENV PATH=/bin\n";
    fs::write(context.join("Dockerfile"), recipe)?;
    docker(&["build", "-q", "-t", "bench:1", &context.display().to_string()]).map(|_| ())
}

fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    let out =
        Command::new("docker").args(arguments).stdin(Stdio::null()).output().context("docker's client")?;
    ensure!(out.status.success(), "docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

fn running() -> anyhow::Result<Vec<String>> {
    Ok(docker(&["ps", "-q", "--filter", "ancestor=bench:1"])?.lines().map(str::to_owned).collect())
}

/// That all run, and the last service in this version.
fn check(options: &Options, version: usize) -> anyhow::Result<()> {
    let ids = running()?;
    ensure!(ids.len() == options.services * options.replicas, "{} run", ids.len());
    let mut inspect = vec!["inspect", "--format", "{{.Config.Env}}"];
    inspect.extend(ids.iter().map(String::as_str));
    let changed = docker(&inspect)?.matches(&format!("VERSION={version}")).count();
    let expected = if version == 1 { ids.len() } else { options.replicas };
    ensure!(changed == expected, "{changed} have version {version}, and not {expected}");
    Ok(())
}

/// Makes them with nothing but the calls that it takes, or takes them away.
pub fn bare(what: &str, services: usize, replicas: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let docker = Docker::connect_with_defaults()?;
        match what {
            "up" => bare_up(docker, services, replicas).await,
            "down" => bare_down(docker, services, replicas).await,
            _ => bail!("there is no `{what}`"),
        }
    })
}

fn name(service: usize, replica: usize) -> String {
    format!("bare-s{service}-{replica}")
}

async fn bare_up(docker: Docker, services: usize, replicas: usize) -> anyhow::Result<()> {
    let network = NetworkCreateRequest { name: "bare_default".to_owned(), ..NetworkCreateRequest::default() };
    docker.create_network(network).await?;
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let level = |service| std::iter::successors(depends_on(service), |on| depends_on(*on)).count();
    for now in 0..3 {
        let mut made = JoinSet::new();
        for service in (0..services).filter(|service| level(*service) == now) {
            for replica in 1..=replicas {
                let (docker, at_once) = (docker.clone(), at_once.clone());
                made.spawn(async move {
                    let _turn = at_once.acquire().await?;
                    make(&docker, &name(service, replica), is_waited_for(service)).await
                });
            }
        }
        while let Some(one) = made.join_next().await {
            one??;
        }
    }
    Ok(())
}

async fn make(docker: &Docker, name: &str, is_checked: bool) -> anyhow::Result<()> {
    let second = 1_000_000_000;
    let body = ContainerCreateBody {
        image: Some("bench:1".to_owned()),
        cmd: Some(vec!["sleep".to_owned(), "1000000".to_owned()]),
        env: Some(vec!["VERSION=1".to_owned()]),
        stop_signal: Some("SIGKILL".to_owned()),
        healthcheck: is_checked.then(|| HealthConfig {
            test: Some(vec!["CMD".to_owned(), "true".to_owned()]),
            interval: Some(2 * second),
            timeout: Some(10 * second),
            retries: Some(3),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            network_mode: Some("bare_default".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let id = docker.create_container(Some(options), body).await?.id;
    docker.start_container(&id, None).await?;
    let (began, mut wait) = (Instant::now(), Duration::from_millis(20));
    loop {
        let seen = docker.inspect_container(&id, None).await?;
        let health = seen.state.and_then(|state| state.health).and_then(|health| health.status);
        // Without a check it has started when it still runs a moment after its start, as detc has it.
        let is_settled = !is_checked && began.elapsed() >= Duration::from_millis(300);
        if is_settled || health == Some(HealthStatusEnum::HEALTHY) {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "{name} does not work");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(500));
    }
}

async fn bare_down(docker: Docker, services: usize, replicas: usize) -> anyhow::Result<()> {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut gone = JoinSet::new();
    for (service, replica) in (0..services).flat_map(|it| (1..=replicas).map(move |replica| (it, replica))) {
        let (docker, at_once) = (docker.clone(), at_once.clone());
        gone.spawn(async move {
            let _turn = at_once.acquire().await?;
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            Ok::<_, anyhow::Error>(docker.remove_container(&name(service, replica), Some(options)).await?)
        });
    }
    while let Some(one) = gone.join_next().await {
        one??;
    }
    Ok(docker.remove_network("bare_default").await?)
}
