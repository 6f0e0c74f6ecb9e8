//! The order of a plan's actions, laid out so that a sweep over it reads memory once, from front to back.

use std::collections::BTreeMap;

use thiserror::Error;

/// Which actions of a plan wait for which, prepared once and shared by all questions about the plan.
///
/// Actions are numbered from 0. Internally there are *nodes*, the actions and some *barriers* between them, and each
/// has a *rank*: its place in one topological order, so that whatever a node waits for has a smaller rank.
///
/// A barrier stands for a list of actions that several others wait for, all of the list each: "all of this wave after
/// all of that one" is then as many edges as actions, not their square.
#[derive(Clone, Debug)]
pub struct Order {
    actions: u32,
    rank: Vec<u32>,
    node: Vec<u32>,
    before: Lists,
    after: Lists,
}

/// Why a list of edges is not an order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAnOrder {
    /// An edge names an action that the plan does not have.
    #[error("an edge names action {action}, and the plan has {actions}")]
    UnknownAction {
        /// The action of the edge.
        action: u32,
        /// How many actions the plan has.
        actions: u32,
    },
    /// Some actions wait for each other.
    #[error("{} actions wait for each other, action {} among them", .waiting.len(), .waiting.first().copied().unwrap_or_default())]
    Cycle {
        /// The actions that could never start: those on a cycle and those behind one, ascending.
        waiting: Vec<u32>,
    },
}

impl Order {
    /// The order of `actions` actions given by edges `(before, after)`; repeated edges count once.
    ///
    /// Linear in actions and edges (Kahn 1962). Ties go to the smaller action, so equal edges give equal ranks.
    ///
    /// # Errors
    /// When an edge names an unknown action, or some actions wait for each other.
    pub fn new(actions: u32, edges: &[(u32, u32)]) -> Result<Self, NotAnOrder> {
        if let Some(action) = edges.iter().flat_map(|&(a, b)| [a, b]).find(|&action| action >= actions) {
            return Err(NotAnOrder::UnknownAction { action, actions });
        }
        let (nodes, edges) = with_barriers(actions, edges);
        Self::laid_out(actions, nodes, &edges)
    }

    /// This order and some more edges between its actions.
    ///
    /// # Errors
    /// When an edge names an unknown action, or some actions would wait for each other.
    pub fn with(&self, edges: impl IntoIterator<Item = (u32, u32)>) -> Result<Self, NotAnOrder> {
        let node = |rank: u32| self.node[rank as usize];
        let own = |rank: u32| self.before(rank).iter().map(move |&before| (node(before), node(rank)));
        let mut all: Vec<(u32, u32)> = (0..self.nodes()).flat_map(own).collect();
        for (before, after) in edges {
            if let Some(action) = [before, after].into_iter().find(|&action| action >= self.actions) {
                return Err(NotAnOrder::UnknownAction { action, actions: self.actions });
            }
            all.push((before, after));
        }
        Self::laid_out(self.actions, self.nodes(), &all)
    }

    fn laid_out(actions: u32, nodes: u32, edges: &[(u32, u32)]) -> Result<Self, NotAnOrder> {
        let followers = Lists::new(nodes, edges.iter().copied());
        let mut waits = vec![0_u32; nodes as usize];
        for &(_, after) in edges {
            waits[after as usize] += 1;
        }
        let mut node: Vec<u32> = (0..nodes).filter(|&node| waits[node as usize] == 0).collect();
        let mut next = 0;
        while let Some(&done) = node.get(next) {
            next += 1;
            for &follower in followers.of(done) {
                waits[follower as usize] -= 1;
                if waits[follower as usize] == 0 {
                    node.push(follower);
                }
            }
        }
        if node.len() < nodes as usize {
            let waiting = (0..actions).filter(|&action| waits[action as usize] > 0).collect();
            return Err(NotAnOrder::Cycle { waiting });
        }
        let mut rank = vec![0_u32; nodes as usize];
        for (place, &node) in (0_u32..).zip(&node) {
            rank[node as usize] = place;
        }
        let ranked = || edges.iter().map(|&(a, b)| (rank[a as usize], rank[b as usize]));
        let before = Lists::new(nodes, ranked().map(|(a, b)| (b, a)));
        let after = Lists::new(nodes, ranked());
        Ok(Self { actions, rank, node, before, after })
    }

