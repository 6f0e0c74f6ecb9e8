//! Random numbers that can be had again: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014).

use std::hash::{BuildHasher as _, RandomState};

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The seed of this run of `test`: `DETC_SEED`, or a new one. It and the command that repeats it are printed.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = std::env::var("DETC_SEED")
        .map_or_else(|_| RandomState::new().hash_one(0_u8), |seed| seed.parse().unwrap());
    println!("seed {seed}; again: DETC_SEED={seed} cargo test -p detc-tests --test it {test} -- --nocapture");
    seed
}
