//! Which instance to try next: sizes spread over decades, and at each temperature only some of them matter.
//!
//! What is small goes anywhere at a high temperature, and what is large goes nowhere at a low one: both tell nothing. So
//! instances are put in order of size and cut into classes, and a class is tried the more often the more seldom its moves
//! are accepted, within bounds. Who an instance changes places with is chosen among those of about its size: other swaps
//! are hardly more than a move of the larger.
//!
//! The chance to try a move does not depend on the placement, and is the same for its reverse: what annealing asks for.

use super::dense::Dense;
use crate::rng::Rng;

#[cfg(test)]
mod tests;

/// Classes of instances.
const CLASSES_MAX: usize = 32;

/// A class has at least so many.
const CLASS_MIN: usize = 8;

/// Of what is accepted more seldom than this nothing more is hoped for.
const RATE_MIN: f64 = 0.01;

/// Entries of the table that classes are drawn from.
const DRAWS: usize = 1024;

/// Chooses instances.
#[derive(Debug)]
pub(crate) struct Picker {
    /// Movable instances, by size.
    order: Vec<u32>,
    /// The place of each instance in that order.
    rank: Vec<u32>,
    classes: Vec<Class>,
    draws: Vec<u8>,
    /// Bits of the greatest distance of two that change places.
    reach: usize,
}

#[derive(Clone, Debug)]
struct Class {
    begin: u32,
    count: u32,
    tried: u32,
    accepted: u32,
    /// What share of its moves was accepted lately.
    rate: f64,
}

impl Picker {
    pub(crate) fn new(dense: &Dense) -> Self {
        let mut order = dense.movable.clone();
        let worth = dense.worth_of_units();
        let size = |instance: &u32| -> f64 {
            let needs = &dense.needs[*instance as usize * dense.resources..][..dense.resources];
            needs.iter().zip(&worth).map(|(need, worth)| *need as f64 * worth).sum()
        };
        let sizes: Vec<f64> = (0..dense.order.len() as u32).map(|instance| size(&instance)).collect();
        order.sort_by(|left, right| {
            sizes[*left as usize].total_cmp(&sizes[*right as usize]).then(left.cmp(right))
        });
        let mut rank = vec![u32::MAX; dense.order.len()];
        for (index, instance) in order.iter().enumerate() {
            rank[*instance as usize] = index as u32;
        }
        let count = (order.len() / CLASS_MIN).clamp(1, CLASSES_MAX);
        let edge = |class: usize| (order.len() * class / count) as u32;
        let class = |class: usize| Class {
            begin: edge(class),
            count: edge(class + 1) - edge(class),
            tried: 0,
            accepted: 0,
            rate: 0.5,
        };
        let classes: Vec<Class> = (0..count).map(class).collect();
        let reach = (order.len().max(2) - 1).ilog2() as usize + 1;
        let mut picker = Self { order, rank, classes, draws: Vec::new(), reach };
        picker.draw_anew();
        picker
    }

    /// An instance, and its class.
    #[inline]
    pub(crate) fn pick(&self, rng: &mut Rng) -> (u32, usize) {
        let bits = rng.next();
        let class = self.draws[(bits % DRAWS as u64) as usize] as usize;
        let Class { begin, count, .. } = self.classes[class];
        let within = ((bits >> 32) * u64::from(count)) >> 32;
        (self.order[begin as usize + within as usize], class)
    }

    /// The place of an instance in the order of sizes.
    #[inline]
    pub(crate) fn rank(&self, instance: u32) -> u32 {
        self.rank[instance as usize]
    }

    /// Another of about its size.
    #[inline]
    pub(crate) fn partner(&self, instance: u32, rng: &mut Rng) -> Option<u32> {
        let bits = rng.next();
        let scale = ((bits & 0xFFFF) * self.reach as u64) >> 16;
        let distance = 1 + (((bits >> 32) << scale) >> 32);
        let rank = u64::from(self.rank[instance as usize]);
        let other = if bits & (1 << 16) == 0 { rank.checked_sub(distance)? } else { rank + distance };
        self.order.get(other as usize).copied()
    }

    /// An instance of this class was tried.
    #[inline]
    pub(crate) fn note(&mut self, class: usize, accepted: bool) {
        self.classes[class].tried += 1;
        self.classes[class].accepted += u32::from(accepted);
    }

    /// Sets the shares of the classes by what was accepted.
    pub(crate) fn adapt(&mut self) {
        for class in &mut self.classes {
            if class.tried > 0 {
                let rate = f64::from(class.accepted) / f64::from(class.tried);
                class.rate += (rate - class.rate) * 0.5;
            }
            (class.tried, class.accepted) = (0, 0);
        }
        self.draw_anew();
    }

    fn draw_anew(&mut self) {
        let weight = |class: &Class| f64::from(class.count) / (class.rate + RATE_MIN);
        let total: f64 = self.classes.iter().map(weight).sum();
        self.draws.clear();
        let mut sum = 0.0;
        for (index, class) in self.classes.iter().enumerate() {
            sum += weight(class) / total;
            let end = ((sum * DRAWS as f64).round() as usize).clamp(self.draws.len(), DRAWS);
            self.draws.resize(end.max(self.draws.len() + 1).min(DRAWS), index as u8);
        }
        self.draws.resize(DRAWS, (self.classes.len() - 1) as u8);
    }
}
