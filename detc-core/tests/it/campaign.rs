//! Campaigns: a manager is broken at every point there is, and an independent ledger says what came of it. The test command
//! runs a part of each; `DETC_CAMPAIGN=full` all of it, with an optimised build:
//!
//! ```text
//! DETC_CAMPAIGN=full cargo test --release -p detc-core --test it campaign -- --nocapture
//! ```
//!
//! `docs/reliability.md` has what they came to.

mod crashes;
mod edits;
mod events;
mod lost;
mod parts;
mod stale;

/// How much of a campaign is run: `part` of it by the test command.
fn sized<T>(part: T, full: T) -> T {
    match std::env::var("DETC_CAMPAIGN") {
        Ok(how) if how == "full" => full,
        Ok(_) | Err(_) => part,
    }
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
