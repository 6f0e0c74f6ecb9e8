//! Resources: what can be managed. A kind says how one of it is looked at, made, changed and removed.
//!
//! A [`Resource`] is a typed spec. The engine derives the actions from it: *ensure* (look, create or update, look again)
//! and *remove*. The author of a kind writes no plan, no retry and no crash handling.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::action::{ActionCx, ActionError, Footprint};
use crate::content::Content;
use crate::model::{Digest, FieldPath, Observation};

mod act;
mod erased;
mod late;
mod left_out;
mod registry;
mod schema;
mod source;
mod strict;
mod typed;
pub mod value;

pub use crate::model::nearest;
pub(crate) use erased::COMMON;
pub use erased::{Kind, KindFacts, Known};
pub(crate) use left_out::of_spec;
#[cfg(test)]
pub(crate) use registry::tests::Nowhere;
pub use registry::{Connector, Registry};
pub use source::Source;

/// A kind of managed thing, by its spec.
///
/// # Contract
///
/// - A value is a spec with all references resolved: what should be, never how.
/// - A field that the spec leaves out is not detc's: it is not compared with what is observed, see
///   [`observe`](Resource::observe). One that was recorded and is left out by now is a change: `update` is called without it.
/// - [`observe`](Resource::observe) changes nothing. `Absent` means that it was looked for and is not there; what can
///   not be found out is `Unknown` or an error, never `Absent`.
/// - [`create`](Resource::create) and [`update`](Resource::update) are idempotent and start from whatever a crashed
///   earlier call left. Afterwards `observe` reports every field it can see as the spec has it.
/// - [`delete`](Resource::delete) of what is not there succeeds.
/// - Every future may be dropped at a deadline; `observe` then tells what came of it.
#[async_trait]
pub trait Resource: Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, the first part of each id.
    const KIND: &'static str;

    /// What dependants may use besides the spec's own fields. `()` for none.
    type Output: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;

    /// What holds for every resource of the kind.
    fn traits() -> KindTraits
    where
        Self: Sized;

    /// Checks what types can not say, and tells what the spec touches, and what making or changing it does to invariants
    /// [meanwhile](Footprint::meanwhile).
    ///
    /// A text that is known only later reads [`LATER`] here: leave it unchecked.
    ///
    /// # Errors
    /// Which field is wrong, and what was expected.
    fn inspect(&self) -> Result<Footprint, InvalidField>;

    /// Looks at what is there.
    ///
    /// Every field that can be seen may be told, those that the backend fills in as well. A field that the spec leaves out is
    /// compared with nothing, before an action and after it, and may become anything: an `Option` that is `None`, and what
    /// serde fills in and has nothing in it (an empty text, list or map). What serde fills in otherwise
    /// (`#[serde(default = …)]`) is compared as if it was given, unless `skip_serializing_if` leaves it out again. Within a
    /// field all is compared: of one whose parts a backend fills in, tell those that the spec has.
    ///
    /// # Errors
    /// When looking failed; nothing is concluded from it.
    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError>;

    /// Makes it.
    ///
    /// # Errors
    /// Classed by what the engine does next.
    async fn create(&self, cx: &ActionCx<'_>) -> Result<Self::Output, ActionError>;

    /// Changes it, in place, to be as this spec says. Also called when only the trigger token has changed.
    ///
    /// # Errors
    /// Classed by what the engine does next.
    async fn update(&self, cx: &ActionCx<'_>) -> Result<Self::Output, ActionError>;

    /// Removes it.
    ///
    /// # Errors
    /// Classed by what the engine does next.
    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError>;
}

/// What became of a resource that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// Something is left, on purpose, for this reason: it holds what is not ours to remove. It is forgotten all the same.
    Left(String),
}

/// Stands for a text that is known only later, in a spec that is inspected before it is complete.
pub const LATER: &str = "\u{1}known later\u{1}";

