//! The closed set of greatest weight in a weighted order.
//!
//! A set of nodes is closed when it holds whatever its members need. J.-C. Picard, "Maximal closure of a graph and
//! applications to combinatorial problems", Management Science 22 (1976): the greatest weight is the sum of the
//! positive weights less a minimum cut between a source that feeds them and a sink that drains the negative ones.
//!
//! Before the cut is computed the order is *collapsed*, because most of a plan is chains:
//!
//! - a node that weighs nothing or more and needs nothing is taken;
//! - one that needs a single node goes wherever that one goes: the two become one;
//! - and the same from the other end: a node of no weight or less that nobody needs is left, and one that a single
//!   node needs joins it.

use super::flow::Network;

/// How often the order is collapsed from both ends. Each round is linear and most orders are done after one or two;
/// the bound keeps odd ones from taking many rounds for little.
const ROUNDS_MAX: usize = 8;

/// A weighted order. Nodes are numbered so that each needs only nodes of smaller number.
#[derive(Clone, Debug, Default)]
pub(super) struct Weighted {
    weight: Vec<i128>,
    /// Where the needs of each node end in `needs`.
    ends: Vec<usize>,
    needs: Vec<u32>,
}

/// The closed set of greatest weight.
#[derive(Debug)]
pub(super) struct Heaviest {
    /// Its weight; never negative, because the empty set is closed.
    pub(super) weight: i128,
    /// For each node, whether it is in the set.
    pub(super) taken: Vec<bool>,
}

/// Where a node of the original order is after some collapsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Taken,
    Left,
    In(u32),
}

impl Weighted {
    /// Adds a node that needs some earlier ones; nodes are numbered from 0.
    pub(super) fn push(&mut self, weight: i128, needs: impl IntoIterator<Item = u32>) {
        self.needs.extend(needs);
        self.weight.push(weight);
        self.ends.push(self.needs.len());
    }

    /// Its closed set of greatest weight.
    pub(super) fn heaviest(self) -> Heaviest {
        let mut places: Vec<Place> = (0..self.weight.len() as u32).map(Place::In).collect();
        let mut weight = 0;
        let mut rest = self;
        for _ in 0..ROUNDS_MAX {
            let before = rest.weight.len();
            // Seen from the other end, needing is being needed, taking is leaving, and weights change sign.
            for taken in [Place::Taken, Place::Left] {
                let (collapsed, moved, gained) = rest.collapse(taken);
                if taken == Place::Taken {
                    weight += gained;
                }
                for place in &mut places {
                    if let Place::In(node) = *place {
                        *place = moved[node as usize];
                    }
                }
                let last = collapsed.weight.len() as u32;
                for place in &mut places {
                    if let Place::In(node) = place {
                        *node = last - 1 - *node;
                    }
                }
                rest = collapsed.mirror();
            }
            if rest.weight.is_empty() || rest.weight.len() == before {
                break;
            }
        }
        let (cut, chosen) = rest.cut();
        let is_taken = |place: &Place| match *place {
            Place::Taken => true,
            Place::Left => false,
            Place::In(node) => chosen[node as usize],
        };
        Heaviest { weight: weight + cut, taken: places.iter().map(is_taken).collect() }
    }

    fn needs(&self, node: usize) -> &[u32] {
        let begin = if node == 0 { 0 } else { self.ends[node - 1] };
        &self.needs[begin..self.ends[node]]
    }

