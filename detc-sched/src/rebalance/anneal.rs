//! Simulated annealing over shifts and swaps, through placements that break capacities and rules at a price.
//!
//! Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing" (Science 220, 1983). For machine reassignment it was
//! shown to be among the best with no more than these two moves: Portal, Ritt, Borba and Buriol, "Simulated annealing for
//! the machine reassignment problem" (Annals of Operations Research 242, 2016). They keep capacities; here a full machine
//! is no wall but a slope: what is beyond a capacity is fined, and the fines grow as the temperature falls (as in
//! Glover's strategic oscillation), so that the search crosses what it could not go around and ends where nothing is
//! broken.

use super::effort::Effort;
use super::run::Run;
use super::state::Prices;

/// Steps between two looks at what is spent: rare enough to cost nothing, often enough for a deadline in milliseconds.
const STEPS_PER_LOOK: u64 = 256;

/// Looks between two adaptions of what is tried how often.
const LOOKS_PER_ADAPTION: u32 = 64;

/// So many partners are drawn at most until one is found that can change places.
const PARTNERS: usize = 8;

/// Even cooling goes in so many stages.
const STAGES_OF_COOLING: usize = 64;

/// How a run cools: from one temperature to another, over a part of the effort.
#[derive(Clone, Debug)]
pub(crate) struct Cooling {
    pub(crate) hot: f64,
    pub(crate) cold: f64,
    /// Fines at the beginning,
    pub(crate) prices: Prices,
    /// and how many times that they are at the end.
    pub(crate) dearer: f64,
    /// Shares of the whole effort at which it begins and ends.
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

/// A temperature, the fines that go with it, and the share of the whole effort at which it ends.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) temperature: f64,
    pub(crate) prices: Prices,
    pub(crate) end: f64,
    pub(crate) homing: Homing,
}

/// How often what is away is tried where it ran. That finds what is cheap to undo, and it holds large instances back from
/// going where they should: it is for when these are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Homing {
    Seldom,
    Often,
}

