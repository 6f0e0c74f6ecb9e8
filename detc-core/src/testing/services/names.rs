//! A registry of names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::super::resource::{CallError, Calls};
use super::Past;

/// A registry in memory: a name has addresses, each of which is there for good, or until its time has run out.
#[derive(Debug)]
pub struct Names {
    past: Past<All>,
}

/// For each name its addresses, and until when each is there.
type All = BTreeMap<String, BTreeMap<String, Option<Instant>>>;

impl Names {
    /// A registry without names, whose calls are `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { past: Past::new(calls) }
    }

    /// The same registry, called by another process.
    #[must_use]
    pub fn called_by(&self, calls: Calls) -> Self {
        Self { past: self.past.called_by(calls) }
    }

    /// Adds an address to a name, or gives it its full time again: for `ttl`, or for good.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn register(&self, name: &str, address: &str, ttl: Option<Duration>) -> Result<(), CallError> {
        let until = ttl.map(|ttl| Instant::now() + ttl);
        let register = |all: &mut All| {
            all.entry(name.to_owned()).or_default().insert(address.to_owned(), until);
        };
        self.past.change(format!("register {address} as {name}"), register).await
    }

    /// Takes an address from a name; one that is not there is taken.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn deregister(&self, name: &str, address: &str) -> Result<(), CallError> {
        let deregister = |all: &mut All| {
            if let Some(addresses) = all.get_mut(name) {
                addresses.remove(address);
            }
            all.retain(|_, addresses| !addresses.is_empty());
        };
        self.past.change(format!("deregister {address} from {name}"), deregister).await
    }

    /// The addresses behind a name, in their order.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn resolve(&self, name: &str) -> Result<Vec<String>, CallError> {
        self.past.look(format!("resolve {name}"), |all| living(all, name)).await
    }

    /// The addresses behind a name now, whatever goes wrong with calls.
    pub fn now(&self, name: &str) -> Vec<String> {
        living(&self.past.now(), name)
    }

    /// How often which call, by its name, has changed something.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        self.past.changes()
    }

    /// All that is there.
    pub fn dump(&self) -> String {
        let all = self.past.now();
        all.keys().fold(String::new(), |mut text, name| {
            let _ = writeln!(text, "name {name}: {}", living(&all, name).join(", "));
            text
        })
    }
}

fn living(all: &All, name: &str) -> Vec<String> {
    let now = Instant::now();
    let lives = |until: &Option<Instant>| until.is_none_or(|until| now < until);
    let addresses = all.get(name).into_iter().flatten().filter(|(_, until)| lives(until));
    addresses.map(|(address, _)| address.clone()).collect()
}
