//! What is mounted.

use std::collections::BTreeMap;

use bollard::models::{HostConfig, Mount as Asked, MountPoint, MountTmpfsOptions, MountType};
use detc_core::backend::containers::{Access, Mount, Source};

/// The kinds of mounts, as engines tell them.
const VOLUME: &str = "volume";
const TMPFS: &str = "tmpfs";

pub(super) fn asked(mounts: &BTreeMap<String, Mount>) -> Result<Vec<Asked>, String> {
    mounts.iter().map(|(path, mount)| one(path, mount)).collect()
}

fn one(path: &str, mount: &Mount) -> Result<Asked, String> {
    if !path.starts_with('/') || path == "/" {
        return Err(format!("`{path}` is no place inside that something can be mounted at"));
    }
    let read_only = mount.access == Access::ReadOnly;
    let (typ, source, tmpfs_options) = match &mount.source {
        Source::Volume(name) => (MountType::VOLUME, Some(name.clone()), None),
        Source::Bind(path) => (MountType::BIND, Some(path.clone()), None),
        Source::Anonymous => (MountType::VOLUME, None, None),
        Source::Memory { size, mode } => {
            let size_bytes = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
            let options = MountTmpfsOptions { size_bytes, mode: mode.map(i64::from), options: None };
            (MountType::TMPFS, None, Some(options))
        }
        other => return Err(format!("{other:?} is not known")),
    };
    Ok(Asked {
        target: Some(path.to_owned()),
        source,
        typ: Some(typ),
        read_only: Some(read_only),
        tmpfs_options,
        ..Asked::default()
    })
}

/// What is mounted, in one form whichever way it was asked for.
pub(super) fn told(points: Vec<MountPoint>, config: &HostConfig) -> BTreeMap<String, Mount> {
    let mut mounts = BTreeMap::new();
    for point in points {
        let Some(path) = point.destination.clone() else { continue };
        // What a container has of a helper that brought files into it is no mount that anybody asked for.
        if is_of_another(&path, &point, config) {
            continue;
        }
        let asked = asked_at(config, &path);
        let source = match point.typ.as_deref() {
            Some(VOLUME) => match point.name {
                Some(name) if !is_anonymous(&name, asked, config) => Source::Volume(name),
                _ => Source::Anonymous,
            },
            Some(TMPFS) => memory(asked.and_then(|asked| asked.tmpfs_options.as_ref())),
            _ => Source::Bind(
                asked.and_then(|asked| asked.source.clone()).or(point.source).unwrap_or_default(),
            ),
        };
        let access = if point.rw == Some(false) { Access::ReadOnly } else { Access::ReadWrite };
        mounts.insert(path, Mount { source, access });
    }
    for (path, options) in config.tmpfs.iter().flatten() {
        mounts.insert(path.clone(), of_options(options));
    }
    mounts
}

fn asked_at<'a>(config: &'a HostConfig, path: &str) -> Option<&'a Asked> {
    config.mounts.iter().flatten().find(|mount| mount.target.as_deref() == Some(path))
}

fn is_of_another(path: &str, point: &MountPoint, config: &HostConfig) -> bool {
    config.volumes_from.as_ref().is_some_and(|from| !from.is_empty())
        && point.typ.as_deref() == Some(VOLUME)
        && asked_at(config, path).is_none()
        && point.name.as_deref().is_some_and(|name| is_anonymous(name, None, config))
}

/// Whether it is a volume that has no name of its own: engines give those 64 hexadecimal digits.
fn is_anonymous(name: &str, asked: Option<&Asked>, config: &HostConfig) -> bool {
    let is_asked_for = asked.is_some_and(|asked| asked.source.as_deref() == Some(name))
        || config.binds.iter().flatten().any(|bind| bind.split(':').next() == Some(name));
    !is_asked_for && name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn memory(options: Option<&MountTmpfsOptions>) -> Source {
    let size = options.and_then(|options| options.size_bytes).and_then(|size| u64::try_from(size).ok());
    let mode = options.and_then(|options| options.mode).and_then(|mode| u32::try_from(mode).ok());
    Source::Memory { size: size.filter(|size| *size > 0), mode: mode.filter(|mode| *mode > 0) }
}

/// Memory that was asked for the old way, `size=64m,mode=1777,ro`.
fn of_options(options: &str) -> Mount {
    let (mut size, mut mode, mut access) = (None, None, Access::ReadWrite);
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("size", text)) => size = bytes(text),
            Some(("mode", text)) => mode = u32::from_str_radix(text, 8).ok(),
            None if option == "ro" => access = Access::ReadOnly,
            _ => {}
        }
    }
    Mount { source: Source::Memory { size, mode }, access }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_asked_for_the_old_way_is_told_the_new_way() {
        let source = |size, mode| Source::Memory { size, mode };
        assert_eq!(of_options("size=64m,mode=1777,noexec"), Mount::new(source(Some(64 << 20), Some(0o1777))));
        assert_eq!(of_options("ro"), Mount::read_only(source(None, None)));
    }
}
