//! The nouns: ids, documents, references, desired resources, what was recorded and what was observed.
//!
//! ```text
//!   desired file ──load──▶ Desired ┐
//!   store ───────read────▶ Record  ├─▶ diff
//!   backends ──observe───▶ Observation ┘
//! ```
//!
//! Everything here is a value. Nothing here reads a clock, a file or a network; what a resource *does* lives in
//! [`resource`](crate::resource) and [`action`](crate::action).

mod check;
mod desired;
mod digest;
mod doc;
mod hide;
mod id;
pub mod load;
mod nearest;
mod observation;
pub(crate) mod parallel;
mod path;
mod record;
mod reference;
pub mod secret;
pub(crate) mod state;
mod texts;
mod topology;
pub(crate) mod words;

pub(crate) use check::footprint_of;
pub use check::{InvalidState, Placed, footprint_edges};
pub(crate) use desired::PROPERTIES;
pub use desired::{
    Desired, DesiredResource, Extra, FieldOwner, HostSpec, Invariant, InvariantBound, Measure, Origin,
    Selector,
};
pub use digest::{Digest, Hasher};
pub use doc::{Doc, StrictValue, write_canonical};
pub use id::{HostName, InvalidId, ResourceId};
pub use nearest::nearest;
pub use observation::{Health, Observation, Present};
pub use path::{FieldPath, InvalidPath};
pub use record::{Record, RecordBody, RecordError, Recorded};
pub(crate) use reference::check_nesting;
pub use reference::{NESTED_MAX, Reference, SUBSTITUTED_LEN_MAX, TooLarge, collect_references, substitute};
pub use state::{Member, Predicate, Standing, State};
pub(crate) use topology::{Adjacency, shortest_loop};
pub use topology::{Cycle, Edge, EdgeKind, Topology, declared_edges};

/// A map keyed by strings that keeps insertion order: deterministic to iterate, fast to look up.
pub type Map<K, V> = indexmap::IndexMap<K, V, rustc_hash::FxBuildHasher>;

/// A set that keeps insertion order.
pub type Set<K> = indexmap::IndexSet<K, rustc_hash::FxBuildHasher>;
