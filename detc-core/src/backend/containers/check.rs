//! Whether an engine can take what it is asked for as it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Capabilities, ContainerSpec, FileInside, HealthCheck, Networking, New, Probe, Source, Test};
use crate::backend::host::check_path;

/// Longest name of an object, in letters: that of a file, which engines make of it.
const NAME_MAX: usize = 255;

impl New {
    /// Whether an engine can take it: what is wrong with it, in words.
    ///
    /// # Errors
    /// When a name, path, variable, signal, right or time can not be what it is.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Image(_) => Ok(()),
            Self::Network { name, spec } => check_name(name).and_then(|()| check_labels(&spec.labels)),
            Self::Volume { name, spec } => check_name(name).and_then(|()| check_labels(&spec.labels)),
            Self::Container { name, spec, files } => {
                check_name(name)?;
                files.iter().try_for_each(check_file)?;
                check_spec(spec)
            }
        }
    }
}

/// Whether an object can be called so: a letter or digit, and then at least one of letters, digits, `_`, `.`, `-`.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it));
    if fits && (2..=NAME_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(format!(
        "nothing can be called {name:?}: a letter or digit is needed, and then letters, digits, `_`, `.`, `-`"
    ))
}

fn check_file(file: &FileInside) -> Result<(), String> {
    check_path(&file.path)?;
    let named = [&file.ownership.owner, &file.ownership.group].into_iter().flatten();
    let mut named = named.filter(|owner| owner.parse::<u32>().is_err());
    named.next().map_or(Ok(()), |owner| {
        Err(format!("{} can not be given to `{owner}`: nobody's name is known before it runs", file.path))
    })
}

fn check_spec(spec: &ContainerSpec) -> Result<(), String> {
    if spec.image.is_empty() {
        return Err("the container has no image".to_owned());
    }
    check_labels(&spec.labels)?;
    let bad = spec
        .env
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'));
    if let Some((name, _)) = bad {
        return Err(format!("variable {name:?} can not be set"));
    }
    let argvs = [&spec.entrypoint, &spec.command].into_iter().flatten();
    if argvs.flatten().any(|argument| argument.contains('\0')) {
        return Err("the command has an argument with a NUL byte, which no system takes".to_owned());
    }
    spec.dir.as_deref().map_or(Ok(()), check_path)?;
    for (path, mount) in &spec.mounts {
        check_path(path)?;
        match &mount.source {
            Source::Bind(from) => check_path(from)?,
            Source::Volume(name) => check_name(name)?,
            Source::Memory { .. } | Source::Anonymous => {}
        }
    }
    if let Networking::Networks(networks) = &spec.networking
        && networks.is_empty()
    {
        return Err("the container is connected to no network: say so with `Networking::None`".to_owned());
    }
    check_capabilities(&spec.capabilities)?;
    if let Some(signal) = spec.stop_signal.as_deref().filter(|signal| !signal.starts_with("SIG")) {
        return Err(format!("the signal `{signal}` is to be called by its name, such as `SIGTERM`"));
    }
    if spec.stop_grace.is_some_and(|grace| grace.subsec_nanos() != 0) {
        return Err("the time to stop in is not in whole seconds".to_owned());
    }
    match &spec.health {
        Some(HealthCheck::Probe(probe)) => check_probe(probe),
        Some(HealthCheck::Off) | None => Ok(()),
    }
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), String> {
    if labels.contains_key("") { Err("a label has no name".to_owned()) } else { Ok(()) }
}

fn check_capabilities(capabilities: &Capabilities) -> Result<(), String> {
    let fits = |name: &str| {
        !name.starts_with("CAP_")
            && name.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_')
    };
    match capabilities.add.iter().chain(&capabilities.drop).find(|name| name.is_empty() || !fits(name)) {
        Some(name) => Err(format!("the right {name:?} is to be called as in `NET_ADMIN`")),
        None => Ok(()),
    }
}

fn check_probe(probe: &Probe) -> Result<(), String> {
    let is_empty = match &probe.test {
        Test::Command(argv) => argv.is_empty(),
        Test::Shell(line) => line.is_empty(),
    };
    if is_empty {
        return Err("the health check has no command".to_owned());
    }
    let least = Duration::from_millis(1);
    if probe.interval < least || probe.timeout < least {
        return Err("interval and timeout of a health check are at least a millisecond".to_owned());
    }
    if probe.retries == 0 { Err("a health check fails after one try at least".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::containers::{Mount, NetworkSpec};
    use crate::backend::host::Ownership;

    #[test]
    fn what_no_engine_could_make_as_written_is_refused() {
        let problem = |change: fn(&mut ContainerSpec)| {
            let mut spec = ContainerSpec::new("web");
            change(&mut spec);
            New::container("web", spec).validate().err()
        };
        assert_eq!(problem(|_| {}), None);
        let wrong: [fn(&mut ContainerSpec); 13] = [
            |spec| spec.image = String::new(),
            |spec| drop(spec.labels.insert(String::new(), String::new())),
            |spec| drop(spec.env.insert("A=B".into(), String::new())),
            |spec| spec.command = Some(vec!["a\0b".into()]),
            |spec| spec.dir = Some("relative".into()),
            |spec| drop(spec.mounts.insert("relative".into(), Mount::new(Source::Anonymous))),
            |spec| drop(spec.mounts.insert("/a".into(), Mount::new(Source::Bind("relative".into())))),
            |spec| drop(spec.mounts.insert("/a".into(), Mount::new(Source::Volume("/a".into())))),
            |spec| spec.networking = Networking::of([]),
            |spec| spec.capabilities.add.extend(["CAP_CHOWN".to_owned()]),
            |spec| spec.stop_signal = Some("15".into()),
            |spec| spec.stop_grace = Some(Duration::from_millis(1500)),
            |spec| spec.health = Some(HealthCheck::Probe(Probe::new(Test::Command(Vec::new())))),
        ];
        for (at, change) in wrong.into_iter().enumerate() {
            assert!(problem(change).is_some(), "{at}");
        }
    }

    #[test]
    fn names_and_files_are_checked_too() {
        for name in ["", "a", "-a", "a b", "a/b", "ä1"] {
            let network = New::Network { name: name.into(), spec: NetworkSpec::default() };
            assert!(network.validate().is_err(), "{name:?}");
        }
        let file = |path: &str, owner: &str| {
            let ownership = Ownership::new(None, Some(owner.into()), None);
            let files = vec![FileInside::new(path, b"x").with_ownership(ownership)];
            New::Container { name: "web".into(), spec: Box::new(ContainerSpec::new("web")), files }.validate()
        };
        assert_eq!(file("/a", "7"), Ok(()));
        assert!(file("a", "7").is_err() && file("/a", "web").is_err());
    }
}
