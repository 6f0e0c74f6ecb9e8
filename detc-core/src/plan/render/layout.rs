//! Where the boxes of a picture go: layers by longest path, few crossings, short arrows.
//!
//! After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981): arrows
//! over several layers pass through invisible cells; layers are ordered by barycentres, back and forth, and the order
//! with the fewest crossings is kept. Heights are then the least-squares fit to each cell's neighbours (pool adjacent
//! violators, Barlow et al. 1972).

use crate::plan::Plan;

/// For each action the number of actions on the longest path before it.
pub(super) fn depths(plan: &Plan) -> Vec<u32> {
    let mut depths = vec![0_u32; plan.actions.len()];
    for (index, action) in plan.actions.iter().enumerate() {
        depths[index] =
            action.after.iter().map(|before| depths[*before as usize] + 1).max().unwrap_or_default();
    }
    depths
}

/// Where everything goes. Cells below the number of nodes are those nodes; the others are bends of arrows.
#[derive(Debug)]
pub(super) struct Layout {
    /// The cells of each layer, from the top.
    pub(super) layers: Vec<Vec<u32>>,
    /// The middle of each cell, in units of a box's height with its gap; the highest is at 0.
    pub(super) y: Vec<f64>,
    /// Each arrow as the cells that it passes.
    pub(super) arrows: Vec<Vec<u32>>,
    /// Nodes without any arrow: they are laid out by themselves.
    pub(super) loose: Vec<u32>,
}

/// How often the order and the heights are improved. More changes nothing that can be seen.
const SWEEPS: usize = 12;

/// The height of a bend, as a share of a box's.
const BEND: f64 = 0.4;

/// Lays out `len` nodes with `edges` from lower to higher ones.
pub(super) fn lay_out(len: usize, edges: &[(u32, u32)]) -> Layout {
    let edges = reduced(len, edges);
    let mut depth = vec![0_u32; len];
    let mut tied = vec![false; len];
    for (before, after) in &edges {
        // Sorted by their beginnings, which come before their ends: each depth is final before it is passed on.
        depth[*after as usize] = depth[*after as usize].max(depth[*before as usize] + 1);
        tied[*before as usize] = true;
        tied[*after as usize] = true;
    }
    let (in_layers, loose): (Vec<u32>, Vec<u32>) = (0..len as u32).partition(|node| tied[*node as usize]);
    let count = in_layers.iter().map(|node| depth[*node as usize] as usize + 1).max().unwrap_or_default();
    let mut layers: Vec<Vec<u32>> = vec![Vec::new(); count];
    for node in in_layers {
        layers[depth[node as usize] as usize].push(node);
    }
    let mut cells = len as u32;
    let mut arrows = Vec::with_capacity(edges.len());
    for (before, after) in edges {
        let mut arrow = vec![before];
        for layer in depth[before as usize] + 1..depth[after as usize] {
            layers[layer as usize].push(cells);
            arrow.push(cells);
            cells += 1;
        }
        arrow.push(after);
        arrows.push(arrow);
    }
    let net = Net::new(cells as usize, &arrows);
    order(&mut layers, &net);
    let y = heights(&layers, &net, len);
    Layout { layers, y, arrows, loose }
}

/// The edges without those that a longer way says already.
fn reduced(len: usize, edges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let words = len.div_ceil(64);
    let mut reach = vec![0_u64; len * words];
    let mut kept = Vec::with_capacity(edges.len());
    // From the last node back: what can be reached from later nodes is known. Near ends first: far ones may be implied.
    for before in (0..len).rev() {
        let start = edges.partition_point(|edge| (edge.0 as usize) < before);
        let own: Vec<u32> =
            edges[start..].iter().take_while(|edge| edge.0 as usize == before).map(|edge| edge.1).collect();
        for after in own {
            let (word, bit) = (after as usize / 64, 1_u64 << (after % 64));
            if reach[before * words + word] & bit != 0 {
                continue;
            }
            kept.push((before as u32, after));
            for at in 0..words {
                reach[before * words + at] |= reach[after as usize * words + at];
            }
            reach[before * words + word] |= bit;
        }
    }
    kept.sort_unstable();
    kept
}

