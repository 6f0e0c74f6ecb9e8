//! What rules ask of a machine's attributes.
//!
//! Numbers are compared as numbers when both sides are, and as versions (`1.10` after `1.9`, a release after its
//! pre-release) where a version is asked for. A machine without the attribute satisfies no test but [`Test::Absent`],
//! [`Test::Unlike`] and [`Test::NotIn`]: what is not known to be so, is not.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use regex_lite::Regex;
use thiserror::Error;

/// A test of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which attribute.
    pub attribute: String,
    /// What it must be like.
    pub test: Test,
}

/// What an attribute's value must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Test {
    /// There is one, whatever it is.
    Present,
    /// There is none.
    Absent,
    /// Exactly this.
    Is(String),
    /// One of these.
    In(BTreeSet<String>),
    /// None of these.
    NotIn(BTreeSet<String>),
    /// Matches the pattern as a whole.
    Like(Pattern),
    /// Does not match it.
    Unlike(Pattern),
    /// A number below this.
    Below(i64),
    /// A number above this.
    Above(i64),
    /// A version of at least this.
    VersionAtLeast(String),
    /// A version below this.
    VersionBelow(String),
}

/// A pattern that was checked.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A pattern that can not be read.
#[derive(Debug, Error)]
#[error("read the pattern {pattern:?} of a rule")]
pub struct PatternError {
    pattern: String,
    source: regex_lite::Error,
}

impl Pattern {
    /// A regular expression that must match the whole value.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Regex::new(&format!("^(?:{pattern})$"))
            .map(Self)
            .map_err(|source| PatternError { pattern: pattern.to_owned(), source })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Requirement {
    /// The attribute passes the test.
    pub fn new(attribute: impl Into<String>, test: Test) -> Self {
        Self { attribute: attribute.into(), test }
    }

    /// Whether a machine with these attributes passes.
    pub fn holds(&self, attributes: &BTreeMap<String, String>) -> bool {
        let value = attributes.get(&self.attribute).map(String::as_str);
        match (&self.test, value) {
            (Test::Present, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::Is(wanted), Some(value)) => wanted == value,
            (Test::In(set), Some(value)) => set.contains(value),
            (Test::NotIn(set), value) => value.is_none_or(|value| !set.contains(value)),
            (Test::Like(pattern), Some(value)) => pattern.0.is_match(value),
            (Test::Unlike(pattern), value) => value.is_none_or(|value| !pattern.0.is_match(value)),
            (Test::Below(limit), Some(value)) => value.parse::<i64>().is_ok_and(|value| value < *limit),
            (Test::Above(limit), Some(value)) => value.parse::<i64>().is_ok_and(|value| value > *limit),
            (Test::VersionAtLeast(limit), Some(value)) => compare_versions(value, limit) != Ordering::Less,
            (Test::VersionBelow(limit), Some(value)) => compare_versions(value, limit) == Ordering::Less,
            (
                Test::Is(_)
                | Test::In(_)
                | Test::Like(_)
                | Test::Below(_)
                | Test::Above(_)
                | Test::VersionAtLeast(_)
                | Test::VersionBelow(_),
                None,
            ) => false,
        }
    }
}

/// Compares versions of any number of parts: numbers as numbers, and what follows a `-` is before the release (semver.org,
/// item 11, without its limit to three parts).
fn compare_versions(left: &str, right: &str) -> Ordering {
    let split = |version: &str| -> (Vec<u64>, Option<String>) {
        let version = version.trim_start_matches('v');
        let version = version.split('+').next().unwrap_or(version);
        let (release, before) = match version.split_once('-') {
            Some((release, before)) => (release, Some(before.to_owned())),
            None => (version, None),
        };
        let mut parts: Vec<u64> = release.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        while parts.last() == Some(&0) {
            parts.pop();
        }
        (parts, before)
    };
    let ((left, left_before), (right, right_before)) = (split(left), split(right));
    left.cmp(&right).then_with(|| match (left_before, right_before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => compare_before(&left, &right),
    })
}

/// Compares pre-releases part by part: numbers as numbers and before texts, fewer parts before more.
fn compare_before(left: &str, right: &str) -> Ordering {
    let key = |part: &str| match part.parse::<u64>() {
        Ok(number) => (0, number, String::new()),
        Err(_) => (1, 0, part.to_owned()),
    };
    left.split('.').map(key).cmp(right.split('.').map(key))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.attribute;
        let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        match &self.test {
            Test::Present => write!(f, "{name} is known"),
            Test::Absent => write!(f, "{name} is not known"),
            Test::Is(value) => write!(f, "{name} is {value}"),
            Test::In(set) => write!(f, "{name} is one of {}", joined(set)),
            Test::NotIn(set) => write!(f, "{name} is none of {}", joined(set)),
            Test::Like(pattern) => write!(f, "{name} is like {}", pattern.0.as_str()),
            Test::Unlike(pattern) => write!(f, "{name} is not like {}", pattern.0.as_str()),
            Test::Below(limit) => write!(f, "{name} is below {limit}"),
            Test::Above(limit) => write!(f, "{name} is above {limit}"),
            Test::VersionAtLeast(limit) => write!(f, "{name} is version {limit} or later"),
            Test::VersionBelow(limit) => write!(f, "{name} is before version {limit}"),
        }
    }
}
