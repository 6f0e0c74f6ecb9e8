//! Files of another kind, which programs read by themselves.

use std::fmt::Debug;
use std::path::Path;

use crate::model::{Desired, InvalidState, Origin};

/// Reads desired state from files of another kind than detc's own.
///
/// A program has those that it gives its registry ([`Registry::with_reader`](crate::resource::Registry::with_reader)): a file that one of them reads may be given wherever a desired
/// state file may. `testing::reader::check_reader` tries one.
pub trait StateReader: Debug + Send + Sync + 'static {
    /// Whether it reads this file. It is asked by the name; the file may not be there.
    fn reads(&self, path: &Path) -> bool;

    /// Reads it. What is wrong with it has its place. Hosts that other files describe are as these say.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn read(&self, path: &Path) -> Result<Desired, InvalidState>;
}

/// Adds what was read from other files.
pub(super) fn append(desired: &mut Desired, read: Desired) -> Result<(), InvalidState> {
    let first = desired.files.len();
    let last = first + read.files.len().max(1);
    if last > usize::from(u16::MAX) {
        return Err(InvalidState::new("more than 65,535 desired state files are given"));
    }
    desired.files.extend(read.files);
    desired.blobs.extend(read.blobs);
    for (host, spec) in read.hosts {
        desired.hosts.entry(host).or_insert(spec);
    }
    let moved = |origin: Origin| Origin { file: origin.file + first as u16, ..origin };
    let mut errors = Vec::new();
    for (id, mut resource) in read.resources {
        resource.origin = moved(resource.origin);
        let file = |desired: &Desired, origin: Origin| {
            desired.files.get(usize::from(origin.file)).cloned().unwrap_or_default()
        };
        match desired.resources.get(&id) {
            Some(known) => {
                let place = format!("{}:{}", file(desired, known.origin), known.origin.line);
                let error = InvalidState::new(format!("is given twice; first at {place}")).of(&id);
                errors.push(error.at(&file(desired, resource.origin), resource.origin.line));
            }
            None => {
                desired.resources.insert(id, resource);
            }
        }
    }
    for invariant in read.invariants {
        let name = &invariant.name;
        if desired.invariants.iter().any(|known| known.name == *name) {
            errors.push(InvalidState::new(format!("invariant `{name}` is given twice")));
            continue;
        }
        if let Some(origin) = read.invariant_origins.get(name) {
            desired.invariant_origins.insert(name.clone(), moved(*origin));
        }
        desired.invariants.push(invariant);
    }
    InvalidState::all(errors).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::model::load::load;
    use crate::model::{HostName, HostSpec, Invariant, InvariantBound, Measure, Selector};
    use crate::resource::value::ValueSpec;
    use crate::resource::{Nowhere, Registry};

    /// Reads files that end in `.list`: each line is the name of a value.
    #[derive(Debug)]
    struct Lists;

    impl StateReader for Lists {
        fn reads(&self, path: &Path) -> bool {
            path.extension().is_some_and(|end| end == "list")
        }

        fn read(&self, path: &Path) -> Result<Desired, InvalidState> {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path)
                .map_err(|error| InvalidState::new(error.to_string()).at(&name, 0))?;
            let mut read = Desired::new();
            read.files.push(name.clone());
            read.hosts
                .insert(HostName::new("h"), HostSpec { connect: "list".to_owned(), ..HostSpec::local() });
            for (line, value) in (1..).zip(text.lines()) {
                let mut resource = ValueSpec::resource(value, &1.into())
                    .map_err(|error| InvalidState::new(error).at(&name, line))?;
                resource.origin = Origin { file: 0, line };
                read.resources.insert(resource.id.clone(), resource);
            }
            let measure = Measure::Available(Selector::default());
            let bound = InvariantBound::AtLeast(0);
            read.invariant_origins.insert("any".to_owned(), Origin { file: 0, line: 1 });
            read.invariants.push(Invariant { name: "any".to_owned(), measure, bound });
            Ok(read)
        }
    }

    #[test]
    fn files_that_others_read_are_put_with_the_rest_and_what_is_there_twice_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let own = r#"{ "version": 1, "hosts": { "h": { "connect": "local" } },
            "resources": [{ "kind": "value", "name": "a", "input": 0 }] }"#;
        for (name, text) in
            [("own.json", own), ("b.list", "b\nc\n"), ("a.list", "\n"), ("again.list", "a\nd\n")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let registry = Registry::new().with_reader(Lists).with_connector(Nowhere);
        let load = |names: &[&str]| {
            load(&names.iter().map(|name| dir.path().join(name)).collect::<Vec<_>>(), &registry)
        };
        // How a host is reached is as the desired state says, whatever is given first.
        let desired = load(&["b.list", "own.json"]).unwrap();
        assert_eq!(desired.hosts[&HostName::new("h")].connect, "local");
        let place = |id: &str| {
            let origin = desired.resources[id].origin;
            format!("{}:{}", desired.files[usize::from(origin.file)].rsplit('/').next().unwrap(), origin.line)
        };
        assert_eq!(["value/a", "value/b", "value/c"].map(place), ["own.json:2", "b.list:1", "b.list:2"]);
        assert_eq!(desired.invariant_origins["any"], Origin { file: 1, line: 1 });
        let error =
            load(&["own.json", "again.list", "b.list", "a.list", "none.list"]).unwrap_err().to_string();
        expect![[r#"
            again.list:1: value/a: is given twice; first at DIR/own.json:2
            invariant `any` is given twice
            a.list:1: `value/` is not a resource id: expected `kind/name`
            none.list: No such file or directory (os error 2)"#]]
        .assert_eq(&error.replace(&dir.path().display().to_string(), "DIR"));
    }
}
