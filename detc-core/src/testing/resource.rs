//! The conformance suite of [`Resource`] and [`Action`].
//!
//! It brings a resource about in a world that is empty of it, changes it, and removes it; has it done twice; cuts it off
//! before and after each call of its host; loses each answer; takes the host away from each look; and lets somebody else
//! change it behind its back. Whatever happens, what is there in the end has to be what is there when nothing happens. After
//! each call of a change it looks whether what the kind states of invariants is so: what is changed in place stays there, and no
//! more is taken than was said. What it reads and writes of a host by calls has to be declared in its
//! [footprint](crate::action::Footprint); what its commands touch is not seen. What somebody else may do it can not guess: that is
//! given ([`tampered`](Trial::tampered)), or it is said why it is not ([`untampered`](Trial::untampered)); a trial that says neither
//! does not pass, and tells what was not tried.
//!
//! ```
//! # use detc_core::testing::resource::{Trial, check_action};
//! # use detc_core::action::*;
//! # use detc_core::backend::{MemoryHost, host::{Ownership, Remove}};
//! # use serde::{Deserialize, Serialize};
//! /// Writes a flag.
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Raise { path: String }
//!
//! #[async_trait::async_trait]
//! impl Action for Raise {
//!     const KIND: &'static str = "raise";
//!     type Output = ();
//!     fn footprint(&self) -> Footprint {
//!         Footprint::new(CrashClass::DeterministicName).writing(Place::path(&self.path))
//!     }
//!     async fn check(&self, cx: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
//!         Ok(match cx.host()?.stat(&self.path).await? {
//!             Some(_) => Check::Satisfied(()),
//!             None => Check::Needed("the flag is down".to_owned()),
//!         })
//!     }
//!     async fn apply(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
//!         Ok(cx.host()?.write(&self.path, b"up", &Ownership::default()).await?)
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let broken = check_action::<Raise>(|| {
//!     let host = MemoryHost::new("m");
//!     let lowered = host.clone();
//!     Trial::in_memory(host, [serde_json::json!({ "path": "/flag" })]).tampered("somebody lowers it", move || {
//!         lowered.with_files(|files| files.remove("/flag", Remove::File)).unwrap();
//!     })
//! }).await;
//! assert!(broken.is_empty(), "{broken:?}");
//! # });
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::Violation;
use crate::action::Action;
use crate::backend::{Backends, Host, MemoryHost};
use crate::content::Content;
use crate::model::{Digest, FieldPath, ResourceId};
use crate::resource::{Kind, Registry, Resource};

mod access;
mod faults;
mod laws;
mod meanwhile;
mod stage;
#[cfg(test)]
mod tests;

pub use super::calls::{CallError, Calls};

/// What somebody else does to a resource, and what that is called.
type Tamper = (&'static str, Arc<dyn Fn() + Send + Sync>);

/// How much of a field is in use in the world.
type Sum = (FieldPath, Box<dyn Fn() -> i64 + Send + Sync>);

/// Whether another resource takes part.
type Other = (ResourceId, Box<dyn Fn() -> bool + Send + Sync>);

/// A world in which a resource is tried, and what it is tried with.
pub struct Trial {
    host: Option<Arc<dyn Host>>,
    backends: Backends,
    calls: Calls,
    specs: Vec<Value>,
    world: Box<dyn Fn() -> String + Send + Sync>,
    state_dir: String,
    blobs: BTreeMap<Digest, Content>,
    tampers: Vec<Tamper>,
    untampered: Option<&'static str>,
    sums: Vec<Sum>,
    others: Vec<Other>,
}

impl Trial {
    /// A trial on `host`, which has nothing of the resource yet and is another one, or emptied, for each trial.
    ///
    /// The resource is made as the first of `specs` says, and changed in place to each of the others: they differ in no
    /// field of [`replace_on`](crate::resource::KindTraits::replace_on). `world` tells what there is, in a text of which
    /// two are the same only if the worlds are: what an action does twice, or leaves behind, is found in it.
    pub fn new(
        host: Arc<dyn Host>,
        specs: impl IntoIterator<Item = Value>,
        world: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { host: Some(host), ..Self::of_backend(Calls::new(), specs, world) }
    }

    /// A trial of a resource that lives on no host. `calls` are those of the test double of its backend, which
    /// [`with_backend`](Self::with_backend) adds; the rest is as in [`new`](Self::new).
    pub fn of_backend(
        calls: Calls,
        specs: impl IntoIterator<Item = Value>,
        world: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            host: None,
            backends: Backends::none(),
            calls,
            specs: specs.into_iter().collect(),
            world: Box::new(world),
            state_dir: "/var/lib/detc-trial".to_owned(),
            blobs: BTreeMap::new(),
            tampers: Vec::new(),
            untampered: None,
            sums: Vec::new(),
            others: Vec::new(),
        }
    }

    /// A trial on a memory host, whose files are the world. What detc keeps for itself on a host is left out.
    pub fn in_memory(host: MemoryHost, specs: impl IntoIterator<Item = Value>) -> Self {
        let seen = host.clone();
        Self::new(Arc::new(host), specs, move || seen.with_files(|files| files.dump("/var/lib/detc-trial")))
    }

    /// Lets a resource whose backend is no host live on `host` all the same: it finds its backend by that.
    #[must_use]
    pub fn on_host(mut self, host: Arc<dyn Host>) -> Self {
        self.host = Some(host);
        self
    }

    /// Adds a backend that the resource finds by its type.
    #[must_use]
    pub fn with_backend<T: Send + Sync + 'static>(mut self, backend: Arc<T>) -> Self {
        self.backends = self.backends.with(backend);
        self
    }

    /// Keeps what detc needs for itself on the host in the folder `state_dir`.
    #[must_use]
    pub fn with_state_dir(mut self, state_dir: impl Into<String>) -> Self {
        self.state_dir = state_dir.into();
        self
    }

    /// Adds the content of a file that a spec names.
    #[must_use]
    pub fn with_blob(mut self, content: impl Into<Content>) -> Self {
        let content = content.into();
        self.blobs.insert(Digest::of_content(&content), content);
        self
    }

    /// Adds something that somebody else does to the resource behind its back, in words that follow "when": `its file is
    /// removed`. It is done when the resource is as the first spec says, and has to be seen, and undone.
    #[must_use]
    pub fn tampered(mut self, when: &'static str, tamper: impl Fn() + Send + Sync + 'static) -> Self {
        self.tampers.push((when, Arc::new(tamper)));
        self
    }

    /// Says why nothing is done by somebody else in this trial: `nothing of it is outside of the record`, or that another trial of the
    /// kind has it. Whoever reads the trial reads then what a pass of it does not show.
    #[must_use]
    pub fn untampered(mut self, why: &'static str) -> Self {
        self.untampered = Some(why);
        self
    }

    /// Measures how much of `field`, which invariants sum, is in use in the world. It has to be what the specs say, and while
    /// something is made or changed no more than [is stated](crate::action::Footprint::taking).
    #[must_use]
    pub fn measuring(mut self, field: FieldPath, in_use: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.sums.push((field, Box::new(in_use)));
        self
    }

    /// Watches whether another resource takes part in the world. It has to, but where
    /// [it is stated](crate::action::Footprint::suspending) that it does not.
    #[must_use]
    pub fn watching(
        mut self,
        other: ResourceId,
        takes_part: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.others.push((other, Box::new(takes_part)));
        self
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Trial");
        all.field("host", &self.host).field("specs", &self.specs).field("untampered", &self.untampered);
        all.finish_non_exhaustive()
    }
}

/// Tries every law of [`Resource`] on a kind, each time in a new world. Returns the laws that were broken; none: the kind
/// conforms, but for what its trial [says](Trial::untampered) that it does not try.
///
/// It takes a few calls of the host for each call that the resource makes, squared; on a memory host that is milliseconds.
/// A runtime with time is needed.
///
/// # Panics
/// When the trial has no spec.
pub async fn check_resource<R: Resource>(trial: impl Fn() -> Trial) -> Vec<Violation> {
    let registry = Registry::new().with_resource::<R>();
    check_kind(&**registry.kind(R::KIND).expect("invariant: it was just registered"), &trial).await
}

/// The same for an [`Action`]: `apply` makes and changes, `check` looks, and there is nothing to remove.
///
/// # Panics
/// When the trial has no spec.
pub async fn check_action<A: Action>(trial: impl Fn() -> Trial) -> Vec<Violation> {
    let registry = Registry::new().with_action::<A>();
    check_kind(&**registry.kind(A::KIND).expect("invariant: it was just registered"), &trial).await
}

async fn check_kind(kind: &dyn Kind, trial: &dyn Fn() -> Trial) -> Vec<Violation> {
    assert!(!trial().specs.is_empty(), "a trial needs a spec");
    let mut found = Vec::new();
    let told = laws::check(kind, trial, &mut found).await;
    // What breaks when nothing goes wrong has to be mended first: every fault would only tell of it again.
    if let Some(life) = told.filter(|_| found.is_empty()) {
        meanwhile::check(kind, trial, &life, &mut found).await;
        faults::check(kind, trial, &life, &mut found).await;
    }
    // The last, as it is about the trial and holds up nothing.
    laws::all_is_tried(&trial(), &mut found);
    found
}

pub(super) use laws::difference_of;

/// Takes note of a broken law, once: its first case is the simplest.
fn note(found: &mut Vec<Violation>, law: &'static str, detail: impl Into<String>) {
    if found.iter().all(|violation| violation.law != law) {
        found.push(Violation { law, detail: detail.into() });
    }
}