    /// How many actions there are.
    pub fn actions(&self) -> u32 {
        self.actions
    }

    /// How many actions and barriers there are.
    pub(super) fn nodes(&self) -> u32 {
        self.node.len() as u32
    }

    /// How many nodes and edges there are: what a sweep costs.
    pub(super) fn size(&self) -> usize {
        self.node.len() + self.before.items.len()
    }

    /// The rank of an action.
    ///
    /// # Panics
    /// When the plan has no such action.
    pub(super) fn rank(&self, action: u32) -> u32 {
        assert!(action < self.actions, "invariant: action {action} is one of the plan's {}", self.actions);
        self.rank[action as usize]
    }

    /// The action of a rank; none for a barrier's.
    pub(super) fn action(&self, rank: u32) -> Option<u32> {
        Some(self.node[rank as usize]).filter(|&node| node < self.actions)
    }

    /// The ranks that `rank` waits for.
    pub(super) fn before(&self, rank: u32) -> &[u32] {
        self.before.of(rank)
    }

    /// The ranks that wait for `rank`.
    pub(super) fn after(&self, rank: u32) -> &[u32] {
        self.after.of(rank)
    }
}

/// The edges with a barrier wherever that makes them fewer, and how many nodes there are then.
fn with_barriers(actions: u32, edges: &[(u32, u32)]) -> (u32, Vec<(u32, u32)>) {
    let mut lists = Lists::new(actions, edges.iter().map(|&(before, after)| (after, before)));
    let mut waiting: BTreeMap<&[u32], Vec<u32>> = BTreeMap::new();
    lists.sort();
    for action in 0..actions {
        let list = lists.of(action);
        if list.len() > 1 {
            waiting.entry(list).or_default().push(action);
        }
    }
    let mut nodes = actions;
    let mut barrier = vec![None; actions as usize];
    let mut folded = Vec::new();
    for (list, waiting) in waiting {
        if list.len() * waiting.len() > list.len() + waiting.len() {
            folded.extend(list.iter().map(|&before| (before, nodes)));
            for action in waiting {
                barrier[action as usize] = Some(nodes);
            }
            nodes += 1;
        }
    }
    for action in 0..actions {
        match barrier[action as usize] {
            Some(barrier) => folded.push((barrier, action)),
            None => folded.extend(lists.of(action).iter().map(|&before| (before, action))),
        }
    }
    (nodes, folded)
}

/// One list of numbers for each number, in two arrays.
#[derive(Clone, Debug)]
struct Lists {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// The second parts of `pairs` listed under their first parts, in the order given.
    fn new(count: u32, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut ends = vec![0_u32; count as usize + 1];
        let mut total = 0;
        for (key, _) in pairs.clone() {
            ends[key as usize + 1] += 1;
            total += 1;
        }
        for key in 0..count as usize {
            ends[key + 1] += ends[key];
        }
        // `ends[key]` is where the list of `key` begins; filling moves it to where that list ends.
        let mut items = vec![0_u32; total];
        for (key, item) in pairs {
            let place = &mut ends[key as usize];
            items[*place as usize] = item;
            *place += 1;
        }
        Self { ends, items }
    }

    /// Sorts each list.
    fn sort(&mut self) {
        let mut begin = 0;
        for &end in &self.ends {
            self.items[begin as usize..end as usize].sort_unstable();
            begin = end;
        }
    }