impl Run<'_> {
    /// Cools evenly, in the logarithm.
    pub(crate) fn anneal(&mut self, effort: &Effort<'_>, cooling: &Cooling) {
        let stages = STAGES_OF_COOLING;
        let stage = |index: usize| {
            let progress = (index as f64 + 0.5) / stages as f64;
            Stage {
                temperature: cooling.hot * (cooling.cold / cooling.hot).powf(progress),
                prices: cooling.prices.times(cooling.dearer.powf(progress)),
                end: cooling.begin + (cooling.end - cooling.begin) * (index + 1) as f64 / stages as f64,
                homing: Homing::Seldom,
            }
        };
        for index in 0..stages {
            self.dwell(effort, &stage(index));
        }
    }

    /// Searches at one temperature until its end. Gives the mean cost there.
    pub(crate) fn dwell(&mut self, effort: &Effort<'_>, stage: &Stage) -> f64 {
        let mut looks = 0_u32;
        let mut sum = 0.0;
        if self.state.dense.movable.is_empty() {
            return sum;
        }
        loop {
            // Nothing costs less than nothing.
            let share = effort.spent(self.steps).share();
            if share >= stage.end || share >= 1.0 || self.best.cost() == 0 {
                break;
            }
            if looks == 0 {
                self.state.set_prices(stage.prices.clone());
            }
            for _ in 0..STEPS_PER_LOOK {
                self.step(stage);
            }
            self.steps += STEPS_PER_LOOK;
            sum += self.state.cost() as f64;
            looks += 1;
            if looks.is_multiple_of(LOOKS_PER_ADAPTION) {
                self.picker.adapt();
            }
            self.homecomings(effort, stage.end, stage.temperature);
        }
        if looks == 0 { self.state.cost() as f64 } else { sum / f64::from(looks) }
    }

    /// How much a move may cost that is accepted, drawn by these random bits.
    #[inline]
    pub(crate) fn drawn_limit(&self, temperature: f64, bits: u64) -> i64 {
        (temperature * self.logs[(bits & 1023) as usize]) as i64
    }

    /// Tries one move.
    #[inline]
    fn step(&mut self, stage: &Stage) {
        let bits = self.rng.next();
        let limit = self.drawn_limit(stage.temperature, bits);
        match ((bits >> 10) & 63, stage.homing) {
            (0, _) | (1..=3, Homing::Often) => self.return_home(limit),
            (4, _) | (5..=11, Homing::Often) => self.swap_home(limit),
            (1..=31, _) => self.random_shift(limit),
            _ => self.random_swap(limit),
        }
    }

    fn random_shift(&mut self, limit: i64) {
        let (instance, class) = self.picker.pick(&mut self.rng);
        if let Some(to) = self.machine_for(instance)
            && to != self.state.at[instance as usize]
        {
            let accepted = self.try_shift(instance, to, limit).is_some();
            self.picker.note(class, accepted);
        }
    }

    /// To where it ran: there it occupies nothing twice, and the move costs nothing.
    fn return_home(&mut self, limit: i64) {
        let away = self.state.away();
        if away.is_empty() {
            return;
        }
        let instance = away[self.rng.below(away.len())];
        if self.state.dense.is_movable(instance) {
            self.try_shift(instance, self.state.dense.origin[instance as usize], limit);
        }
    }

    /// To where it ran, in the place of another.
    fn swap_home(&mut self, limit: i64) {
        let away = self.state.away();
        if away.is_empty() {
            return;
        }
        let left = away[self.rng.below(away.len())];
        let residents = self.state.residents(self.state.dense.origin[left as usize]);
        if residents.is_empty() {
            return;
        }
        let right = residents[self.rng.below(residents.len())];
        if self.can_reach(right, self.state.at[left as usize])
            && self.state.dense.is_movable(left)
            && self.state.dense.is_movable(right)
        {
            self.try_swap(left, right, limit);
        }
    }

    fn random_swap(&mut self, limit: i64) {
        let (left, class) = self.picker.pick(&mut self.rng);
        let Some(right) = self.partner(left) else { return };
        if self.state.at[left as usize] != self.state.at[right as usize] {
            let accepted = self.try_swap(left, right, limit);
            self.picker.note(class, accepted);
        }
    }
}

impl Run<'_> {
    /// A machine by chance, of those to which an instance can go.
    #[inline]
    pub(crate) fn machine_for(&mut self, instance: u32) -> Option<u32> {
        match self.reach {
            Some(reach) => reach.pick(instance, &mut self.rng),
            None => Some(self.rng.below(self.state.dense.machines) as u32),
        }
    }

    /// Whether an instance can ever be on a machine; without its rules, where that is not known.
    #[inline]
    pub(crate) fn can_reach(&self, instance: u32, machine: u32) -> bool {
        match self.reach {
            Some(reach) => {
                reach.has(instance, machine) && !self.state.dense.is_left_for_good(instance, machine)
            }
            None => self.state.is_allowed(instance, machine),
        }
    }

    /// Another of about its size, each of which can be where the other is.
    #[inline]
    fn partner(&mut self, left: u32) -> Option<u32> {
        let Some(reach) = self.reach else { return self.picker.partner(left, &mut self.rng) };
        let at = &self.state.at;
        for _ in 0..PARTNERS {
            if let Some(right) = self.picker.partner(left, &mut self.rng)
                && reach.has(left, at[right as usize])
                && reach.has(right, at[left as usize])
            {
                return Some(right);
            }
        }
        None
    }
}

impl Prices {
    /// So many times these.
    pub(crate) fn times(&self, factor: f64) -> Self {
        let times = |price: i64| ((price as f64 * factor) as i64).max(1);
        Self {
            capacity: self.capacity.iter().copied().map(times).collect(),
            excess: self.excess,
            breach: times(self.breach),
        }
    }
}

/// -ln of the middles of 1,024 equal parts of (0, 1).
pub(crate) fn log_table() -> Vec<f64> {
    (0..1024).map(|index| -((f64::from(index) + 0.5) / 1024.0).ln()).collect()
}
