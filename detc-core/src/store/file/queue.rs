//! Group commit: what is asked for while one commit is being synced goes into the next one together.
//!
//! There is no writer thread that idles: whoever finds the queue without a writer starts one on tokio's blocking
//! threads, and it ends when it finds the queue empty.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::caught::caught;
use super::failure::Failure;
use super::inner::Inner;
use crate::store::{LeaseId, StoreError, Transaction, TxnReply};

/// How many jobs share a commit at the most. Applying so many small transactions takes some ten milliseconds, a
/// hundred times what a fast disk needs for the sync that they share: more would only make the first one wait.
const BATCH_MAX: usize = 4_096;

/// How many jobs wait at the most: whoever asks for one more waits for a place. Some batches' worth: the next batch is always
/// full, and what waits takes a few megabytes.
pub(super) const WAITING_MAX: usize = 16 * BATCH_MAX;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Transact(Transaction),
    Grant(Duration),
    Revoke(LeaseId),
    /// End the leases that are due.
    Expire,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Transacted(TxnReply),
    Granted(LeaseId),
    Ended,
}

/// The sender of a job's answer.
pub(super) type Reply = oneshot::Sender<Result<Outcome, StoreError>>;

/// Work, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: Reply,
    /// Given back when the job is done or dropped, and not when nobody waits for it any more.
    _place: OwnedSemaphorePermit,
}

/// The jobs that wait, and whether a writer will come for them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: Vec<Job>,
    writing: bool,
}

impl Inner {
    /// Has the writer do `work`.
    ///
    /// Cancellation: once it is queued, the work is done nevertheless, unless the runtime ends first.
    pub(super) async fn perform(self: &Arc<Self>, work: Work) -> Result<Outcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        let place = self.places.clone().acquire_owned().await;
        let place = place.expect("invariant: the places of a queue are never closed");
        self.enqueue(Job { work, reply, _place: place });
        answer.await.unwrap_or_else(|_| {
            let said = "the writer came to an untimely end: the file may be damaged".into();
            Err(Failure::Unavailable { what: "writing", said }.at(self.path()))
        })
    }

    fn enqueue(self: &Arc<Self>, job: Job) {
        {
            let mut queue = self.queue();
            queue.jobs.push(job);
            if std::mem::replace(&mut queue.writing, true) {
                return;
            }
        }
        // Outside the queue's lock: a runtime that shuts down drops the writer right here, and that takes the lock.
        let writer = Writer { inner: Arc::clone(self), done: false };
        let mut tasks = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_blocking(move || caught(|| writer.run()));
    }
}

/// The right to write, held by one blocking task at a time.
struct Writer {
    inner: Arc<Inner>,
    done: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let jobs = {
                let mut queue = self.inner.queue();
                if queue.jobs.is_empty() {
                    // Under the lock: whoever enqueues next sees that nobody will look again.
                    queue.writing = false;
                    self.done = true;
                    return;
                }
                let count = queue.jobs.len().min(BATCH_MAX);
                queue.jobs.drain(..count).collect()
            };
            self.inner.commit(jobs);
        }
    }
}

impl Drop for Writer {
    /// When the writer panicked, or was never run, those who wait are told by the loss of their reply, and the next job
    /// starts another.
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.inner.queue();
            queue.writing = false;
            queue.jobs.clear();
        }
    }
}
