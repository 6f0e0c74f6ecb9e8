//! detc beside its peers, on the same work, in the same run.
//!
//! ```sh
//! cargo run --release --manifest-path tests/versus/Cargo.toml -- terraform 1000 10000
//! cargo run --release --manifest-path tests/versus/Cargo.toml -- steno
//! cargo run --release --manifest-path tests/versus/Cargo.toml -- ssh 10 50 100
//! ```

mod containers;
mod cost;
mod engine;
mod graph;
mod http;
mod ssh;
mod terraform;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use graph::Shape;

/// Measures detc beside a peer and prints both, with ratios.
#[derive(Debug, Parser)]
enum Command {
    /// Plan, apply and plan again, as whole processes, beside `terraform`, which must be on the PATH.
    Terraform {
        /// How many resources.
        #[arg(required = true)]
        counts: Vec<usize>,
        /// How they depend on each other.
        #[arg(long, value_enum, default_value = "layered")]
        shape: Shape,
        /// How often each is measured; medians are printed.
        #[arg(long, default_value = "3")]
        times: usize,
        /// The most resources that Terraform applies; beyond it is given the state that an apply would leave.
        #[arg(long, default_value = "1000")]
        apply_max: usize,
    },
    /// Actions that do nothing, in memory, beside the sagas of steno 0.4.1.
    Steno {
        /// After how many seconds steno is given up.
        #[arg(long, default_value = "100")]
        give_up: u64,
    },
    /// The same tasks on each of some hosts, twice, beside pyinfra, Ansible, and a loop of `ssh host true`. Needs OpenSSH's
    /// programs and `cc`; starts its own sshd processes on 127.0.1.1 and up.
    Ssh {
        /// How many sshd.
        #[arg(required = true)]
        counts: Vec<usize>,
        /// How often each is measured; medians are printed.
        #[arg(long, default_value = "3")]
        times: usize,
        /// How many connections stand for as many hosts at each sshd; with more than one, only detc is measured.
        #[arg(long, default_value = "1")]
        connections: usize,
        /// pyinfra's program.
        #[arg(long, default_value = "pyinfra")]
        pyinfra: PathBuf,
        /// Ansible's program; when not given, the one on the PATH, where there is one.
        #[arg(long)]
        ansible: Option<PathBuf>,
        /// The folder of Mitogen's strategies; when not given, that of Ansible's own Python, where there is one.
        #[arg(long)]
        mitogen: Option<PathBuf>,
    },
    /// Connects and runs `true`, with detc's client and with others.
    SshClients {
        /// How many hosts.
        count: usize,
        #[arg(long, default_value = "5")]
        times: usize,
    },
    /// Sends a large file to each of some hosts, handed on from host to host and all of it from here, and counts what leaves.
    SshRelay {
        /// How many hosts.
        #[arg(default_value = "10")]
        count: usize,
        /// How long the file is.
        #[arg(long, default_value = "100")]
        mib: u64,
        #[arg(long, default_value = "3")]
        times: usize,
    },
    /// What the exchange of keys costs, by way.
    KeyExchange {
        #[arg(long, default_value = "1000")]
        times: usize,
    },
    /// Services of containers from a Compose file: made, looked at again, one changed, taken down; beside `docker-compose` and a bare
    /// loop of the same calls. Needs an engine of its own at `DOCKER_HOST`, a socket, and Docker's client.
    Containers {
        /// How many services.
        #[arg(long, default_value = "10")]
        services: usize,
        /// How many containers each.
        #[arg(long, default_value = "5")]
        replicas: usize,
        #[arg(long, default_value = "3")]
        times: usize,
        /// Only detc is measured.
        #[arg(long)]
        alone: bool,
    },
    /// Makes containers with nothing but the calls that it takes.
    #[command(hide = true)]
    BareContainers { what: String, services: usize, replicas: usize },
    /// Connects to each host of `hosts.json`, and runs `true` there.
    #[command(hide = true)]
    OneClient { client: ssh::clients::Client },
    /// Sends the file `big` to each host of `hosts.json`.
    #[command(hide = true)]
    OneTransfer { way: ssh::relay::Way },
    /// Runs steno once, and prints how long it took in milliseconds.
    #[command(hide = true)]
    OneSaga { stages: usize, width: usize },
    /// Runs a command, and prints what it cost on the last line of standard error.
    #[command(hide = true)]
    Cost {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Terraform { counts, shape, times, apply_max } => {
            counts.into_iter().try_for_each(|count| terraform::compare(count, shape, times, apply_max))
        }
        Command::Steno { give_up } => engine::compare(give_up),
        Command::Ssh { counts, times, connections, pyinfra, ansible, mitogen } => {
            compare_ssh(&counts, times, connections, (pyinfra, ansible, mitogen))
        }
        Command::SshClients { count, times } => ssh::clients::compare(count, times),
        Command::KeyExchange { times } => ssh::exchange::compare(times),
        Command::Containers { services, replicas, times, alone } => {
            containers::compare(&containers::Options { services, replicas, times, peers: !alone })
        }
        Command::BareContainers { what, services, replicas } => containers::bare(&what, services, replicas),
        Command::SshRelay { count, mib, times } => ssh::relay::compare(count, mib, times),
        Command::OneTransfer { way } => ssh::relay::one(way),
        Command::OneClient { client } => ssh::clients::one(client),
        Command::OneSaga { stages, width } => engine::one_saga(stages, width),
        Command::Cost { command } => cost::pass_on(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The programs of pyinfra and Ansible, and Mitogen's folder.
type Peers = (PathBuf, Option<PathBuf>, Option<PathBuf>);

fn compare_ssh(
    counts: &[usize],
    times: usize,
    connections: usize,
    (pyinfra, ansible, mitogen): Peers,
) -> anyhow::Result<()> {
    // Where several connections stand for as many hosts, only detc is measured.
    let (pyinfra, ansible) = if connections > 1 {
        (None, None)
    } else if ssh::is_there(&pyinfra) {
        (Some(pyinfra), ssh::ansible::Ansible::find(ansible, mitogen)?)
    } else {
        anyhow::bail!(
            "there is no pyinfra at {}: `pip install pyinfra`, and give --pyinfra",
            pyinfra.display()
        );
    };
    let options = ssh::Options { times, names_each: connections, pyinfra, ansible };
    counts.iter().try_for_each(|count| ssh::compare(*count, &options))
}
