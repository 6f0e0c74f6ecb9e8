//! How many of a service there are, what each may use, and in which order they change.

use super::life::restart_policy;
use super::node::{Errors, Fields};
use super::service::{Service, replicas};
use super::units::{bytes, millis};
use crate::resources::container::{LimitsSpec, Order};

impl Service {
    /// What it may use, as its own fields say.
    pub(super) fn limits(&mut self, fields: &mut Fields, errors: &mut Errors) {
        let mut limits = LimitsSpec {
            memory_mib: mebibytes(fields, "mem_limit", errors),
            memory_reserved_mib: mebibytes(fields, "mem_reservation", errors),
            swap_mib: None,
            cpu_millis: processors(fields, "cpus", errors),
            cpu_weight: fields.count("cpu_shares", errors),
            cpu_set: fields.text("cpuset", errors),
            pids_max: fields.count("pids_limit", errors),
        };
        let line = fields.line_of("memswap_limit");
        if let Some(both) = mebibytes(fields, "memswap_limit", errors) {
            // Compose counts memory and swap together.
            match limits.memory_mib.and_then(|memory| both.checked_sub(memory)) {
                Some(swap) => limits.swap_mib = Some(swap),
                None => {
                    let path = fields.path("memswap_limit");
                    let message =
                        format!("`{path}` is memory and swap together: expected at least `mem_limit`");
                    let () = errors.wrong(line, message).unwrap_or_default();
                }
            }
        }
        if limits != LimitsSpec::default() {
            self.spec.limits = Some(limits);
        }
    }

    pub(super) fn deploy(
        &mut self,
        scale: Option<u32>,
        fields: &mut Fields,
        errors: &mut Errors,
    ) -> Option<()> {
        let path = fields.path("deploy");
        let mut deploy = fields.take("deploy")?.fields(&path, errors)?;
        let line = deploy.line_of("mode");
        if let Some(mode) = deploy.text("mode", errors).filter(|mode| mode != "replicated") {
            let () = errors
                .wrong(line, format!("`{path}.mode` is `{mode}`: only `replicated` is supported"))
                .unwrap_or_default();
        }
        let line = deploy.line_of("replicas");
        if let Some(many) = replicas(&mut deploy, "replicas", errors) {
            if scale.is_some_and(|scale| scale != many) {
                let message = format!("`{path}.replicas` is {many}, and `scale` is not: give one of them");
                let () = errors.wrong(line, message).unwrap_or_default();
            }
            self.replicas = many;
        }
        if let Some(node) = deploy.take("resources") {
            let path = deploy.path("resources");
            if let Some(mut resources) = node.fields(&path, errors) {
                self.deployed_limits(&mut resources, errors);
                resources.finish(&["limits", "reservations"], errors);
            }
        }
        if let Some(node) = deploy.take("restart_policy") {
            let path = deploy.path("restart_policy");
            self.spec.restart = restart_policy(&node, &path, errors).or(self.spec.restart);
        }
        if let Some(node) = deploy.take("update_config") {
            let path = deploy.path("update_config");
            if let Some(mut update) = node.fields(&path, errors) {
                self.parallelism = update.count_u32("parallelism", errors).filter(|many| *many > 0);
                let line = update.line_of("order");
                self.spec.order = match update.text("order", errors).as_deref() {
                    None => None,
                    Some("start-first") => Some(Order::StartFirst),
                    Some("stop-first") => Some(Order::StopFirst),
                    Some(other) => errors.wrong(
                        line,
                        format!("`{path}.order` is `{other}`: expected `start-first` or `stop-first`"),
                    ),
                };
                update.finish(&["parallelism", "order"], errors);
            }
        }
        deploy.finish(&["mode", "replicas", "resources", "restart_policy", "update_config"], errors);
        Some(())
    }

    fn deployed_limits(&mut self, resources: &mut Fields, errors: &mut Errors) {
        let mut limits = self.spec.limits.take().unwrap_or_default();
        let path = resources.path("limits");
        if let Some(mut given) = resources.take("limits").and_then(|node| node.fields(&path, errors)) {
            limits.memory_mib = mebibytes(&mut given, "memory", errors).or(limits.memory_mib);
            limits.cpu_millis = processors(&mut given, "cpus", errors).or(limits.cpu_millis);
            limits.pids_max = given.count("pids", errors).or(limits.pids_max);
            given.finish(&["memory", "cpus", "pids"], errors);
        }
        let path = resources.path("reservations");
        if let Some(mut given) = resources.take("reservations").and_then(|node| node.fields(&path, errors)) {
            limits.memory_reserved_mib =
                mebibytes(&mut given, "memory", errors).or(limits.memory_reserved_mib);
            given.finish(&["memory"], errors);
        }
        if limits != LimitsSpec::default() {
            self.spec.limits = Some(limits);
        }
    }
}

/// A size, in MiB.
fn mebibytes(fields: &mut Fields, name: &str, errors: &mut Errors) -> Option<u64> {
    let path = fields.path(name);
    let node = fields.take(name)?;
    let text = node.text(&path, errors)?;
    let Some(size) = bytes(&text) else {
        return errors
            .wrong(node.line, format!("`{path}` is `{text}`: expected a size, as in `512m` or `2g`"));
    };
    let whole = (size % (1 << 20) == 0).then_some(size >> 20);
    whole.or_else(|| errors.wrong(node.line, format!("`{path}` is {size} bytes: expected whole MiB")))
}

fn processors(fields: &mut Fields, name: &str, errors: &mut Errors) -> Option<u64> {
    let path = fields.path(name);
    let node = fields.take(name)?;
    let text = node.text(&path, errors)?;
    let message = || format!("`{path}` is `{text}`: expected processors, as in `0.5`, in whole thousandths");
    millis(&text).or_else(|| errors.wrong(node.line, message()))
}
