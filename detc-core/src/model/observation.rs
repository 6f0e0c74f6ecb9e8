//! What a backend reports of one resource. Absent and unknown are kept apart: only absence may lead to creation.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Digest, Doc};

/// What is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// It was looked for, and it is not there.
    Absent,
    /// It was looked for, and it is not there, for this reason. To all else this is the same as absent.
    Needed(String),
    /// It is there.
    Present(Present),
    /// There is nothing to look at: what was recorded is all that can be known.
    Unobservable,
    /// It could not be found out, for this reason. Nothing may be concluded.
    Unknown(String),
}

/// What is known of a resource that is there.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Present {
    /// The fields that the backend can see, by their names in the spec. A field that is not here is judged by what was
    /// recorded.
    pub fields: Map<String, Value>,
    /// The outputs that can be read off it; `None` when they can not: those recorded count.
    pub output: Option<Value>,
    /// The trigger token it was last restarted for, where it can be read off it.
    pub triggers: Option<String>,
    /// The text that is there, where the fields only tell its digest: for people, and no part of what is compared.
    pub text: Option<String>,
    /// Whether it works.
    pub health: Health,
    /// A remark for people.
    pub detail: Option<String>,
    /// The fields of which it could not be seen whether they are as they were left.
    pub uncompared: Vec<String>,
    /// Of fields, by name: what is the same as long as the field is as it was left, such as a digest of all that came of it.
    pub traces: BTreeMap<String, String>,
}

impl Present {
    /// Present, with nothing to compare.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field as it was seen.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the outputs that were read off it.
    ///
    /// # Panics
    /// When `output` can not be said in JSON.
    #[must_use]
    pub fn with_output<T: Serialize>(mut self, output: &T) -> Self {
        self.output = Some(serde_json::to_value(output).expect("invariant: outputs are JSON"));
        self
    }

    /// Sets the trigger token that was read off it.
    #[must_use]
    pub fn with_triggers(mut self, triggers: Option<String>) -> Self {
        self.triggers = triggers;
        self
    }

    /// Sets the text that is there.
    #[must_use]
    pub fn with_text(mut self, text: Option<String>) -> Self {
        self.text = text;
        self
    }

    /// Sets whether it works.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Adds a field of which it can not be seen now whether it is as it was left, with why not.
    #[must_use]
    pub fn with_uncompared(mut self, name: &str, why: impl Into<String>) -> Self {
        self.uncompared.push(name.to_owned());
        self.with_detail(why)
    }

    /// Adds what is the same as long as a field is as it was left: a digest of all that came of it, for one.
    ///
    /// It is for a field that can be seen only by comparing it with a spec, and may have sensitive values in it: the recorded
    /// ones were not kept, so that nobody could say whether it is as recorded. A keyed digest of the trace is recorded with
    /// such a field, and says it. It is no part of what is compared.
    #[must_use]
    pub fn with_trace(mut self, name: &str, trace: impl Into<String>) -> Self {
        self.traces.insert(name.to_owned(), trace.into());
        self
    }

    /// Sets a remark for people.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Observation {
    /// A digest of what was seen, without outputs and health: two looks with the same digest saw the same thing.
    pub fn fingerprint(&self) -> Digest {
        match self {
            Self::Absent | Self::Needed(_) => Digest::of(b"absent"),
            Self::Unobservable => Digest::of(b"unobservable"),
            Self::Unknown(_) => Digest::of(b"unknown"),
            Self::Present(present) => {
                let fields = Doc::new(&Value::Object(present.fields.clone()));
                let mut hasher = super::Hasher::new("present");
                hasher.part(fields.text().as_bytes());
                hasher.part(present.triggers.as_deref().unwrap_or_default().as_bytes());
                hasher.finish()
            }
        }
    }
}

/// Whether a resource that is there does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Its health check passed.
    Healthy,
    /// Its health check failed.
    Unhealthy,
    /// It could not be checked.
    Unknown,
    /// It has no health check.
    #[default]
    None,
}

impl Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
            Self::None => "none",
        })
    }
}
