//! Packings of machines that hold two or three each: the rare threes are searched for, the twos are a matching.
//!
//! ```text
//!   all threes that fit, the best by price first ─▶ one by chance ─▶ those who shared with them look for another ─▶ kept, or not
//!                                                     (a set)             (augmenting paths in the matching)
//! ```
//!
//! What a packing saves is `size - 1` of each set of three and more, and one of each pair. Who fits with whom is a graph; in it a
//! pair is found for as many as can have one by augmenting paths (Berge, "Two theorems in graph theory", PNAS 43, 1957). Paths
//! through blossoms (Edmonds, "Paths, trees, and flowers", Canadian Journal of Mathematics 17, 1965) are left out: where so many pairs
//! fit, there are others. So the search is only among sets, of which there are few, and each is tried with the pairs that go with it.
//!
//! Which threes are worth it tell prices: those of the dual of the covering problem, as high in sum as they can be while no pair and no
//! three is above one (Gilmore and Gomory, "A linear programming approach to the cutting-stock problem", Operations Research 9, 1961). They are
//! found roughly, by descent with a penalty (Kingma and Ba, "Adam", ICLR 2015). In good packings nearly all sets have a price of about
//! one. Drawn without prices, threes gave two machines more of a hundred.

use std::sync::Arc;

use crate::rebalance::dense::{Dense, NOWHERE};
use crate::rebalance::effort::{Effort, Spent};
use crate::rng::Rng;

#[cfg(test)]
mod tests;

/// Of more items pairs and threes are not listed: the time for that goes with the third power.
const ITEMS_MAX: usize = 1_000;

/// Of more threes there is no want: then machines hold more than three.
const THREES_MAX: usize = 1_000_000;

/// Members of a set, at most.
const SET_MAX: usize = 6;

/// Moves between two looks at what is spent.
const MOVES_PER_LOOK: u64 = 4;

/// How much more often the first threes are drawn: by this power of a random number. Of 3, 8 and 16 the larger was better; 40 was as good as
/// 16, and reached one optimum more.
const BIAS: f64 = 40.0;

/// Of so many moves, at the first so many a set is taken now and then that saves one less: one in so many. At all moves it did harm.
const CALM: u64 = 1 << 16;
const KICKS: u64 = 1 << 11;
const KICKED: usize = 64;

/// Steps of the descent to prices, each over all pairs and threes: as many as go over so many of these, within bounds; and no more than this
/// share of the effort.
const PRICED_MAX: usize = 200_000_000;
const DESCENT_MIN: usize = 100;
const DESCENT_MAX: usize = 2_000;
const PRICES_SHARE: f64 = 0.1;

/// Pairs and threes that are gone over in the time of a step of a search.
const COLUMNS_PER_STEP: u64 = 64;

/// What a unit of a price beyond one is fined, when prices are looked for.
const PENALTY: f64 = 20.0;

/// The first and the last step of the descent.
const RATE_BEGIN: f64 = 0.02;
const RATE_END: f64 = 0.0002;

/// Nobody, in lists of items.
const NOBODY: u16 = u16::MAX;

/// Who fits together, in twos and threes.
#[derive(Debug)]
pub(super) struct Fits {
    items: usize,
    words: usize,
    /// A row of bits for each item: with whom it fits.
    pairs: Vec<u64>,
    threes: Vec<[u16; 3]>,
    /// Per item, where its threes begin in `threes_of`; and the end.
    begins: Vec<u32>,
    threes_of: Vec<u32>,
}

