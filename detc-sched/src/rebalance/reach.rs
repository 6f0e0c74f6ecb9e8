//! Where an instance can ever be, whatever else moves.
//!
//! What is occupied twice while it moves is not freed by those who leave: on each machine no more than what was free at the
//! start is there for all who come. So most ways of a large instance are closed for good, and a search that knows the open ones
//! does not draw the others. (On the hardest models of the 2012 challenge, three of four ways are closed, and of the larger half
//! of the instances nine of ten.)

use super::dense::{Dense, NOWHERE, has_bit};
use crate::rng::Rng;

#[cfg(test)]
mod tests;

/// Of so many ways at most a list is made: 64 MiB.
const WAYS_MAX: usize = 1 << 24;

/// Where more of all ways are open than this, drawing any machine is as good.
const OPEN_MAX: f64 = 0.6;

/// The machines that each instance can go to.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Where each instance's machines begin; one more entry than instances.
    starts: Vec<u32>,
    machines: Vec<u32>,
    /// One bit a machine, for each instance.
    bits: Vec<u64>,
    words: usize,
}

impl Reach {
    /// None where it would not be worth it: where most ways are open, or there are very many. `at` is the start: what is nowhere
    /// there stays so.
    pub(crate) fn new(dense: &Dense, at: &[u32]) -> Option<Self> {
        let all = dense.order.len().checked_mul(dense.machines)?;
        if all > WAYS_MAX || dense.movable.is_empty() {
            return None;
        }
        let reach = Self::of_all(dense, at);
        (reach.machines.len() as f64 <= OPEN_MAX * all as f64).then_some(reach)
    }

    fn of_all(dense: &Dense, at: &[u32]) -> Self {
        let width = dense.resources;
        let mut left = dense.capacities.clone();
        let mut is_fixed = vec![true; dense.order.len()];
        dense.movable.iter().for_each(|instance| is_fixed[*instance as usize] = false);
        for (instance, at) in at.iter().enumerate().filter(|(_, at)| **at != NOWHERE) {
            let needs = &dense.needs[instance * width..][..width];
            let origin = dense.origin[instance];
            for (resource, need) in needs.iter().enumerate() {
                if origin != NOWHERE {
                    left[origin as usize * width + resource] -= need & dense.twice[resource];
                }
                if is_fixed[instance] {
                    let counted = dense.twice[resource] & -i64::from(*at == origin);
                    left[*at as usize * width + resource] -= need & !counted;
                }
            }
        }
        let words = dense.machines.div_ceil(64);
        let mut reach = Self { starts: vec![0], machines: Vec::new(), bits: Vec::new(), words };
        for instance in 0..dense.order.len() {
            let needs = &dense.needs[instance * width..][..width];
            let allowed = &dense.groups[dense.group[instance] as usize].allowed;
            let begin = reach.bits.len();
            reach.bits.resize(begin + words, 0);
            for machine in 0..dense.machines as u32 {
                let left = &left[machine as usize * width..][..width];
                let fits = || needs.iter().zip(left).all(|(need, left)| need <= left || *need == 0);
                if has_bit(allowed, machine) && (dense.origin[instance] == machine || fits()) {
                    reach.machines.push(machine);
                    reach.bits[begin + machine as usize / 64] |= 1 << (machine % 64);
                }
            }
            reach.starts.push(reach.machines.len() as u32);
        }
        reach
    }

    /// The machines that an instance can go to, where it ran among them.
    #[inline]
    pub(crate) fn of(&self, instance: u32) -> &[u32] {
        &self.machines[self.starts[instance as usize] as usize..self.starts[instance as usize + 1] as usize]
    }

    /// One of these by chance; none where there is none.
    #[inline]
    pub(crate) fn pick(&self, instance: u32, rng: &mut Rng) -> Option<u32> {
        match self.of(instance) {
            [] => None,
            machines => Some(machines[rng.below(machines.len())]),
        }
    }

    /// Whether an instance can go to a machine.
    #[inline]
    pub(crate) fn has(&self, instance: u32, machine: u32) -> bool {
        self.bits[instance as usize * self.words + machine as usize / 64] & (1 << (machine % 64)) != 0
    }
}
