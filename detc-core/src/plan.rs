//! Plans: what will be done, in which order, and why. A plan is a value; what was reviewed is what runs.
//!
//! ```text
//!   Desired + Topology + Recorded + Observed ──build──▶ changes ──order──▶ actions + edges ──seal──▶ Plan
//! ```
//!
//! Building is pure and deterministic: the same input gives the same bytes. The executor chooses nothing; every id, host
//! and order is in here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{CrashClass, Place};
use crate::diff::{Change, ChangeKind};
use crate::model::{Digest, Doc, Extra, FieldPath, HostName, HostSpec, RecordError, ResourceId, TooLarge};

mod build;
mod decide;
mod explore;
pub mod file;
mod keep;
mod order;
mod outputs;
mod planner;
pub mod proof;
mod protect;
pub mod render;
mod resolve;
mod seal;
mod select;
mod sort;
mod sweep;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use build::build_part;
pub use build::{Observed, PlanInput, build};
pub(crate) use decide::{basis, how_to_forget};
pub use explore::Count;
pub(crate) use explore::Random;
pub(crate) use keep::examine;
pub use keep::{BrokenInvariant, Counterexample, Drawn, Examined, IfAtWork, Proved, Refuted};
pub use planner::{Planner, PlannerError};
pub use select::{Pattern, Selection};
pub(crate) use sweep::{check_own, check_swept};

/// An immutable graph of actions, each with its reason.
///
/// It is made by a [`Manager`](crate::Manager), or of the states themselves, which reads no clock and no world:
///
/// ```
/// use detc_core::model::secret::{MarkKey, Vault};
/// use detc_core::plan::{Observed, PlanInput, build};
/// use detc_core::resource::value::ValueSpec;
/// use detc_core::{Desired, Registry};
///
/// let registry = Registry::new();
/// let desired = Desired::new().with(ValueSpec::resource("replicas", &3.into())?);
/// let plan = build(&PlanInput {
///     desired: &desired,
///     topology: &desired.check(&registry)?,
///     recorded: &Default::default(),
///     observed: &Observed::default(),
///     half_done: &Default::default(),
///     registry: &registry,
///     key: &MarkKey::new([7; 32]),
/// }, &mut Vault::new())?;
/// assert_eq!(plan.action_id(0), "create:value/replicas");
/// assert!(plan.to_string().contains("+ create value/replicas (it is not there yet)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The digest of everything below: what was reviewed is what runs.
    pub id: Digest,
    /// The kinds that it uses, with their schemas: how a newer program tells whether it still knows them.
    pub kinds: BTreeMap<String, Digest>,
    /// The hosts it acts on.
    pub hosts: BTreeMap<HostName, HostSpec>,
    /// What changes, by resource, without what is kept.
    pub changes: Vec<Change>,
    /// How many resources are kept as they are.
    pub kept: usize,
    /// How many changes a partial plan leaves out.
    pub left_out: usize,
    /// What is done, each action after all that it comes after.
    pub actions: Vec<PlannedAction>,
    /// For each invariant the worst that can happen to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proved>,
    /// What was found of each predicate of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examined: Vec<Examined>,
    /// Order that was added so that an invariant holds: before, after, which of `proofs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ordered: Vec<(u32, u32, u32)>,
}

/// One action of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedAction {
    /// What it does.
    pub verb: Verb,
    /// The change it belongs to: an index into [`Plan::changes`].
    pub change: u32,
    /// The actions it comes after: indices into [`Plan::actions`], all smaller than its own.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub after: Box<[u32]>,
    /// The host it acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The spec to bring about, or (for a deletion) to remove.
    pub spec: Doc,
    /// A digest of the record and the observation that it was derived from.
    pub basis: Digest,
    /// The id that what is removed is recorded under, where that is another than its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recorded_as: Option<ResourceId>,
    /// How its outcome is found out after a crash.
    pub crash: CrashClass,
    /// Whether all that is in it is removed with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sweeps: bool,
    /// What is recorded beside the spec when it is done; `None` for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Box<Recording>>,
}

impl PlannedAction {
    /// The id that its resource is recorded under before it, where that is another than its own.
    pub fn renamed_from(&self) -> Option<&ResourceId> {
        let recording = self.recording.as_ref();
        self.recorded_as.as_ref().or_else(|| recording?.renamed_from.as_ref())
    }

    /// The id that its resource had before, recorded or not.
    pub(crate) fn earlier_id(&self) -> Option<&ResourceId> {
        let given = self.recording.as_ref().and_then(|recording| recording.extra.as_ref());
        self.renamed_from().or_else(|| given?.renamed_from.as_ref())
    }
}

/// What is recorded of a resource beside its spec and outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The digest of the spec as desired.
    pub intent: Digest,
    /// The digest of relations, labels and protection.
    pub relations: Digest,
    /// What it comes after.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub after: Arc<[ResourceId]>,
    /// Labels, protection and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<Extra>>,
    /// The id it was recorded under until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<ResourceId>,
    /// What stands in its spec of other resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // A pointer, as most have none, and there may be a million.
    pub uses: Option<Box<Vec<Used>>>,
}

/// A recorded value of one resource that stands in the spec of another, by its digest; a sensitive one by that of its mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Whose value it is.
    pub from: ResourceId,
    /// Which output, or field.
    pub output: FieldPath,
    /// The digest of the value.
    pub value: Digest,
}

impl Used {
    /// The value of `output` that is recorded of `from`.
    pub(crate) fn new(from: &ResourceId, output: &FieldPath, value: Option<&Value>) -> Self {
        let value = value.map_or(Digest::NONE, |value| Doc::new(value).digest());
        Self { from: from.clone(), output: output.clone(), value }
    }
}

