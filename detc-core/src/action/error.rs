//! Why an action failed, classed by what the engine does next.

use std::error::Error as StdError;

use thiserror::Error;

use crate::backend::{ContainersError, HostError};

/// A failed check or apply.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ActionError {
    class: ErrorClass,
    message: String,
    hint: Option<String>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the engine does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// Nothing happened, and it may go better later: try again, with backoff.
    Transient,
    /// It will not go better by itself: stop what depends on it.
    Permanent,
    /// The host or service could not be reached, nothing happened: try again, with backoff, and fail in the end.
    Unreachable,
    /// It may have happened: look, before anything else is done.
    OutcomeUnknown,
}

impl ActionError {
    /// An error of this class: in lower case, what was tried on which thing.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: None, source: None }
    }

    /// It will not go better by itself.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Permanent, message)
    }

    /// It may go better later.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, message)
    }

    /// It may have happened.
    pub fn outcome_unknown(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::OutcomeUnknown, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the engine does next.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// What the operator does next.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message with all its causes.
    pub fn full_message(&self) -> String {
        let mut text = self.message.clone();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

/// What is done next about an error of a host.
fn class_of_host(error: &HostError) -> ErrorClass {
    match error {
        HostError::Unreachable { .. } => ErrorClass::Unreachable,
        HostError::TimedOut { .. } | HostError::AnswerLost { .. } => ErrorClass::OutcomeUnknown,
        HostError::Untrusted { .. }
        | HostError::NotLetIn { .. }
        | HostError::NotFound { .. }
        | HostError::NotEmpty { .. }
        | HostError::TooLarge { .. }
        | HostError::Refused { .. }
        | HostError::Invalid { .. } => ErrorClass::Permanent,
    }
}

impl From<HostError> for ActionError {
    fn from(error: HostError) -> Self {
        let class = class_of_host(&error);
        let message = error.to_string();
        let mut mapped = Self::new(class, message);
        mapped.hint = error.hint().map(str::to_owned);
        if let HostError::Refused { source, .. } = error {
            mapped.source = Some(Box::new(source));
        }
        mapped
    }
}

impl From<ContainersError> for ActionError {
    fn from(error: ContainersError) -> Self {
        let class = match &error {
            ContainersError::Unreachable { .. } => ErrorClass::Unreachable,
            ContainersError::AnswerLost { .. } => ErrorClass::OutcomeUnknown,
            ContainersError::Host { source, .. } => class_of_host(source),
            ContainersError::Untrusted { .. }
            | ContainersError::NotLetIn { .. }
            | ContainersError::NotFound { .. }
            | ContainersError::Taken { .. }
            | ContainersError::PortTaken { .. }
            | ContainersError::NotStarted { .. }
            | ContainersError::NotRunning { .. }
            | ContainersError::InUse { .. }
            | ContainersError::Unsupported { .. }
            | ContainersError::Refused { .. }
            | ContainersError::Invalid { .. } => ErrorClass::Permanent,
        };
        let mut mapped = Self::new(class, error.to_string());
        mapped.hint = error.hint().map(str::to_owned);
        if let ContainersError::Host { source, .. } = error {
            mapped.source = Some(Box::new(source));
        }
        mapped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_engine_that_is_asked_through_a_host_fails_as_the_host_does() {
        let lost = HostError::AnswerLost { host: "h1".into(), what: "run docker".into() };
        let error = ActionError::from(ContainersError::Host { engine: "e1".into(), source: Arc::new(lost) });
        assert_eq!(error.class(), ErrorClass::OutcomeUnknown);
        assert_eq!(error.hint(), Some("see whether it was done before it is done again"));
        let said = "e1 can not be asked through its host: the answer of h1 to run docker was lost";
        assert_eq!(error.full_message(), said);
    }
}
