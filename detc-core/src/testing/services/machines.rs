//! A cloud.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::super::resource::{CallError, Calls};
use super::Past;

/// A cloud in memory. Each call to make a machine makes another one, which the cloud names, as clouds do: whoever lost the answer
/// finds it by its tag, or has made one more.
#[derive(Debug)]
pub struct Machines {
    past: Past<State>,
    boots_for: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    machines: BTreeMap<String, Made>,
    /// How many were made so far.
    made: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Made {
    tag: String,
    size: String,
    at: Instant,
}

/// A machine as the cloud tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// The name that the cloud has given it.
    pub id: String,
    /// The tag that it was made with.
    pub tag: String,
    /// Its size, in the cloud's words.
    pub size: String,
    /// How far it is.
    pub state: MachineState,
    /// Where it is reached, once it runs.
    pub address: Option<String>,
}

/// How far a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// It is there, and can not be reached yet.
    Booting,
    /// It can be reached.
    Running,
}

/// What the addresses of all machines end in.
const DOMAIN: &str = ".machines.test";

impl Machines {
    /// A cloud without machines, whose calls are `calls`. Machines run as soon as they are made.
    pub fn new(calls: Calls) -> Self {
        Self { past: Past::new(calls), boots_for: Duration::ZERO }
    }

    /// The same cloud, called by another process.
    #[must_use]
    pub fn called_by(&self, calls: Calls) -> Self {
        Self { past: self.past.called_by(calls), boots_for: self.boots_for }
    }

    /// Has machines boot for so long.
    #[must_use]
    pub fn booting_for(mut self, time: Duration) -> Self {
        self.boots_for = time;
        self
    }

    /// Makes a machine, another one each time, and tells its id.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn create(&self, tag: &str, size: &str) -> Result<String, CallError> {
        let made = Made { tag: tag.to_owned(), size: size.to_owned(), at: Instant::now() };
        let create = |state: &mut State| {
            state.made += 1;
            let id = format!("i-{}", state.made);
            state.machines.insert(id.clone(), made);
            id
        };
        self.past.change(format!("create a machine for {tag}"), create).await
    }

    /// The machines with this tag, the earliest first.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn tagged(&self, tag: &str) -> Result<Vec<Machine>, CallError> {
        self.past.look(format!("machines for {tag}"), |state| self.of_tag(state, tag)).await
    }

    /// Ends a machine; one that is not there is ended.
    ///
    /// # Errors
    /// When the call is to go wrong.
    pub async fn delete(&self, id: &str) -> Result<(), CallError> {
        let delete = |state: &mut State| drop(state.machines.remove(id));
        self.past.change(format!("delete machine {id}"), delete).await
    }

    /// A machine breaks down, and is gone.
    pub fn lose(&self, tag: &str) {
        self.past.happens(|state| state.machines.retain(|_, made| made.tag != tag));
    }

    /// The tag of the machine that has this address, whatever goes wrong with calls.
    pub fn tag_at(&self, address: &str) -> Option<String> {
        let id = address.strip_suffix(DOMAIN)?;
        self.past.now().machines.get(id).map(|made| made.tag.clone())
    }

    /// The machines with this tag now, the earliest first, whatever goes wrong with calls.
    pub fn now(&self, tag: &str) -> Vec<Machine> {
        self.of_tag(&self.past.now(), tag)
    }

    /// How often which call, by its name, has changed something.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        self.past.changes()
    }

    /// All that is there, how many of which tag and size, without the names that the cloud has given: these differ from life to life.
    pub fn dump(&self) -> String {
        let mut all: BTreeMap<(String, String), usize> = BTreeMap::new();
        for made in self.past.now().machines.into_values() {
            *all.entry((made.tag, made.size)).or_default() += 1;
        }
        all.into_iter().fold(String::new(), |mut text, ((tag, size), count)| {
            let _ = writeln!(text, "{count} × machine {tag} {size}");
            text
        })
    }

    fn of_tag(&self, state: &State, tag: &str) -> Vec<Machine> {
        let mut tagged: Vec<_> = state.machines.iter().filter(|(_, made)| made.tag == tag).collect();
        tagged.sort_by_key(|(_, made)| made.at);
        tagged.into_iter().map(|(id, made)| self.as_told(id, made)).collect()
    }

    fn as_told(&self, id: &str, made: &Made) -> Machine {
        let runs = made.at.elapsed() >= self.boots_for;
        Machine {
            id: id.to_owned(),
            tag: made.tag.clone(),
            size: made.size.clone(),
            state: if runs { MachineState::Running } else { MachineState::Booting },
            address: runs.then(|| format!("{id}{DOMAIN}")),
        }
    }
}
