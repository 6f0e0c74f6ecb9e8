//! What an action touches. Order follows from it; two owners of one place, or two writers of it without an order, are an
//! error.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::host::plain_path;
use crate::backend::rooted::root_of;
use crate::model::{FieldPath, ResourceId};

/// What an action reads and writes, and how its outcome is found out after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Footprint {
    /// Places that it needs as they will be.
    pub reads: Vec<Place>,
    /// Places that it makes or changes.
    pub writes: Vec<Place>,
    /// Those of `writes` that it alone says all of; what lies within one is another's, until this one is removed. Two owners
    /// of one place would undo each other's work for ever, in whatever order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owns: Vec<Place>,
    /// Places that are removed with all that lies within, whoever made it, when this is removed. A plan in which something
    /// that stays lies within one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Place>,
    /// Whether it may touch more than it says: it runs what others wrote. Nothing that comes after it is then held back for
    /// having changed, as it may be what changed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// What it does to invariants while it goes on, beyond what follows from its change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meanwhile: Vec<Meanwhile>,
    /// How long making, changing or removing it may take by deadlines of its own. The driver gives it that beside its own
    /// limit, which is for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms_max: Option<u64>,
    /// How its outcome is found out after a crash.
    pub crash: CrashClass,
}

/// What making or changing something does to invariants, from its start to its end. The proof takes it for certain, and the
/// conformance suite sees whether it is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Meanwhile {
    /// So much more of a field is in use: a dump on the disk, a second process beside the first. It counts in every invariant
    /// that sums this field of the resource that is made or changed, and in none that does not select that.
    Takes {
        /// The field that is summed.
        field: FieldPath,
        /// How much more.
        amount: i64,
    },
    /// What is there stays until what takes its place works: for a while both are there, and both count. It is about changes that
    /// restart, of a kind whose changes do: they take nothing away then. What is made anew or changed in place is not affected.
    Overlaps,
    /// This resource takes no part: a drain, a migration under a lock. Its own id: that is taken away and given back.
    Suspends(ResourceId),
}

impl Footprint {
    /// Touches nothing that others could touch.
    pub fn new(crash: CrashClass) -> Self {
        Self {
            reads: Vec::new(),
            writes: Vec::new(),
            owns: Vec::new(),
            sweeps: Vec::new(),
            more: false,
            meanwhile: Vec::new(),
            lasts_ms_max: None,
            crash,
        }
    }

    /// Adds a place that it reads.
    #[must_use]
    pub fn reading(mut self, place: Place) -> Self {
        self.reads.push(place);
        self
    }

    /// Adds a place that it writes.
    #[must_use]
    pub fn writing(mut self, place: Place) -> Self {
        self.writes.push(place);
        self
    }

    /// Adds a place that it writes and that no other may own.
    #[must_use]
    pub fn owning(mut self, place: Place) -> Self {
        self.owns.push(place.clone());
        self.writing(place)
    }

    /// Adds a place that is removed with all that lies within.
    #[must_use]
    pub fn sweeping(mut self, place: Place) -> Self {
        self.sweeps.push(place);
        self
    }

    /// Says that so much more of a summed field is in use while it goes on.
    #[must_use]
    pub fn taking(mut self, field: FieldPath, amount: i64) -> Self {
        self.meanwhile.push(Meanwhile::Takes { field, amount });
        self
    }

    /// Says that what is there stays until what takes its place works.
    #[must_use]
    pub fn overlapping(mut self) -> Self {
        self.meanwhile.push(Meanwhile::Overlaps);
        self
    }

    /// Says that a resource takes no part while it goes on.
    #[must_use]
    pub fn suspending(mut self, id: ResourceId) -> Self {
        self.meanwhile.push(Meanwhile::Suspends(id));
        self
    }

