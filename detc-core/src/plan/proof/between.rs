//! Which events matter to a question: those that something relieving comes before and something harmful after.
//!
//! An event is *harmful* to a question when its effect moves the value towards the bound, and *relieving* when it moves
//! it away. A harmful event that waits for no relief may always have occurred; a relief that no harm waits for may
//! always be outstanding. Only what lies between a relief and a later harm needs thought, and that is usually little.
//!
//! One sweep over the plan answers this for 64 questions, one bit each: O((actions + edges) · questions / 64).

use super::order::Order;

/// How many questions one sweep answers.
pub(super) const LANES: usize = u64::BITS as usize;

/// A start or an end: twice the rank of its action, plus one for the end. Whatever an event needs is smaller.
pub(super) type Event = u32;

/// The harmful and relieving events of one question, ascending, with the harm they do: negative for relief.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    pub(super) harm: Vec<(Event, i128)>,
    pub(super) relief: Vec<(Event, i128)>,
}

impl Sides {
    /// The harm that an event does.
    pub(super) fn harm(&self, event: Event) -> i128 {
        let [harm, relief] = [&self.harm, &self.relief]
            .map(|side| side.binary_search_by_key(&event, |&(at, _)| at).map_or(0, |place| side[place].1));
        harm + relief
    }
}

/// For each question, the events between a relief and a harm, ascending. At most [`LANES`] questions.
pub(super) fn between(order: &Order, questions: &[&Sides]) -> Vec<Vec<Event>> {
    let mut found = vec![Vec::new(); questions.len()];
    let relief = || questions.iter().flat_map(|sides| &sides.relief).map(|&(event, _)| event);
    let harm = || questions.iter().flat_map(|sides| &sides.harm).map(|&(event, _)| event);
    let (Some(first), Some(last)) = (relief().min(), harm().max()) else { return found };
    if first >= last {
        return found;
    }
    // Nothing before the first relief or after the last harm can be between.
    let (first, last) = (first / 2, last / 2);
    let cell = |event: Event| (event - 2 * first) as usize;
    let inside = |event: Event| (first..=last).contains(&(event / 2));
    let cells = 2 * (last - first + 1) as usize;
    let (mut relieved, mut harming) = (vec![0_u64; cells], vec![0_u64; cells]);
    for (lane, sides) in questions.iter().enumerate() {
        for &(event, _) in sides.relief.iter().filter(|&&(event, _)| inside(event)) {
            relieved[cell(event)] |= 1 << lane;
        }
        for &(event, _) in sides.harm.iter().filter(|&&(event, _)| inside(event)) {
            harming[cell(event)] |= 1 << lane;
        }
    }
    for rank in first..=last {
        let start = cell(2 * rank);
        let earlier = order.before(rank).iter().filter(|&&before| before >= first);
        relieved[start] |= earlier.fold(0, |lanes, &before| lanes | relieved[cell(2 * before + 1)]);
        relieved[start + 1] |= relieved[start];
    }
    for rank in (first..=last).rev() {
        let start = cell(2 * rank);
        let later = order.after(rank).iter().filter(|&&after| after <= last);
        harming[start + 1] |= later.fold(0, |lanes, &after| lanes | harming[cell(2 * after)]);
        harming[start] |= harming[start + 1];
    }
    for (event, (relieved, harming)) in (2 * first..).zip(relieved.iter().zip(&harming)) {
        let mut lanes = relieved & harming;
        while lanes != 0 {
            found[lanes.trailing_zeros() as usize].push(event);
            lanes &= lanes - 1;
        }
    }
    found
}
