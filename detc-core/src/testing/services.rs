//! Services in memory: a cloud that boots machines, an engine that runs containers, a registry of names. They behave as the real
//! ones do where that makes a difference to whoever manages them, and each of their calls can go wrong.
//!
//! A kind that is written against a service of one's own is tried with such a double of it: in the
//! [suite](super::resource::Trial::of_backend) by itself, and in a [cluster](super::cluster::Scenario::with_backend) with all
//! others. All take their [`Calls`] from outside, so that several services of one world go wrong in one life, and each can be had
//! again with the calls of another process (`called_by`). Time is tokio's: pause it.
//!
//! ```
//! # use std::time::Duration;
//! # use detc_core::testing::resource::Calls;
//! # use detc_core::testing::services::{MachineState, Machines};
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let machines = Machines::new(Calls::new()).booting_for(Duration::from_secs(40));
//! let id = machines.create("web-1", "small").await?;
//! assert_eq!(machines.tagged("web-1").await?[0].state, MachineState::Booting);
//! tokio::time::sleep(Duration::from_secs(40)).await;
//! assert_eq!(machines.tagged("web-1").await?[0].state, MachineState::Running);
//! machines.delete(&id).await?;
//! # Ok::<(), detc_core::testing::resource::CallError>(())
//! # }).unwrap();
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::resource::{CallError, Calls};

mod engine;
#[cfg(test)]
pub(crate) mod kinds;
mod machines;
mod names;
#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use machines::{Machine, MachineState, Machines};
pub use names::Names;

/// What a service holds, and all that it held before.
#[derive(Debug)]
struct Past<T> {
    calls: Calls,
    /// The last one is now.
    states: Arc<Mutex<Vec<T>>>,
    /// How often which call has changed it.
    changes: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl<T: Clone + Default + PartialEq + Send> Past<T> {
    fn new(calls: Calls) -> Self {
        Self { calls, states: Arc::new(Mutex::new(vec![T::default()])), changes: Arc::default() }
    }

    /// The same, called by another process.
    fn called_by(&self, calls: Calls) -> Self {
        Self { calls, states: self.states.clone(), changes: self.changes.clone() }
    }

    fn changes(&self) -> BTreeMap<String, usize> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn states(&self) -> MutexGuard<'_, Vec<T>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, which may be answered from how it was before.
    async fn look<R: Send>(&self, what: String, view: impl FnOnce(&T) -> R + Send) -> Result<R, CallError> {
        let seen = |changes: usize| {
            let states = self.states();
            view(&states[states.len().saturating_sub(changes + 1)])
        };
        self.calls.look_back(&what, seen).await
    }

    /// Changes what is there. A change that changes nothing is none.
    async fn change<R: Send>(
        &self,
        what: String,
        change: impl FnOnce(&mut T) -> R + Send,
    ) -> Result<R, CallError> {
        let changed = async {
            let mut states = self.states();
            let mut now = self.now_of(&states);
            let done = change(&mut now);
            if states.last() != Some(&now) {
                states.push(now);
                let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
                *changes.entry(what.clone()).or_default() += 1;
            }
            done
        };
        self.calls.change(&what, changed).await
    }

    fn now_of(&self, states: &[T]) -> T {
        states.last().cloned().unwrap_or_default()
    }

    /// What is there, whatever goes wrong with calls.
    fn now(&self) -> T {
        self.now_of(&self.states())
    }

    /// What happens there by itself.
    fn happens(&self, change: impl FnOnce(&mut T)) {
        let mut states = self.states();
        let mut now = self.now_of(&states);
        change(&mut now);
        states.push(now);
    }
}