    /// One pass from the front: takes and joins nodes that weigh nothing or more. Gives what remains, where each node
    /// went (`taken` for those taken), and the weight taken.
    fn collapse(&self, taken: Place) -> (Self, Vec<Place>, i128) {
        let count = self.weight.len();
        let mut weight = self.weight.clone();
        // A node that joined another, or itself; `TAKEN` for a taken one.
        const TAKEN: u32 = u32::MAX;
        let mut joined: Vec<u32> = (0..count as u32).collect();
        let mut single: Vec<Needs> = Vec::with_capacity(count);
        let mut gained = 0;
        for node in 0..count {
            single.push(Needs::of(self.needs(node).iter().map(|&need| find(&mut joined, need)), TAKEN));
            let mut at = node as u32;
            while weight[at as usize] >= 0 {
                // What `at` needs may itself have been taken or joined since.
                match single[at as usize] {
                    Needs::None => {
                        joined[at as usize] = TAKEN;
                        gained += weight[at as usize];
                        break;
                    }
                    Needs::One(need) => match find(&mut joined, need) {
                        TAKEN => single[at as usize] = Needs::None,
                        need => {
                            joined[at as usize] = need;
                            weight[need as usize] += weight[at as usize];
                            at = need;
                        }
                    },
                    Needs::Many => break,
                }
            }
        }
        self.rebuild(&weight, &mut joined, TAKEN, taken, gained)
    }

    /// The order among the nodes that were not taken and joined no other.
    fn rebuild(
        &self,
        weight: &[i128],
        joined: &mut [u32],
        taken_mark: u32,
        taken: Place,
        gained: i128,
    ) -> (Self, Vec<Place>, i128) {
        let count = weight.len();
        let mut number = vec![0_u32; count];
        let mut rest = Self::default();
        let mut moved = vec![taken; count];
        let mut seen = vec![u32::MAX; count];
        for node in 0..count {
            let root = find(joined, node as u32);
            if root == taken_mark {
                continue;
            }
            if root == node as u32 {
                let fresh = rest.weight.len() as u32;
                number[node] = fresh;
                let begin = rest.needs.len();
                for &need in self.needs(node) {
                    let need = find(joined, need);
                    if need != taken_mark && seen[need as usize] != root {
                        seen[need as usize] = root;
                        rest.needs.push(number[need as usize]);
                    }
                }
                debug_assert!(rest.needs[begin..].iter().all(|&need| need < fresh));
                rest.weight.push(weight[node]);
                rest.ends.push(rest.needs.len());
            }
            moved[node] = Place::In(number[root as usize]);
        }
        (rest, moved, gained)
    }

    /// The same order seen from the other end, with the weights' signs changed: the complements of its closed sets
    /// are this order's.
    fn mirror(&self) -> Self {
        let count = self.weight.len();
        let turned = |node: usize| count - 1 - node;
        let mut ends = vec![0_usize; count + 1];
        for &need in &self.needs {
            ends[turned(need as usize) + 1] += 1;
        }
        for node in 0..count {
            ends[node + 1] += ends[node];
        }
        let mut needs = vec![0_u32; self.needs.len()];
        for node in (0..count).rev() {
            for &need in self.needs(node) {
                let place = &mut ends[turned(need as usize)];
                needs[*place] = turned(node) as u32;
                *place += 1;
            }
        }
        ends.truncate(count);
        Self { weight: self.weight.iter().rev().map(|weight| -weight).collect(), ends, needs }
    }

    /// The greatest weight of a closed set and the smallest set that has it, by one minimum cut.
    fn cut(&self) -> (i128, Vec<bool>) {
        let count = self.weight.len();
        let sum: i128 = self.weight.iter().filter(|&&weight| weight > 0).sum();
        if sum == 0 {
            return (0, vec![false; count]);
        }
        let mut network = Network::new(count + 2, count + self.needs.len());
        for (node, &weight) in (2_u32..).zip(&self.weight) {
            if weight > 0 {
                network.arc(Network::SOURCE, node, weight);
            } else if weight < 0 {
                network.arc(node, Network::SINK, -weight);
            }
            for &need in self.needs(node as usize - 2) {
                // More than all that can flow: never full, so never cut.
                network.arc(node, need + 2, sum + 1);
            }
        }
        let flow = network.saturate();
        (sum - flow, (2..count as u32 + 2).map(|node| network.is_source_side(node)).collect())
    }
}

/// What a node needs, as far as collapsing cares.
#[derive(Clone, Copy, Debug)]
enum Needs {
    None,
    One(u32),
    Many,
}

