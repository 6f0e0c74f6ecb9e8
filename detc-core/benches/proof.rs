//! How long proofs take: plans of realistic shapes, many invariants at once.
//!
//! `cargo bench -p detc-core --bench proof`

use std::time::Instant;

use detc_core::model::InvariantBound;
use detc_core::plan::proof::repair::repair;
use detc_core::plan::proof::{Effect, Order, Question, prove_all};

/// A small generator of the same numbers each time (Steele, Lea and Flood 2014, SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(bound)) as u32
    }
}

type Asked = (i64, InvariantBound, Vec<Effect>);

fn measure(name: &str, actions: u32, edges: &[(u32, u32)], asked: &[Asked]) {
    let questions: Vec<Question<'_>> =
        asked.iter().map(|(base, bound, effects)| Question { base: *base, effects, bound: *bound }).collect();
    let begin = Instant::now();
    let order = Order::new(actions, edges).expect("edges lead forward");
    let laid_out = begin.elapsed();
    let verdicts = prove_all(&order, &questions);
    let broken = verdicts.iter().filter(|verdict| !verdict.holds).count();
    println!(
        "{name}: {actions} actions, {} edges, {} invariants: {} ms (order {} ms), {broken} broken",
        edges.len(),
        questions.len(),
        begin.elapsed().as_millis(),
        laid_out.as_millis(),
    );
}

/// Each action after about `degree` others of the `window` before it.
fn random_edges(random: &mut Random, actions: u32, degree: u32, window: u32) -> Vec<(u32, u32)> {
    let mut edges = Vec::new();
    for after in 1..actions {
        for _ in 0..random.below(2 * degree + 1) {
            edges.push((after - 1 - random.below(window.min(after)), after));
        }
    }
    edges
}

/// Restarts of `waves` groups, each action of a group after `degree` of the group before.
fn waves(actions: u32, waves: u32, degree: u32) -> Vec<(u32, u32)> {
    let width = actions / waves;
    let all = (width..actions).flat_map(|after| {
        let wave = after / width - 1;
        (0..degree.min(width)).map(move |i| (wave * width + (after + i) % width, after))
    });
    all.collect()
}

fn restarts(actions: impl Iterator<Item = u32>) -> Vec<Effect> {
    actions.map(|action| Effect { action, start: -1, end: 1 }).collect()
}

fn moves(random: &mut Random, actions: impl Iterator<Item = u32>, most: u32) -> Vec<Effect> {
    actions
        .map(|action| {
            let amount = i64::from(random.below(most) + 1);
            if random.below(2) == 0 {
                Effect { action, start: amount, end: 0 }
            } else {
                Effect { action, start: 0, end: -amount }
            }
        })
        .collect()
}

fn mend(name: &str, actions: u32, edges: &[(u32, u32)], asked: &[Asked]) {
    let questions: Vec<Question<'_>> =
        asked.iter().map(|(base, bound, effects)| Question { base: *base, effects, bound: *bound }).collect();
    let order = Order::new(actions, edges).expect("edges lead forward");
    let begin = Instant::now();
    let outcome = match repair(&order, &questions) {
        Ok(added) => format!("{} edges added", added.len()),
        Err(hopeless) => hopeless.to_string(),
    };
    println!(
        "repair {name}: {actions} actions, {} edges, {} invariants: {} ms, {outcome}",
        edges.len(),
        questions.len(),
        begin.elapsed().as_millis(),
    );
}

/// Moves of one unit each between hosts of which each has room for a few more than it holds now.
fn migrations(random: &mut Random, moves: u32, hosts: u32, spare: i64) -> Vec<Asked> {
    let mut asked: Vec<Asked> = vec![(0, InvariantBound::AtMost(0), Vec::new()); hosts as usize];
    for action in 0..moves {
        let (from, to) = (random.below(hosts), random.below(hosts));
        if from != to {
            asked[from as usize].2.push(Effect { action, start: 0, end: -1 });
            asked[to as usize].2.push(Effect { action, start: 1, end: 0 });
        }
    }
    for (_, bound, effects) in &mut asked {
        let sum: i64 = effects.iter().map(|effect| effect.start + effect.end).sum();
        *bound = InvariantBound::AtMost(sum.max(0) + spare);
    }
    asked
}

fn main() {
    let random = &mut Random(1);
    for actions in [1_000, 10_000, 100_000] {
        let all = i64::from(actions);
        let asked = (all, InvariantBound::AtLeast(all - all / 100), restarts(0..actions));
        mend("restarts, one in 100 away", actions, &[], std::slice::from_ref(&asked));
        let edges = random_edges(random, actions, 1, 50);
        mend("restarts, some ordered", actions, &edges, &[asked]);
        for spare in [0, 1, 4] {
            let asked = migrations(random, actions, actions / 10, spare);
            mend(&format!("migrations, {spare} to spare"), actions, &[], &asked);
        }
    }
    for actions in [10_000, 100_000] {
        let edges = random_edges(random, actions, 2, 1_000);
        let few: Vec<Asked> = (0..100)
            .map(|_| {
                let some: Vec<u32> = (0..20).map(|_| random.below(actions)).collect();
                (64, InvariantBound::AtMost(100), moves(random, some.into_iter(), 32))
            })
            .collect();
        measure("few touched", actions, &edges, &few);
        let hosts = actions / 10;
        for (name, most) in [("one a host, kept", 1_000), ("one a host, broken", 100)] {
            let local: Vec<Asked> = (0..hosts)
                .map(|host| {
                    let here = moves(random, host * 10..host * 10 + 10, 32);
                    (64, InvariantBound::AtMost(most), here)
                })
                .collect();
            measure(name, actions, &edges, &local);
        }
        let count = 100.min(1_000_000 / actions);
        for (name, edges) in [
            ("all touched, unordered", Vec::new()),
            ("all touched, 100 chains", waves(actions, actions / 100, 1)),
            ("all touched, waves of 100", waves(actions, actions / 100, 100)),
            ("all touched, loose waves of 100", waves(actions, actions / 100, 3)),
        ] {
            let all: Vec<Asked> = (0..count)
                .map(|_| (i64::from(actions), InvariantBound::AtLeast(1), restarts(0..actions)))
                .collect();
            measure(name, actions, &edges, &all);
        }
        for (name, window) in [("window 50", 50), ("window 1000", 1_000)] {
            let edges = random_edges(random, actions, 2, window);
            for (weights, most) in [("equal", 1), ("mixed", 64)] {
                let all: Vec<Asked> = (0..1)
                    .map(|_| (0, InvariantBound::AtMost(1 << 40), moves(random, 0..actions, most)))
                    .collect();
                measure(&format!("all move, {weights}, {name}"), actions, &edges, &all);
            }
        }
    }
}