impl Fits {
    /// None, where there are too many items, or threes, or none, or all is spent.
    pub(super) fn new(dense: &Dense, effort: &Effort<'_>, steps: &mut u64) -> Option<Self> {
        let items = dense.order.len();
        if items > ITEMS_MAX {
            return None;
        }
        let width = dense.resources;
        let needs = |item: usize| &dense.needs[item * width..][..width];
        let capacity = &dense.capacities[..width];
        let words = items.div_ceil(64);
        let mut pairs = vec![0_u64; items * words];
        for left in 0..items {
            for right in 0..left {
                let sums = needs(left).iter().zip(needs(right)).map(|(left, right)| left + right);
                if sums.zip(capacity).all(|(sum, capacity)| sum <= *capacity) {
                    pairs[left * words + right / 64] |= 1 << (right % 64);
                    pairs[right * words + left / 64] |= 1 << (left % 64);
                }
            }
        }
        let mut fits =
            Self { items, words, pairs, threes: Vec::new(), begins: Vec::new(), threes_of: Vec::new() };
        fits.threes = fits.all_threes(dense, || effort.spent(*steps) == Spent::ALL)?;
        let prices = fits.prices(effort, steps);
        if effort.spent(*steps) == Spent::ALL {
            return None;
        }
        let price = |three: &[u16; 3]| three.iter().map(|item| prices[*item as usize]).sum::<f64>();
        let mut priced: Vec<(f64, [u16; 3])> =
            fits.threes.iter().map(|three| (price(three), *three)).collect();
        priced.sort_by(|left, right| right.0.total_cmp(&left.0));
        fits.threes = priced.into_iter().map(|(_, three)| three).collect();
        fits.index();
        Some(fits)
    }

    /// All threes that fit; none, where there are too many, or none, or it is to end.
    fn all_threes(&self, dense: &Dense, ends: impl Fn() -> bool) -> Option<Vec<[u16; 3]>> {
        let width = dense.resources;
        let needs = |item: usize| &dense.needs[item * width..][..width];
        let mut threes = Vec::new();
        let mut left = vec![0; width];
        let mut both = vec![0; self.words];
        for first in 0..self.items {
            if ends() {
                return None;
            }
            for second in ones(self.row(first)).filter(|second| *second > first) {
                for (resource, left) in left.iter_mut().enumerate() {
                    *left = dense.capacities[resource] - needs(first)[resource] - needs(second)[resource];
                }
                let rows = self.row(first).iter().zip(self.row(second));
                both.iter_mut().zip(rows).for_each(|(both, (one, other))| *both = one & other);
                let fit = ones(&both).filter(|third| {
                    *third > second && needs(*third).iter().zip(&left).all(|(need, left)| need <= left)
                });
                threes.extend(fit.map(|third| [first, second, third].map(|item| item as u16)));
                if threes.len() > THREES_MAX {
                    return None;
                }
            }
        }
        (!threes.is_empty()).then_some(threes)
    }

    /// A price for each item, so that hardly any pair or three is above one, and their sum is high.
    fn prices(&self, effort: &Effort<'_>, steps: &mut u64) -> Vec<f64> {
        let twos: Vec<[u16; 2]> = (0..self.items)
            .flat_map(|one| {
                ones(self.row(one))
                    .filter(move |other| *other > one)
                    .map(move |other| [one as u16, other as u16])
            })
            .collect();
        let columns = twos.len() + self.threes.len();
        let descent = (PRICED_MAX / columns.max(1)).clamp(DESCENT_MIN, DESCENT_MAX);
        let end = effort.spent(*steps).share() + PRICES_SHARE;
        // Who fits with few is dear.
        let fits = |item: usize| self.row(item).iter().map(|word| f64::from(word.count_ones())).sum::<f64>();
        let mut prices: Vec<f64> =
            (0..self.items).map(|item| 0.6 - 0.3 * fits(item) / self.items as f64).collect();
        let (mut mean, mut square) = (vec![0.0; self.items], vec![0.0; self.items]);
        let mut slopes = vec![0.0; self.items];
        for step in 0..descent {
            if effort.spent(*steps).share() >= end.min(1.0) {
                break;
            }
            *steps += columns as u64 / COLUMNS_PER_STEP;
            slopes.fill(-1.0);
            twos.iter().for_each(|two| fine(two, &prices, &mut slopes));
            self.threes.iter().for_each(|three| fine(three, &prices, &mut slopes));
            let rate = RATE_BEGIN * (RATE_END / RATE_BEGIN).powf(step as f64 / descent as f64);
            let (unseen, unseen_square) =
                (1.0 - 0.9_f64.powi(step as i32 + 1), 1.0 - 0.99_f64.powi(step as i32 + 1));
            for (item, slope) in slopes.iter().enumerate() {
                mean[item] = 0.9 * mean[item] + 0.1 * slope;
                square[item] = 0.99 * square[item] + 0.01 * slope * slope;
                let way = mean[item] / unseen / ((square[item] / unseen_square).sqrt() + f64::EPSILON);
                prices[item] = (prices[item] - rate * way).clamp(0.0, 1.0);
            }
        }
        prices
    }

