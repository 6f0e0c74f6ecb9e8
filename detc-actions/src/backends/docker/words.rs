//! What an engine's errors mean, in our words.

use bollard::errors::Error;
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{ObjectKind, ObjectRef};

use super::dial::DialError;

/// Why a call has no answer that is good.
#[derive(Debug)]
pub(super) enum Fault {
    /// There was no connection: nothing was asked.
    NotSent(DialError),
    /// The connection broke, or the answer took too long: it may have been done.
    Lost,
    /// The engine says no.
    Said(Said),
    /// Its answer is none that we understand.
    Odd(String),
}

/// What an engine says when it says no.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Said {
    /// Whether all these are in its message.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.message.contains(word))
    }

    /// Whether it says which object is not there.
    pub(super) fn names_what_is_missing(&self) -> bool {
        self.code == 404 && missing(self).is_some()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Said(Said { code: status_code, message: message.trim().to_owned() })
            }
            // In the midst of an answer that goes on, such as that of a build.
            Error::DockerStreamError { error } => {
                Self::Said(Said { code: 500, message: error.trim().to_owned() })
            }
            Error::IOError { err } => match err.get_ref().and_then(|err| err.downcast_ref::<DialError>()) {
                Some(dial) => Self::NotSent(dial.clone()),
                None => Self::Lost,
            },
            Error::RequestTimeoutError | Error::HyperResponseError { .. } => Self::Lost,
            other => Self::Odd(other.to_string()),
        }
    }
}

/// Says what went wrong with one engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) engine: &'a str,
    /// What was tried, beginning with a verb.
    pub(super) what: &'a str,
}

impl Words<'_> {
    /// An error of a call that needs `object`; what it is about for all calls alike.
    pub(super) fn of(&self, error: Error, object: Option<&ObjectRef>) -> ContainersError {
        match Fault::from(error) {
            Fault::Said(said) => self.said(&said, object),
            other => self.no_answer(other),
        }
    }

    /// Of a call that the engine did not answer.
    pub(super) fn no_answer(&self, fault: Fault) -> ContainersError {
        let (engine, what) = (self.engine.to_owned(), self.what.to_owned());
        match fault {
            Fault::NotSent(DialError::Unreachable { what }) => ContainersError::Unreachable { engine, what },
            Fault::NotSent(DialError::Untrusted { what, hint }) => {
                ContainersError::Untrusted { engine, what, hint }
            }
            Fault::NotSent(DialError::NotLetIn { what, hint }) => {
                ContainersError::NotLetIn { engine, what, hint }
            }
            Fault::Lost => ContainersError::AnswerLost { engine, what },
            Fault::Said(said) => self.refused(&said.message),
            Fault::Odd(said) => self.refused(&format!("its answer is not understood: {said}")),
        }
    }

    /// What the engine said.
    pub(super) fn said(&self, said: &Said, object: Option<&ObjectRef>) -> ContainersError {
        if let Some(object) = object.filter(|_| said.code == 404) {
            return self.not_found(missing(said).as_ref().unwrap_or(object));
        }
        match said.code {
            404 => match missing(said) {
                Some(object) => self.not_found(&object),
                None => self.refused(&said.message),
            },
            400 => self.invalid(&said.message),
            501 => ContainersError::Unsupported {
                engine: self.engine.to_owned(),
                what: format!("{}: {}", self.what, said.message),
            },
            _ => self.refused(&said.message),
        }
    }

    pub(super) fn refused(&self, said: &str) -> ContainersError {
        ContainersError::Refused {
            engine: self.engine.to_owned(),
            what: self.what.to_owned(),
            said: said.to_owned(),
        }
    }

    pub(super) fn invalid(&self, what: &str) -> ContainersError {
        ContainersError::Invalid { engine: self.engine.to_owned(), what: what.to_owned() }
    }

    pub(super) fn not_found(&self, object: &ObjectRef) -> ContainersError {
        ContainersError::NotFound { engine: self.engine.to_owned(), object: object.clone() }
    }

    pub(super) fn taken(&self, object: &ObjectRef) -> ContainersError {
        ContainersError::Taken { engine: self.engine.to_owned(), object: object.clone() }
    }

    pub(super) fn in_use(&self, object: &ObjectRef, by: &str) -> ContainersError {
        ContainersError::InUse { engine: self.engine.to_owned(), object: object.clone(), by: by.to_owned() }
    }

    pub(super) fn not_started(&self, container: &str, said: &Said) -> ContainersError {
        let (engine, container) = (self.engine.to_owned(), container.to_owned());
        match taken_port(&said.message) {
            Some(port) => ContainersError::PortTaken { engine, container, port },
            None => ContainersError::NotStarted { engine, container, what: said.message.clone() },
        }
    }
}

/// Which object an engine says is not there.
fn missing(said: &Said) -> Option<ObjectRef> {
    /// What its messages begin with. Names follow; of an image in some messages without a colon.
    const BEGINNINGS: [(&str, ObjectKind); 4] = [
        ("No such container: ", ObjectKind::Container),
        ("No such image: ", ObjectKind::Image),
        ("no such image: ", ObjectKind::Image),
        ("get ", ObjectKind::Volume),
    ];
    let message = said.message.as_str();
    for (beginning, kind) in BEGINNINGS {
        if let Some(rest) = message.strip_prefix(beginning) {
            let end = if kind == ObjectKind::Volume { rest.find(": no such volume")? } else { rest.len() };
            return Some(ObjectRef::new(kind, rest[..end].trim_matches('/')));
        }
    }
    let network = message.strip_prefix("network ")?.strip_suffix(" not found")?;
    Some(ObjectRef::network(network))
}

/// The port that an engine says something else has.
fn taken_port(message: &str) -> Option<String> {
    if let Some((_, rest)) = message.split_once("Bind for ")
        && let Some((port, _)) = rest.split_once(" failed: port is already allocated")
    {
        return Some(port.to_owned());
    }
    let (before, _) = message.split_once(": bind: address already in use").or_else(|| {
        message.split_once(": address already in use").filter(|(before, _)| before.contains("bind"))
    })?;
    let port = before.rsplit(' ').next()?;
    Some(port.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, message: &str) -> Said {
        Said { code, message: message.to_owned() }
    }

    #[test]
    fn what_is_not_there_is_read_from_the_message() {
        let check = |message: &str, object: ObjectRef| {
            assert_eq!(missing(&said(404, message)), Some(object), "{message}");
        };
        check("No such container: web", ObjectRef::container("web"));
        check("No such image: web:1", ObjectRef::image("web:1"));
        check("get data: no such volume", ObjectRef::volume("data"));
        check("network front not found", ObjectRef::network("front"));
        assert_eq!(missing(&said(404, "page not found")), None);
    }

    #[test]
    fn a_port_that_is_taken_is_told_apart_from_other_failures_of_a_start() {
        let check = |message: &str, port: Option<&str>| assert_eq!(taken_port(message).as_deref(), port);
        check(
            "driver failed programming external connectivity on endpoint a (f): Bind for 0.0.0.0:80 failed: port is already allocated",
            Some("0.0.0.0:80"),
        );
        check(
            "driver failed programming external connectivity on endpoint a (f): Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use",
            Some("127.0.0.1:80"),
        );
        check("failed to bind host port 0.0.0.0:80/tcp: address already in use", Some("0.0.0.0:80/tcp"));
        check("exec: \"no\": executable file not found in $PATH: unknown", None);
    }
}
