//! Actions: typed, idempotent steps with a read-only `check` and an `apply`.
//!
//! The engine runs check → apply → check. An action that a crash left in doubt is settled by `check`, never by a blind
//! second run. Most actions are derived from a [`Resource`](crate::resource::Resource); write an [`Action`] where a step
//! is no resource: a migration, a drain, a call that must happen once.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

mod cx;
mod error;
mod footprint;

pub use cx::{ActionCx, BLOB_LEN_MAX, CxParts};
pub use error::{ActionError, ErrorClass};
pub use footprint::{CrashClass, Footprint, Meanwhile, Place};

/// A typed, idempotent step.
///
/// # Contract
///
/// - [`check`](Action::check) changes nothing, and says whether the effect is there: `Satisfied` with the output,
///   `Needed` with the reason, or `Unknown` when that can not be found out.
/// - [`apply`](Action::apply) brings the effect about, from whatever state a crashed earlier `apply` left. After it
///   returned, `check` is `Satisfied`; the engine looks, and names the action that lied.
/// - **Serialisable.** The value is journaled before `apply` and is brought back by [`KIND`](Action::KIND) after a
///   crash, possibly by a newer version of the program.
/// - **Cancellation.** Either future may be dropped at any await point, at a deadline. The engine then asks `check`.
#[async_trait]
pub trait Action: Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// A stable name: how the action is found again after a crash.
    const KIND: &'static str;

    /// What dependants may use.
    type Output: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;

    /// What it reads and writes, how its outcome can be found out after a crash, and what it does to invariants meanwhile.
    fn footprint(&self) -> Footprint;

    /// Looks whether the effect is there. Changes nothing.
    ///
    /// # Errors
    /// When looking failed; nothing may be concluded.
    async fn check(&self, cx: &ActionCx<'_>) -> Result<Check<Self::Output>, ActionError>;

    /// Brings the effect about.
    ///
    /// # Errors
    /// Classed by what the engine does next: see [`ErrorClass`].
    async fn apply(&self, cx: &ActionCx<'_>) -> Result<Self::Output, ActionError>;
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check<T> {
    /// The effect is there, with this output.
    Satisfied(T),
    /// The effect is not there, for this reason, which the plan gives.
    Needed(String),
    /// It can not be found out, for this reason.
    Unknown(String),
}
