//! All that is needed to reach one host: what its spec says, what the user's own configuration says, and the usual where
//! neither says anything.

use std::path::{Path, PathBuf};

use detc_core::model::HostSpec;
use serde_json::Value;

use super::config::Configured;
use super::connector::home;
use super::destination::Destination;
use super::identity::{HostKeyPolicy, WrittenAs};

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
    /// How the name is written down beside a key that is accepted.
    pub(super) written_as: WrittenAs,
    pub(super) post_quantum: PostQuantum,
    /// The hosts that it is reached through, the nearest first.
    pub(super) jumps: Vec<Settings>,
    /// Who commands and files are done as, when not as who logs in.
    pub(super) becoming: Option<String>,
    /// The word that those hosts share who hand on large files to each other.
    relay: Option<String>,
}

/// Which keys are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentityChoice {
    /// Those that were named, and no others.
    Named,
    /// The agent's, and the usual files that there are.
    Usual,
}

/// Whether keys are exchanged so that a quantum computer of the future does not read what was recorded today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PostQuantum {
    /// Where the host can.
    #[default]
    Prefer,
    /// Or there is no connection.
    Require,
    /// It costs some computing.
    Never,
}

/// What may stand beside `connect`.
const FIELDS: [&str; 10] = [
    "become",
    "config",
    "host_keys",
    "identity",
    "jump",
    "known_hosts",
    "post_quantum",
    "relay",
    "roots",
    "state_dir",
];

/// Key files that are tried when none is named, as OpenSSH does.
const USUAL_IDENTITIES: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];

/// How many hosts one may be reached through.
const JUMPS_MAX: usize = 8;

/// What a spec says of the host and of those that it is reached through alike.
#[derive(Debug)]
struct Given {
    identities: Option<Vec<PathBuf>>,
    known_hosts: Option<Vec<PathBuf>>,
    policy: Option<HostKeyPolicy>,
    post_quantum: PostQuantum,
    config: Option<PathBuf>,
}

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
        let given = Given {
            identities: option("identity").map(|value| paths("identity", value)).transpose()?,
            known_hosts: option("known_hosts").map(|value| paths("known_hosts", value)).transpose()?,
            policy: option("host_keys").map(policy).transpose()?,
            post_quantum: option("post_quantum").map(post_quantum).transpose()?.unwrap_or_default(),
            config: match option("config") {
                Some(none) if none.as_str() == Some("none") => None,
                Some(value) => Some(path("config", value)?),
                None => home().map(|home| home.join(".ssh/config")),
            },
        };
        let (mut settings, jump) = Self::of(destination, &given)?;
        let jump = option("jump").map(|value| text("jump", value)).transpose()?.or(jump);
        settings.jumps = jumps(jump.as_deref().unwrap_or("none"), &given)?;
        settings.becoming = option("become").map(user).transpose()?;
        settings.relay = option("relay").map(|value| text("relay", value)).transpose()?;
        Ok(settings)
    }

    /// The word that those hosts share who hand on large files to each other, where it is one of them. Who becomes another user is
    /// not: the agent is forwarded to who logs in.
    pub(super) fn relays(&self) -> Option<&str> {
        self.relay.as_deref().filter(|_| self.becoming.is_none())
    }

    /// What there is to know of one destination, and what its configuration says that it is reached through.
    fn of(destination: Destination, given: &Given) -> Result<(Self, Option<String>), String> {
        let configured = match &given.config {
            Some(file) => Configured::read(file, &destination.host)?,
            None => Configured::default(),
        };
        let address = match &configured.host_name {
            Some(name) => {
                let name = name.replace("%h", &destination.host);
                let place: Destination = name.parse()?;
                if (&place.user, place.port) != (&None, None) {
                    return Err(format!("`HostName {name}` is no address"));
                }
                place.host
            }
            None => destination.host.clone(),
        };
        let port = match (destination.port, &configured.port) {
            (Some(port), _) => port,
            (None, Some(port)) => port.parse().map_err(|_| format!("`Port {port}` is no port"))?,
            (None, None) => 22,
        };
        let user = destination.user.or(configured.user).or_else(own_name);
        let named = given.identities.clone().map_or_else(
            || configured.identity_files.iter().map(|path| expand(path)).collect::<Result<Vec<_>, _>>(),
            Ok,
        )?;
        let only = given.identities.is_some() || configured.identities_only.as_deref().is_some_and(is_yes);
        let policy = match (given.policy, configured.strict.as_deref()) {
            (Some(policy), _) => policy,
            (None, None | Some("yes" | "ask")) => HostKeyPolicy::Strict,
            (None, Some("accept-new")) => HostKeyPolicy::AcceptNew,
            (None, Some(other)) => {
                return Err(format!(
                    "`StrictHostKeyChecking {other}` is not taken from a configuration: write `\"host_keys\": \"off\"` for this host if it is meant"
                ));
            }
        };
        let known_hosts = match (&given.known_hosts, &configured.known_hosts) {
            (Some(files), _) => files.clone(),
            (None, Some(files)) => files.iter().map(|path| expand(path)).collect::<Result<_, _>>()?,
            (None, None) => usual_known_hosts(),
        };
        let settings = Self {
            user: user.ok_or("`connect` names no user, and this process's own has no name")?,
            address,
            port,
            identity_choice: if only && !named.is_empty() {
                IdentityChoice::Named
            } else {
                IdentityChoice::Usual
            },
            identities: if named.is_empty() { at_home(&USUAL_IDENTITIES) } else { named },
            known_hosts,
            policy,
            written_as: match configured.hash_known_hosts.as_deref() {
                Some(said) if is_yes(said) => WrittenAs::Hash,
                Some(_) | None => WrittenAs::Name,
            },
            post_quantum: given.post_quantum,
            jumps: Vec::new(),
            becoming: None,
            relay: None,
        };
        Ok((settings, configured.proxy_jump))
    }
}