/// Each cell's neighbours in the layers before and after.
struct Net {
    before: Vec<Vec<u32>>,
    after: Vec<Vec<u32>>,
}

impl Net {
    fn new(cells: usize, arrows: &[Vec<u32>]) -> Self {
        let mut net = Self { before: vec![Vec::new(); cells], after: vec![Vec::new(); cells] };
        for pair in arrows.iter().flat_map(|arrow| arrow.windows(2)) {
            net.after[pair[0] as usize].push(pair[1]);
            net.before[pair[1] as usize].push(pair[0]);
        }
        net
    }
}

fn order(layers: &mut Vec<Vec<u32>>, net: &Net) {
    let mut place = vec![0.0; net.before.len()];
    let mut best = (crossings(layers, net, &mut place), layers.clone());
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let neighbours = if forward { &net.before } else { &net.after };
        let mut numbers: Vec<usize> = (0..layers.len()).collect();
        if !forward {
            numbers.reverse();
        }
        for layer in numbers {
            let mut keyed: Vec<(f64, u32)> = layers[layer]
                .iter()
                .map(|cell| {
                    (mean(&neighbours[*cell as usize], &place).unwrap_or(place[*cell as usize]), *cell)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (at, (_, cell)) in keyed.iter().enumerate() {
                place[*cell as usize] = at as f64;
                layers[layer][at] = *cell;
            }
        }
        let count = crossings(layers, net, &mut place);
        if count < best.0 {
            best = (count, layers.clone());
        }
    }
    *layers = best.1;
}

fn mean(cells: &[u32], values: &[f64]) -> Option<f64> {
    let sum: f64 = cells.iter().map(|cell| values[*cell as usize]).sum();
    (!cells.is_empty()).then(|| sum / cells.len() as f64)
}

/// How many pairs of arrows cross. Takes note of each cell's place in its layer.
fn crossings(layers: &[Vec<u32>], net: &Net, place: &mut [f64]) -> usize {
    for layer in layers {
        for (at, cell) in layer.iter().enumerate() {
            place[*cell as usize] = at as f64;
        }
    }
    let mut count = 0;
    for pair in layers.windows(2) {
        // The ends in the order of their beginnings: each pair that is the wrong way round is a crossing.
        let mut seen = vec![0_usize; pair[1].len() + 1];
        let mut total = 0;
        for cell in &pair[0] {
            let mut ends: Vec<usize> =
                net.after[*cell as usize].iter().map(|end| place[*end as usize] as usize).collect();
            ends.sort_unstable();
            for end in &ends {
                count += total - below(&seen, *end + 1);
            }
            for end in ends {
                total += 1;
                let mut at = end + 1;
                while at < seen.len() {
                    seen[at] += 1;
                    at += at & at.wrapping_neg();
                }
            }
        }
    }
    count
}

/// The sum of the first `at` numbers of a Fenwick tree.
fn below(tree: &[usize], mut at: usize) -> usize {
    let mut sum = 0;
    while at > 0 {
        sum += tree[at];
        at -= at & at.wrapping_neg();
    }
    sum
}

fn heights(layers: &[Vec<u32>], net: &Net, nodes: usize) -> Vec<f64> {
    let size = |cell: u32| if (cell as usize) < nodes { 1.0 } else { BEND };
    let mut y = vec![0.0; net.before.len()];
    for layer in layers {
        let mut top = 0.0;
        for cell in layer {
            y[*cell as usize] = top + size(*cell) / 2.0;
            top += size(*cell);
        }
    }
    for sweep in 0..SWEEPS {
        let mut numbers: Vec<usize> = (0..layers.len()).collect();
        if sweep % 2 == 1 {
            numbers.reverse();
        }
        for layer in numbers {
            let wanted: Vec<f64> = layers[layer]
                .iter()
                .map(|cell| {
                    let (before, after) = (&net.before[*cell as usize], &net.after[*cell as usize]);
                    match (mean(before, &y), mean(after, &y)) {
                        (Some(a), Some(b)) => (a + b) / 2.0,
                        (Some(one), None) | (None, Some(one)) => one,
                        (None, None) => y[*cell as usize],
                    }
                })
                .collect();
            let sizes: Vec<f64> = layers[layer].iter().map(|cell| size(*cell)).collect();
            for (cell, at) in layers[layer].iter().zip(spread(&wanted, &sizes)) {
                y[*cell as usize] = at;
            }
        }
    }
    let used = layers.iter().flatten().map(|cell| y[*cell as usize] - size(*cell) / 2.0);
    let top = used.fold(f64::INFINITY, f64::min);
    if top.is_finite() {
        y.iter_mut().for_each(|y| *y -= top);
    }
    y
}

/// The middles nearest to those `wanted`, in the least-squares sense, at which things of these sizes do not overlap.
fn spread(wanted: &[f64], sizes: &[f64]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(sizes.len());
    let mut top = 0.0;
    for size in sizes {
        offsets.push(top + size / 2.0);
        top += size;
    }
    // Blocks of neighbours that touch: their mean, and how many they are.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        let mut block = (wanted - offset, 1);
        while let Some(last) = blocks.last().filter(|last| last.0 > block.0).copied() {
            blocks.pop();
            let count = last.1 + block.1;
            block = ((last.0 * last.1 as f64 + block.0 * block.1 as f64) / count as f64, count);
        }
        blocks.push(block);
    }
    let bases = blocks.into_iter().flat_map(|(base, count)| std::iter::repeat_n(base, count));
    bases.zip(offsets).map(|(base, offset)| base + offset).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    /// The layers, each cell with its height.
    fn drawn(layout: &Layout) -> String {
        let mut out = String::new();
        for layer in &layout.layers {
            let cells: Vec<String> =
                layer.iter().map(|cell| format!("{cell} at {:.4}", layout.y[*cell as usize])).collect();
            let _ = writeln!(out, "{}", cells.join(", "));
        }
        out
    }

    #[test]
    fn a_tangled_net_is_laid_out_with_few_crossings_and_the_same_each_time() {
        let edges = [
            (0, 4),
            (0, 6),
            (0, 9),
            (1, 3),
            (1, 7),
            (1, 11),
            (2, 4),
            (2, 5),
            (2, 12),
            (3, 8),
            (3, 10),
            (4, 9),
            (5, 8),
            (6, 10),
            (7, 9),
            (7, 13),
            (8, 12),
            (8, 13),
            (9, 11),
            (10, 12),
        ];
        let layout = lay_out(15, &edges);
        assert_eq!(layout.loose, [14]);
        let net = Net::new(layout.y.len(), &layout.arrows);
        let crossings = crossings(&layout.layers, &net, &mut vec![0.0; layout.y.len()]);
        expect![[r#"
            0 at 1.6667, 1 at 2.6667, 2 at 3.6667
            6 at 0.5000, 3 at 1.5000, 5 at 2.5000, 4 at 3.5000, 7 at 4.5000
            10 at 1.3051, 8 at 2.3051, 9 at 3.3051, 15 at 4.0551
            12 at 1.6858, 11 at 2.6858, 13 at 3.6858
            5 crossings
        "#]]
        .assert_eq(&format!("{}{crossings} crossings\n", drawn(&layout)));
    }

    #[test]
    fn things_are_moved_as_little_as_keeps_them_apart() {
        let spread = |wanted: &[f64], sizes: &[f64]| -> Vec<String> {
            spread(wanted, sizes).iter().map(|at| format!("{at:.3}")).collect()
        };
        assert_eq!(spread(&[1.0, 2.5, 7.0], &[1.0, 1.0, 2.0]), ["1.000", "2.500", "7.000"]);
        assert_eq!(spread(&[0.0, 0.0, 0.0], &[1.0, 1.0, 1.0]), ["-1.000", "0.000", "1.000"]);
        assert_eq!(spread(&[0.0, 5.0, 5.2], &[1.0, 1.0, 1.0]), ["0.000", "4.600", "5.600"]);
        // The first two, moved apart, run into the third: all three are moved.
        assert_eq!(spread(&[3.0, 0.0, 1.0], &[1.0, 0.4, 1.0]), ["0.633", "1.333", "2.033"]);
        assert_eq!(spread(&[], &[]), [""; 0]);
    }

    #[test]
    fn of_more_nodes_than_bits_of_a_word_the_implied_arrows_are_left_out_too() {
        let chain = (0..99).map(|node| (node, node + 1));
        let mut edges: Vec<(u32, u32)> = chain.clone().chain((0..50).map(|node| (node, node + 50))).collect();
        edges.sort_unstable();
        assert_eq!(reduced(100, &edges), chain.collect::<Vec<_>>());
        // Neither implies the other.
        assert_eq!(reduced(71, &[(0, 70), (1, 70)]), [(0, 70), (1, 70)]);
    }

    #[test]
    fn an_arrow_that_a_longer_way_implies_is_not_drawn() {
        assert_eq!(reduced(3, &[(0, 1), (0, 2), (1, 2)]), [(0, 1), (1, 2)]);
    }

    #[test]
    fn crossing_arrows_are_untangled() {
        let layout = lay_out(6, &[(0, 5), (1, 4), (2, 3)]);
        let mut place = vec![0.0; 6];
        let net = Net::new(6, &layout.arrows);
        assert_eq!(crossings(&layout.layers, &net, &mut place), 0);
    }

    proptest! {
        #[test]
        fn crossings_are_all_pairs_of_arrows_the_wrong_way_round(
            arrows in prop::collection::btree_set((0_u32..7, 7_u32..14), 0..20),
            layers in (Just((0..7).collect::<Vec<u32>>()).prop_shuffle(), Just((7..14).collect::<Vec<u32>>()).prop_shuffle()),
        ) {
            let arrows: Vec<Vec<u32>> = arrows.into_iter().map(|(from, to)| vec![from, to]).collect();
            let layers = [layers.0, layers.1];
            let place = |cell: u32| layers.iter().find_map(|layer| layer.iter().position(|other| *other == cell)).unwrap();
            let crosses = |a: &[u32], b: &[u32]| place(a[0]) < place(b[0]) && place(a[1]) > place(b[1]);
            let expected = arrows.iter().flat_map(|a| arrows.iter().filter(move |b| crosses(a, b))).count();
            prop_assert_eq!(crossings(&layers, &Net::new(14, &arrows), &mut [0.0; 14]), expected);
        }

        #[test]
        fn boxes_of_a_layer_never_overlap_and_arrows_go_forward(
            pairs in prop::collection::vec((0_u32..30, 0_u32..30), 0..60)
        ) {
            let mut edges: Vec<(u32, u32)> = pairs.into_iter().filter(|(a, b)| a < b).collect();
            edges.sort_unstable();
            edges.dedup();
            let layout = lay_out(30, &edges);
            let size = |cell: u32| if cell < 30 { 1.0 } else { BEND };
            for layer in &layout.layers {
                for pair in layer.windows(2) {
                    let gap = layout.y[pair[1] as usize] - layout.y[pair[0] as usize];
                    prop_assert!(gap >= (size(pair[0]) + size(pair[1])) / 2.0 - 1e-6);
                }
            }
            for arrow in &layout.arrows {
                let layer_of = |cell: u32| layout.layers.iter().position(|layer| layer.contains(&cell));
                for pair in arrow.windows(2) {
                    prop_assert_eq!(layer_of(pair[0]).map(|layer| layer + 1), layer_of(pair[1]));
                }
            }
            let placed = layout.layers.iter().flatten().filter(|cell| **cell < 30).count();
            prop_assert_eq!(placed + layout.loose.len(), 30);
        }
    }
}
