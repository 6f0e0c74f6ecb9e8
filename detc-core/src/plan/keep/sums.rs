//! The value of each invariant before a plan: what is recorded and there, summed up once, and then kept in step.
//!
//! A record is read only if some invariant is about its kind. The sums are exact in between, so that what is taken off again
//! leaves what there was; one that is beyond the numbers of an invariant is refused when it is asked for.

use super::effects::{Counted, Doubtful, Invariants, within};
use crate::model::parallel::in_parts;
use crate::model::{Invariant, Observation, Record, ResourceId};
use crate::plan::{PlanError, PlanInput};

/// For each invariant the sum over what is recorded, and over how many resources it goes.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct Sums {
    values: Vec<i128>,
    counted: Vec<i64>,
}

/// Whether a resource comes to what is summed up or goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum Counting {
    In,
    Out,
}

impl Sums {
    /// Sums up all that is recorded.
    ///
    /// # Errors
    /// When a record is damaged.
    pub(in crate::plan) fn of(all: &[Invariant], input: &PlanInput<'_>) -> Result<Self, PlanError> {
        if all.is_empty() {
            return Ok(Self::default());
        }
        let invariants = Invariants::new(all);
        let recorded: Vec<(&ResourceId, &Record)> = input.recorded.iter().collect();
        let parts = in_parts(recorded.len(), |range| {
            let mut sums = Self::none(all.len());
            for &(id, record) in &recorded[range] {
                sums.count(&invariants, (id, record, input.seen(id, record)), Counting::In)?;
            }
            Ok(sums)
        });
        let mut sums = Self::none(all.len());
        for part in parts {
            let part: Self = part?;
            sums.values.iter_mut().zip(part.values).for_each(|(sum, part)| *sum += part);
            sums.counted.iter_mut().zip(part.counted).for_each(|(sum, part)| *sum += part);
        }
        Ok(sums)
    }

    fn none(len: usize) -> Self {
        Self { values: vec![0; len], counted: vec![0; len] }
    }

    /// Adds what a recorded resource counts for, or takes it off.
    ///
    /// # Errors
    /// When the record is damaged. Nothing is counted then.
    pub(in crate::plan) fn recorded(
        &mut self,
        all: &[Invariant],
        of: (&ResourceId, &Record, (Option<&Observation>, bool)),
        counting: Counting,
    ) -> Result<(), PlanError> {
        self.count(&Invariants::new(all), of, counting)
    }

    fn count(
        &mut self,
        invariants: &Invariants<'_>,
        (id, record, seen): (&ResourceId, &Record, (Option<&Observation>, bool)),
        counting: Counting,
    ) -> Result<(), PlanError> {
        if invariants.about(id.kind()).next().is_none() {
            return Ok(());
        }
        let counted = Counted::recorded(id, record, seen)?;
        let sign = match counting {
            Counting::In => 1,
            Counting::Out => -1,
        };
        for at in invariants.about(id.kind()) {
            let invariant = &invariants.all[at];
            if counted.is_counted_by(&invariant.measure) {
                self.counted[at] += sign;
                self.values[at] += i128::from(sign) * i128::from(counted.amount(invariant, Doubtful::Worse));
            }
        }
        Ok(())
    }

    /// The value of each of these invariants.
    ///
    /// # Errors
    /// When one is beyond what can be proven of.
    pub(super) fn bases(&self, all: &[Invariant]) -> Result<Vec<i64>, PlanError> {
        all.iter().zip(&self.values).map(|(invariant, value)| within(invariant, *value)).collect()
    }

    /// Whether each is about nothing: no resource, recorded or desired, counts for it. Where nothing recorded does, what is
    /// desired is gone through.
    pub(super) fn vacuous(&self, input: &PlanInput<'_>) -> Vec<bool> {
        let invariants = Invariants::new(&input.desired.invariants);
        let mut open: Vec<usize> = (0..self.counted.len()).filter(|at| self.counted[*at] == 0).collect();
        for (id, desired) in &input.desired.resources {
            if open.is_empty() {
                break;
            }
            if invariants.about(id.kind()).any(|at| open.contains(&at)) {
                let counted = Counted::desired(id, desired, desired.spec.clone());
                open.retain(|at| !counted.is_counted_by(&invariants.all[*at].measure));
            }
        }
        (0..self.counted.len()).map(|at| open.contains(&at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InvariantBound, Measure, Selector};

    #[test]
    fn what_is_beyond_the_numbers_of_an_invariant_is_refused() {
        let invariant = |name: &str| Invariant {
            name: name.to_owned(),
            measure: Measure::Available(Selector::default()),
            bound: InvariantBound::AtLeast(1),
        };
        let bases = |values: [i128; 2]| {
            let sums = Sums { values: values.to_vec(), counted: vec![0; 2] };
            sums.bases(&["a", "b"].map(invariant)).map_err(|error| error.to_string())
        };
        let (most, least) = (i128::from(i64::MAX), i128::from(i64::MIN));
        assert_eq!(bases([most, least]).unwrap(), [i64::MAX, i64::MIN]);
        let beyond = "what the invariant `b` sums is beyond 64 bits: nothing can be proven of it";
        assert_eq!(bases([most, most + 1]).unwrap_err(), beyond);
        assert_eq!(bases([0, least - 1]).unwrap_err(), beyond);
    }
}
