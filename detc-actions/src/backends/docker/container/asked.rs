//! What an engine is asked for.

use std::collections::BTreeSet;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, NetworkingConfig,
    RestartPolicy, RestartPolicyNameEnum,
};
use detc_core::backend::containers::{Access, ContainerSpec, Limits, Networking, Restart, Swap};

use super::{health, mounts, networking, ports};

/// A container as it is to be made, connected to the first of its networks.
///
/// # Errors
/// What of it no engine can do, in words.
pub(in super::super) fn asked(spec: &ContainerSpec) -> Result<ContainerCreateBody, String> {
    let mode = networking::asked(&spec.networking)?;
    let networking_config = match &spec.networking {
        Networking::Networks(networks) => networks.first_key_value().map(|(name, attachment)| {
            let endpoints = [(name.clone(), networking::endpoint(attachment))];
            NetworkingConfig { endpoints_config: Some(endpoints.into_iter().collect()) }
        }),
        _ => None,
    };
    let (exposed, bindings) = ports::asked(&spec.ports);
    // One that is empty is said so by a word that is empty: engines take no word at all for "as the image has it".
    let entrypoint =
        spec.entrypoint.clone().map(|words| if words.is_empty() { vec![String::new()] } else { words });
    let env = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    Ok(ContainerCreateBody {
        hostname: spec.hostname.clone(),
        user: spec.user.clone(),
        exposed_ports: Some(exposed),
        env: Some(env.collect()),
        cmd: spec.command.clone(),
        healthcheck: spec.health.as_ref().map(health::asked),
        image: Some(spec.image.clone()),
        working_dir: spec.dir.clone(),
        entrypoint,
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace.map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(host_config(spec, mode, bindings)?),
        networking_config,
        ..ContainerCreateBody::default()
    })
}

fn host_config(
    spec: &ContainerSpec,
    network_mode: String,
    bindings: bollard::models::PortMap,
) -> Result<HostConfig, String> {
    let limits = limits(&spec.limits);
    let logging = spec.logging.as_ref().map(|logging| HostConfigLogConfig {
        typ: Some(logging.driver.clone()),
        config: Some(logging.options.clone().into_iter().collect()),
    });
    let words = |set: &BTreeSet<String>| Some(set.iter().cloned().collect());
    Ok(HostConfig {
        memory: limits.memory,
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpuset_cpus: limits.cpuset_cpus,
        pids_limit: limits.pids_limit,
        restart_policy: Some(restart_policy(spec.restart)),
        log_config: logging,
        network_mode: Some(network_mode),
        port_bindings: Some(bindings),
        mounts: Some(mounts::asked(&spec.mounts)?),
        cap_add: words(&spec.capabilities.add),
        cap_drop: words(&spec.capabilities.drop),
        readonly_rootfs: Some(spec.root == Access::ReadOnly),
        init: Some(spec.has_init),
        ..HostConfig::default()
    })
}

/// Limits; what is not given is not said.
pub(in super::super) fn limits(limits: &Limits) -> ContainerUpdateBody {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // Engines want to know of memory and swap together.
    let memory_swap = match (limits.swap, limits.memory_bytes) {
        (Some(Swap::Unlimited), _) => Some(-1),
        (Some(Swap::Bytes(swap)), Some(memory)) => Some(number(memory.saturating_add(swap))),
        (Some(Swap::Bytes(_)) | None, _) => None,
    };
    ContainerUpdateBody {
        memory: limits.memory_bytes.map(number),
        memory_reservation: limits.memory_reserved_bytes.map(number),
        memory_swap,
        nano_cpus: limits.cpu_nanos.map(number),
        cpu_shares: limits.cpu_weight.map(number),
        cpuset_cpus: limits.cpu_set.clone(),
        pids_limit: limits.pids_max.map(number),
        ..ContainerUpdateBody::default()
    }
}

pub(in super::super) fn restart_policy(restart: Restart) -> RestartPolicy {
    let (name, retries) = match restart {
        Restart::Never => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure { retries_max } => (RestartPolicyNameEnum::ON_FAILURE, retries_max),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: retries.map(i64::from) }
}
