//! Who has which large content, and who hands it on to whom: a tree that grows by itself.
//!
//! ```text
//! controller ─▶ h1 ─┬▶ h2 ─┬▶ h4
//!                   │      └▶ h5        each that has all of it hands it on to two at once, and to further ones after that
//!                   └▶ h3 ─▶ h6
//! ```
//!
//! Nothing is sent here. A host that wants content asks where it gets it from: from itself, where it has it at another place; from one
//! that has it and may hand it on; from the controller, where nobody is on the way to having it. Otherwise it waits for one of these.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use detc_core::content::Sum;
use tokio::sync::Notify;

/// How many others a host hands content on to at once: with two, the tree is as deep as the number of hosts has binary digits,
/// and no uplink carries more than twice what one transfer takes.
const HANDS: usize = 2;

/// How often in a row one may fail to hand content on before it is asked no more.
const FAILURES_MAX: u32 = 2;

/// How many places content is remembered at, of each sum: as many hosts as one process manages, and more.
const HOLDERS_MAX: usize = 100_000;

/// How many sums are remembered.
const SUMS_MAX: usize = 1000;

/// A host, as far as it matters here.
pub(crate) trait Member: Clone + Debug + Send {
    /// Whether both are the same host.
    fn is(&self, other: &Self) -> bool;
    /// Whether it is still there, and may hand on to `other`.
    fn may_hand_on_to(&self, other: &Self) -> bool;
}

/// Where content is got from.
#[derive(Debug)]
pub(crate) enum Origin<M: Member> {
    /// The host has it already, at this path.
    Itself(String),
    /// Another host, which has it at this path.
    Another(M, String),
    /// The manager's own machine.
    Controller,
}

/// Where all content is.
#[derive(Debug)]
pub(crate) struct Exchange<M> {
    known: Mutex<BTreeMap<Sum, Known<M>>>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Known<M> {
    holders: Vec<Holder<M>>,
    /// Who gets it from the controller just now.
    coming: Vec<M>,
}

#[derive(Debug)]
struct Holder<M> {
    member: M,
    path: String,
    busy: usize,
    failures: u32,
}

impl<M> Default for Exchange<M> {
    fn default() -> Self {
        Self { known: Mutex::default(), changed: Arc::default() }
    }
}

impl<M: Member> Exchange<M> {
    /// Where `member` gets the content of this sum from, once there is somebody to get it from.
    pub(crate) async fn source(&self, sum: Sum, member: &M) -> Taking<'_, M> {
        loop {
            // Before the look: what changes after it wakes us.
            let changed = self.changed.notified();
            if let Some(from) = self.look(sum, member) {
                return Taking { exchange: self, sum, member: member.clone(), from: Some(from) };
            }
            changed.await;
        }
    }

    fn look(&self, sum: Sum, member: &M) -> Option<Origin<M>> {
        let mut all = self.lock();
        if all.len() >= SUMS_MAX && !all.contains_key(&sum) {
            // What nobody is at is forgotten: it costs a transfer more.
            all.retain(|_, known| {
                !known.coming.is_empty() || known.holders.iter().any(|holder| holder.busy > 0)
            });
        }
        let known = all.entry(sum).or_insert_with(|| Known { holders: Vec::new(), coming: Vec::new() });
        if let Some(own) = known.holders.iter_mut().find(|holder| holder.member.is(member)) {
            own.busy += 1;
            return Some(Origin::Itself(own.path.clone()));
        }
        let mut is_hopeful = known.coming.iter().any(|coming| coming.may_hand_on_to(member));
        let mut freest: Option<&mut Holder<M>> = None;
        for holder in &mut known.holders {
            if holder.failures >= FAILURES_MAX || !holder.member.may_hand_on_to(member) {
                continue;
            }
            is_hopeful = true;
            if holder.busy < HANDS && freest.as_ref().is_none_or(|freest| holder.busy < freest.busy) {
                freest = Some(holder);
            }
        }
        if let Some(holder) = freest {
            holder.busy += 1;
            return Some(Origin::Another(holder.member.clone(), holder.path.clone()));
        }
        if is_hopeful {
            return None;
        }
        known.coming.push(member.clone());
        Some(Origin::Controller)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sum, Known<M>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that `member` has it at `path`.
    pub(crate) fn has(&self, sum: Sum, member: &M, path: &str) {
        let mut all = self.lock();
        for known in all.values_mut() {
            known.holders.retain(|holder| !(holder.member.is(member) && holder.path == path));
        }
        if let Some(known) = all.get_mut(&sum)
            && known.holders.len() < HOLDERS_MAX
        {
            let holder = Holder { member: member.clone(), path: path.to_owned(), busy: 0, failures: 0 };
            known.holders.push(holder);
        }
        drop(all);
        self.changed.notify_waiters();
    }
}

/// How a source turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    Well,
    Badly,
}

/// Content that is on its way. Dropped, its source is free for others.
#[derive(Debug)]
pub(crate) struct Taking<'a, M: Member> {
    exchange: &'a Exchange<M>,
    sum: Sum,
    member: M,
    from: Option<Origin<M>>,
}

