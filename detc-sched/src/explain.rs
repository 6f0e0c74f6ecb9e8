//! Why here, why not there, why nowhere; what moves bought; and what would happen if.
//!
//! | question | answer |
//! |---|---|
//! | why here? | [`why_here`]: its rank among the machines that fit, and who comes next |
//! | why not there? | [`why_not_there`]: all that keeps it away, with the numbers |
//! | why nowhere? | [`why_nowhere`]: counts, a minimal set that blocks it, and what would free it |
//! | may I take these machines down? | [`take_down`]: where all would go, who would not, what would be broken |
//! | what would it take to fit 20 more? | [`what_would_it_take`]: how many fit, and with which change how many would |
//! | what did each move buy? | [`account_of_moves`]: step by step, term by term; [`what_moves_bought`]: each alone |
//! | what does it cost, and why? | [`bill`](crate::place::bill) |
//!
//! All answers are values. [`Model::named`](crate::place::Model::named) shows them as sentences with names.

pub use here::{Here, why_here};
pub use moves::{Account, Move, Step, account_of_moves, what_moves_bought};
pub use nowhere::{Nowhere, why_nowhere};
pub use room::{Room, Way, what_would_it_take};
pub use taken::{TakenDown, take_down};
pub use there::{Fact, Obstacle, why_not_there};

mod here;
mod ledger;
mod moves;
mod nowhere;
mod room;
mod taken;
#[cfg(test)]
mod tests;
mod there;
