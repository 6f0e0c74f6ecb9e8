//! How hot a search begins and what it fines, from the model alone: nothing is set by hand.

use super::anneal::Cooling;
use super::dense::Dense;
use super::effort::Effort;
use super::run::Run;
use super::state::Prices;

impl Prices {
    /// Prices by which nothing is ever worth breaking.
    pub(crate) fn strict(dense: &Dense) -> Self {
        Self { capacity: vec![1 << 20; dense.resources], breach: 1 << 40 }
    }
}

impl Run<'_> {
    /// The whole search of one thread.
    pub(crate) fn search(&mut self, effort: &Effort<'_>) {
        let env = |name: &str, default: f64| {
            std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
        };
        if env("RELIEVE", 1.0) > 0.0 {
            self.relieve(effort, 0.5);
        }
        let dense = self.state.dense;
        let mean_cap: Vec<f64> = (0..dense.resources)
            .map(|r| {
                (0..dense.machines).map(|m| dense.capacities[m * dense.resources + r] as f64).sum::<f64>()
                    / dense.machines as f64
            })
            .collect();
        let scale: f64 = (0..dense.resources).map(|r| mean_cap[r] * dense.overload[r] as f64).sum::<f64>()
            / dense.resources as f64;
        let kappa = env("KAPPA", 3.0);
        let capacity: Vec<i64> = (0..dense.resources)
            .map(|r| (kappa * (dense.overload[r] as f64 + scale / mean_cap[r].max(1.0))) as i64 + 1)
            .collect();
        let mut d = 0.0;
        let n = 4000;
        for _ in 0..n {
            let i = dense.movable[self.rng.below(dense.movable.len())];
            let to = self.rng.below(dense.machines) as u32;
            if to != self.state.at[i as usize] {
                d += self.state.shift_delta(i, to).abs() as f64;
            }
        }
        d /= n as f64;
        if std::env::var("V").is_ok() {
            eprintln!("D {d:.3e} after relieve {}", self.state.cost());
        }
        let hot = env("HOTF", 1.0) * d;
        let hot = env("HOT", hot);
        let prices = Prices { capacity, breach: (hot * env("KB", 10.0)) as i64 + 1 };
        let begin = effort.spent(self.steps).share();
        let end = env("QUENCH", 0.93);
        self.anneal(
            effort,
            &Cooling {
                hot,
                cold: env("COLD", 1e5),
                prices: prices.clone(),
                dearer: env("KEND", 300.0),
                begin,
                end,
            },
        );
        if std::env::var("V").is_ok() {
            eprintln!(
                "  after anneal cost {} fine {} lawful {} best {}",
                self.state.cost(),
                self.state.fine(),
                self.state.is_lawful(),
                self.best.cost()
            );
        }
        let strict = Prices::strict(dense);
        self.anneal(
            effort,
            &Cooling { hot: env("COLD", 1e5), cold: 1.0, prices: strict, dearer: 1.0, begin: end, end: 1.0 },
        );
        if std::env::var("V").is_ok() {
            eprintln!(
                "  end cost {} fine {} best {}",
                self.state.cost(),
                self.state.fine(),
                self.best.cost()
            );
        }
    }
}
