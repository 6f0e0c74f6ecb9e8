//! The best placement seen, kept at a constant cost a step.
//!
//! Copying the placement at each improvement would be linear in instances, and late in a search every second step
//! improves. Instead the way back to the best is kept, and only when it becomes longer than the placement itself is the
//! best written out.

/// The best placement that a search has seen.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    at: Vec<u32>,
    cost: i64,
    /// Instances, and where each was before it was moved, since the best; if the best is not written out.
    way_back: Option<Vec<(u32, u32)>>,
}

impl Best {
    pub(crate) fn new(at: &[u32], cost: i64) -> Self {
        Self { at: at.to_vec(), cost, way_back: None }
    }

    pub(crate) fn cost(&self) -> i64 {
        self.cost
    }

    /// The search has moved these from where they were, and is `at` there now, which costs `cost`.
    #[inline]
    pub(crate) fn note(&mut self, moves: &[(u32, u32)], at: &[u32], cost: i64) {
        if cost < self.cost {
            self.cost = cost;
            match &mut self.way_back {
                Some(way) => way.clear(),
                None => self.way_back = Some(Vec::new()),
            }
            return;
        }
        let Some(way) = &mut self.way_back else { return };
        way.extend_from_slice(moves);
        if way.len() > at.len() {
            self.write_out(at);
        }
    }

    /// The placement itself, when the search is `at` there now.
    pub(crate) fn write_out(&mut self, at: &[u32]) -> &[u32] {
        if let Some(way) = self.way_back.take() {
            self.at.copy_from_slice(at);
            for (instance, from) in way.into_iter().rev() {
                self.at[instance as usize] = from;
            }
        }
        &self.at
    }
}
