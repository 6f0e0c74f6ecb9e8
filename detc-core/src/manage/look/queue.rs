//! Which look is next: each host in turn, so that one that hangs holds up nobody else, and is given up when it stays silent.

use std::collections::VecDeque;

use super::Look;
use super::heard::Heard;
use crate::execute::Limits;
use crate::model::{HostName, Map};

/// After so many looks in a row without any answer, a host is not asked again: one may be slow for reasons of its own, two by
/// chance, and each further one would cost its whole patience.
const SILENT_MAX: usize = 3;

/// The looks that are still to be made.
#[derive(Debug)]
pub(super) struct Queue {
    hosts: Vec<OfHost>,
    /// Those that have looks left and places free, in turn.
    turn: VecDeque<usize>,
    free: usize,
    per_host: usize,
}

#[derive(Debug)]
struct OfHost {
    name: Option<HostName>,
    looks: VecDeque<Look>,
    in_flight: usize,
    /// How many looks in a row were not answered.
    silent: usize,
    heard: Heard,
    has_turn: bool,
}

impl OfHost {
    /// Whether one more look may begin. While a host is silent, those that are under way tell whether it answers at all.
    fn may_begin(&self, per_host: usize) -> bool {
        let places = if self.silent == 0 { per_host } else { 1 };
        !self.looks.is_empty() && self.in_flight < places
    }
}

/// Whose place a look takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The host said something, if only that it failed.
    Answered,
    /// It let the time pass.
    Silent,
}

impl Queue {
    pub(super) fn new(looks: Vec<Look>, limits: &Limits) -> Self {
        let mut by_host: Map<Option<HostName>, VecDeque<Look>> = Map::default();
        for look in looks {
            by_host.entry(look.host.clone()).or_default().push_back(look);
        }
        let of_host = |(name, looks)| {
            let heard = Heard::default();
            OfHost { name, looks, in_flight: 0, silent: 0, heard, has_turn: true }
        };
        let hosts: Vec<OfHost> = by_host.into_iter().map(of_host).collect();
        let per_host = limits.looks_per_host.max(1);
        Self { turn: (0..hosts.len()).collect(), hosts, free: limits.looks.max(1), per_host }
    }

    /// The next look, with the place that it takes; `None` when all places are taken, or nothing is left.
    pub(super) fn next(&mut self) -> Option<(Place, Look)> {
        if self.free == 0 {
            return None;
        }
        loop {
            let at = self.turn.pop_front()?;
            let host = &mut self.hosts[at];
            host.has_turn = false;
            if !host.may_begin(self.per_host) {
                continue;
            }
            let look = host.looks.pop_front().expect("invariant: what may begin is there");
            host.in_flight += 1;
            self.free -= 1;
            self.give_turn(at);
            return Some((Place(at), look));
        }
    }

    /// When the host of this place was heard of.
    pub(super) fn heard(&self, Place(at): Place) -> Heard {
        self.hosts[at].heard.clone()
    }

    /// Gives a place back. Where the host has been silent for too long, what was still to be looked at there.
    pub(super) fn ended(&mut self, Place(at): Place, ended: Ended) -> VecDeque<Look> {
        let host = &mut self.hosts[at];
        host.in_flight -= 1;
        self.free += 1;
        host.silent = match ended {
            Ended::Answered => 0,
            Ended::Silent => host.silent + 1,
        };
        if host.name.is_some() {
            if ended == Ended::Answered {
                host.heard.now();
            }
            if host.silent >= SILENT_MAX {
                return std::mem::take(&mut host.looks);
            }
        }
        self.give_turn(at);
        VecDeque::new()
    }

    fn give_turn(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        if !host.has_turn && host.may_begin(self.per_host) {
            host.has_turn = true;
            self.turn.push_back(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Doc, ResourceId};

    fn looks(counts: &[(&str, usize)]) -> Vec<Look> {
        let look = |host: &str, at: usize| Look {
            id: ResourceId::new("value", &format!("{host}-{at}")).unwrap(),
            host: Some(HostName::new(host)),
            spec: Doc::new(&serde_json::json!({})),
            base: None,
            extra: None,
        };
        counts.iter().flat_map(|(host, count)| (0..*count).map(move |at| look(host, at))).collect()
    }

    fn names(queue: &mut Queue) -> Vec<(Place, String)> {
        std::iter::from_fn(|| queue.next()).map(|(place, look)| (place, look.id.name().to_owned())).collect()
    }

    #[test]
    fn hosts_take_turns_within_their_places() {
        let limits = Limits::default().with_looks(5, 2);
        let mut queue = Queue::new(looks(&[("a", 4), ("b", 1), ("c", 4)]), &limits);
        let taken = names(&mut queue);
        let order: Vec<&str> = taken.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(order, ["a-0", "b-0", "c-0", "a-1", "c-1"]);
        assert!(queue.ended(taken[1].0, Ended::Answered).is_empty());
        assert_eq!(names(&mut queue), [], "those that have looks left have no places");
        assert!(queue.ended(taken[2].0, Ended::Answered).is_empty());
        assert_eq!(names(&mut queue), [(taken[2].0, "c-2".to_owned())]);
    }

    #[test]
    fn a_host_that_stays_silent_is_given_up_and_one_that_answers_meanwhile_is_not() {
        let mut queue = Queue::new(looks(&[("a", 9)]), &Limits::default().with_looks(9, 4));
        let place = names(&mut queue)[0].0;
        let silent = |queue: &mut Queue, times| {
            (0..times).map(|_| queue.ended(place, Ended::Silent).len()).sum::<usize>()
        };
        assert_eq!(silent(&mut queue, SILENT_MAX - 1), 0);
        assert!(queue.ended(place, Ended::Answered).is_empty());
        assert_eq!(names(&mut queue).len(), SILENT_MAX);
        assert_eq!(silent(&mut queue, SILENT_MAX), 2, "what is left comes back");
        assert_eq!(names(&mut queue), []);
    }
}