    /// Notes the threes of each item.
    fn index(&mut self) {
        let mut begins = vec![0_u32; self.items + 1];
        for item in self.threes.iter().flatten() {
            begins[*item as usize + 1] += 1;
        }
        for item in 0..self.items {
            begins[item + 1] += begins[item];
        }
        let mut ends = begins.clone();
        self.threes_of = vec![0; self.threes.len() * 3];
        for (index, three) in self.threes.iter().enumerate() {
            for item in three {
                self.threes_of[ends[*item as usize] as usize] = index as u32;
                ends[*item as usize] += 1;
            }
        }
        self.begins = begins;
    }

    fn row(&self, item: usize) -> &[u64] {
        &self.pairs[item * self.words..][..self.words]
    }
}

/// Adds to the slopes what a set is fined whose price is above one.
fn fine(set: &[u16], prices: &[f64], slopes: &mut [f64]) {
    let beyond = set.iter().map(|item| prices[*item as usize]).sum::<f64>() - 1.0;
    if beyond > 0.0 {
        set.iter().for_each(|item| slopes[*item as usize] += PENALTY * beyond);
    }
}

/// The numbers of the bits that are set.
fn ones(bits: &[u64]) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(word, bits)| {
        let mut bits = *bits;
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros() as usize;
            (bits != 0).then(|| {
                bits &= bits - 1;
                word * 64 + bit
            })
        })
    })
}

/// Sets of three and more, pairs, and those who are alone.
#[derive(Clone, Debug)]
struct Packing {
    sets: Vec<([u16; SET_MAX], u8)>,
    /// Which set each is in; [`NOBODY`], when in none.
    set_of: Vec<u16>,
    /// With whom each is, who is in no set.
    mates: Vec<u16>,
    /// Who is alone, and who is in a set: a bit for each.
    alone: Vec<u64>,
    in_sets: Vec<u64>,
    saved: usize,
}

impl Packing {
    fn leave_alone(&mut self, item: u16) {
        self.mates[item as usize] = NOBODY;
        set_bit(&mut self.alone, item);
    }

    fn pair(&mut self, left: u16, right: u16) {
        for (one, other) in [(left, right), (right, left)] {
            self.mates[one as usize] = other;
            clear_bit(&mut self.alone, one);
        }
    }

    /// A set of those who are alone, or nowhere yet.
    fn add(&mut self, members: &[u16]) {
        let mut set = [NOBODY; SET_MAX];
        set[..members.len()].copy_from_slice(members);
        for item in members {
            self.set_of[*item as usize] = self.sets.len() as u16;
            set_bit(&mut self.in_sets, *item);
            clear_bit(&mut self.alone, *item);
        }
        self.sets.push((set, members.len() as u8));
        self.saved += members.len() - 1;
    }

