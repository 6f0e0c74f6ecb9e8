//! One commit for many jobs: written, synced, published, answered.

use std::time::Duration;

use redb::{Database, Durability};

use super::batch::{Batch, Kept};
use super::failure::{self, Failure};
use super::inner::Inner;
use super::queue::{Job, Outcome, Reply, Work};
use crate::store::history::Changes;
use crate::store::{LeaseId, Revision, StoreError};

const WHAT: &str = "writing";

impl Inner {
    /// Does `jobs` in one commit and answers them.
    pub(super) fn commit(&self, jobs: Vec<Job>) {
        let (mut work, mut replies): (Vec<Work>, Vec<Reply>) = (Vec::new(), Vec::new());
        for job in jobs {
            work.push(job.work);
            replies.push(job.reply);
        }
        match self.write(work) {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // A caller that has gone needs no answer.
                    let _ = reply.send(answer);
                }
            }
            Err(failure) => {
                for reply in replies {
                    let _ = reply.send(Err(failure.at(self.path())));
                }
            }
        }
    }

    fn write(&self, work: Vec<Work>) -> Result<Vec<Answer>, Failure> {
        if self.is_broken() {
            let revision = self.reopen()?;
            self.settle(revision);
        }
        self.check_place()?;
        let mut ended = Vec::new();
        let done = match self.with_database(|database| self.write_to(database, work, &mut ended))? {
            Ok(done) => Ok(done),
            Err(Torn { failure, done }) => self.after_failure(failure, done),
        };
        let begun = match &done {
            Ok(done) => &done.kept.granted,
            Err(_) => &ended,
        };
        // Before the replies: who is told of a lease may use it.
        begun.iter().for_each(|(lease, ttl)| self.leases().begin(*lease, *ttl));
        let Done { answers, kept } = done?;
        self.publish(|feed| {
            kept.commits.into_iter().for_each(|(revision, changes)| feed.publish(revision, changes));
        });
        Ok(answers)
    }

    /// Judges and applies `work` in one transaction of redb.
    fn write_to(
        &self,
        database: &Database,
        work: Vec<Work>,
        ended: &mut Vec<(LeaseId, Duration)>,
    ) -> Result<Done, Torn> {
        let mut txn = database.begin_write().map_err(failure::of(WHAT))?;
        // `Immediate` syncs before the commit returns: the contract promises that it survives a loss of power. One
        // phase is enough for that, because a torn commit is told by its checksums when the file is next opened, and
        // the one before it still stands. Two phases, with the allocator's state saved each time, would make opening
        // after a crash faster (a gigabyte takes a second), and each small commit take half as long again.
        txn.set_durability(Durability::Immediate).map_err(failure::of(WHAT))?;
        let mut batch = Batch::open(self, &txn, ended)?;
        let mut answers = Vec::with_capacity(work.len());
        for work in work {
            answers.push(batch.perform(work)?);
        }
        let Some(kept) = batch.finish()? else {
            // The transaction is dropped, and nobody waits for a sync.
            return Ok(Done { answers, kept: Kept::default() });
        };
        let done = Done { answers, kept };
        match txn.commit() {
            Ok(()) => Ok(done),
            Err(error) => Err(Torn { failure: failure::of(WHAT)(error), done: Some(done) }),
        }
    }

    /// A write failed: whether it was kept nevertheless shows when the file is opened again. When the failure was a
    /// lack of room that answers for the caller, too; otherwise the system's word on what it holds is not to be
    /// trusted, and the caller is told that it is not known.
    fn after_failure(&self, failure: Failure, done: Option<Done>) -> Result<Done, Failure> {
        if !matches!(failure, Failure::Full { .. }) {
            return Err(failure);
        }
        let revision = self.reopen().map_err(|again| match again {
            Failure::Full { said, .. } => Failure::Unavailable { what: "recovering from a full disk", said },
            other => other,
        })?;
        match done {
            Some(done) if done.kept.commits.last().is_some_and(|(last, _)| *last == revision) => Ok(done),
            _ => {
                self.settle(revision);
                Err(failure)
            }
        }
    }

    /// Brings what is known in memory in line with a file at `revision`: a commit that nobody was told of may be in it.
    fn settle(&self, revision: Revision) {
        self.publish(|feed| {
            if feed.head() < revision {
                feed.publish(revision, Changes::Dropped);
            }
        });
    }
}

type Answer = Result<Outcome, StoreError>;

/// A batch that was committed.
struct Done {
    answers: Vec<Answer>,
    kept: Kept,
}

/// A batch that failed; with what it would have done when the commit itself failed.
struct Torn {
    failure: Failure,
    done: Option<Done>,
}

impl From<Failure> for Torn {
    fn from(failure: Failure) -> Self {
        Self { failure, done: None }
    }
}
