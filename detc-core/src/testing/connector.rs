//! The conformance suite of [`Connector`].
//!
//! It looks at a connector from outside only, and at its hosts only whether they answer: what they do is for
//! [`check_host`](super::host::check_host) to try. That a check connects to nothing it can not see; that a check says the same
//! before and after something was connected, it does.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::timeout;

use super::Violation;
use crate::backend::{Host, HostError};
use crate::model::{HostName, HostSpec};
use crate::resource::Connector;

/// How long a call may take before it counts as hung.
const CALL_TIME_MAX: Duration = Duration::from_secs(120);

/// What a connector is tried with.
#[derive(Clone, Debug)]
pub struct Specs {
    right: HostSpec,
    wrong: Vec<HostSpec>,
    away: Vec<HostSpec>,
}

impl Specs {
    /// The spec of a host that is there, and can be reached now.
    pub fn new(right: HostSpec) -> Self {
        Self { right, wrong: Vec::new(), away: Vec::new() }
    }

    /// Adds a spec that is to be refused, such as one with a field that the connector does not know.
    #[must_use]
    pub fn refusing(mut self, wrong: HostSpec) -> Self {
        self.wrong.push(wrong);
        self
    }

    /// Adds a spec that is right, of a host that can not be reached: nobody listens there.
    #[must_use]
    pub fn unreachable(mut self, away: HostSpec) -> Self {
        self.away.push(away);
        self
    }
}

/// Tries every law of the contract. Returns the laws that were broken; none: the connector conforms.
///
/// Laws of what is refused and of what can not be reached are tried with the specs that were given for that, and not at all
/// where none was. A runtime with time is needed.
pub async fn check_connector(connector: &dyn Connector, specs: &Specs) -> Vec<Violation> {
    let name = HostName::new("suite");
    let bench = Bench { connector, specs, name: &name };
    let mut found = Vec::new();
    let mut note = |law, verdict: Verdict| {
        if let Err(detail) = verdict {
            found.push(Violation { law, detail });
        }
    };
    let before = bench.verdicts();
    note("a scheme is one that a URL can have", bench.scheme());
    note("a spec that is right is accepted", bench.accepts());
    note("a spec that is wrong is refused, in words", bench.refuses());
    note("a host that is connected answers", bench.answers().await);
    note("a host is connected as often as it is asked for", bench.often().await);
    note("a host is connected after a try that was given up", bench.given_up().await);
    note("a host that can not be reached is Unreachable", bench.away().await);
    note("a connector says the same whenever it is asked", same(&bench.verdicts(), &before));
    found
}

/// What a law's check says: nothing, or what was seen instead.
type Verdict = Result<(), String>;

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn same<T: PartialEq + Debug>(found: &T, wanted: &T) -> Verdict {
    expect(found == wanted, || format!("found {found:?}, and before it was {wanted:?}"))
}

struct Bench<'a> {
    connector: &'a dyn Connector,
    specs: &'a Specs,
    name: &'a HostName,
}

impl Bench<'_> {
    /// All that the connector says without connecting, twice.
    fn verdicts(&self) -> Vec<(&'static str, Result<(), String>)> {
        let Specs { right, wrong, away } = self.specs;
        let all = || [right].into_iter().chain(wrong).chain(away);
        all().chain(all()).map(|spec| (self.connector.scheme(), self.connector.check(spec))).collect()
    }

    fn scheme(&self) -> Verdict {
        let scheme = self.connector.scheme();
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        let is_well = scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(is_inner);
        expect(is_well, || {
            format!("{scheme:?} is not lower-case letters, digits, `+`, `-` and `.`, a letter first")
        })?;
        let right = self.specs.right.scheme();
        expect(right == scheme, || format!("a spec of scheme {right:?} would not be given to {scheme:?}"))
    }

    fn accepts(&self) -> Verdict {
        for spec in [&self.specs.right].into_iter().chain(&self.specs.away) {
            self.connector.check(spec).map_err(|why| format!("{spec:?} was refused: {why}"))?;
        }
        Ok(())
    }

    fn refuses(&self) -> Verdict {
        for spec in &self.specs.wrong {
            match self.connector.check(spec) {
                Ok(()) => return Err(format!("{spec:?} was accepted")),
                Err(why) if why.trim().is_empty() => {
                    return Err(format!("{spec:?} was refused without a word"));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn connect(&self, spec: &HostSpec) -> Result<Result<Arc<dyn Host>, HostError>, String> {
        let connected = timeout(CALL_TIME_MAX, self.connector.connect(self.name, spec)).await;
        connected.map_err(|_| format!("connecting did not end within {} s", CALL_TIME_MAX.as_secs()))
    }

    async fn connected(&self) -> Result<Arc<dyn Host>, String> {
        self.connect(&self.specs.right).await?.map_err(|error| format!("connecting failed: {error}"))
    }

    async fn answers(&self) -> Verdict {
        answers(&*self.connected().await?).await
    }

    /// At the same time, and one after another is gone.
    async fn often(&self) -> Verdict {
        let (first, second) = tokio::join!(self.connected(), self.connected());
        let (first, second) = (first?, second?);
        answers(&*first).await?;
        answers(&*second).await?;
        drop(first);
        answers(&*second).await.map_err(|why| format!("when another connection is gone: {why}"))?;
        drop(second);
        answers(&*self.connected().await?).await.map_err(|why| format!("when all others are gone: {why}"))
    }

    async fn given_up(&self) -> Verdict {
        for polls in 1..6 {
            {
                let mut connecting = pin!(self.connector.connect(self.name, &self.specs.right));
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if connecting.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            answers(&*self.connected().await?).await?;
        }
        Ok(())
    }

    /// When it is connected, or at the first use.
    async fn away(&self) -> Verdict {
        for spec in &self.specs.away {
            let failed = match self.connect(spec).await? {
                Err(error) => error,
                Ok(host) => match stat(&*host).await? {
                    Err(error) => error,
                    Ok(()) => return Err(format!("{spec:?} was connected, and answers")),
                },
            };
            let is_right = matches!(failed, HostError::Unreachable { .. });
            expect(is_right, || format!("{spec:?} failed with another error: {failed:?}"))?;
        }
        Ok(())
    }
}

/// Looks at what every host has.
async fn stat(host: &dyn Host) -> Result<Result<(), HostError>, String> {
    let looked = timeout(CALL_TIME_MAX, host.stat("/")).await;
    let looked = looked.map_err(|_| format!("`stat` did not end within {} s", CALL_TIME_MAX.as_secs()))?;
    match looked {
        Ok(None) => Err("`stat` says that `/` is absent".to_owned()),
        Ok(Some(_)) => Ok(Ok(())),
        Err(error) => Ok(Err(error)),
    }
}

async fn answers(host: &dyn Host) -> Verdict {
    stat(host).await?.map_err(|error| format!("`stat` of `/` failed: {error}"))
}

#[cfg(test)]
mod tests;