    /// Takes one from those it is with: it is alone then.
    fn take(&mut self, item: u16) {
        let (set, mate) = (self.set_of[item as usize], self.mates[item as usize]);
        if set != NOBODY {
            let (members, len) = &mut self.sets[set as usize];
            *len -= 1;
            let slot = members.iter().position(|member| *member == item);
            members.swap(slot.expect("invariant: it is in its set"), *len as usize);
            self.set_of[item as usize] = NOBODY;
            clear_bit(&mut self.in_sets, item);
            if *len == 2 {
                let [left, right, ..] = *members;
                self.dissolve(set);
                self.pair(left, right);
            }
            self.saved -= 1;
        } else if mate != NOBODY {
            self.leave_alone(mate);
            self.saved -= 1;
        }
        self.leave_alone(item);
    }

    /// A set is none any more; the last takes its number.
    fn dissolve(&mut self, set: u16) {
        let (members, len) = self.sets.swap_remove(set as usize);
        for item in &members[..len as usize] {
            self.set_of[*item as usize] = NOBODY;
            clear_bit(&mut self.in_sets, *item);
        }
        if let Some((members, len)) = self.sets.get(set as usize) {
            for item in &members[..*len as usize] {
                self.set_of[*item as usize] = set;
            }
        }
    }

    /// On which machine each is.
    fn write_out(&self) -> Vec<u32> {
        let mut next = self.sets.len() as u32;
        let mut at = vec![NOWHERE; self.mates.len()];
        for item in 0..at.len() {
            if self.set_of[item] != NOBODY {
                at[item] = u32::from(self.set_of[item]);
            } else if at[item] == NOWHERE {
                at[item] = next;
                if self.mates[item] != NOBODY {
                    at[self.mates[item] as usize] = next;
                }
                next += 1;
            }
        }
        at
    }
}

/// A search for a packing that saves as much as is asked.
#[derive(Debug)]
pub(super) struct Pairs {
    fits: Arc<Fits>,
    moves: u64,
    now: Packing,
    tried: Packing,
    /// Who was met by the path that is looked for, and for each through whom it goes on.
    met: Vec<u64>,
    through: Vec<u16>,
    outer: Vec<u16>,
}

impl Pairs {
    /// From a packing: where each is. None, where a machine holds too many.
    pub(super) fn new(fits: Arc<Fits>, at: &[u32]) -> Option<Self> {
        let items = fits.items;
        let mut packing = Packing {
            sets: Vec::new(),
            set_of: vec![NOBODY; items],
            mates: vec![NOBODY; items],
            alone: vec![0; fits.words],
            in_sets: vec![0; fits.words],
            saved: 0,
        };
        let mut order: Vec<u16> = (0..items as u16).collect();
        order.sort_by_key(|item| at[*item as usize]);
        for members in order.chunk_by(|left, right| {
            at[*left as usize] == at[*right as usize] && at[*left as usize] != NOWHERE
        }) {
            match members {
                [one] => packing.leave_alone(*one),
                [left, right] => {
                    packing.pair(*left, *right);
                    packing.saved += 1;
                }
                _ if members.len() > SET_MAX => return None,
                _ => packing.add(members),
            }
        }
        let tried = packing.clone();
        let words = fits.words;
        let search = Self {
            fits,
            now: packing,
            tried,
            met: vec![0; words],
            through: vec![NOBODY; items],
            outer: Vec::new(),
            moves: 0,
        };
        Some(search)
    }

    /// Searches until at most so many machines are used, or `share` of the effort is spent. Gives where all are, in the former case.
    pub(super) fn search(
        &mut self,
        machines: usize,
        effort: &Effort<'_>,
        rng: &mut Rng,
        steps: &mut u64,
        share: f64,
    ) -> Option<Vec<u32>> {
        loop {
            if self.fits.items - self.now.saved <= machines {
                return Some(self.now.write_out());
            }
            if effort.spent(*steps).share() >= share {
                return None;
            }
            for _ in 0..MOVES_PER_LOOK {
                self.try_set(rng);
            }
            *steps += MOVES_PER_LOOK * self.fits.words as u64;
        }
    }

