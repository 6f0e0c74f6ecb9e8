//! Maximum flow: Dinic's algorithm, and the smallest source side of a minimum cut.
//!
//! E. A. Dinitz, "Algorithm for solution of a problem of maximum flow in networks with power estimation", Soviet
//! Mathematics Doklady 11 (1970): phases of a breadth-first layering followed by a blocking flow along the layers.
//!
//! petgraph 0.8 has the same algorithm. On the orders that remain of plans this one took about the same time for those
//! of few effects and a third to a sixteenth where every action has one; it sums in 128 bits, and the last layering
//! is the cut.

use std::mem;

const NONE: u32 = u32::MAX;

/// A network of arcs with capacities. Node 0 is the source, node 1 the sink.
#[derive(Debug)]
pub(super) struct Network {
    /// The first arc out of each node.
    first: Vec<u32>,
    /// Arcs; the twin of arc `i`, in the other direction, is `i ^ 1`.
    arcs: Vec<Arc>,
    level: Vec<u32>,
    current: Vec<u32>,
    queue: Vec<u32>,
    path: Vec<u32>,
}

#[derive(Debug)]
struct Arc {
    to: u32,
    /// The next arc out of the same node.
    next: u32,
    /// How much more can flow.
    room: i128,
}

impl Network {
    pub(super) const SOURCE: u32 = 0;
    pub(super) const SINK: u32 = 1;

    /// A network of `nodes` nodes, source and sink included.
    pub(super) fn new(nodes: usize, arcs: usize) -> Self {
        Self {
            first: vec![NONE; nodes],
            arcs: Vec::with_capacity(2 * arcs),
            level: vec![NONE; nodes],
            current: vec![NONE; nodes],
            queue: Vec::with_capacity(nodes),
            path: Vec::new(),
        }
    }

    /// Adds an arc.
    pub(super) fn arc(&mut self, from: u32, to: u32, room: i128) {
        for (from, to, room) in [(from, to, room), (to, from, 0)] {
            let next = mem::replace(&mut self.first[from as usize], self.arcs.len() as u32);
            self.arcs.push(Arc { to, next, room });
        }
    }

    /// Sends as much as possible from source to sink; how much that was.
    pub(super) fn saturate(&mut self) -> i128 {
        let mut total = 0;
        while self.layer() {
            self.current.copy_from_slice(&self.first);
            total += self.block();
        }
        total
    }

    /// Whether a node is on the source side of the minimum cut that has the fewest nodes there. After `saturate`.
    pub(super) fn is_source_side(&self, node: u32) -> bool {
        self.level[node as usize] != NONE
    }

    /// Layers the nodes by distance from the source along arcs with room; whether the sink was reached.
    fn layer(&mut self) -> bool {
        self.level.fill(NONE);
        self.level[Self::SOURCE as usize] = 0;
        self.queue.clear();
        self.queue.push(Self::SOURCE);
        let mut next = 0;
        while let Some(&node) = self.queue.get(next) {
            next += 1;
            let mut arc = self.first[node as usize];
            while let Some(Arc { to, next, room }) = self.arcs.get(arc as usize) {
                if *room > 0 && self.level[*to as usize] == NONE {
                    self.level[*to as usize] = self.level[node as usize] + 1;
                    self.queue.push(*to);
                }
                arc = *next;
            }
        }
        self.level[Self::SINK as usize] != NONE
    }

    /// Sends flow along layers until every path has a full arc; how much that was.
    fn block(&mut self) -> i128 {
        let mut total = 0;
        let mut node = Self::SOURCE;
        self.path.clear();
        loop {
            if node == Self::SINK {
                total += self.push(&mut node);
                continue;
            }
            let arc = self.current[node as usize];
            if let Some(Arc { to, next, room }) = self.arcs.get(arc as usize) {
                if *room > 0 && self.level[*to as usize] == self.level[node as usize] + 1 {
                    self.path.push(arc);
                    node = *to;
                } else {
                    self.current[node as usize] = *next;
                }
            } else {
                // A dead end: step back, and do not come here again in this phase.
                let Some(arc) = self.path.pop() else { return total };
                node = self.arcs[arc as usize ^ 1].to;
                self.current[node as usize] = self.arcs[arc as usize].next;
            }
        }
    }

    /// Fills the path and steps back to the origin of its first full arc.
    fn push(&mut self, node: &mut u32) -> i128 {
        let room = |arc: &u32| self.arcs[*arc as usize].room;
        let amount = self.path.iter().map(room).min().unwrap_or_default();
        let mut full = self.path.len();
        for (place, &arc) in self.path.iter().enumerate().rev() {
            self.arcs[arc as usize].room -= amount;
            self.arcs[arc as usize ^ 1].room += amount;
            if self.arcs[arc as usize].room == 0 {
                full = place;
            }
        }
        *node = self.arcs[self.path[full] as usize ^ 1].to;
        self.path.truncate(full);
        amount
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_flows_is_the_smallest_cut_of_all_and_its_source_side_is_within_that_of_each(
            arcs in prop::collection::vec((0_u32..7, 0_u32..7, 0_i128..6), 0..24)
        ) {
            let mut network = Network::new(7, arcs.len());
            arcs.iter().for_each(|&(from, to, room)| network.arc(from, to, room));
            // Each set of nodes with the source and without the sink, as bits.
            let sides = (0..1_u32 << 7).filter(|side| side & 1 == 1 && side & 2 == 0);
            let cut = |side: u32| -> i128 {
                arcs.iter().filter(|(from, to, _)| side >> from & 1 == 1 && side >> to & 1 == 0).map(|arc| arc.2).sum()
            };
            let least = sides.clone().map(cut).min().unwrap();
            prop_assert_eq!(network.saturate(), least);
            let smallest = sides.filter(|side| cut(*side) == least).fold(u32::MAX, |all, side| all & side);
            let side = (0..7).filter(|node| network.is_source_side(*node)).fold(0, |side, node| side | 1_u32 << node);
            prop_assert_eq!(side, smallest);
        }
    }

    #[test]
    fn the_flow_is_the_smallest_cut_and_the_source_side_is_the_smallest() {
        // source -3-> 2 -1-> 3 -1-> sink, and source -2-> 3: two cuts of 1 after node 2, the nearer one is wanted.
        let mut network = Network::new(5, 5);
        network.arc(Network::SOURCE, 2, 3);
        network.arc(2, 3, 1);
        network.arc(3, 4, 5);
        network.arc(4, Network::SINK, 3);
        network.arc(Network::SOURCE, 3, 2);
        assert_eq!(network.saturate(), 3);
        let side: Vec<bool> = (0..5).map(|node| network.is_source_side(node)).collect();
        assert_eq!(side, [true, false, true, false, false]);
    }
}