/// What an action does to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Makes it.
    Create,
    /// Records what is there, and makes it as desired.
    Adopt,
    /// Changes it.
    Update,
    /// Restarts it, or runs it once more.
    Restart,
    /// Changes only what is recorded of it.
    Record,
    /// Removes it.
    Delete,
    /// Drops its record; there is nothing to remove.
    Forget,
}

impl Verb {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::Restart => "restart",
            Self::Record => "record",
            Self::Delete => "delete",
            Self::Forget => "forget",
        }
    }

    /// Whether it does anything but change what is recorded.
    pub fn has_effect(self) -> bool {
        !matches!(self, Self::Record | Self::Forget)
    }

    /// Whether it takes the resource away.
    pub fn removes(self) -> bool {
        matches!(self, Self::Delete | Self::Forget)
    }
}

impl Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Plan {
    /// The change that an action belongs to.
    pub fn change_of(&self, action: &PlannedAction) -> &Change {
        &self.changes[action.change as usize]
    }

    /// The resource that the action at `index` is about.
    pub fn resource_of(&self, index: u32) -> &ResourceId {
        &self.change_of(&self.actions[index as usize]).resource
    }

    /// The ids whose records its actions write or drop.
    pub(crate) fn touched(&self) -> BTreeSet<ResourceId> {
        let renamed = |action: &PlannedAction| action.earlier_id().cloned();
        let about = (0..self.actions.len() as u32).map(|index| self.resource_of(index).clone());
        about.chain(self.actions.iter().filter_map(renamed)).collect()
    }

    /// The id of the action at `index`: `verb:kind/name`, unique within the plan.
    pub fn action_id(&self, index: u32) -> String {
        format!("{}:{}", self.actions[index as usize].verb, self.resource_of(index))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether nothing differs: nothing to do, nothing unknown.
    pub fn is_settled(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes there are of each kind, those kept included.
    pub fn counts(&self) -> BTreeMap<ChangeKind, usize> {
        let mut counts = BTreeMap::new();
        for change in &self.changes {
            *counts.entry(change.kind).or_default() += 1;
        }
        if self.kept > 0 {
            counts.insert(ChangeKind::Keep, self.kept);
        }
        counts
    }

    /// The changes of which nothing is known, so that nothing is done.
    pub fn unknown(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.kind == ChangeKind::Unknown)
    }
}

/// The plan as text, without colours.
impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&render::TextOptions::default()))
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The plan would destroy a protected resource.
    #[error("{resource} is protected, and this plan would {verb} it: {reason}")]
    Protected {
        /// The resource.
        resource: ResourceId,
        /// `delete` or `replace`.
        verb: ChangeKind,
        /// Why it would.
        reason: String,
    },
    /// Something would be removed with all that is in it, and something that stays is in there.
    #[error("{resource} would be removed with all that is in {place}, and {stays} is in there and stays")]
    Sweeps {
        /// What would be removed.
        resource: ResourceId,
        /// Where it is.
        place: Place,
        /// What stays.
        stays: ResourceId,
    },
    /// Something would be removed with all that is in it, and detc keeps its own things in there.
    #[error(
        "{resource} would be removed with all that is in {place}, and {dir}, where detc keeps its own things, is in there"
    )]
    SweepsOwn {
        /// What would be removed.
        resource: ResourceId,
        /// Where it is.
        place: Place,
        /// The folder of detc.
        dir: String,
    },
    /// Something would be removed with all that is in it, and it is not known yet where something else is to be made.
    #[error(
        "{resource} would be removed with all that is in {place}, and where {makes} is to be made is not known yet"
    )]
    MaySweep {
        /// What would be removed.
        resource: ResourceId,
        /// Where it is.
        place: Place,
        /// What is to be made.
        makes: ResourceId,
    },
    /// The order of what is removed and what is made has a loop: the shortest, each one after the next.
    #[error("the plan has a loop: {0}")]
    Loop(String),
    /// So many changes wait for so many others that the plan would not fit into memory.
    #[error("the plan has too many edges to be held: {resource} alone waits for {waits} others")]
    TooManyEdges {
        /// A resource whose change waits for many others.
        resource: ResourceId,
        /// For how many.
        waits: usize,
    },
    /// Nothing can be made of the files that a resource names, as what it refers to is now.
    #[error("{resource}: {problem}")]
    Text {
        /// The resource.
        resource: ResourceId,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What the references of a resource stand for does not fit into a plan.
    #[error("{resource} can not be planned")]
    TooLarge {
        /// The resource.
        resource: ResourceId,
        /// Why.
        #[source]
        source: TooLarge,
    },
    /// A value is referred to that nobody knows, and nothing of this plan will tell.
    #[error(
        "{resource} refers to `{output}` of {from}, which was done, and what it gave then was not recorded"
    )]
    NoOutput {
        /// Which refers to it.
        resource: ResourceId,
        /// What was to give it.
        from: ResourceId,
        /// Which of its outputs.
        output: FieldPath,
    },
    /// What an invariant sums, or what a change adds to that, is more than can be counted.
    #[error("what the invariant `{invariant}` sums is beyond 64 bits: nothing can be proven of it")]
    Beyond {
        /// The invariant.
        invariant: String,
    },
    /// A record can not be read.
    #[error("the record of {resource} can not be read")]
    Record {
        /// The resource.
        resource: ResourceId,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A pattern of a partial plan matches nothing.
    #[error("`{0}` matches nothing that is desired or recorded")]
    NoMatch(String),
}
