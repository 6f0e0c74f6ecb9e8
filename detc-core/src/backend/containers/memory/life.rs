//! How containers start, end, start again and are found healthy.

use std::net::{IpAddr, Ipv4Addr};

use super::state::Held;
use super::*;
use crate::backend::containers::{HealthCheck, Phase, Probe, Published, Readiness, Restart, Stream, Test};
use crate::backend::host::{ExitStatus, Output};

/// The first port that is given where none is asked for, as Linux gives them.
const FREE_PORTS: u16 = 32768;

/// How often in a row one that ends at once is started again before it is said to be restarting: as often as makes no difference.
const RESTARTS_AT_ONCE_MAX: u32 = 10;

impl State {
    pub(super) fn start(&mut self, called: &str) -> Result<String, Why> {
        let (id, held) = self.container(called)?;
        if held.runs() {
            return Ok(id);
        }
        if let Networking::Networks(networks) = &self.containers[&id].spec.networking {
            networks.keys().try_for_each(|network| self.network(network).map(drop))?;
        }
        let published = self.publish(&id)?;
        let held = self.containers.get_mut(&id).expect("invariant: it was just there");
        held.published = published;
        held.restarts = 0;
        held.begin()?;
        Ok(id)
    }

    /// Gives a container its ports.
    fn publish(&self, id: &str) -> Result<Vec<Published>, Why> {
        let held = &self.containers[id];
        let mut taken: Vec<_> = self
            .containers
            .values()
            .filter(|held| held.runs())
            .flat_map(|held| held.published.clone())
            .collect();
        let others = taken.len();
        for port in &held.spec.ports {
            let Some(at) = port.at else { continue };
            let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let address = at.address.unwrap_or(any);
            let is_taken = |host_port: u16, taken: &[Published]| {
                taken.iter().any(|it| {
                    let meets = it.address == address || it.address == any || address == any;
                    it.host_port == host_port && it.protocol == port.protocol && meets
                })
            };
            let host_port = match at.port.filter(|port| *port != 0) {
                Some(port) if is_taken(port, &taken) => {
                    return Err(Why::PortTaken { container: held.name.clone(), port });
                }
                Some(port) => port,
                None => (FREE_PORTS..).find(|port| !is_taken(*port, &taken)).unwrap_or_default(),
            };
            taken.push(Published { port: port.port, protocol: port.protocol, address, host_port });
        }
        Ok(taken.split_off(others))
    }

    /// A container ends by itself.
    pub(super) fn exit(&mut self, id: &str, code: i32) {
        if let Some(held) = self.containers.get_mut(id).filter(|held| held.runs()) {
            held.ended(code);
        }
    }

    /// The engine is started again.
    pub(super) fn restart(&mut self) {
        for held in self.containers.values_mut() {
            let was_stopped = matches!(held.phase, Phase::Exited(_));
            held.end(0);
            let starts = match held.spec.restart {
                Restart::Always => held.phase != Phase::Created,
                Restart::UnlessStopped => !was_stopped && held.phase != Phase::Created,
                Restart::Never | Restart::OnFailure { .. } => false,
            };
            if starts && let Err(why) = held.begin() {
                held.said = format!("{why:?}");
            }
        }
    }

    /// Makes all health checks, and tells whose outcome has changed or may.
    pub(super) fn probe(&mut self) -> Vec<String> {
        let checked = self
            .containers
            .iter_mut()
            .filter_map(|(id, held)| (held.runs() && held.probe()).then(|| id.clone()));
        checked.collect()
    }
}

impl Held {
    /// Runs its program, which may have ended before this returns.
    fn begin(&mut self) -> Result<(), Why> {
        let code = self.run_once()?;
        match code {
            Some(code) => self.ended(code),
            None => self.phase = Phase::Running,
        }
        Ok(())
    }

    /// Runs its program. `None`: it goes on.
    fn run_once(&mut self) -> Result<Option<i32>, Why> {
        let argv = self.spec.entrypoint.iter().flatten().chain(self.spec.command.iter().flatten());
        let command = Command::new(argv.cloned())
            .with_env(self.spec.env.clone())
            .with_dir(self.spec.dir.clone().filter(|dir| dir != "/"));
        let begun =
            command.validate().and_then(|()| self.host.begin(&command).map_err(|error| error.to_string()));
        let (output, goes_on) = begun.map_err(|what| {
            self.said.clone_from(&what);
            Why::NotStarted { container: self.name.clone(), what }
        })?;
        self.said.clear();
        self.note(&output);
        self.failed_probes = 0;
        self.readiness = match self.spec.health {
            Some(HealthCheck::Probe(_)) => Readiness::Starting,
            Some(HealthCheck::Off) | None => Readiness::Unchecked,
        };
        Ok((!goes_on).then_some(match output.status {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => 128 + signal,
        }))
    }

    /// It has ended by itself, and may be started again.
    fn ended(&mut self, mut code: i32) {
        for _ in 0..RESTARTS_AT_ONCE_MAX {
            self.phase = Phase::Exited(code);
            let again = match self.spec.restart {
                Restart::Never => false,
                Restart::Always | Restart::UnlessStopped => true,
                Restart::OnFailure { retries_max } => {
                    code != 0 && retries_max.is_none_or(|most| self.restarts < most)
                }
            };
            if !again {
                return;
            }
            self.restarts += 1;
            match self.run_once() {
                Ok(Some(next)) => code = next,
                Ok(None) => {
                    self.phase = Phase::Running;
                    return;
                }
                Err(_) => return,
            }
        }
        self.phase = Phase::Restarting;
    }

    fn note(&mut self, output: &Output) {
        for (stream, bytes) in [(Stream::Stdout, &output.stdout), (Stream::Stderr, &output.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            self.log.extend(text.lines().map(|line| LogLine { stream, text: line.to_owned() }));
        }
    }

    /// Makes its health check, and tells whether its outcome has changed or may.
    fn probe(&mut self) -> bool {
        let Some(HealthCheck::Probe(Probe { test, retries, .. })) = &self.spec.health else { return false };
        let argv = match test {
            Test::Command(argv) => argv.clone(),
            Test::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
        };
        let passes =
            self.host.begin(&Command::new(argv)).is_ok_and(|(output, goes_on)| output.success() && !goes_on);
        let before = self.readiness;
        if passes {
            (self.failed_probes, self.readiness) = (0, Readiness::Healthy);
        } else {
            self.failed_probes = self.failed_probes.saturating_add(1);
            if self.failed_probes >= *retries {
                self.readiness = Readiness::Unhealthy;
            }
        }
        self.readiness != before || self.readiness == Readiness::Starting
    }
}