/// The settings of `a,b,c`, or of none.
fn jumps(chain: &str, given: &Given) -> Result<Vec<Settings>, String> {
    if chain == "none" {
        return Ok(Vec::new());
    }
    let mut jumps = Vec::new();
    for place in chain.split(',') {
        let place = place.strip_prefix("ssh://").unwrap_or(place);
        let (settings, further) = Settings::of(place.parse()?, given)?;
        if further.is_some_and(|further| further != "none") {
            return Err(format!(
                "`{place}` is itself reached through another: write the whole way, as in \"a,b\""
            ));
        }
        jumps.push(settings);
    }
    if jumps.len() > JUMPS_MAX {
        return Err(format!("more than {JUMPS_MAX} hosts are on the way"));
    }
    Ok(jumps)
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
    let named =
        std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|name| !name.is_empty());
    // A service has no such variables, and is somebody all the same.
    named.or_else(|| Some(nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??.name))
}

fn is_yes(text: &str) -> bool {
    text.eq_ignore_ascii_case("yes")
}

fn policy(value: &Value) -> Result<HostKeyPolicy, String> {
    match value.as_str() {
        Some("strict") => Ok(HostKeyPolicy::Strict),
        Some("accept-new") => Ok(HostKeyPolicy::AcceptNew),
        Some("off") => Ok(HostKeyPolicy::Off),
        _ => Err(format!("`host_keys` must be \"strict\", \"accept-new\" or \"off\", not {value}")),
    }
}

fn post_quantum(value: &Value) -> Result<PostQuantum, String> {
    match value.as_str() {
        Some("prefer") => Ok(PostQuantum::Prefer),
        Some("require") => Ok(PostQuantum::Require),
        Some("never") => Ok(PostQuantum::Never),
        _ => Err(format!("`post_quantum` must be \"prefer\", \"require\" or \"never\", not {value}")),
    }
}

/// A name that can be given to `sudo` as it is.
fn user(value: &Value) -> Result<String, String> {
    let is_plain = |name: &&str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let name = value.as_str().filter(is_plain);
    name.map(str::to_owned).ok_or_else(|| format!("`become` must be the name of a user, not {value}"))
}

fn text(field: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("`{field}` must be a text, not {value}"))
}

/// One path or several. `~/` is the user's own folder; what is relative is so to the folder that the program runs in.
fn paths(field: &str, value: &Value) -> Result<Vec<PathBuf>, String> {
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(|value| path(field, value)).collect(),
        _ => Ok(vec![path(field, value)?]),
    }
}

