//! Lists once for all who ask at the same time.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex as Turn;

use super::{
    Change, Containers, ContainersError, Listed, Listing, LogLine, LogQuery, Mark, New, Notifier, Object,
    ObjectRef, Query, Watch,
};
use crate::backend::Host;

/// An engine that is asked for one listing by all who want one at the same time, whichever [resource](Mark::RESOURCE) each of them
/// asks for: five hundred resources of a cluster are looked at in one call.
///
/// Nobody is told what is older than the question: each answer is of a call that began after it was asked for. All who watch it do so by
/// one watch, in a task on the runtime of the first.
#[derive(Debug)]
pub struct SharedContainers {
    inner: Arc<dyn Containers>,
    /// By what is asked for, but for the resource.
    lanes: Mutex<BTreeMap<Query, Arc<Lane>>>,
    told: Arc<Told>,
}

/// Those who watch, by one watch of the engine.
#[derive(Debug, Default)]
struct Told {
    /// Whoever has it opens the watch.
    turn: Turn<()>,
    /// `None`: nobody watches the engine.
    all: Mutex<Option<Vec<Notifier>>>,
}

/// How long the engine is watched on for nobody: those who wait for one container after the other have one watch.
const IDLE: Duration = Duration::from_secs(10);

impl Told {
    fn all(&self) -> MutexGuard<'_, Option<Vec<Notifier>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self) -> Option<Watch> {
        let mut all = self.all();
        let (notifier, watch) = Watch::new();
        all.as_mut()?.push(notifier);
        Some(watch)
    }

    async fn watch(self: &Arc<Self>, inner: &dyn Containers) -> Result<Watch, ContainersError> {
        let _turn = self.turn.lock().await;
        if let Some(watch) = self.join() {
            return Ok(watch);
        }
        let of_engine = inner.watch().await?;
        *self.all() = Some(Vec::new());
        let watch = self.join().expect("invariant: it was opened above, and nobody else has the turn");
        tokio::spawn(Arc::clone(self).tell(of_engine));
        Ok(watch)
    }

    /// Tells all what one is told, until nobody listens.
    async fn tell(self: Arc<Self>, mut of_engine: Watch) {
        loop {
            let told = tokio::time::timeout(IDLE, of_engine.next()).await;
            let mut all = self.all();
            let Some(listening) = all.as_mut() else { return };
            listening.retain(|notifier| !notifier.is_left());
            match &told {
                Ok(Some(again)) => listening.iter().for_each(|notifier| notifier.tell(again.clone())),
                // They are told that there is no more.
                Ok(None) => listening.clear(),
                Err(_) => {}
            }
            if listening.is_empty() && !matches!(told, Ok(Some(_))) {
                *all = None;
                return;
            }
        }
    }
}

/// Those who ask for the same.
#[derive(Debug, Default)]
struct Lane {
    /// Whoever has it makes the call. One who is dropped gives it up, and the next makes it.
    turn: Turn<()>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// How many have asked.
    count: u64,
    /// What those up to this one are told.
    answered: u64,
    answer: Option<Result<Arc<Answer>, ContainersError>>,
}

#[derive(Debug)]
struct Answer {
    all: Listing,
    by_resource: BTreeMap<String, Listing>,
}

impl Answer {
    fn new(all: Listing) -> Self {
        let mut by_resource: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for listed in &*all {
            if let Some(resource) = listed.labels.get(Mark::RESOURCE) {
                by_resource.entry(resource.clone()).or_default().push(listed.clone());
            }
        }
        let by_resource =
            by_resource.into_iter().map(|(resource, listed)| (resource, listed.into())).collect();
        Self { all, by_resource }
    }
}

/// How often it is waited for others to ask, too, before the call is made: those who are polled together have asked after one.
const OTHERS_MAX: usize = 2;

impl Lane {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, inner: &dyn Containers, query: &Query) -> Result<Arc<Answer>, ContainersError> {
        let number = {
            let mut asked = self.asked();
            asked.count += 1;
            asked.count
        };
        for _ in 0..OTHERS_MAX {
            tokio::task::yield_now().await;
        }
        let _turn = self.turn.lock().await;
        let answers = {
            let asked = self.asked();
            if asked.answered >= number
                && let Some(answer) = &asked.answer
            {
                return answer.clone();
            }
            asked.count
        };
        let answer = inner.list(query).await.map(|listing| Arc::new(Answer::new(listing)));
        let mut asked = self.asked();
        asked.answered = answers;
        asked.answer = Some(answer.clone());
        answer
    }
}

impl SharedContainers {
    /// `inner`, asked for one listing by many.
    pub fn new(inner: Arc<dyn Containers>) -> Self {
        Self { inner, lanes: Mutex::default(), told: Arc::default() }
    }

    fn lane(&self, query: &Query) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(query.clone()).or_default().clone()
    }
}

