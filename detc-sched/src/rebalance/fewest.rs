//! The fewest that together take off all of an excess: exact among those that take most, as far as is looked.
//!
//! A covering problem in as many dimensions as resources are exceeded. Depth first with ever more in the set (Korf, "Depth-first
//! iterative-deepening", Artificial Intelligence 27, 1985). Two bounds cut it: of each resource, the most that so many more can
//! take; and of all together, in parts of their excess (a surrogate constraint: Glover, "Surrogate constraints", Operations
//! Research 16, 1968), by which the candidates stand in order.

use super::state::State;

#[cfg(test)]
mod tests;

/// Looks at sets, for one machine. Where residents are alike and many, that is not all sets: then the first is as good as any.
const LOOKS_MAX: u64 = 4_000;

/// So many looks take as long as a step of a search.
const LOOKS_PER_STEP: u64 = 16;

/// The largest set that is looked for. What takes more is a long way to go, on which one more or less counts little.
pub(crate) const SET_MAX: usize = 8;

/// Candidates of which sets are made; those that take least of all together are left out.
const CANDIDATES_MAX: usize = 256;

/// A whole excess, of which parts are counted.
const WHOLE: i64 = 1 << 20;

/// Who could be in the set: what it takes of each resource, and how large it is.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    id: u32,
    takes: &'a [i64],
    size: i64,
}

impl State<'_> {
    /// The fewest of these instances that take off such an excess, and how many steps that took. None, too, when what moving them costs
    /// differs: then not their number counts.
    pub(crate) fn fewest(&self, excess: &[i64], of: &[u32]) -> (Option<Vec<u32>>, u64) {
        let cost = |id: &u32| self.dense.move_cost[*id as usize];
        if of.iter().any(|id| cost(id) != cost(&of[0])) {
            return (None, of.len() as u64);
        }
        let candidate = |id: &u32| Candidate { id: *id, takes: self.needs(*id), size: self.dense.size(*id) };
        let mut looks = LOOKS_MAX;
        let fewest = fewest(excess, of.iter().map(candidate), &mut looks);
        (fewest, of.len() as u64 + (LOOKS_MAX - looks) / LOOKS_PER_STEP)
    }
}

/// Of the fewest candidates that take at least `excess` of each resource, those of the least size that was met within so many looks;
/// none, when no eight of them do, or none was found. Looks that were taken are taken off.
fn fewest<'a>(
    excess: &[i64],
    candidates: impl Iterator<Item = Candidate<'a>>,
    looks: &mut u64,
) -> Option<Vec<u32>> {
    let exceeded: Vec<usize> = (0..excess.len()).filter(|resource| excess[*resource] > 0).collect();
    if exceeded.is_empty() {
        return Some(Vec::new());
    }
    let part = |candidate: &Candidate<'_>| -> i64 {
        let of = |resource: &usize| {
            let excess = excess[*resource];
            let takes = i128::from(candidate.takes[*resource].min(excess));
            // Rounded up: what is enough is never taken for too little.
            ((takes * i128::from(WHOLE) + i128::from(excess) - 1) / i128::from(excess)) as i64
        };
        exceeded.iter().map(of).sum()
    };
    let mut candidates: Vec<(i64, Candidate<'_>)> = candidates.map(|of| (part(&of), of)).collect();
    let most_first = |(part, candidate): &(i64, Candidate<'_>)| (std::cmp::Reverse(*part), candidate.id);
    if candidates.len() > CANDIDATES_MAX {
        candidates.select_nth_unstable_by_key(CANDIDATES_MAX, most_first);
        candidates.truncate(CANDIDATES_MAX);
    }
    candidates.sort_unstable_by_key(most_first);
    let mut search = Search {
        exceeded: &exceeded,
        candidates: &candidates,
        most: Vec::new(),
        looks,
        set: Vec::new(),
        best: None,
    };
    for len in 1..=SET_MAX.min(candidates.len()) {
        if len == 2 {
            search.most = most(&exceeded, &candidates);
        }
        let mut left =
            [exceeded.iter().map(|resource| excess[*resource]).collect(), vec![0; len * exceeded.len()]]
                .concat();
        search.extend(0, len, exceeded.len() as i64 * WHOLE, &mut left, 0);
        if let Some((_, best)) = search.best {
            return Some(best.into_iter().map(|index| candidates[index].1.id).collect());
        }
        if *search.looks == 0 {
            return None;
        }
    }
    None
}

/// From each candidate on, of each resource that is exceeded, the most that one, two and more of them take.
fn most(exceeded: &[usize], candidates: &[(i64, Candidate<'_>)]) -> Vec<[i64; SET_MAX]> {
    let mut most = vec![[0; SET_MAX]; candidates.len() * exceeded.len()];
    for (column, resource) in exceeded.iter().enumerate() {
        let mut largest = [0; SET_MAX];
        for (index, (_, candidate)) in candidates.iter().enumerate().rev() {
            let takes = candidate.takes[*resource];
            let place = largest.iter().position(|other| *other < takes).unwrap_or(SET_MAX);
            if place < SET_MAX {
                largest[place..].rotate_right(1);
                largest[place] = takes;
            }
            let mut sum = 0_i64;
            most[index * exceeded.len() + column] = largest.map(|takes| {
                sum = sum.saturating_add(takes);
                sum
            });
        }
    }
    most
}

/// A search among sets of candidates; with each stands what part of all it takes, by which they are in order.
struct Search<'a> {
    exceeded: &'a [usize],
    candidates: &'a [(i64, Candidate<'a>)],
    most: Vec<[i64; SET_MAX]>,
    looks: &'a mut u64,
    set: Vec<usize>,
    /// The size of the best set, and who is in it.
    best: Option<(i64, Vec<usize>)>,
}

impl Search<'_> {
    /// Tries all sets of so many `more`, from the `begin`th candidate on: of all together `wanted` is still to be taken, and of each
    /// resource what is `left`, behind which there is room for what is left after each of them.
    fn extend(&mut self, begin: usize, more: usize, wanted: i64, left: &mut [i64], size: i64) {
        let width = self.exceeded.len();
        let (left, after) = left.split_at_mut(width);
        for index in begin..self.candidates.len() {
            let next = &self.candidates[index..self.candidates.len().min(index + more)];
            if next.iter().map(|(part, _)| part).sum::<i64>() < wanted || *self.looks == 0 {
                return;
            }
            *self.looks -= 1;
            if more > 1 {
                let most = &self.most[index * width..][..width];
                if left.iter().zip(most).any(|(left, most)| most[more - 1] < *left) {
                    return;
                }
            }
            let (part, candidate) = &self.candidates[index];
            let size = size.saturating_add(candidate.size);
            if self.best.as_ref().is_some_and(|(least, _)| size >= *least) {
                continue;
            }
            let mut is_enough = true;
            for (column, resource) in self.exceeded.iter().enumerate() {
                after[column] = left[column] - candidate.takes[*resource];
                is_enough &= after[column] <= 0;
            }
            if !is_enough && more == 1 {
                continue;
            }
            self.set.push(index);
            if is_enough {
                self.best = Some((size, self.set.clone()));
            } else {
                self.extend(index + 1, more - 1, wanted - part, after, size);
            }
            self.set.pop();
        }
    }
}
