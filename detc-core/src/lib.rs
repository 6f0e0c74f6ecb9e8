//! An embeddable engine that brings a cluster from the state it is in to the state that is desired.
//!
//! A desired state is a value: resources of typed kinds, with references, order and invariants. A [`Manager`] compares it with
//! what is recorded and what is seen, and makes a plan: a graph of idempotent actions, each with its reason, proven to keep
//! the invariants in whatever order, failure or crash. An apply does exactly that, journals each step in a store before the
//! next one depends on it, and looks again when it is done. After a crash the next manager goes on where it stopped.
//!
//! ```
//! use std::sync::Arc;
//!
//! use detc_core::manage::ManagerOptions;
//! use detc_core::resource::value::ValueSpec;
//! use detc_core::store::memory::MemoryStore;
//! use detc_core::{Desired, Manager, Registry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // With the feature `file-store`: `Manager::embedded("state", registry)`, which outlives the process.
//! let store = Arc::new(MemoryStore::new());
//! let manager = Manager::open(store, Registry::new(), ManagerOptions::default()).await?;
//!
//! let desired = Desired::new().with(ValueSpec::resource("replicas", &serde_json::json!(3))?);
//! let planned = manager.plan(&desired).await?;
//! assert_eq!(planned.plan.action_id(0), "create:value/replicas");
//! manager.apply(planned).await?.into_result()?;
//! assert!(manager.plan(&desired).await?.plan.is_settled());
//! # Ok(())
//! # }
//! ```
//!
//! # Tour
//!
//! | to | see |
//! |---|---|
//! | say what should be | [`model`]: [`Desired`], [`DesiredResource`], references, invariants; [`model::load`] reads files |
//! | plan, apply, resume, look | [`manage`]: [`Manager`]; [`manage::Live`] in a program that goes on running |
//! | offer all this to operators | `operate::cli`: the same commands in every application (feature `cli`) |
//! | add a kind of resource | [`resource::Resource`], and a [`Registry`] that knows it |
//! | add a step that is no resource | [`action::Action`] |
//! | reach another kind of machine | [`backend::Host`] and [`resource::Connector`] |
//! | reach another engine of containers | [`backend::Containers`]; in memory, [`backend::MemoryContainers`] |
//! | keep state elsewhere | [`store::Store`]; in memory, in one file (feature `file-store`) |
//! | read, save and draw plans | [`plan`]: text, JSON, dot, mermaid, SVG; [`plan::proof`] proves invariants |
//! | test what you have written | `testing`: conformance suites for resources, actions, hosts, engines of containers and stores, and one that lets a whole manager die at each of its calls (feature `testing`) |
//!
//! In between, [`diff`] compares, and [`execute`] has the engine, which does no I/O, the driver, which decides nothing, and
//! the journal. The actions and hosts that people need are in the crate `detc-actions`.

pub mod action;
pub mod backend;
pub mod content;
pub mod diff;
pub mod execute;
pub mod manage;
pub mod model;
pub mod operate;
pub mod plan;
pub mod resource;
pub mod store;

#[cfg(feature = "testing")]
pub mod testing;

pub use manage::{ManageError, Manager};
pub use model::{Desired, DesiredResource, HostSpec, ResourceId};
pub use resource::Registry;
