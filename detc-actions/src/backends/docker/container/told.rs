//! What an engine tells of a container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings, HealthStatusEnum, HostConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use detc_core::backend::containers::{
    Access, Capabilities, Container, ContainerSpec, Limits, Logging, Phase, Readiness, Restart, Status, Swap,
};

use super::networking::{self, SHORT_ID};
use super::{env, given, health, mounts, ports, positive, signal};

/// A container, in our words.
pub(in super::super) fn told(inspected: ContainerInspectResponse) -> Container {
    let id = inspected.id.unwrap_or_default();
    let state = inspected.state.unwrap_or_default();
    let config = inspected.config.unwrap_or_default();
    let host_config = inspected.host_config.unwrap_or_default();
    let settings = inspected.network_settings.unwrap_or_default();
    let networks: BTreeMap<String, EndpointSettings> =
        settings.networks.unwrap_or_default().into_iter().collect();
    let name = inspected.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let image = inspected.image.unwrap_or_default();
    let addresses = networking::addresses(&networks);
    let spec = spec(&id, config, host_config, inspected.mounts.unwrap_or_default(), &networks);
    let mut container = Container::new(id, name, image, spec, status(&state));
    container.said = said(&state);
    container.restarts = inspected.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let log = state.health.and_then(|health| health.log).unwrap_or_default();
    container.health_log = log.into_iter().filter_map(|result| given(result.output)).collect();
    container.published = ports::published(settings.ports);
    container.addresses = addresses;
    container
}

fn spec(
    id: &str,
    config: ContainerConfig,
    mut host: HostConfig,
    points: Vec<bollard::models::MountPoint>,
    networks: &BTreeMap<String, EndpointSettings>,
) -> ContainerSpec {
    let mut spec = ContainerSpec::new(config.image.unwrap_or_default());
    spec.mounts = mounts::told(points, &host);
    spec.entrypoint = Some(config.entrypoint.unwrap_or_default());
    spec.command = Some(config.cmd.unwrap_or_default());
    spec.env = env(config.env);
    spec.dir = given(config.working_dir);
    spec.user = given(config.user);
    spec.hostname = given(config.hostname).filter(|name| id.get(..SHORT_ID) != Some(name));
    spec.labels = config.labels.unwrap_or_default().into_iter().collect();
    spec.ports = ports::told(config.exposed_ports, host.port_bindings.take());
    spec.networking = networking::told(id, host.network_mode.as_deref(), networks);
    spec.root = if host.readonly_rootfs == Some(true) { Access::ReadOnly } else { Access::ReadWrite };
    spec.capabilities = Capabilities { add: rights(host.cap_add.take()), drop: rights(host.cap_drop.take()) };
    spec.restart = restart(host.restart_policy.take());
    spec.health = health::told(config.healthcheck);
    spec.stop_signal = signal(config.stop_signal.as_deref());
    let grace = config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok());
    spec.stop_grace = grace.map(Duration::from_secs);
    spec.logging = host.log_config.take().and_then(|logging| {
        Some(Logging::new(given(logging.typ)?, logging.config.unwrap_or_default().into_iter().collect()))
    });
    spec.has_init = host.init == Some(true);
    spec.limits = limits(&host);
    spec
}

fn limits(host: &HostConfig) -> Limits {
    let mut limits = Limits::default();
    limits.memory_bytes = positive(host.memory);
    limits.memory_reserved_bytes = positive(host.memory_reservation);
    limits.swap = match (host.memory_swap, limits.memory_bytes) {
        (Some(-1), _) => Some(Swap::Unlimited),
        (Some(both), Some(memory)) if both > 0 => {
            Some(Swap::Bytes(both.unsigned_abs().saturating_sub(memory)))
        }
        _ => None,
    };
    limits.cpu_nanos = positive(host.nano_cpus);
    limits.cpu_weight = positive(host.cpu_shares);
    limits.cpu_set = given(host.cpuset_cpus.clone());
    limits.pids_max = positive(host.pids_limit);
    limits
}