    /// Says how long it may take by deadlines of its own, from its first call to its last.
    #[must_use]
    pub fn lasting(mut self, at_most: Duration) -> Self {
        self.lasts_ms_max = Some(u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Says that it may touch more than it says.
    #[must_use]
    pub fn touching_more(mut self) -> Self {
        self.more = true;
        self
    }
}

/// Something that can be read and written, on the host of the resource that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Place {
    /// A path of the file system. A path lies within each of its ancestors.
    Path(String),
    /// Anything else that has one owner: a space (`port`) and a name in it (`tcp/8080`).
    Name {
        /// The space.
        space: String,
        /// The name.
        name: String,
    },
}

impl Place {
    /// A path, in the one spelling that all spellings of it have in common: without `.`, and without slashes that are doubled
    /// or trail. What `..` leads to only the host knows: it stays.
    pub fn path(path: &str) -> Self {
        Self::Path(plain_path(path))
    }

    /// Whether it is one of these paths, or lies within one. What is no path lies anywhere; of one with `..` only the host knows.
    pub(crate) fn is_beneath(&self, roots: &[String]) -> bool {
        match self {
            Self::Path(path) => {
                let roots: Vec<String> = roots.iter().map(|root| plain_path(root)).collect();
                root_of(&roots, path).is_some()
            }
            Self::Name { .. } => true,
        }
    }

    /// Whether it lies strictly within `outer`. Of a path with `..` only the host knows.
    pub fn lies_within(&self, outer: &Self) -> bool {
        match (self, outer) {
            (Self::Path(inner), Self::Path(outer)) => {
                outer == "/" || inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            (Self::Path(_) | Self::Name { .. }, _) => false,
        }
    }

    /// A name in a space.
    pub fn name(space: &str, name: &str) -> Self {
        Self::Name { space: space.to_owned(), name: name.to_owned() }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Name { space, name } => write!(f, "{space} {name}"),
        }
    }
}

/// How an action's outcome can be found out when the process died before it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashClass {
    /// Its effect has a name that is known beforehand: look there.
    DeterministicName,
    /// The other side remembers a key that it is given ([`ActionCx::idempotency_key`]): call again with the same key.
    ///
    /// The key is decided when the action starts, and is durable before the first call. Each further try of the same action
    /// is given it, in later runs too, until an action of its resource has ended well: the commit that records that drops
    /// the key.
    ///
    /// To make a resource is the same action however its spec has changed since the first try: that one may have made it,
    /// and another key would make it twice. What comes of the old key with new fields is up to the other side. One that
    /// answers with what it made before leads to a change of that, as far as it can be seen: a kind that can not look
    /// compares the answer itself. One that refuses fails the action, until the first fields are tried again, or a person
    /// has looked and drops the key with `apply --settle not-done=ID`; so does one that remembers a refusal, or what
    /// somebody else has removed since. To change what is there is the same action as long as it leads to the same spec and
    /// the same [trigger token](super::ActionCx::triggers); another change has another key. To remove something is never of
    /// this class.
    ///
    /// [`ActionCx::idempotency_key`]: super::ActionCx::idempotency_key
    IdempotencyKey,
    /// Its effect carries a tag that is known beforehand: search for it. The engine looks, and tries again, as for
    /// `DeterministicName`; besides, what was adopted and carries the tag was made by detc, and is removed like the rest.
    FindableByTag,
    /// It changes something only from a known state: look at the state. The engine does the same for it as for
    /// `DeterministicName`, and compares nothing by itself. It is the action that promises more: its call is refused where
    /// the state is another one by now, so that a try that was given up and arrives late undoes nothing.
    CompareAndSet,
    /// It can not be found out. A person decides.
    AtMostOnce,
}

impl Display for CrashClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeterministicName => "deterministic name",
            Self::IdempotencyKey => "idempotency key",
            Self::FindableByTag => "findable by tag",
            Self::CompareAndSet => "compare and set",
            Self::AtMostOnce => "at most once",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_is_one_place_however_it_is_spelt() {
        for same in ["/a/b", "/a//b", "/a/./b", "//a/b/", "/./a/b/.", "/a/b//"] {
            assert_eq!(Place::path(same).to_string(), "/a/b", "{same}");
        }
        for root in ["/", "//", "/."] {
            assert_eq!(Place::path(root).to_string(), "/", "{root}");
        }
        for other in ["/a/..b", "/a/.b", "/a/b.", "/a/../b", "b/."] {
            assert_eq!(Place::path(other).to_string(), other);
        }
    }
}
