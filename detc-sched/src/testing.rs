//! For those who test what they decide with this crate: small random models, and a solver that tries everything.
//!
//! | there is | to find out |
//! |---|---|
//! | [`random_model`], [`random_running`] | whether something holds for models of every kind, not only for those one thinks of |
//! | [`Exhaustive`] | whether a refusal is right, and how far from the best an answer is |
//! | [`validate`](mod@crate::place::validate), [`bill`](crate::place::bill) | whether an answer is feasible, and what it costs; these are always there |
//!
//! Slow and plain: nothing outside of tests depends on this module. The same seed and [`Shape`] give the same model on every
//! machine; in another version of this crate it may be another model.

#[cfg(feature = "testing")]
pub use exhaustive::{Exhaustive, TooMany};
#[cfg(test)]
pub(crate) use fixed::{Rules, Size, model, running_model};
#[cfg(feature = "testing")]
pub use random::{Shape, random_model, random_running};

#[cfg(feature = "testing")]
mod exhaustive;
#[cfg(test)]
mod fixed;
#[cfg(feature = "testing")]
mod random;
