//! The conformance suite of [`Containers`].
//!
//! It looks at an engine from outside only. What it can not see (that a limit holds, that a port leads inside, that a volume keeps
//! what is in it, that an engine which is started anew loses nothing) each backend tests for itself.

use std::fmt::Debug;
use std::time::Duration;

use super::Violation;
use crate::backend::containers::{
    Change, Container, ContainerSpec, Containers, ContainersError, ImageDefaults, Listing, Mark, New,
    ObjectKind, ObjectRef, Query, RemoveHow,
};

mod fields;
mod files;
mod life;
mod names;
mod use_of;
mod watching;

/// Tries every law of the contract on `engine`, with containers of `image`, which has to be there. All that is made carries the label
/// of the cluster `scope`, and names that begin with it; it must be nobody else's, and nothing of it is left.
///
/// The image runs as root, without an entrypoint, and has the programs `cat`, `false`, `ln`, `printenv`, `printf`, `pwd` and
/// `sleep`, as POSIX has them. Tokio's time is waited for.
pub async fn check_containers(engine: &dyn Containers, image: &str, scope: &str) -> Vec<Violation> {
    let mut found = Findings::default();
    let defaults = match engine.image(image).await {
        Ok(Some(found)) => found.defaults,
        other => {
            found.note("the image of the suite is there", Err(format!("{image}: {other:?}")));
            return found.0;
        }
    };
    let bench = Bench { engine, image, defaults, scope };
    found.note("nothing of this scope was there", bench.clear().await);
    names::check(&bench, &mut found).await;
    fields::check(&bench, &mut found).await;
    life::check(&bench, &mut found).await;
    use_of::check(&bench, &mut found).await;
    files::check(&bench, &mut found).await;
    watching::check(&bench, &mut found).await;
    found.note("what was made is removed", bench.clear().await);
    found.0
}

/// What a law's check says: nothing, or what was seen instead.
type Verdict = Result<(), String>;

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn note(&mut self, law: &'static str, verdict: Verdict) {
        if let Err(detail) = verdict {
            self.0.push(Violation { law, detail });
        }
    }
}

/// How long something that happens by itself is waited for.
const WAIT: Duration = Duration::from_secs(20);
/// How long it is not looked for meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

struct Bench<'a> {
    engine: &'a dyn Containers,
    image: &'a str,
    defaults: ImageDefaults,
    scope: &'a str,
}

impl Bench<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.scope)
    }

    fn mark(&self, name: &str) -> Mark {
        Mark::new(self.scope, format!("suite/{name}"), "1")
    }

    /// A container that goes on until it is ended.
    fn spec(&self, name: &str) -> ContainerSpec {
        self.spec_of(name, &["sleep", "600"])
    }

    fn spec_of(&self, name: &str, command: &[&str]) -> ContainerSpec {
        let mut spec = ContainerSpec::new(self.image);
        spec.command = Some(command.iter().map(|word| (*word).to_owned()).collect());
        spec.labels = self.mark(name).labels();
        spec.stop_grace = Some(Duration::from_secs(1));
        spec
    }

    /// Makes a container; its name.
    async fn make(&self, name: &str, spec: ContainerSpec) -> Result<String, String> {
        let name = self.name(name);
        self.create(&New::container(&name, spec)).await?;
        Ok(name)
    }

    /// Makes and starts a container; its name.
    async fn run(&self, name: &str, spec: ContainerSpec) -> Result<String, String> {
        let name = self.make(name, spec).await?;
        self.change(&Change::start(&name)).await?;
        Ok(name)
    }

    async fn create(&self, new: &New) -> Result<String, String> {
        self.engine.create(new).await.map_err(|error| failed(&new.to_string(), &error))
    }

    async fn change(&self, change: &Change) -> Verdict {
        self.engine.change(change).await.map_err(|error| failed(&change.to_string(), &error))
    }

    async fn remove(&self, object: ObjectRef) -> Verdict {
        self.change(&Change::Remove { object, how: RemoveHow::Running }).await
    }

    async fn list(&self, query: &Query) -> Result<Listing, String> {
        self.engine.list(query).await.map_err(|error| failed(&format!("list {}s", query.kind), &error))
    }

    /// A container that is there.
    async fn container(&self, name: &str) -> Result<Container, String> {
        let found = self.engine.container(name).await.map_err(|error| failed("inspect", &error))?;
        found.ok_or_else(|| format!("inspect says that there is no container `{name}`"))
    }

    async fn is_there(&self, object: &ObjectRef) -> Result<bool, String> {
        let found = self.engine.inspect(object).await;
        Ok(found.map_err(|error| failed(&format!("inspect {object}"), &error))?.is_some())
    }

    /// Waits until a container is as it should be.
    async fn until(&self, name: &str, what: &str, holds: fn(&Container) -> bool) -> Verdict {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let found = self.container(name).await?;
            if holds(&found) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let Container { status, said, .. } = found;
                return Err(format!("{name} does not come to be {what}: it is {status:?} {said}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes all that carries the label of the scope, whatever law says which of it can be removed when.
    async fn clear(&self) -> Verdict {
        for kind in [ObjectKind::Container, ObjectKind::Network, ObjectKind::Volume, ObjectKind::Image] {
            for listed in &*self.list(&Mark::all_of(kind, self.scope)).await? {
                self.remove(ObjectRef::new(kind, &listed.id)).await?;
            }
            let left = self.list(&Mark::all_of(kind, self.scope)).await?;
            expect(left.is_empty(), || format!("left: {left:?}"))?;
        }
        Ok(())
    }
}

fn failed(call: &str, error: &ContainersError) -> String {
    format!("{call} failed: {error}")
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    expect(found == wanted, || format!("{what}: found {found:?}, expected {wanted:?}"))
}

/// That a call failed as the contract says.
fn refuses<T: Debug>(
    call: &str,
    result: Result<T, ContainersError>,
    right: fn(&ContainersError) -> bool,
) -> Verdict {
    match result {
        Err(error) if right(&error) => Ok(()),
        Err(error) => Err(format!("{call} failed with another error: {error:?}")),
        Ok(value) => Err(format!("{call} did not fail: {value:?}")),
    }
}

#[cfg(test)]
mod tests;
