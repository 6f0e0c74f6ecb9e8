//! `facts`: what a host is, for others to refer to. Nothing is made, and it is looked at each time.
//!
//! One command gathers all, from what each Linux has: `uname`, `df` and files of `/proc`.

use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::host::Command;
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removal, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::common::{of_system, tail};

mod read;

/// The spec of `facts`: a host has them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsSpec {}

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsOutput {
    /// What it calls itself.
    pub hostname: String,
    /// Its operating system.
    pub os: OsFacts,
    /// The version of its kernel: `6.1.0-28-amd64`.
    pub kernel: String,
    /// Its architecture, as `uname -m` says: `x86_64`.
    pub architecture: String,
    /// How many processors a program can use.
    pub cpus: u32,
    /// Its memory.
    pub memory_mib: u64,
    /// Its addresses that others can reach, IPv4 first, in the order of numbers.
    pub addresses: Vec<String>,
    /// Its file systems that lie on a device of its own, by where they are mounted.
    pub disks: Vec<DiskFacts>,
}

/// An operating system, as `/etc/os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsFacts {
    /// Which one: `debian`.
    pub id: String,
    /// Its version: `12`. Empty where it has none.
    pub version: String,
    /// For people: `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
}

/// A file system. What is free is not in here: it changes all the time, and with it all that refers to it would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// Where it is mounted.
    pub path: String,
    /// What it lies on: `/dev/vda1`.
    pub device: String,
    /// How much it holds.
    pub size_mib: u64,
}

/// Each part begins with a line of its own; `df` looks at no file system of the network, which may hang.
const SCRIPT: &str = r"
echo @uname; uname -n; uname -r; uname -m
echo @os; cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
echo @cpus; nproc 2>/dev/null || getconf _NPROCESSORS_ONLN
echo @memory; cat /proc/meminfo
echo @ipv4; cat /proc/net/fib_trie 2>/dev/null
echo @ipv6; cat /proc/net/if_inet6 2>/dev/null
echo @disks; df -Pkl 2>/dev/null || df -Pk
echo @end
exit 0
";

/// How long gathering may take: it reads some small files.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn gather(cx: &ActionCx<'_>) -> Result<FactsOutput, ActionError> {
    let command = Command::new(["sh", "-c", SCRIPT]).with_timeout(TIMEOUT).with_output_max(8 << 20).asking();
    let output = cx.host()?.run(&of_system(command)).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    read::facts(&text).map_err(|missing| {
        let message = format!("{} could not find out {missing}: {}", cx.resource(), tail(&output.stderr, 3));
        ActionError::permanent(message).with_hint("facts are gathered on Linux, from /proc and `df`")
    })
}

#[async_trait]
impl Resource for FactsSpec {
    const KIND: &'static str = "facts";

    type Output = FactsOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.removal = Removal::Forget;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        // They are there when they are recorded: only then others can refer to them. What they are is seen now.
        Ok(match cx.recorded() {
            Some(_) => Observation::Present(Present::new().with_output(&gather(cx).await?)),
            None => Observation::Unobservable,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<FactsOutput, ActionError> {
        gather(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<FactsOutput, ActionError> {
        gather(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
