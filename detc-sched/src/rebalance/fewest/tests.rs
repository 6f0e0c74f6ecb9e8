use super::{Candidate, fewest};
use crate::rng::Rng;

fn candidates<'a>(takes: &[&'a [i64]]) -> impl Iterator<Item = Candidate<'a>> {
    let candidate =
        |(id, takes): (usize, &'a [i64])| Candidate { id: id as u32, takes, size: takes.iter().sum() };
    takes.iter().copied().enumerate().map(candidate)
}

#[test]
fn they_are_as_few_and_as_small_as_any_of_all_sets() {
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed, 7);
        let resources = 1 + rng.below(3);
        let takes: Vec<Vec<i64>> =
            (0..1 + rng.below(10)).map(|_| (0..resources).map(|_| rng.below(20) as i64).collect()).collect();
        let excess: Vec<i64> = (0..resources).map(|_| rng.below(60) as i64 - 10).collect();
        let takes: Vec<&[i64]> = takes.iter().map(Vec::as_slice).collect();
        let sum = |set: usize, resource: usize| -> i64 {
            (0..takes.len()).filter(|index| set & (1 << index) != 0).map(|index| takes[index][resource]).sum()
        };
        let best = (0..1_usize << takes.len())
            .filter(|set| (0..resources).all(|resource| sum(*set, resource) >= excess[resource]))
            .map(|set| (set.count_ones(), (0..resources).map(|resource| sum(set, resource)).sum::<i64>()))
            .min()
            .filter(|(len, _)| *len <= 8);
        let found = fewest(&excess, candidates(&takes), &mut 1_000_000);
        let found = found.map(|set| {
            let size = set.iter().map(|id| takes[*id as usize].iter().sum::<i64>()).sum::<i64>();
            (set.len() as u32, size)
        });
        assert_eq!(found, best, "seed {seed}: {excess:?} of {takes:?}");
    }
}

#[test]
fn as_much_is_looked_at_as_is_allowed_and_no_more() {
    let takes = [[1_i64, 2].as_slice(), &[2, 1]].repeat(100);
    let mut looks = 50;
    // Eight of them take 12 of each; sixteen would be needed.
    assert_eq!(fewest(&[20, 20], candidates(&takes), &mut looks), None);
    assert!(looks > 0, "what can not be is not searched for");
    let takes: Vec<Vec<i64>> = (0..200).map(|index| vec![100 + index % 7, 100 + index % 5]).collect();
    let takes: Vec<&[i64]> = takes.iter().map(Vec::as_slice).collect();
    let found = fewest(&[635, 623], candidates(&takes), &mut looks);
    assert_eq!((found.map(|set| set.len()), looks), (Some(6), 0));
}