fn rights(told: Option<Vec<String>>) -> BTreeSet<String> {
    let plain = |right: String| {
        let right = right.to_ascii_uppercase();
        right.strip_prefix("CAP_").map(str::to_owned).unwrap_or(right)
    };
    told.unwrap_or_default().into_iter().map(plain).collect()
}

fn restart(told: Option<RestartPolicy>) -> Restart {
    let Some(policy) = told else { return Restart::Never };
    match policy.name {
        Some(RestartPolicyNameEnum::ALWAYS) => Restart::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => Restart::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            let retries = policy.maximum_retry_count.and_then(|count| u32::try_from(count).ok());
            Restart::OnFailure { retries_max: retries.filter(|count| *count > 0) }
        }
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => Restart::Never,
    }
}

fn status(state: &ContainerState) -> Status {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
    let phase = match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => Phase::Running,
        Some(ContainerStateStatusEnum::PAUSED) => Phase::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => Phase::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => Phase::Exited(code),
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => Phase::Removing,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => Phase::Created,
    };
    let readiness = match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Readiness::Starting,
        Some(HealthStatusEnum::HEALTHY) => Readiness::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Readiness::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Readiness::Unchecked,
    };
    Status::new(phase).with_readiness(if phase == Phase::Running { readiness } else { Readiness::Unchecked })
}

/// Why it ended or did not start.
fn said(state: &ContainerState) -> String {
    let memory = (state.oom_killed == Some(true)).then(|| "it ran out of memory".to_owned());
    memory.into_iter().chain(given(state.error.clone())).collect::<Vec<_>>().join(": ")
}

/// How a container is, as far as a listing tells.
pub(in super::super) fn status_of_listing(told: &ContainerSummary) -> Status {
    let text = told.status.as_deref().unwrap_or_default();
    let phase = match told.state {
        Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING) => Phase::Running,
        Some(ContainerSummaryStateEnum::PAUSED) => Phase::Paused,
        Some(ContainerSummaryStateEnum::RESTARTING) => Phase::Restarting,
        Some(ContainerSummaryStateEnum::EXITED) => Phase::Exited(exit_code(text).unwrap_or(-1)),
        Some(ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD) => Phase::Removing,
        Some(ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EMPTY) | None => Phase::Created,
    };
    let readiness = match phase {
        Phase::Running if text.ends_with("(healthy)") => Readiness::Healthy,
        Phase::Running if text.ends_with("(unhealthy)") => Readiness::Unhealthy,
        Phase::Running if text.ends_with("(health: starting)") => Readiness::Starting,
        _ => Readiness::Unchecked,
    };
    Status::new(phase).with_readiness(readiness)
}

/// The code of `Exited (137) 2 hours ago`.
fn exit_code(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_tells_how_a_container_is() {
        use ContainerSummaryStateEnum as State;
        let check = |state: State, status: &str, wanted: Status| {
            let told = ContainerSummary {
                state: Some(state),
                status: Some(status.to_owned()),
                ..ContainerSummary::default()
            };
            assert_eq!(status_of_listing(&told), wanted, "{status}");
        };
        let running = || Status::new(Phase::Running);
        check(State::RUNNING, "Up 2 minutes", running());
        check(
            State::RUNNING,
            "Up 1 second (health: starting)",
            running().with_readiness(Readiness::Starting),
        );
        check(State::RUNNING, "Up 2 hours (healthy)", running().with_readiness(Readiness::Healthy));
        check(State::RUNNING, "Up 2 hours (unhealthy)", running().with_readiness(Readiness::Unhealthy));
        check(State::EXITED, "Exited (137) 3 weeks ago", Status::new(Phase::Exited(137)));
        check(State::CREATED, "Created", Status::new(Phase::Created));
        check(State::RESTARTING, "Restarting (1) 1 second ago", Status::new(Phase::Restarting));
        check(State::PAUSED, "Up 2 hours (Paused)", Status::new(Phase::Paused));
        check(State::DEAD, "Dead", Status::new(Phase::Removing));
    }
}