    fn of(&self, key: u32) -> &[u32] {
        let begin = if key == 0 { 0 } else { self.ends[key as usize - 1] };
        &self.items[begin as usize..self.ends[key as usize] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_waits_for_has_a_smaller_rank() {
        let order = Order::new(4, &[(3, 1), (1, 0), (3, 0)]).expect("no cycle");
        let before: Vec<Vec<u32>> = (0..4)
            .map(|a| order.before(order.rank(a)).iter().filter_map(|&r| order.action(r)).collect())
            .collect();
        assert_eq!(before, [vec![1, 3], vec![3], vec![], vec![]]);
        assert!((0..4).all(|rank| order.before(rank).iter().all(|&b| b < rank)));
        assert!((0..4).all(|rank| order.after(rank).iter().all(|&a| a > rank)));
    }

    #[test]
    fn a_wave_that_waits_for_a_wave_costs_as_many_edges_as_actions() {
        let edges: Vec<(u32, u32)> = (0..20).flat_map(|a| (20..40).map(move |b| (a, b))).collect();
        let order = Order::new(40, &edges).expect("no cycle");
        assert_eq!((order.actions(), order.nodes()), (40, 41));
        let barriers = (0..41).filter(|rank| order.action(*rank).is_none());
        assert_eq!(barriers.count(), 1, "what only stands between is no action");
        let edges: usize = (0..41).map(|rank| order.before(rank).len()).sum();
        assert_eq!(edges, 40);
    }

    #[test]
    fn a_barrier_is_only_made_where_there_are_fewer_edges_with_it() {
        let nodes = |before: u32, after: u32| {
            let edges: Vec<(u32, u32)> =
                (0..before).flat_map(|a| (0..after).map(move |b| (a, before + b))).collect();
            let order = Order::new(before + after, &edges).expect("no cycle");
            assert_eq!(order.size(), order.nodes() as usize + edges.len().min((before + after) as usize));
            order.nodes() - before - after
        };
        assert_eq!([nodes(1, 5), nodes(2, 1), nodes(2, 2), nodes(2, 3), nodes(3, 2)], [0, 0, 0, 1, 1]);
        // In whatever order they are named.
        let mixed = [(0, 2), (1, 2), (1, 3), (0, 3), (1, 4), (0, 4)];
        assert_eq!(Order::new(5, &mixed).expect("no cycle").nodes(), 6);
        // Those that wait for another list have one of their own.
        let two = [(0, 4), (1, 4), (0, 5), (1, 5), (0, 6), (1, 6), (2, 7), (3, 7)];
        assert_eq!(Order::new(8, &two).expect("no cycle").nodes(), 9);
    }

    #[test]
    fn edges_that_are_added_leave_those_that_there_are() {
        let order = Order::new(3, &[(0, 1)]).expect("no cycle");
        let with = order.with([(1, 2)]).expect("no cycle");
        let before = |action: u32| -> Vec<u32> {
            with.before(with.rank(action)).iter().filter_map(|&rank| with.action(rank)).collect()
        };
        assert_eq!([before(0), before(1), before(2)], [vec![], vec![0], vec![1]]);
        let refused = order.with([(1, 0)]).expect_err("a cycle");
        assert_eq!(refused, NotAnOrder::Cycle { waiting: vec![0, 1] });
        let refused = order.with([(0, 3)]).expect_err("unknown");
        assert_eq!(refused, NotAnOrder::UnknownAction { action: 3, actions: 3 });
    }

    #[test]
    fn actions_that_wait_for_each_other_are_refused_by_name() {
        let refused = Order::new(4, &[(0, 1), (1, 2), (2, 1), (2, 3)]).expect_err("a cycle");
        assert_eq!(refused, NotAnOrder::Cycle { waiting: vec![1, 2, 3] });
        assert_eq!(refused.to_string(), "3 actions wait for each other, action 1 among them");
        let refused = Order::new(1, &[(0, 7)]).expect_err("unknown");
        assert_eq!(refused.to_string(), "an edge names action 7, and the plan has 1");
    }
}
