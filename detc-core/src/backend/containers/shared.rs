//! Lists once for all who ask at the same time.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Mutex as Turn;

use super::{
    Change, Containers, ContainersError, Listed, Listing, LogLine, LogQuery, Mark, New, Object, ObjectRef,
    Query, Watch,
};
use crate::backend::Host;

/// An engine that is asked for one listing by all who want one at the same time, whichever [resource](Mark::RESOURCE) each of them
/// asks for: five hundred resources of a cluster are looked at in one call.
///
/// Nobody is told what is older than the question: each answer is of a call that began after it was asked for.
#[derive(Debug)]
pub struct SharedContainers {
    inner: Arc<dyn Containers>,
    /// By what is asked for, but for the resource.
    lanes: Mutex<BTreeMap<Query, Arc<Lane>>>,
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
        Self { inner, lanes: Mutex::default() }
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
        self.inner.watch().await
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        self.inner.host(container)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::super::{ContainerSpec, ImageDefaults, MemoryContainers, ObjectKind};
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
