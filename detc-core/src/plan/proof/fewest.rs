//! The smallest of the states that break a bound.

use super::between::{Event, Sides};
use super::order::Order;
use super::witness::needs;

/// How many needs of events are looked at for one question: what is known by then is taken.
const WORK_MAX: usize = 100_000;

/// The fewest events that break a bound, and what they do to its value: these ones, if there are none fewer.
///
/// `least` is the least harm that breaks it. `scratch` is a zero for each event, on return too.
///
/// Where no event can be left out each latest one is harmful, and the others are what these need. So it is harmful events that are
/// chosen from, with all they need, those first that do the most harm an event; a choice is given up when the most harmful events there
/// are could not make it smaller than the smallest known (branch and bound: A. H. Land, A. G. Doig, "An automatic method of solving
/// discrete programming problems", Econometrica 28, 1960). As harm is chosen by its size this is a knapsack, and there is no quick way
/// for all plans: after [`WORK_MAX`] the smallest known is taken.
pub(super) fn fewest(
    order: &Order,
    sides: &Sides,
    known: (Vec<Event>, i128),
    least: i128,
    scratch: &mut [u32],
) -> (Vec<Event>, i128) {
    if least <= 0 {
        // It is broken from the beginning.
        return (Vec::new(), 0);
    }
    let mut most: Vec<i128> = sides.harm.iter().map(|&(_, harm)| harm).collect();
    most.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = 0;
    most.iter_mut().for_each(|harm| {
        sum += *harm;
        *harm = sum;
    });
    let mut search =
        Search { order, sides, most, least, known, now: Chosen::default(), is_in: scratch, work: WORK_MAX };
    search.search();
    search.known
}

/// What is chosen so far.
#[derive(Clone, Copy, Default)]
struct Chosen {
    events: usize,
    /// Without those of barriers.
    size: usize,
    harm: i128,
}

struct Search<'a> {
    order: &'a Order,
    sides: &'a Sides,
    /// The most harm that one event can do, and two, and so on.
    most: Vec<i128>,
    least: i128,
    known: (Vec<Event>, i128),
    now: Chosen,
    is_in: &'a mut [u32],
    work: usize,
}

impl Search<'_> {
    fn search(&mut self) {
        let size =
            |order: &Order, events: &[Event]| events.iter().filter(|&&event| is_action(order, event)).count();
        // What is found has to be smaller than that.
        let mut below = size(self.order, &self.known.0);
        if !self.can_reach(Chosen::default(), below) {
            return;
        }
        let mut events = Vec::new();
        let seeds = self.seeds(&mut events, below);
        // Each choice, and where it is gone back to.
        let mut choices: Vec<(usize, Chosen)> = Vec::new();
        let mut next = 0;
        loop {
            let Some(&seed) = seeds.get(next).filter(|_| self.work > 0) else {
                let Some((last, before)) = choices.pop() else { return };
                self.go_back(&mut events, before);
                next = last + 1;
                continue;
            };
            let before = self.now;
            next += 1;
            if self.is_in[seed as usize] != 0 {
                continue;
            }
            let fits = self.add(&mut events, seed, below);
            if fits && self.now.harm >= self.least {
                below = self.now.size;
                self.known = (events.clone(), self.now.harm);
                self.known.0.sort_unstable();
            } else if fits && self.can_reach(self.now, below) {
                choices.push((next - 1, before));
                continue;
            }
            self.go_back(&mut events, before);
        }
    }

    /// Whether fewer events than `below` may break the bound, these among them.
    fn can_reach(&self, from: Chosen, below: usize) -> bool {
        let Some(more) = below.checked_sub(from.size + 1) else { return false };
        let most = match more.min(self.most.len()) {
            0 => 0,
            more => self.most[more - 1],
        };
        from.harm + most >= self.least
    }

    /// The harmful events that need few others, those first that do the most harm an event with all they need.
    fn seeds(&mut self, events: &mut Vec<Event>, below: usize) -> Vec<Event> {
        let mut seeds = Vec::new();
        for at in 0..self.sides.harm.len() {
            let seed = self.sides.harm[at].0;
            if self.add(events, seed, below) {
                seeds.push((seed, self.now));
            }
            self.go_back(events, Chosen::default());
        }
        // None is empty: a harmful event is one of an action.
        seeds.sort_by_key(|&(seed, of)| (std::cmp::Reverse(of.harm * DENSITY / of.size as i128), seed));
        seeds.into_iter().map(|(seed, _)| seed).collect()
    }

    /// Adds an event and all it needs; false if that is no smaller than `below`, or there is no more work to be done.
    fn add(&mut self, events: &mut Vec<Event>, event: Event, below: usize) -> bool {
        let mut at = events.len();
        self.take(events, event);
        while let Some(&event) = events.get(at) {
            at += 1;
            if self.now.size >= below {
                return false;
            }
            for need in needs(self.order, event) {
                let Some(left) = self.work.checked_sub(1) else { return false };
                self.work = left;
                if self.is_in[need as usize] == 0 {
                    self.take(events, need);
                }
            }
        }
        self.now.size < below
    }

    fn take(&mut self, events: &mut Vec<Event>, event: Event) {
        events.push(event);
        self.is_in[event as usize] = 1;
        self.now.events += 1;
        self.now.size += usize::from(is_action(self.order, event));
        self.now.harm += self.sides.harm(event);
    }

    fn go_back(&mut self, events: &mut Vec<Event>, before: Chosen) {
        events.drain(before.events..).for_each(|event| self.is_in[event as usize] = 0);
        self.now = before;
    }
}

/// So finely harms an event are told apart.
const DENSITY: i128 = 1 << 10;

fn is_action(order: &Order, event: Event) -> bool {
    order.action(event / 2).is_some()
}
