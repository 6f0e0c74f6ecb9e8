//! What threads tell each other: the best they have, at the same points of their searches.
//!
//! Each waits for all others there, and so the outcome does not depend on which of them is faster.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::best::Best;

#[cfg(test)]
mod tests;

/// A placement, and what it costs.
type Found = (i64, Arc<[u32]>);

/// One thread's ways to and from all others.
#[derive(Debug)]
pub(crate) struct Exchange {
    own: usize,
    to: Vec<Sender<Found>>,
    /// From each other, with its number.
    from: Vec<(usize, Receiver<Found>)>,
}

impl Exchange {
    /// One for each of so many threads.
    pub(crate) fn all(threads: usize) -> Vec<Self> {
        let empty = |own| Self { own, to: Vec::new(), from: Vec::new() };
        let mut all: Vec<Self> = (0..threads).map(empty).collect();
        for sender in 0..threads {
            for receiver in (0..threads).filter(|receiver| *receiver != sender) {
                let (to, from) = channel();
                all[sender].to.push(to);
                all[receiver].from.push((sender, from));
            }
        }
        all
    }

    /// The number of this thread.
    pub(crate) fn thread(&self) -> usize {
        self.own
    }

    /// Makes the best of all threads that of this one, which is `at` there now. Of equals that of the first thread counts.
    /// One that has ended is not waited for.
    pub(crate) fn best_of_all(&self, best: &mut Best, at: &[u32]) {
        if self.from.is_empty() {
            return;
        }
        let cost = best.cost();
        // One copy for all: each thread holds it only until it has compared.
        let own: Arc<[u32]> = best.write_out(at).into();
        for to in &self.to {
            // Who is not there any more needs nothing.
            let _ = to.send((cost, Arc::clone(&own)));
        }
        let received = self.from.iter().filter_map(|(thread, from)| Some((*thread, from.recv().ok()?)));
        let least = received.min_by_key(|(thread, (cost, _))| (*cost, *thread));
        if let Some((thread, (other, placement))) = least
            && (other, thread) < (cost, self.own)
        {
            *best = Best::new(&placement, other);
        }
    }
}