impl Needs {
    fn of(mut roots: impl Iterator<Item = u32>, taken: u32) -> Self {
        let mut rest = roots.by_ref().filter(|&root| root != taken);
        match rest.next() {
            None => Self::None,
            Some(one) if rest.all(|root| root == one) => Self::One(one),
            Some(_) => Self::Many,
        }
    }
}

/// The node that `node` joined in the end, or the mark of a taken one; shortens the way for the next call.
fn find(joined: &mut [u32], node: u32) -> u32 {
    let mut root = node;
    while let Some(&up) = joined.get(root as usize)
        && up != root
    {
        root = up;
    }
    let mut at = node;
    while let Some(up) = joined.get_mut(at as usize)
        && *up != root
    {
        at = std::mem::replace(up, root);
    }
    root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Node = (i128, Vec<u32>);

    /// Orders of up to nine nodes, of which most need several: little of them is collapsed.
    fn orders() -> impl Strategy<Value = Vec<Node>> {
        (1_u32..=9).prop_flat_map(|count| {
            let node = |node: u32| {
                (-5_i128..=5, prop::collection::vec(0..node.max(1), 0..=3 * node.min(1) as usize))
            };
            (0..count).map(node).collect::<Vec<_>>()
        })
    }

    fn weighted(nodes: &[Node]) -> Weighted {
        let mut weighted = Weighted::default();
        nodes.iter().for_each(|(weight, needs)| weighted.push(*weight, needs.iter().copied()));
        weighted
    }

    /// The weight of a set; none when it is not closed.
    fn weight(nodes: &[Node], set: u32) -> Option<i128> {
        let has = |node: u32| set >> node & 1 == 1;
        let members = || (0_u32..).zip(nodes).filter(|(node, _)| has(*node));
        let is_closed = members().all(|(_, (_, needs))| needs.iter().all(|need| has(*need)));
        is_closed.then(|| members().map(|(_, (weight, _))| weight).sum())
    }

    fn bits(set: &[bool]) -> u32 {
        (0..).zip(set).fold(0, |bits, (node, is_in)| bits | u32::from(*is_in) << node)
    }

    proptest! {
        #[test]
        fn the_heaviest_closed_set_is_that_of_brute_force(nodes in orders()) {
            let sets = || (0..1_u32 << nodes.len()).filter_map(|set| Some((weight(&nodes, set)?, set)));
            let most = sets().map(|(weight, _)| weight).max().unwrap();
            let found = weighted(&nodes).heaviest();
            prop_assert_eq!(found.weight, most);
            prop_assert_eq!(weight(&nodes, bits(&found.taken)), Some(most));

            // Without collapsing, and the smallest of those that weigh as much.
            let (cut, chosen) = weighted(&nodes).cut();
            prop_assert_eq!(cut, most);
            let smallest = sets().filter(|(weight, _)| *weight == most).fold(u32::MAX, |all, (_, set)| all & set);
            prop_assert_eq!(bits(&chosen), smallest);

            // From the other end: what is left out of the heaviest set weighs least, and so most with its sign changed.
            let total: i128 = nodes.iter().map(|(weight, _)| weight).sum();
            prop_assert_eq!(weighted(&nodes).mirror().cut().0, most - total);
        }
    }

    #[test]
    fn chains_are_collapsed_to_nothing() {
        // Each needs the one before, but for the last two, which need the same.
        let nodes: Vec<Node> =
            [(3, vec![]), (-4, vec![0]), (2, vec![1]), (-1, vec![2]), (1, vec![2])].to_vec();
        let (rest, places, gained) = weighted(&nodes).collapse(Place::Taken);
        assert_eq!((rest.weight.as_slice(), gained), ([-1, -1].as_slice(), 3));
        assert_eq!(places, [Place::Taken, Place::In(0), Place::In(0), Place::In(1), Place::In(0)]);
        let (rest, places, _) = rest.mirror().collapse(Place::Left);
        assert_eq!((rest.weight.len(), places), (0, vec![Place::Left; 2]));
    }
}
