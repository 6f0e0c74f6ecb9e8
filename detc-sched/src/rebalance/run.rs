//! One thread's search: where it is, the best it has seen, and the two moves that everything is made of.
//!
//! Evaluating goes from cheap to dear, and stops as soon as a move is too bad: capacities, costs, rules.

use super::anneal::log_table;
use super::best::Best;
use super::dense::Dense;
use super::effort::{Effort, Spent};
use super::homecoming::Rounds;
use super::pick::Picker;
use super::reach::Reach;
use super::state::{Prices, Standing, State};
use crate::rng::Rng;

/// A thread's search.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) state: State<'a>,
    pub(crate) rng: Rng,
    pub(crate) best: Best,
    pub(crate) steps: u64,
    pub(crate) evaluated: u64,
    /// Of homecomings.
    pub(crate) rounds: Rounds,
    pub(crate) picker: Picker,
    /// How many instances may be elsewhere than where they ran.
    pub(crate) moved_max: usize,
    /// Where instances can be at all, where that is worth knowing.
    pub(crate) reach: Option<&'a Reach>,
    /// -ln of random numbers.
    pub(crate) logs: Vec<f64>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(dense: &'a Dense, at: &[u32], standing: Standing, prices: Prices, rng: Rng) -> Self {
        let mut state = State::new(dense, at, standing);
        state.set_prices(prices);
        // What breaks rules is no result: anything that does not is better.
        let cost = if state.fine() == 0 { standing.cost } else { i64::MAX };
        Self {
            state,
            rng,
            best: Best::new(at, cost),
            steps: 0,
            evaluated: 0,
            rounds: Rounds::new(),
            picker: Picker::new(dense),
            moved_max: usize::MAX,
            reach: None,
            logs: log_table(),
        }
    }

    /// Moves an instance, when that costs no more than `limit`, fines included. Gives what it cost.
    #[inline]
    pub(crate) fn try_shift(&mut self, instance: u32, to: u32, limit: i64) -> Option<i64> {
        self.evaluated += 1;
        if self.is_one_too_many(self.leaves(instance, to)) {
            return None;
        }
        let delta = self.shift_delta(instance, to, limit)?;
        let from = self.state.at[instance as usize];
        self.state.shift(instance, to);
        self.note(&[(instance, from)]);
        Some(delta)
    }

    /// What moving an instance would cost, fines included; none when it is more than `limit`.
    #[inline]
    pub(crate) fn shift_delta(&self, instance: u32, to: u32, limit: i64) -> Option<i64> {
        let state = &self.state;
        let fine = state.shift_fine(instance, to);
        // Most costs of a move are not below its gain on one machine; a fine far beyond the limit decides alone.
        if fine > limit.saturating_add(state.burden(state.at[instance as usize])) {
            return None;
        }
        let mut delta = state.shift_delta(instance, to).saturating_add(fine);
        if state.dense.has_wishes {
            delta = delta.saturating_add(state.wish_delta(instance, to));
        }
        if delta > limit && state.is_lawful() && !state.dense.claims.may_cost() {
            return None;
        }
        if !state.is_allowed(instance, to) {
            return None;
        }
        delta = delta.saturating_add(state.claim_delta(instance, to)?);
        if delta > limit && state.is_lawful() {
            return None;
        }
        delta = delta.saturating_add(state.breach_fine(instance, to));
        (delta <= limit).then_some(delta)
    }

    /// Lets two instances change places, when that costs no more than `limit`, fines included.
    #[inline]
    pub(crate) fn try_swap(&mut self, left: u32, right: u32, limit: i64) -> bool {
        self.evaluated += 1;
        let (a, b) = (self.state.at[left as usize], self.state.at[right as usize]);
        if self.is_one_too_many(self.leaves(left, b) + self.leaves(right, a)) {
            return false;
        }
        let delta = self.state.swap_delta(left, right).saturating_add(self.state.swap_fine(left, right));
        let dense = self.state.dense;
        let is_final = |delta: i64| delta > limit && self.state.is_lawful() && !dense.has_wishes;
        if is_final(delta) && !dense.claims.may_cost() {
            return false;
        }
        let (left_group, right_group) = (dense.group[left as usize], dense.group[right as usize]);
        if !self.state.is_allowed(left, b) || !self.state.is_allowed(right, a) {
            return false;
        }
        let Some(claims) = self.state.claim_swap_delta(left, right) else { return false };
        let delta = delta.saturating_add(claims);
        if is_final(delta) {
            return false;
        }
        if left_group != right_group {
            let first = delta.saturating_add(self.law_delta(left, b));
            if !dense.are_related(left_group, right_group) {
                if first.saturating_add(self.law_delta(right, a)) > limit {
                    return false;
                }
                self.state.shift(left, b);
            } else {
                // What the second breaks shows only when the first is made.
                self.state.shift(left, b);
                if first.saturating_add(self.law_delta(right, a)) > limit {
                    self.state.shift(left, a);
                    return false;
                }
            }
        } else {
            // The counts of a group do not change when two of its instances change places.
            if delta > limit {
                return false;
            }
            self.state.shift(left, b);
        }
        self.state.shift(right, a);
        self.note(&[(left, a), (right, b)]);
        true
    }

    /// By how many more are away from where they ran, when an instance moves.
    #[inline]
    fn leaves(&self, instance: u32, to: u32) -> isize {
        let (at, origin) = (self.state.at[instance as usize], self.state.dense.origin[instance as usize]);
        isize::from(at == origin) - isize::from(to == origin)
    }

    /// Whether more would be away than may be.
    #[inline]
    fn is_one_too_many(&self, more: isize) -> bool {
        more > 0 && self.state.away().len().saturating_add_signed(more) > self.moved_max
    }

    /// What moving an instance costs in rules and wishes.
    #[inline]
    fn law_delta(&self, instance: u32, to: u32) -> i64 {
        let wishes = if self.state.dense.has_wishes { self.state.wish_delta(instance, to) } else { 0 };
        self.state.breach_fine(instance, to).saturating_add(wishes)
    }

    /// Goes back to the best seen, if that is known, and if there is anything left to spend.
    pub(crate) fn back_to_best(&mut self, effort: &Effort<'_>) {
        if self.best.cost() == i64::MAX || effort.spent(self.steps) == Spent::ALL {
            return;
        }
        let standing = Standing { cost: self.best.cost(), breach: 0 };
        let at = self.best.write_out(&self.state.at).to_vec();
        let prices = self.state.prices().clone();
        self.state = State::new(self.state.dense, &at, standing);
        self.state.set_prices(prices);
        self.best = Best::new(&at, standing.cost);
    }

    /// The search is where it is, having moved these from where they were.
    pub(crate) fn note(&mut self, moves: &[(u32, u32)]) {
        let cost = if self.state.fine() == 0 { self.state.cost() } else { i64::MAX };
        self.best.note(moves, &self.state.at, cost);
    }
}
