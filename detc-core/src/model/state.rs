//! States of a cluster, and what a program asks of each of them by itself: predicates, for what no sum says.
//!
//! ```
//! use detc_core::model::{Predicate, Selector};
//!
//! let leader = Predicate::new("one leader", |state| {
//!     let leaders = state.resources().filter(|it| it.is_up() && it.label("role") == Some("leader"));
//!     match leaders.count() {
//!         1 => Ok(()),
//!         count => Err(format!("there are {count} leaders")),
//!     }
//! });
//! let leader = leader.about(Selector { kind: Some("process".to_owned()), ..Selector::default() });
//! assert_eq!(leader.name(), "one leader");
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{Doc, FieldPath, HostName, ResourceId, Selector};

/// What must hold of every state of every change, and is no sum: a function of a program, with a name.
///
/// A [`Registry`](crate::resource::Registry::with_predicate) has it, because it is code: a saved plan has its name and what
/// was found, and it is asked again when that plan is applied.
///
/// # Contract
///
/// - It is a function of the state alone: no clock, no file, nothing that it remembers.
/// - It is asked of some ten thousand states for each plan. What it is [about](Self::about) makes them few.
/// - What it says when it does not hold follows "when … had ended,": `there are 2 leaders`.
#[derive(Clone)]
pub struct Predicate {
    name: String,
    about: Selector,
    holds: Arc<Holds>,
}

/// What is asked of a state; why not, in words.
type Holds = dyn Fn(&State<'_>) -> Result<(), String> + Send + Sync;

impl Predicate {
    /// A predicate of this name, about everything.
    pub fn new(
        name: impl Into<String>,
        holds: impl Fn(&State<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), about: Selector::default(), holds: Arc::new(holds) }
    }

    /// About these resources only: it sees no other, and the fewer there are of them, the fewer states have to be looked at.
    #[must_use]
    pub fn about(mut self, these: Selector) -> Self {
        self.about = these;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is about.
    pub fn selector(&self) -> &Selector {
        &self.about
    }

    /// Whether it holds in a state, or why not.
    ///
    /// # Errors
    /// In the predicate's own words.
    pub fn holds_in(&self, state: &State<'_>) -> Result<(), String> {
        (self.holds)(state)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate")
            .field("name", &self.name)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

/// What is there at some moment: what is recorded, and what a plan has made and removed by then.
///
/// Whatever is being done at that moment has happened or not: each is a state of its own. What is made is there as its spec
/// says; sensitive values are marks, and what was known only later is the reference to it.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Ascending by id.
    pub(crate) slots: &'a [Slot],
    /// For each slot, which of its versions is there; [`NOTHING`] for none.
    pub(crate) now: &'a [u32],
    /// For each slot, how many actions keep what is there from taking part.
    pub(crate) away: &'a [u32],
}

/// No version.
pub(crate) const NOTHING: u32 = u32::MAX;

/// All that is at one id, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) id: ResourceId,
    pub(crate) versions: Vec<Version>,
}

/// What is at an id for some time.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) host: Option<HostName>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) spec: Doc,
    pub(crate) standing: Standing,
    pub(crate) fields: OnceLock<Value>,
}

/// How a resource stands in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and was not seen to be unhealthy.
    Up,
    /// It is there and takes no part: it is being restarted, an action keeps it from it, or it was seen to be unhealthy.
    Down,
    /// It may be there or not: it could not be looked at, or its making had begun and nobody knows how far it came.
    Unknown,
}

/// A resource in a state.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    id: &'a ResourceId,
    version: &'a Version,
    is_away: bool,
}

impl<'a> State<'a> {
    /// All resources that are there, or may be, ascending by id.
    pub fn resources(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let state = *self;
        (0..self.slots.len()).filter_map(move |at| state.member(at))
    }

    /// The resource of this id, if it is there or may be: `process/web-1`.
    pub fn get(&self, id: &str) -> Option<Member<'a>> {
        let at = self.slots.binary_search_by(|slot| slot.id.as_str().cmp(id)).ok()?;
        self.member(at)
    }

    fn member(&self, at: usize) -> Option<Member<'a>> {
        let (slot, now) = (&self.slots[at], self.now[at]);
        let is_away = self.away[at] > 0;
        (now != NOTHING).then(|| Member { id: &slot.id, version: &slot.versions[now as usize], is_away })
    }
}

impl<'a> Member<'a> {
    /// Its id.
    pub fn id(&self) -> &'a ResourceId {
        self.id
    }

    /// The host it is on.
    pub fn host(&self) -> Option<&'a HostName> {
        self.version.host.as_ref()
    }

    /// A label.
    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.version.labels.get(key).map(String::as_str)
    }

    /// A field of its spec: `memory_mib`, `input.version`.
    pub fn field(&self, path: &str) -> Option<&'a Value> {
        let path: FieldPath = path.parse().ok()?;
        path.get(self.version.fields.get_or_init(|| self.version.spec.value()))
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.version.standing {
            Standing::Up if self.is_away => Standing::Down,
            standing => standing,
        }
    }

    /// Whether it is surely there and takes part.
    pub fn is_up(&self) -> bool {
        self.standing() == Standing::Up
    }
}

impl Version {
    /// Whether nobody could tell them apart.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.host == other.host
            && self.labels == other.labels
            && self.spec == other.spec
            && self.standing == other.standing
    }
}