    /// Puts three together that fit, and lets those who shared with them look for others.
    fn try_set(&mut self, rng: &mut Rng) {
        let three = self.three(rng);
        let set = self.now.set_of[three[0] as usize];
        if set != NOBODY && three.iter().all(|item| self.now.set_of[*item as usize] == set) {
            return;
        }
        self.tried.clone_from(&self.now);
        for item in three {
            self.tried.take(item);
        }
        self.tried.add(&three);
        let alone: Vec<usize> = ones(&self.tried.alone).collect();
        for item in alone {
            self.find_mate(item as u16, rng);
        }
        let lost = self.now.saved.saturating_sub(self.tried.saved);
        self.moves += 1;
        let is_kicked = self.moves % CALM < KICKS && rng.below(KICKED) == 0;
        if lost == 0 || (lost == 1 && is_kicked) {
            std::mem::swap(&mut self.now, &mut self.tried);
        }
    }

    /// Three that fit: by chance, every second time with one that is alone.
    fn three(&mut self, rng: &mut Rng) -> [u16; 3] {
        let fits = &self.fits;
        let alone: usize = self.now.alone.iter().map(|word| word.count_ones() as usize).sum();
        if alone > 0 && rng.below(2) == 0 {
            let item = ones(&self.now.alone).nth(rng.below(alone)).expect("invariant: so many are alone");
            let own = &fits.threes_of[fits.begins[item] as usize..fits.begins[item + 1] as usize];
            if !own.is_empty() {
                return fits.threes[own[biased(own.len(), rng)] as usize];
            }
        }
        fits.threes[biased(fits.threes.len(), rng)]
    }

    /// A mate for one that is alone, by the shortest way of changing mates.
    fn find_mate(&mut self, item: u16, rng: &mut Rng) {
        let packing = &mut self.tried;
        if !has_bit(&packing.alone, item) {
            return;
        }
        // Those in sets stay there.
        self.met.copy_from_slice(&packing.in_sets);
        set_bit(&mut self.met, item);
        self.outer.clear();
        self.outer.push(item);
        let mut next = 0;
        while let Some(outer) = self.outer.get(next).copied() {
            next += 1;
            let row = self.fits.row(outer as usize);
            let first = rng.below(self.fits.words);
            for word in (first..self.fits.words).chain(0..first) {
                let open = row[word] & !self.met[word];
                let free = open & packing.alone[word];
                if free != 0 {
                    let mate = (word * 64) as u16 + free.trailing_zeros() as u16;
                    self.change_mates(item, outer, mate);
                    return;
                }
                for bit in ones(&[open]) {
                    let inner = (word * 64 + bit) as u16;
                    let on = packing.mates[inner as usize];
                    if !has_bit(&self.met, inner) {
                        set_bit(&mut self.met, inner);
                        set_bit(&mut self.met, on);
                        self.through[on as usize] = outer;
                        self.outer.push(on);
                    }
                }
            }
        }
    }

    /// `last` gets a mate who was alone; the former one of `last` gets the one through whom it was met, and so on back to `first`.
    fn change_mates(&mut self, first: u16, last: u16, mate: u16) {
        let (mut one, mut other) = (last, mate);
        loop {
            let former = self.tried.mates[one as usize];
            self.tried.pair(one, other);
            if one == first {
                break;
            }
            (one, other) = (self.through[one as usize], former);
        }
        self.tried.saved += 1;
    }
}

/// A number below `len`, most often a low one.
fn biased(len: usize, rng: &mut Rng) -> usize {
    let share = rng.below(1 << 30) as f64 / f64::from(1 << 30);
    ((share.powf(BIAS) * len as f64) as usize).min(len - 1)
}

fn set_bit(bits: &mut [u64], item: u16) {
    bits[item as usize / 64] |= 1 << (item % 64);
}

fn clear_bit(bits: &mut [u64], item: u16) {
    bits[item as usize / 64] &= !(1 << (item % 64));
}

fn has_bit(bits: &[u64], item: u16) -> bool {
    bits[item as usize / 64] & (1 << (item % 64)) != 0
}
