//! Why an engine did not do as asked.

use std::sync::Arc;

use thiserror::Error;

use super::{ObjectKind, ObjectRef};
use crate::backend::HostError;

/// Why an engine did not do as asked. Variants differ by what the caller does next.
/// Cheap to clone: one answer may be told to many.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ContainersError {
    /// The engine could not be reached: nothing is known of it, and nothing was done.
    #[error("{engine} can not be reached: {what}")]
    Unreachable {
        /// The engine.
        engine: String,
        /// What happened.
        what: String,
    },
    /// The engine is not, or not for certain, the one that it is said to be: nothing was asked of it.
    #[error("{engine} is not trusted: {what}")]
    Untrusted {
        /// The engine.
        engine: String,
        /// Why.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// The engine did not let us in: nothing was done.
    #[error("{engine} does not let us in: {what}")]
    NotLetIn {
        /// The engine.
        engine: String,
        /// What was offered, and what came of it.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// The machine that the engine runs on could not be asked.
    #[error("{engine} can not be asked through its host")]
    Host {
        /// The engine.
        engine: String,
        /// What the host said.
        #[source]
        source: Arc<HostError>,
    },
    /// There is no such object.
    #[error("{object} does not exist on {engine}")]
    NotFound {
        /// The engine.
        engine: String,
        /// The object.
        object: ObjectRef,
    },
    /// Something of this name is there already.
    #[error("{object} is there already on {engine}")]
    Taken {
        /// The engine.
        engine: String,
        /// The object.
        object: ObjectRef,
    },
    /// Something else has the port.
    #[error("container `{container}` can not be started on {engine}: port {port} is taken")]
    PortTaken {
        /// The engine.
        engine: String,
        /// The container.
        container: String,
        /// Which port, as the engine calls it.
        port: String,
    },
    /// The container could not be started: its program does not exist, a mount is not there.
    #[error("container `{container}` can not be started on {engine}: {what}")]
    NotStarted {
        /// The engine.
        engine: String,
        /// The container.
        container: String,
        /// What the engine said.
        what: String,
    },
    /// The container does not run.
    #[error("container `{container}` on {engine} does not run")]
    NotRunning {
        /// The engine.
        engine: String,
        /// The container.
        container: String,
    },
    /// Something still uses it.
    #[error("{object} on {engine} is in use: {by}")]
    InUse {
        /// The engine.
        engine: String,
        /// The object.
        object: ObjectRef,
        /// By what, in the engine's words.
        by: String,
    },
    /// The engine can not do such a thing at all.
    #[error("{engine} can not {what}")]
    Unsupported {
        /// The engine.
        engine: String,
        /// What, beginning with a verb.
        what: String,
    },
    /// The engine refused, or failed at it.
    #[error("{engine} refused to {what}: {said}")]
    Refused {
        /// The engine.
        engine: String,
        /// What was tried, beginning with a verb.
        what: String,
        /// What it said.
        said: String,
    },
    /// The connection broke after the request was sent: whether it happened is not known.
    #[error("the answer of {engine} to {what} was lost")]
    AnswerLost {
        /// The engine.
        engine: String,
        /// What was tried, beginning with a verb.
        what: String,
    },
    /// The call itself is wrong.
    #[error("invalid request to {engine}: {what}")]
    Invalid {
        /// The engine.
        engine: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ContainersError {
    /// What the operator does next, where that can be said.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Untrusted { hint, .. } | Self::NotLetIn { hint, .. } => Some(hint),
            Self::Unreachable { .. } => Some("see that it runs, and that its address is right"),
            Self::AnswerLost { .. } => Some("see whether it was done before it is done again"),
            Self::Taken { .. } => Some("give it another name, or remove what has this one"),
            Self::PortTaken { .. } => Some("publish another port, or stop what has this one"),
            Self::InUse { object, .. } if object.kind == ObjectKind::Container => Some("stop it first"),
            Self::InUse { .. } => Some("remove what uses it first"),
            Self::Host { source, .. } => source.hint(),
            Self::NotFound { .. }
            | Self::NotStarted { .. }
            | Self::NotRunning { .. }
            | Self::Unsupported { .. }
            | Self::Refused { .. }
            | Self::Invalid { .. } => None,
        }
    }
}