impl<M: Member> Taking<'_, M> {
    pub(crate) fn from(&self) -> &Origin<M> {
        self.from.as_ref().expect("invariant: it is taken when this ends")
    }

    /// Tells how it went.
    pub(crate) fn ends(mut self, turned: Turned) {
        self.end(Some(turned));
    }

    fn end(&mut self, turned: Option<Turned>) {
        let Some(from) = self.from.take() else { return };
        let mut all = self.exchange.lock();
        let Some(known) = all.get_mut(&self.sum) else { return };
        let path = match &from {
            Origin::Controller => {
                if let Some(at) = known.coming.iter().position(|coming| coming.is(&self.member)) {
                    known.coming.swap_remove(at);
                }
                None
            }
            Origin::Itself(path) => Some((&self.member, path)),
            Origin::Another(member, path) => Some((member, path)),
        };
        let is_source = |holder: &&mut Holder<M>| {
            path.is_some_and(|(member, path)| holder.member.is(member) && holder.path == *path)
                && holder.busy > 0
        };
        if let Some(holder) = known.holders.iter_mut().find(is_source) {
            holder.busy -= 1;
            match turned {
                Some(Turned::Well) => holder.failures = 0,
                Some(Turned::Badly) => holder.failures += 1,
                None => {}
            }
        }
        // What it has itself is not what it was: it is not asked again.
        if matches!((&from, turned), (Origin::Itself(_), Some(Turned::Badly))) {
            known.holders.retain(|holder| !holder.member.is(&self.member));
        }
        drop(all);
        self.exchange.changed.notify_waiters();
    }
}

impl<M: Member> Drop for Taking<'_, M> {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host by its number, with the word that those share who hand on to each other.
    #[derive(Clone, Debug, PartialEq)]
    struct Numbered(u32, &'static str);

    impl Member for Numbered {
        fn is(&self, other: &Self) -> bool {
            self.0 == other.0
        }

        fn may_hand_on_to(&self, other: &Self) -> bool {
            self.1 == other.1
        }
    }

    fn now(exchange: &Exchange<Numbered>, member: &Numbered) -> Option<String> {
        exchange.look(Sum::of(b"x"), member).map(|from| match from {
            Origin::Itself(path) => format!("itself {path}"),
            Origin::Another(Numbered(number, _), path) => format!("{number} {path}"),
            Origin::Controller => "controller".to_owned(),
        })
    }

    #[test]
    fn the_first_gets_it_from_the_controller_and_the_others_from_each_other() {
        let exchange = Exchange::default();
        let host = |number| Numbered(number, "dc1");
        assert_eq!(now(&exchange, &host(1)).as_deref(), Some("controller"));
        assert_eq!(now(&exchange, &host(2)), None, "it comes");
        exchange.has(Sum::of(b"x"), &host(1), "/a");
        assert_eq!(now(&exchange, &host(2)).as_deref(), Some("1 /a"));
        assert_eq!(now(&exchange, &host(3)).as_deref(), Some("1 /a"));
        assert_eq!(now(&exchange, &host(4)), None, "one hands on to two at once");
        exchange.has(Sum::of(b"x"), &host(2), "/b");
        assert_eq!(now(&exchange, &host(4)).as_deref(), Some("2 /b"));
        assert_eq!(now(&exchange, &host(2)).as_deref(), Some("itself /b"));
        assert_eq!(now(&exchange, &Numbered(9, "dc2")).as_deref(), Some("controller"));
    }

    #[tokio::test]
    async fn who_fails_is_asked_no_more_and_what_is_given_up_is_free_again() {
        let (exchange, sum) = (Exchange::default(), Sum::of(b"x"));
        let host = |number| Numbered(number, "dc1");
        let first = exchange.source(sum, &host(1)).await;
        drop(first);
        let again = exchange.source(sum, &host(2)).await;
        assert!(matches!(again.from(), Origin::Controller), "who had it before gave up");
        exchange.has(sum, &host(2), "/b");
        again.ends(Turned::Well);
        for number in 3..5 {
            let taking = exchange.source(sum, &host(number)).await;
            assert!(matches!(taking.from(), Origin::Another(Numbered(2, _), _)));
            taking.ends(Turned::Badly);
        }
        let last = exchange.source(sum, &host(5)).await;
        assert!(matches!(last.from(), Origin::Controller));
    }

    #[tokio::test]
    async fn what_was_overwritten_is_not_there_any_more() {
        let (exchange, sum) = (Exchange::default(), Sum::of(b"x"));
        let host = Numbered(1, "dc1");
        let taking = exchange.source(sum, &host).await;
        exchange.has(sum, &host, "/a");
        taking.ends(Turned::Well);
        exchange.has(Sum::of(b"y"), &host, "/a");
        assert_eq!(now(&exchange, &Numbered(2, "dc1")).as_deref(), Some("controller"));
    }
}
