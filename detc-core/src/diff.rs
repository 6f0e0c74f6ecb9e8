//! What differs: for one resource, between what is desired, what was recorded and what was observed.
//!
//! Pure. A [`Change`] is a value with the fields that differ, each with its cause: the intent changed, or the world
//! drifted. What lives here decides nothing about order; that is the plan's.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Doc, FieldPath, ResourceId, secret};

mod apart;
mod fields;
mod ownership;
mod resource;
#[cfg(test)]
mod tests;

pub use fields::{FieldChange, compare};
pub(crate) use ownership::{ours, said_of_theirs, with_theirs};
pub use resource::{Differ, Resolved, TriggerToken, View, intent_digest, trigger_token};
pub(crate) use resource::{is_to_heal, may_be_changed_by, may_be_made_by, moved};

/// The difference for one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The resource.
    pub resource: ResourceId,
    /// What is to happen.
    pub kind: ChangeKind,
    /// Why.
    pub reason: Reason,
    /// The fields that differ, for a change of something that is there.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub fields: Box<[FieldChange]>,
    /// The spec that it will have, sensitive values marked, references as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Doc>,
}

/// What is to happen to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is not there and will be made.
    Create,
    /// It is there and not recorded: it will be recorded, and made as desired where it differs.
    Adopt,
    /// It will be changed in place.
    Update,
    /// It will be deleted and made anew, since a field differs that can not change in place.
    Replace,
    /// It is no longer desired and will be removed.
    Delete,
    /// Nothing.
    Keep,
    /// It could not be found out what is there: nothing is planned.
    Unknown,
}

impl ChangeKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Adopt, Self::Update, Self::Replace, Self::Delete, Self::Keep, Self::Unknown];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Keep => "keep",
            Self::Unknown => "unknown",
        }
    }
}

impl Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a resource changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is new in the desired state.
    New,
    /// It was made, and is gone.
    Gone,
    /// It is not there, and its check said why.
    Needed(String),
    /// It exists already, and is not recorded.
    Found,
    /// What is seen at its place is another one of its kind, which is no longer desired and is removed first.
    Renames(ResourceId),
    /// What is seen at its place is another one, which is removed there first.
    TakesPlace(ResourceId),
    /// It exists, and an earlier run had begun to make it.
    Begun,
    /// It is adopted for this reason, and restarted, since it is other than desired.
    Restarts(Box<Reason>),
    /// The desired state says other than it did.
    Intent,
    /// The desired state says other than it did of these fields, and it is done once more for that.
    Again(Vec<String>),
    /// The world is other than it was left.
    Drift,
    /// Both: the desired state changed, and the world drifted.
    IntentAndDrift,
    /// What it restarts on changes.
    Trigger(Vec<ResourceId>),
    /// It is there and does not do its work, for this reason where one was told.
    Unhealthy(Option<String>),
    /// A value it needs of this resource changes, or has changed.
    Late(ResourceId),
    /// This field can not change in place.
    Immutable(FieldPath),
    /// Only what is recorded of it changes: labels, order, protection.
    RecordOnly,
    /// It is as it should be already, and is recorded otherwise: who made it so did not come to record it.
    Overtaken,
    /// It was recorded under another id.
    Renamed(ResourceId),
    /// It is no longer in the desired state.
    NotDesired,
    /// It is no longer in the desired state, and was there before detc: it is left, and its record dropped.
    WasAdopted,
    /// It is no longer in the desired state, and is not what an earlier run had begun to make: it is left, and its record
    /// dropped.
    WasOthers,
    /// It could not be observed, for this reason.
    Unobserved(String),
    /// It needs this resource, of which nothing is known.
    Waits(ResourceId),
    /// Nothing differs.
    Same,
}

impl Reason {
    /// Whether it was there and somebody else has made it.
    pub(crate) fn is_found(&self) -> bool {
        match self {
            Self::Restarts(why) => why.is_found(),
            reason => *reason == Self::Found,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it is not there yet"),
            Self::Gone => f.write_str("drift: it was there and is gone"),
            Self::Needed(why) => write!(f, "it is needed: {why}"),
            Self::Found => f.write_str("it exists already and is not recorded"),
            Self::Renames(from) => write!(
                f,
                "it takes the place of {from}, which is no longer desired and is removed first: was \
                 `renamed_from: {from}` meant?"
            ),
            Self::TakesPlace(of) => write!(f, "it takes the place of {of}, which is removed there first"),
            Self::Begun => f.write_str("an earlier run had begun to make it"),
            Self::Restarts(why) => write!(f, "{why}; it is restarted"),
            Self::Intent => f.write_str("the desired state changed"),
            Self::Again(fields) => {
                f.write_str("it is done once more, since ")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(f, "{}`{field}`", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(" changed")
            }
            Self::Drift => f.write_str("drift: it was changed behind detc's back"),
            Self::IntentAndDrift => {
                f.write_str("the desired state changed, and it was changed behind detc's back")
            }
            Self::Trigger(ids) => {
                f.write_str("it restarts on ")?;
                for (index, id) in ids.iter().enumerate() {
                    write!(f, "{}{id}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(if ids.len() == 1 { ", which changes" } else { ", which change" })
            }
            Self::Unhealthy(None) => f.write_str("it is unhealthy"),
            Self::Unhealthy(Some(why)) => write!(f, "it is unhealthy: {why}"),
            Self::Late(id) => write!(f, "it needs a value of {id}, which changes"),
            Self::Immutable(field) => write!(f, "`{field}` can not change in place"),
            Self::RecordOnly => f.write_str("only what is recorded of it changes"),
            Self::Overtaken => f.write_str("it is so already, and is recorded otherwise"),
            Self::Renamed(from) => write!(f, "it was {from}"),
            Self::NotDesired => f.write_str("it is no longer in the desired state"),
            Self::WasAdopted => {
                f.write_str("it was there before detc and is left as it is; only its record is dropped")
            }
            Self::WasOthers => f.write_str(
                "an earlier run had begun to make it, and somebody else made what is there: it is left as it is; only its \
                 record is dropped",
            ),
            Self::Unobserved(why) => write!(f, "it could not be observed: {why}"),
            Self::Waits(id) => write!(f, "it comes after {id}, of which nothing is known"),
            Self::Same => f.write_str("nothing differs"),
        }
    }
}

/// Why a field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The desired state changed.
    Intent,
    /// The world drifted.
    Drift,
    /// The desired state changed, and the world drifted, too: what was recorded is neither here nor there.
    Both,
}

/// What a value reads like where people see it: marks as `(sensitive)`, references as `(known after …)`.
pub fn shown(value: &Value, known_after: &dyn Fn(&ResourceId) -> String) -> Value {
    if secret::mark_of(value).is_some() {
        return Value::String("(sensitive)".to_owned());
    }
    if let Ok(Some(reference)) = crate::model::Reference::read(value) {
        return Value::String(format!("(known after {})", known_after(&reference.from)));
    }
    match value {
        Value::Array(items) => items.iter().map(|item| shown(item, known_after)).collect(),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, item)| (key.clone(), shown(item, known_after))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