/// What holds for every resource of a kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KindTraits {
    /// Fields that can not change in place: a change of one means delete and create.
    pub replace_on: &'static [&'static str],
    /// Fields that are written at once, with the making or a change: what a try that was cut off has left is, in these, as it
    /// was before or as the spec says. So what is found otherwise somebody else has written, and it is not changed or removed
    /// before that was shown. In other fields such a try may have left anything.
    pub at_once: &'static [&'static str],
    /// Fields and outputs that are never shown or stored.
    pub sensitive: &'static [&'static str],
    /// Fields that name a file beside the desired state file; they are read as a [`Source`].
    pub sources: &'static [&'static str],
    /// What text the spec and the files that it names come to: it is checked when the desired state is, and plans show how
    /// [`Present::text`](crate::model::Present::text) becomes it.
    pub text: Option<TextOf>,
    /// Whether it needs a host.
    pub host: HostNeed,
    /// What a change of the trigger token, or of a field, does to one that is running.
    pub change: ChangeEffect,
    /// Fields whose change does not restart it, where `change` is [`ChangeEffect::Restart`]. Where that is
    /// [`ChangeEffect::Rerun`], a change of them is only recorded, and nothing is done once more.
    pub in_place: &'static [&'static str],
    /// Outputs that no change in place changes, such as an id that its backend gives once: who refers to one of these is not
    /// affected by an update. One that differs after an update fails it.
    pub stable_outputs: &'static [&'static str],
    /// What is done about one that is there and unhealthy.
    pub unhealthy: Unhealthy,
    /// What deleting means.
    pub removal: Removal,
    /// Who can tell what is there.
    pub observed_by: ObservedBy,
}

/// How a kind makes a text of a complete spec and the files that it names.
#[derive(Clone, Copy, Debug)]
pub struct TextOf {
    /// What the text is called in plans.
    pub field: &'static str,
    /// The text, of a spec and the contents of files by their digests; or what is wrong. `None`: what is needed is not among
    /// these, or it is no text.
    pub read: fn(&Value, &Contents) -> Result<Option<String>, ActionError>,
    /// What is wrong with the files that a spec names, whatever becomes of what is known only later.
    pub parse: fn(&Value, &Contents) -> Result<(), ActionError>,
}

/// Contents of files, by their digests.
pub type Contents = BTreeMap<Digest, Content>;

/// Who can tell what is there of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObservedBy {
    /// A backend: each resource is looked at.
    #[default]
    Backend,
    /// Only the record: there is nothing to look at, and nothing is looked at.
    Record,
}

/// Whether a kind lives on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostNeed {
    /// It does not.
    #[default]
    None,
    /// It does.
    Required,
}

/// What a change in place does to a resource that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangeEffect {
    /// It stays available. There is nothing to restart: `restart_on` is refused.
    #[default]
    InPlace,
    /// It is taken away and given back. `restart_on` does the same.
    Restart,
    /// It is done once more. `restart_on` does the same.
    Rerun,
}

/// What is done about a resource that is there, as it should be, and
/// [unhealthy](crate::model::Health::Unhealthy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unhealthy {
    /// It is told, and nothing is done.
    #[default]
    Told,
    /// It is restarted: [`update`](Resource::update) is called, and
    /// [`ActionCx::heals`](crate::action::ActionCx::heals) says why.
    ///
    /// Only for a kind that has done its work when what it made is healthy, and has failed when that takes too long: an action
    /// of it is done only then, and `create` or `update` is called once more, to wait, where an earlier try was not seen to end.
    /// Of another kind, what is slow to become healthy would be restarted again and again.
    Restarted,
}

/// What deleting a resource means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// The thing is removed.
    #[default]
    Delete,
    /// There is nothing to remove: the record is dropped.
    Forget,
}

/// A field of a spec has a bad value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct InvalidField {
    /// Which field.
    pub field: FieldPath,
    /// What is wrong, in words that follow the field's name: "must be an absolute path, not `x`".
    pub problem: String,
}

impl InvalidField {
    /// The field called `field` has this problem.
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: FieldPath::from_segments([field]), problem: problem.into() }
    }
}
