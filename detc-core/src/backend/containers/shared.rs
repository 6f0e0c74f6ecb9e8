//! Lists once for all who ask at the same time.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{
    Change, Containers, ContainersError, Listed, Listing, LogLine, LogQuery, Mark, New, Notifier, Object,
    ObjectRef, Query, Watch,
};
use crate::backend::Host;

/// An engine that is asked for one listing by all who want one at the same time, whichever [resource](Mark::RESOURCE) each of them
/// asks for: five hundred resources of a cluster are looked at in one call.
///
/// Nobody is told what is older than the question: each answer is of a call that began after it was asked for. All who watch it do so by
/// one watch, which ends with the runtime of the first of them.
#[derive(Debug)]
pub struct SharedContainers {
    inner: Arc<dyn Containers>,
    /// By what is asked for, but for the resource.
    lanes: Mutex<BTreeMap<Query, Arc<Lane>>>,
    told: Told,
}

/// Those who watch, by one watch of the engine.
#[derive(Debug, Default)]
struct Told {
    /// Whoever has it opens the watch.
    turn: Turn<()>,
    listening: Arc<Listening>,
    /// Tells them.
    task: Mutex<JoinSet<()>>,
}

/// Who is told; `None`: nobody watches the engine.
#[derive(Debug, Default)]
struct Listening(Mutex<Option<Vec<Notifier>>>);

/// How long the engine is watched on for nobody, before it is noticed within as long again: those who wait for one container after the
/// other have one watch.
const IDLE: Duration = Duration::from_secs(10);

impl Listening {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Notifier>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self) -> Option<Watch> {
        let mut all = self.lock();
        let (notifier, watch) = Watch::new();
        all.as_mut()?.push(notifier);
        Some(watch)
    }
}

/// Dropped, also with its runtime, all are told that there is no more.
struct Open(Arc<Listening>);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Open {
    /// Tells all what one is told, until nobody listens.
    async fn tell(self, mut of_engine: Watch) {
        let mut nobody_since = None;
        loop {
            let told = tokio::time::timeout(IDLE, of_engine.next()).await;
            let mut all = self.0.lock();
            let Some(listening) = all.as_mut() else { return };
            listening.retain(|notifier| !notifier.is_left());
            match &told {
                Ok(Some(again)) => listening.iter().for_each(|notifier| notifier.tell(again.clone())),
                Ok(None) => *all = None,
                Err(_) => {}
            }
            let Some(listening) = all.as_ref() else { return };
            if !listening.is_empty() {
                nobody_since = None;
            } else if nobody_since.get_or_insert_with(Instant::now).elapsed() >= IDLE {
                // Under the lock: who comes now opens another.
                *all = None;
                return;
            }
        }
    }
}

impl Told {
    async fn watch(&self, inner: &dyn Containers) -> Result<Watch, ContainersError> {
        let _turn = self.turn.lock().await;
        if let Some(watch) = self.listening.join() {
            return Ok(watch);
        }
        let of_engine = inner.watch().await?;
        let (notifier, watch) = Watch::new();
        *self.listening.lock() = Some(vec![notifier]);
        let open = Open(Arc::clone(&self.listening));
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        while task.try_join_next().is_some() {}
        task.spawn(open.tell(of_engine));
        Ok(watch)
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
        Self { inner, lanes: Mutex::default(), told: Told::default() }
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
        // Also on an engine that has something to tell all the time.
        for at in 0..30 {
            memory
                .change(&rename(
                    &format!("other{at}").replace("other0", "other"),
                    &format!("other{}", at + 1),
                ))
                .await
                .unwrap();
            tokio::time::sleep(IDLE / 10).await;
        }
        assert!(shared.told.listening.lock().is_none(), "nobody is told, and it is watched");
        let before = memory.calls() - 3;
        let mut again = shared.watch().await.unwrap();
        memory.change(&rename("one", "again")).await.unwrap();
        assert!(again.next().await.is_some());
        assert_eq!(memory.calls() - before, 5);
    }

    #[test]
    fn who_watches_is_told_that_there_is_no_more_when_the_runtime_of_the_first_is_gone() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let (memory, shared) = first.block_on(engine(1));
        let _one = first.block_on(shared.watch()).unwrap();
        let mut other = second.block_on(shared.watch()).unwrap();
        drop(first);
        assert_eq!(second.block_on(other.next()), None);
        let mut again = second.block_on(shared.watch()).unwrap();
        let to = "one".to_owned();
        second.block_on(memory.change(&Change::Rename { container: "web-0".to_owned(), to })).unwrap();
        assert!(second.block_on(again.next()).is_some());
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