fn path(field: &str, value: &Value) -> Result<PathBuf, String> {
    let given = value.as_str().filter(|path| !path.is_empty());
    expand(given.ok_or_else(|| format!("`{field}` must be a path, not {value}"))?)
}

fn expand(path: &str) -> Result<PathBuf, String> {
    let home = || home().ok_or_else(|| format!("`{path}`: there is no folder of the user's own"));
    if path.replace("%%", "").replace("%d", "").contains('%') {
        return Err(format!("`{path}`: of the signs that begin with `%`, only `%d` and `%%` are read"));
    }
    let path = if path.contains("%d") {
        path.replace("%d", &home()?.display().to_string())
    } else {
        path.to_owned()
    };
    match path.replace("%%", "%").strip_prefix("~/") {
        Some(rest) => Ok(home()?.join(rest)),
        None => Ok(Path::new(&path.replace("%%", "%")).to_owned()),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(connect: &str, options: &Value) -> Result<Settings, String> {
        let mut spec = options.clone();
        spec["connect"] = connect.into();
        Settings::read(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_spec_says_how_a_host_is_reached() {
        let options = serde_json::json!({
            "config": "none", "identity": "id", "known_hosts": ["a", "b"], "host_keys": "accept-new",
            "jump": "me@first,second:2200", "become": "root", "post_quantum": "require", "relay": "dc1",
        });
        let settings = read("ssh://root@127.0.1.1:2200", &options).unwrap();
        assert_eq!((settings.user.as_str(), settings.port), ("root", 2200));
        assert_eq!(settings.identities, [PathBuf::from("id")]);
        assert_eq!(settings.policy, HostKeyPolicy::AcceptNew);
        assert_eq!(settings.becoming.as_deref(), Some("root"));
        assert_eq!(settings.jumps[1].post_quantum, PostQuantum::Require, "it holds for the whole way");
        assert_eq!(settings.relays(), None, "the agent is forwarded to who logs in");
        let plain =
            read("ssh://root@127.0.1.1", &serde_json::json!({"config": "none", "relay": "dc1"})).unwrap();
        assert_eq!(plain.relays(), Some("dc1"));
        let jumps: Vec<_> = settings.jumps.iter().map(|jump| (jump.address.as_str(), jump.port)).collect();
        assert_eq!(jumps, [("first", 22), ("second", 2200)]);
    }

    #[test]
    fn a_configuration_fills_what_the_spec_leaves_open() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let text = "Host web\nHostName 10.0.0.7\nPort 2222\nUser deploy\nProxyJump gate\nIdentityFile /k\nIdentitiesOnly yes\n";
        std::fs::write(&config, text).unwrap();
        let settings = read("ssh://web", &serde_json::json!({"config": config})).unwrap();
        assert_eq!(
            (settings.address.as_str(), settings.port, settings.user.as_str()),
            ("10.0.0.7", 2222, "deploy")
        );
        assert_eq!(settings.identity_choice, IdentityChoice::Named);
        assert_eq!(settings.jumps[0].address, "gate");
        let other = read("ssh://me@web:1", &serde_json::json!({"config": config, "jump": "none"})).unwrap();
        assert_eq!((other.user.as_str(), other.port, other.jumps.len()), ("me", 1, 0));
        assert_eq!(settings.written_as, WrittenAs::Name);
        std::fs::write(&config, "HashKnownHosts yes\n").unwrap();
        let hashed = read("ssh://web", &serde_json::json!({"config": config})).unwrap();
        assert_eq!(hashed.written_as, WrittenAs::Hash);
        std::fs::write(&config, "StrictHostKeyChecking no\n").unwrap();
        assert!(read("ssh://web", &serde_json::json!({"config": config})).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_spec_is_said() {
        for (options, said) in [
            (serde_json::json!({"identiti": "x"}), "unknown field `identiti`"),
            (serde_json::json!({"host_keys": "yes"}), "`host_keys` must be"),
            (serde_json::json!({"post_quantum": true}), "`post_quantum` must be"),
            (serde_json::json!({"become": "root; rm"}), "`become` must be"),
            (serde_json::json!({"identity": 3}), "`identity` must be"),
            (serde_json::json!({"relay": true}), "`relay` must be a text"),
            (serde_json::json!({"state_dir": "x"}), "`state_dir` must be"),
        ] {
            let error = read("ssh://root@h", &options).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
