//! How files get into a container before it is started.
//!
//! An engine unpacks archives in a container that it has made, but neither where that can only be read nor where something is mounted
//! when it starts. Files of such places are [carried](super::carry) there.

use std::collections::BTreeMap;

use bytes::Bytes;
use detc_core::backend::containers::{Access, ContainerSpec, FileInside, Mount, Source};

use crate::backends::docker::files::archive;

/// Files, by how they get there.
pub(super) struct Placed {
    /// Archives, by where they are unpacked.
    pub(super) inside: Vec<(String, Bytes)>,
    pub(super) carried: Option<Carried>,
}

/// Files of places that can not be written before the start.
#[derive(Debug)]
pub(super) struct Carried {
    /// The directories that they are in, none of them in another.
    pub(super) dirs: Vec<String>,
    /// All of them, from the root.
    pub(super) archive: Bytes,
    /// Whether the container may write there.
    pub(super) access: Access,
}

impl Placed {
    /// # Errors
    /// What of it can not be, in words.
    pub(super) fn of(spec: &ContainerSpec, files: &[FileInside]) -> Result<Self, String> {
        let mut inside = BTreeMap::<&str, Vec<&FileInside>>::new();
        let (mut carried, mut dirs, mut access) = (Vec::new(), Vec::new(), spec.root);
        for file in files {
            let above = mount_above(&spec.mounts, &file.path);
            match above {
                None if spec.root == Access::ReadWrite => inside.entry("/").or_default().push(file),
                Some((place, mount)) if is_written_before_the_start(mount) => {
                    inside.entry(place).or_default().push(file);
                }
                Some(_) | None => {
                    if above.is_some_and(|(_, mount)| mount.access == Access::ReadOnly) {
                        access = Access::ReadOnly;
                    }
                    dirs.push(dir_of(&file.path)?);
                    carried.push(file);
                }
            }
        }
        dirs.sort_unstable();
        let mut outer = Vec::<String>::new();
        for dir in dirs {
            if !outer.iter().any(|outer| is_below(dir, outer) || dir == outer) {
                outer.push(dir.to_owned());
            }
        }
        let inside = inside.into_iter().map(|(root, files)| Ok((root.to_owned(), archive(&files, root)?)));
        let inside = inside.collect::<Result<_, String>>()?;
        let carried = if carried.is_empty() {
            None
        } else {
            Some(Carried { dirs: outer, archive: archive(&carried, "/")?, access })
        };
        Ok(Self { inside, carried })
    }
}

fn is_written_before_the_start(mount: &Mount) -> bool {
    mount.access == Access::ReadWrite && !matches!(mount.source, Source::Memory { .. })
}

/// The innermost mount that a path is below.
fn mount_above<'a>(mounts: &'a BTreeMap<String, Mount>, path: &str) -> Option<(&'a str, &'a Mount)> {
    let above = mounts.iter().filter(|(place, _)| is_below(path, place));
    above.max_by_key(|(place, _)| place.len()).map(|(place, mount)| (place.as_str(), mount))
}

fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

fn dir_of(path: &str) -> Result<&str, String> {
    match path.rsplit_once('/') {
        Some((dir, _)) if !dir.is_empty() => Ok(dir),
        _ => Err(format!("`{path}` would be in the root, which can only be read: put it into a directory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(spec: &ContainerSpec, paths: &[&str]) -> Result<String, String> {
        let files: Vec<_> = paths.iter().map(|path| FileInside::new(*path, b"x")).collect();
        let placed = Placed::of(spec, &files)?;
        let mut shown: Vec<_> = placed.inside.into_iter().map(|(root, _)| format!("inside {root}")).collect();
        shown.extend(placed.carried.map(|carried| format!("{:?} {:?}", carried.dirs, carried.access)));
        Ok(shown.join(", "))
    }

    #[test]
    fn files_are_carried_where_they_can_not_be_written_before_the_start() {
        let mut spec = ContainerSpec::new("web");
        spec.mounts = BTreeMap::from([
            ("/data".into(), Mount::new(Source::Volume("data".into()))),
            ("/conf".into(), Mount::read_only(Source::Volume("conf".into()))),
            ("/run".into(), Mount::new(Source::Memory { size: None, mode: None })),
        ]);
        let check = |spec: &ContainerSpec, paths: &[&str], wanted: &str| {
            assert_eq!(placed(spec, paths).unwrap(), wanted, "{paths:?}");
        };
        check(&spec, &[], "");
        check(&spec, &["/etc/a", "/data/a", "/database"], "inside /, inside /data");
        check(&spec, &["/run/s/a", "/run/s/deep/b", "/run/t"], r#"["/run"] ReadWrite"#);
        check(&spec, &["/conf/d/a"], r#"["/conf/d"] ReadOnly"#);
        spec.root = Access::ReadOnly;
        check(&spec, &["/run/s/a", "/etc/b", "/data/c"], r#"inside /data, ["/etc", "/run/s"] ReadOnly"#);
        assert!(placed(&spec, &["/a"]).is_err());
    }
}