impl Display for SharedContainers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Containers for SharedContainers {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        let mut wider = query.clone();
        let resource = wider.labels.remove(Mark::RESOURCE);
        let answer = self.lane(&wider).ask(&*self.inner, &wider).await?;
        Ok(match resource {
            None => answer.all.clone(),
            Some(resource) => answer.by_resource.get(&resource).cloned().unwrap_or_default(),
        })
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        self.inner.inspect(object).await
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        self.inner.create(new).await
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        self.inner.change(change).await
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        self.inner.logs(container, query).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        self.told.watch(&*self.inner).await
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        self.inner.host(container)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::super::{Again, ContainerSpec, ImageDefaults, MemoryContainers, ObjectKind};
    use super::*;
    use crate::backend::memory::HostFault;

    async fn engine(containers: usize) -> (MemoryContainers, SharedContainers) {
        let memory = MemoryContainers::new("e1");
        memory.add_image("web:1", ImageDefaults::default());
        for at in 0..containers {
            let mut spec = ContainerSpec::new("web:1");
            spec.labels = mark(at).labels();
            memory.create(&New::container(format!("web-{at}"), spec)).await.unwrap();
        }
        let shared = SharedContainers::new(Arc::new(memory.clone()));
        (memory, shared)
    }

    fn mark(at: usize) -> Mark {
        Mark::new("c1", format!("container/web-{at}"), "s")
    }

    async fn ask_all(shared: &SharedContainers, count: usize) -> Vec<Result<Listing, ContainersError>> {
        let queries: Vec<_> = (0..count).map(|at| mark(at).same_resource(ObjectKind::Container)).collect();
        let mut asking: Vec<_> = queries.iter().map(|query| shared.list(query)).collect();
        let mut answers: Vec<_> = asking.iter().map(|_| None).collect();
        std::future::poll_fn(|cx| {
            for (asking, answer) in asking.iter_mut().zip(&mut answers) {
                if answer.is_none()
                    && let std::task::Poll::Ready(ready) = asking.as_mut().poll(cx)
                {
                    *answer = Some(ready);
                }
            }
            if answers.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        answers.into_iter().flatten().collect()
    }

    #[tokio::test]
    async fn many_who_look_at_once_are_told_by_one_call_each_of_its_own() {
        let (memory, shared) = engine(500).await;
        let before = memory.calls();
        for (at, answer) in ask_all(&shared, 500).await.into_iter().enumerate() {
            let answer = answer.unwrap();
            assert_eq!((answer.len(), answer[0].mark()), (1, Some(mark(at))));
        }
        assert_eq!(memory.calls() - before, 1);
        let all = shared.list(&Mark::all_of(ObjectKind::Container, "c1")).await.unwrap();
        assert_eq!((all.len(), memory.calls() - before), (500, 2), "one who asks later is not told what was");
        let none = mark(900).same_resource(ObjectKind::Container);
        assert!(shared.list(&none).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_error_is_told_to_all_who_asked_and_to_no_other() {
        let (memory, shared) = engine(3).await;
        memory.fail_call(0, HostFault::Unreachable);
        let before = memory.calls();
        for answer in ask_all(&shared, 3).await {
            assert!(matches!(answer, Err(ContainersError::Unreachable { .. })), "{answer:?}");
        }
        assert_eq!(memory.calls() - before, 1);
        assert!(ask_all(&shared, 3).await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_watch_have_one_watch_which_ends_when_they_are_gone() {
        let (memory, shared) = engine(2).await;
        let before = memory.calls();
        let (mut one, mut other) = (shared.watch().await.unwrap(), shared.watch().await.unwrap());
        let rename = |from: &str, to: &str| Change::Rename { container: from.into(), to: to.into() };
        memory.change(&rename("web-0", "one")).await.unwrap();
        let told = one.next().await.unwrap();
        assert!(matches!(&told, Again::One(object) if object.kind == ObjectKind::Container), "{told:?}");
        assert_eq!(other.next().await, Some(told));
        drop(one);
        memory.change(&rename("web-1", "other")).await.unwrap();
        assert!(other.next().await.is_some());
        assert_eq!(memory.calls() - before, 3, "one watch, and two changes");
        drop(other);
        tokio::time::sleep(2 * IDLE).await;
        assert!(shared.told.all().is_none(), "nobody is told, and it is watched");
        let mut again = shared.watch().await.unwrap();
        memory.change(&rename("one", "again")).await.unwrap();
        assert!(again.next().await.is_some());
        assert_eq!(memory.calls() - before, 5);
    }

    #[tokio::test]
    async fn one_who_is_dropped_leaves_the_call_to_the_next() {
        let (_, shared) = engine(1).await;
        let query = mark(0).same_resource(ObjectKind::Container);
        let mut dropped = shared.list(&query);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
        let lane = shared.lane(&Mark::all_of(ObjectKind::Container, "c1"));
        let turn = lane.turn.lock().await;
        let mut waits = shared.list(&query);
        while lane.asked().count < 2 {
            assert!(waits.as_mut().poll(&mut cx).is_pending());
        }
        drop((dropped, turn));
        assert_eq!(waits.await.unwrap().len(), 1);
    }
}
