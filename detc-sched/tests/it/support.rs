//! What the tests of this binary share.

/// Checks something for the seeds from 0 on; or for the one in `DETC_SEED` alone.
pub(crate) fn for_seeds(count: u64, mut check: impl FnMut(u64)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("DETC_SEED") {
        return check(seed);
    }
    for seed in 0..count * number("DETC_SEEDS").unwrap_or(1) {
        let _failing = Failing(seed);
        check(seed);
    }
}

/// Tells how a failure is repeated.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            let (name, seed) = (thread.name().unwrap_or(""), self.0);
            eprintln!("repeat with: DETC_SEED={seed} cargo test -p detc-sched --test it -- --exact {name}");
        }
    }
}
