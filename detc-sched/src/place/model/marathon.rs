//! Marathon's constraints, as they stand in an application's definition, as rules.

use thiserror::Error;

use super::{Builder, Pattern, PatternError, Requirement, Rule, Test};
use crate::place::LevelId;

/// Why a constraint of Marathon can not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// It is not a field, an operator, and a value where the operator has one.
    #[error(
        "read the constraint {constraint:?}: it is a field, one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER and \
         IS, and a value where there is one"
    )]
    Shape {
        /// What was to be read.
        constraint: Vec<String>,
    },
    /// Its value is not a whole number where one is asked for.
    #[error("read the constraint {constraint:?}: its value is a whole number above 0")]
    Number {
        /// What was to be read.
        constraint: Vec<String>,
    },
    /// Its value is no regular expression.
    #[error("read the constraint {constraint:?}")]
    Pattern {
        /// What was to be read.
        constraint: Vec<String>,
        /// Why not.
        source: PatternError,
    },
}

impl Builder {
    /// The rules that say what a constraint of Marathon says (`["rack", "MAX_PER", "2"]`; "Constraints" in its documentation).
    /// The field `hostname` is the machine; any other is an attribute, and machines without it are not for the group but
    /// with `UNLIKE`.
    ///
    /// ```
    /// use detc_sched::place::{Builder, Group, LevelId, Rule};
    ///
    /// let mut builder = Builder::new();
    /// let rules = builder.marathon(&["hostname", "UNIQUE"])?;
    /// assert_eq!(rules, [Rule::AtMost { count: 1, per: LevelId::MACHINE }]);
    /// let rules = builder.marathon(&["rack", "GROUP_BY", "3"])?;
    /// builder.group(Group::new("web").with_rules(rules));
    /// # Ok::<(), detc_sched::place::ConstraintError>(())
    /// ```
    ///
    /// # Errors
    /// When it is none of Marathon's.
    pub fn marathon(&mut self, constraint: &[&str]) -> Result<Vec<Rule>, ConstraintError> {
        let told = || constraint.iter().map(ToString::to_string).collect();
        let number = |value: &str| match value.parse::<u32>() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(ConstraintError::Number { constraint: told() }),
        };
        let pattern = |value: &str| {
            Pattern::new(value).map_err(|source| ConstraintError::Pattern { constraint: told(), source })
        };
        let [field, rest @ ..] = constraint else {
            return Err(ConstraintError::Shape { constraint: told() });
        };
        let asks = |test: Test| Ok(vec![Rule::Machines(Requirement::new(*field, test))]);
        Ok(match rest {
            ["UNIQUE"] => self.over(field, |per| Rule::AtMost { count: 1, per }),
            ["MAX_PER", value] => {
                let count = number(value)?;
                self.over(field, |per| Rule::AtMost { count, per })
            }
            ["GROUP_BY"] => self.over(field, |over| Rule::Even { over, domains: 0 }),
            ["GROUP_BY", value] => {
                let domains = number(value)?;
                self.over(field, |over| Rule::Even { over, domains })
            }
            ["CLUSTER"] => self.over(field, |within| Rule::Together { within }),
            ["CLUSTER" | "IS", value] => asks(Test::Is((*value).to_owned()))?,
            ["LIKE", value] => asks(Test::Like(pattern(value)?))?,
            ["UNLIKE", value] => asks(Test::Unlike(pattern(value)?))?,
            _ => return Err(ConstraintError::Shape { constraint: told() }),
        })
    }

    fn over(&mut self, field: &str, rule: impl FnOnce(LevelId) -> Rule) -> Vec<Rule> {
        if field == "hostname" {
            return vec![rule(LevelId::MACHINE)];
        }
        let known = Rule::Machines(Requirement::new(field, Test::Present));
        vec![known, rule(self.level_of_attribute(field))]
    }
}
