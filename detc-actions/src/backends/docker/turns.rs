//! How many containers an engine makes and starts at once, and in which order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Places of which so many are taken at a time. Whoever waits is asked for in this order: those that are to be made, by their
/// names, and then those that are to be started, first come first served.
///
/// Many arrive together, in whatever order threads had them. By name all of one service come after one another: what waits for
/// all of them begins while those of the next start.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    asked: u64,
    waiting: BTreeMap<(Step, u64), oneshot::Sender<Turn>>,
}

/// What a turn is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// To make a container of this name.
    Make(String),
    /// To start one.
    Start,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: at_once, asked: 0, waiting: BTreeMap::new() }) })
    }

    /// Waits for a place. One who is dropped meanwhile takes none.
    pub(super) async fn take(self: &Arc<Self>, step: Step) -> Turn {
        let given = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 {
                state.free -= 1;
                return Turn { turns: self.clone() };
            }
            state.asked += 1;
            let (give, given) = oneshot::channel();
            let asked = state.asked;
            state.waiting.insert((step, asked), give);
            given
        };
        given.await.expect("invariant: whoever waits is kept until it is given a turn")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.turns.state.lock().unwrap_or_else(PoisonError::into_inner);
            let next = state.waiting.pop_first();
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        if let Some((_, give)) = next {
            // One that waits no more drops it, and so gives it to the next.
            let _given = give.send(Turn { turns: self.turns.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn those_to_be_made_go_first_by_name_then_those_to_be_started_as_they_came() {
        let turns = Turns::new(1);
        let make = |name: &str| Step::Make(name.to_owned());
        let Poll::Ready(held) = poll(pin!(turns.take(Step::Start))) else { panic!("one is free") };
        let mut first = Box::pin(turns.take(Step::Start));
        let mut second = Box::pin(turns.take(Step::Start));
        let mut late = Box::pin(turns.take(make("b")));
        let mut early = Box::pin(turns.take(make("a")));
        let mut gone = Box::pin(turns.take(make("aa")));
        for waiting in [&mut first, &mut second, &mut late, &mut early, &mut gone] {
            assert!(poll(waiting.as_mut()).is_pending());
        }
        drop(gone);
        drop(held);
        for waiting in [&mut early, &mut late, &mut first, &mut second] {
            let Poll::Ready(turn) = poll(waiting.as_mut()) else { panic!("it is its turn") };
            drop(turn);
        }
        assert_eq!(turns.state.lock().unwrap().free, 1);
    }

    #[test]
    fn no_more_are_at_it_than_may_be() {
        let turns = Turns::new(2);
        let taken: Vec<_> = (0..2).map(|_| poll(pin!(turns.take(Step::Start)))).collect();
        assert!(taken.iter().all(Poll::is_ready));
        assert!(poll(pin!(turns.take(Step::Start))).is_pending());
        drop(taken);
        assert_eq!(turns.state.lock().unwrap().free, 2);
    }
}
