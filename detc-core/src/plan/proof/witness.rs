//! Counter-examples: from a set of events that breaks a bound to a small one that still does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::between::{Event, Sides};
use super::order::Order;

/// The events that some wanted ones cannot do without, themselves included, and then without those that the bound is
/// broken without too. Gives the events, ascending, and what they do to the value.
///
/// `over` is by how much the wanted events and all they need break the bound beyond the least that would break it.
/// `scratch` is a zero for each event, on return too.
///
/// Latest events are given up first, cheapest first, as long as what remains still breaks the bound: no single event
/// that nothing waits for can be left out of the result. Linear in events, but for a heap of the harmful ones.
pub(super) fn smaller(
    order: &Order,
    sides: &Sides,
    wanted: Vec<Event>,
    mut over: i128,
    scratch: &mut [u32],
) -> (Vec<Event>, i128) {
    // One more than the number of events found that need this one directly; zero for one that was not found.
    let waiting = scratch;
    let mut found = needed(order, wanted, waiting);
    let mut free: Vec<(Event, i128)> = Vec::new();
    let mut costly: BinaryHeap<Reverse<(i128, Reverse<Event>)>> = BinaryHeap::new();
    let loosen = |event, free: &mut Vec<_>, costly: &mut BinaryHeap<_>| match sides.harm(event) {
        harm @ ..=0 => free.push((event, harm)),
        harm => costly.push(Reverse((harm, Reverse(event)))),
    };
    for &event in found.iter().filter(|&&event| waiting[event as usize] == 1) {
        loosen(event, &mut free, &mut costly);
    }
    loop {
        let next = free.pop().or_else(|| {
            let Reverse((harm, Reverse(event))) = costly.pop()?;
            (harm <= over).then_some((event, harm))
        });
        let Some((event, harm)) = next else { break };
        over -= harm;
        waiting[event as usize] = 0;
        for need in needs(order, event) {
            waiting[need as usize] -= 1;
            if waiting[need as usize] == 1 {
                loosen(need, &mut free, &mut costly);
            }
        }
    }
    found.retain(|&event| std::mem::take(&mut waiting[event as usize]) > 0);
    found.sort_unstable();
    let sum = found.iter().map(|&event| sides.harm(event)).sum();
    (found, sum)
}

/// The wanted events and all they need, in any order; counts in `waiting` how many of them need each directly.
fn needed(order: &Order, wanted: Vec<Event>, waiting: &mut [u32]) -> Vec<Event> {
    let mut found = wanted;
    for &event in &found {
        waiting[event as usize] = 1;
    }
    let mut next = 0;
    while let Some(&event) = found.get(next) {
        next += 1;
        for need in needs(order, event) {
            let waiting = &mut waiting[need as usize];
            if *waiting == 0 {
                *waiting = 1;
                found.push(need);
            }
            *waiting += 1;
        }
    }
    found
}

/// What an event needs directly: an end its start, a start the ends of what its action waits for.
pub(super) fn needs(order: &Order, event: Event) -> impl Iterator<Item = Event> {
    let rank = event / 2;
    let is_end = event % 2 == 1;
    let (start, before) = if is_end { (Some(2 * rank), [].as_slice()) } else { (None, order.before(rank)) };
    start.into_iter().chain(before.iter().map(|before| 2 * before + 1))
}
