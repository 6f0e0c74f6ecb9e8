//! Which deaths are died: all in step where they are few, otherwise one of each class of points, and some that are drawn.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::Rehearsal;
use super::life::{Death, End, Whole, difference, go_on_from, whole};
use super::point::{Point, place};
use super::setting::Setting;
use super::world::{Copies, Left, Pace};
use crate::manage::ManageError;
use crate::plan::Random;
use crate::store::StoreError;

/// How many deaths there may be, and where they are drawn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) deaths: usize,
    pub(super) seed: u64,
}

/// How many copies wait to be gone on with: enough that nobody waits for them, few enough for memory.
const WAITING_MAX: usize = 4;

impl Setting {
    /// Lives the plan, with all its deaths that the budget allows.
    pub(super) fn lives(&self, budget: Budget, is_dropped: &AtomicBool) -> Result<Rehearsal, ManageError> {
        let runtime = runtime()?;
        let apart = runtime.block_on(whole(self, Pace::OneByOne, None))?;
        let in_step = runtime.block_on(whole(self, Pace::InStep, None))?;
        let mut violations = [&apart, &in_step].map(|life| life.violations.clone()).concat();
        violations.dedup();
        let differs = difference(&apart.end, &in_step.end).next();
        let differs = differs.map(|(_, what)| format!("with all at work at once {what}"));
        let another = "in its world the plan is another one".to_owned();
        let another = (apart.plan != self.plan.id).then_some(another);
        let unordered = in_step.touched.without_order(&self.plan).into_iter();
        violations.extend(unordered.chain(differs).chain(another).map(|what| (place(&[], None), what)));

        let chosen = chosen(&in_step.steps, budget.deaths, budget.seed);
        let rest = budget.deaths.saturating_sub(chosen.len());
        let one_by_one = evenly(apart.steps.len(), rest.min(apart.steps.len()), budget.seed);
        let mut deaths = self.deaths(Pace::InStep, chosen, &apart.end, is_dropped)?;
        let points = in_step.steps.iter().map(Vec::len).sum();
        let covered = deaths.iter().map(|death| death.points).sum();
        let one_by_one = self.deaths(Pace::OneByOne, one_by_one, &apart.end, is_dropped)?;
        let mut rehearsal = Rehearsal {
            points,
            covered,
            one_by_one: one_by_one.len(),
            seed: (covered < points).then_some(budget.seed),
            violations,
            ..Rehearsal::default()
        };
        deaths.extend(one_by_one);
        rehearsal.deaths = deaths.len();
        for death in deaths {
            rehearsal.violations.extend(death.violations);
            rehearsal.doubts.extend(death.doubts);
        }
        Ok(rehearsal)
    }

    /// Lives at this pace, and dies at these steps. The deaths are in the order of the steps.
    fn deaths(
        &self,
        pace: Pace,
        at: BTreeSet<usize>,
        should: &End,
        is_dropped: &AtomicBool,
    ) -> Result<Vec<Death>, ManageError> {
        if at.is_empty() {
            return Ok(Vec::new());
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(at.len());
        let (to, from) = sync_channel(WAITING_MAX);
        let from = Mutex::new(from);
        let (lived, deaths) = std::thread::scope(|scope| {
            // Owned by whoever works, so that a life is told when nobody is left to take its copies.
            let from = &from;
            let work = move || self.go_on_from_each(from, should, is_dropped);
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let life = || runtime()?.block_on(whole(self, pace, Some(Copies { at, to })));
            let lived: Result<Whole, ManageError> = life();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Result<Vec<Death>, ManageError>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let deaths: Vec<Result<Vec<Death>, ManageError>> = workers.into_iter().map(join).collect();
            (lived, deaths)
        });
        lived?;
        let deaths: Vec<Vec<Death>> = deaths.into_iter().collect::<Result<_, _>>()?;
        let mut deaths: Vec<Death> = deaths.into_iter().flatten().collect();
        deaths.sort_by_key(|death| death.step);
        Ok(deaths)
    }

    /// Takes what is left of those who died, until there are no more.
    fn go_on_from_each(
        &self,
        from: &Mutex<Receiver<Left>>,
        should: &End,
        is_dropped: &AtomicBool,
    ) -> Result<Vec<Death>, ManageError> {
        let runtime = runtime()?;
        let mut deaths = Vec::new();
        let mut failed = None;
        loop {
            let left = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(left) = left else { break };
            // Who has failed, or is not waited for any more, takes what comes all the same: a life waits for that.
            if failed.is_some() || is_dropped.load(Ordering::Relaxed) {
                continue;
            }
            match runtime.block_on(go_on_from(self, left, should)) {
                Ok(death) => deaths.push(death),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(deaths), Err)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ManageError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    Ok(runtime.map_err(|error| StoreError::Unavailable {
        store: "of a rehearsal".to_owned(),
        what: "the system gives no threads".to_owned(),
        source: Box::new(error),
    })?)
}

/// So many of these steps: all, or one with each class of points, as far as that goes, and of the others one of each stretch.
pub(super) fn chosen(steps: &[Vec<Point>], deaths: usize, seed: u64) -> BTreeSet<usize> {
    if steps.len() <= deaths {
        return (0..steps.len()).collect();
    }
    let mut classes = BTreeSet::new();
    let mut is_new = |step: &Vec<Point>| {
        let before = classes.len();
        classes.extend(step.iter().map(Point::class));
        classes.len() > before
    };
    let mut chosen: BTreeSet<usize> =
        (0..steps.len()).filter(|at| is_new(&steps[*at])).take(deaths).collect();
    let others: Vec<usize> = (0..steps.len()).filter(|at| !chosen.contains(at)).collect();
    let more = evenly(others.len(), deaths - chosen.len(), seed);
    chosen.extend(more.into_iter().map(|at| others[at]));
    chosen
}

/// So many of these, one of each stretch.
pub(super) fn evenly(of: usize, many: usize, seed: u64) -> BTreeSet<usize> {
    let mut random = Random(seed);
    let bounds = |at: usize| (at * of / many, (at + 1) * of / many);
    let mut draw = |(from, to): (usize, usize)| from + (random.next() % (to - from) as u64) as usize;
    (0..many).map(|at| draw(bounds(at))).collect()
}
