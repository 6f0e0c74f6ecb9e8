//! All that is needed to reach one host: what its spec says, and the usual where it says nothing.

use std::path::PathBuf;

use detc_core::model::HostSpec;
use serde_json::Value;

use super::connector::home;
use super::destination::Destination;
use super::identity::HostKeyPolicy;

/// How one host is reached.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) user: String,
    /// The address that is connected to.
    pub(super) address: String,
    pub(super) port: u16,
    /// Key files, in the order in which they are offered; those that were named must be there.
    pub(super) identities: Vec<PathBuf>,
    pub(super) identity_choice: IdentityChoice,
    pub(super) known_hosts: Vec<PathBuf>,
    pub(super) policy: HostKeyPolicy,
}

/// Which keys are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentityChoice {
    /// Those that were named, and no others.
    Named,
    /// The agent's, and the usual files that there are.
    Usual,
}

/// What may stand beside `connect`.
const FIELDS: [&str; 4] = ["identity", "known_hosts", "host_keys", "state_dir"];

/// Key files that are tried when none is named, as OpenSSH does.
const USUAL_IDENTITIES: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];

impl Settings {
    /// Reads a spec.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(spec: &HostSpec) -> Result<Self, String> {
        let place = spec
            .connect
            .strip_prefix("ssh://")
            .ok_or_else(|| format!("`connect` is \"{}\": write \"ssh://user@address:port\"", spec.connect))?;
        let destination: Destination = place.trim_end_matches('/').parse()?;
        if let Some(name) = spec.options.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(format!("unknown field `{name}`: beside `connect` there are {}", list(&FIELDS)));
        }
        let option = |name: &str| spec.options.get(name);
        if let Some(dir) = option("state_dir")
            && !dir.as_str().is_some_and(|dir| dir.starts_with('/'))
        {
            return Err(format!("`state_dir` must be an absolute path, not {dir}"));
        }
        let named = option("identity").map(|value| paths("identity", value)).transpose()?;
        let identity_choice = if named.is_some() { IdentityChoice::Named } else { IdentityChoice::Usual };
        let known_hosts = option("known_hosts").map(|value| paths("known_hosts", value)).transpose()?;
        Ok(Self {
            user: match destination.user {
                Some(user) => user,
                None => own_name().ok_or("`connect` names no user, and the environment does not either")?,
            },
            address: destination.host,
            port: destination.port.unwrap_or(22),
            identities: named.unwrap_or_else(|| at_home(&USUAL_IDENTITIES)),
            identity_choice,
            known_hosts: known_hosts.unwrap_or_else(usual_known_hosts),
            policy: option("host_keys").map_or(Ok(HostKeyPolicy::default()), policy)?,
        })
    }
}

fn usual_known_hosts() -> Vec<PathBuf> {
    let mut files = at_home(&[".ssh/known_hosts"]);
    files.push(PathBuf::from("/etc/ssh/ssh_known_hosts"));
    files
}

fn at_home(names: &[&str]) -> Vec<PathBuf> {
    home().map(|home| names.iter().map(|name| home.join(name)).collect()).unwrap_or_default()
}

fn own_name() -> Option<String> {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|name| !name.is_empty())
}

fn policy(value: &Value) -> Result<HostKeyPolicy, String> {
    match value.as_str() {
        Some("strict") => Ok(HostKeyPolicy::Strict),
        Some("accept-new") => Ok(HostKeyPolicy::AcceptNew),
        Some("off") => Ok(HostKeyPolicy::Off),
        _ => Err(format!("`host_keys` must be \"strict\", \"accept-new\" or \"off\", not {value}")),
    }
}

/// One path or several. `~/` is the user's own folder; what is relative is so to the folder that the program runs in.
fn paths(field: &str, value: &Value) -> Result<Vec<PathBuf>, String> {
    let bad = || format!("`{field}` must be a path, or a list of paths, not {value}");
    let one = |value: &Value| value.as_str().filter(|path| !path.is_empty()).map(expand).ok_or_else(bad)?;
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(one).collect(),
        _ => Ok(vec![one(value)?]),
    }
}

fn expand(path: &str) -> Result<PathBuf, String> {
    match path.strip_prefix("~/") {
        Some(rest) => home()
            .map(|home| home.join(rest))
            .ok_or_else(|| format!("`{path}`: there is no folder of the user's own")),
        None => Ok(PathBuf::from(path)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
