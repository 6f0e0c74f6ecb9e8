//! What rules ask of a machine's attributes.
//!
//! | asked | tests | a machine without the attribute |
//! |---|---|---|
//! | whether it is known | [`Present`](Test::Present), [`Absent`](Test::Absent) | is absent |
//! | its text | [`Is`](Test::Is), [`In`](Test::In), [`Like`](Test::Like) | fails |
//! | what it must not be | [`IsNot`](Test::IsNot), [`NotIn`](Test::NotIn), [`Unlike`](Test::Unlike), [`HasNone`](Test::HasNone) | passes |
//! | a whole number | [`AtLeast`](Test::AtLeast), [`Above`](Test::Above), [`AtMost`](Test::AtMost), [`Below`](Test::Below) | fails |
//! | a list with commas | [`HasAll`](Test::HasAll), [`HasAny`](Test::HasAny) | fails |
//! | a version | [`VersionAtLeast`](Test::VersionAtLeast), [`VersionBelow`](Test::VersionBelow) | fails |
//!
//! A range is two rules. What is not a number passes no test of numbers, and what is not a version none of versions: what
//! is not known to be so, is not. Versions are compared part by part (`1.10` after `1.9`), a release after its
//! pre-releases, what follows a `+` not at all (semver.org, items 10 and 11, without the limit to three parts).

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
    /// Anything but this.
    IsNot(String),
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
    /// A number of at least this.
    AtLeast(i64),
    /// A number of at most this.
    AtMost(i64),
    /// A list, divided by commas, that has all of these.
    HasAll(BTreeSet<String>),
    /// A list that has one of these.
    HasAny(BTreeSet<String>),
    /// A list that has none of these.
    HasNone(BTreeSet<String>),
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

impl Pattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        let whole = self.0.as_str();
        whole.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(whole)
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
        let number = || value.and_then(|value| value.trim().parse::<i64>().ok());
        let items = || value.map(|value| value.split(',').map(str::trim).collect::<BTreeSet<&str>>());
        let version = |limit: &str| Some(Version::read(value?)?.cmp(&Version::read(limit)?));
        match &self.test {
            Test::Present => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Is(wanted) => value == Some(wanted),
            Test::IsNot(unwanted) => value != Some(unwanted),
            Test::In(set) => value.is_some_and(|value| set.contains(value)),
            Test::NotIn(set) => value.is_none_or(|value| !set.contains(value)),
            Test::Like(pattern) => value.is_some_and(|value| pattern.0.is_match(value)),
            Test::Unlike(pattern) => value.is_none_or(|value| !pattern.0.is_match(value)),
            Test::Below(limit) => number().is_some_and(|number| number < *limit),
            Test::Above(limit) => number().is_some_and(|number| number > *limit),
            Test::AtLeast(limit) => number().is_some_and(|number| number >= *limit),
            Test::AtMost(limit) => number().is_some_and(|number| number <= *limit),
            Test::HasAll(set) => items().is_some_and(|items| set.iter().all(|item| items.contains(&**item))),
            Test::HasAny(set) => items().is_some_and(|items| set.iter().any(|item| items.contains(&**item))),
            Test::HasNone(set) => items().is_none_or(|items| !set.iter().any(|item| items.contains(&**item))),
            Test::VersionAtLeast(limit) => version(limit).is_some_and(Ordering::is_ge),
            Test::VersionBelow(limit) => version(limit).is_some_and(Ordering::is_lt),
        }
    }
}

/// Whether a text can be compared as a version.
pub(crate) fn is_version(text: &str) -> bool {
    Version::read(text).is_some()
}

/// A version, to be compared: its numbers without zeros at the end, and what it is a pre-release of.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    numbers: Vec<u64>,
    before: Option<&'a str>,
}

impl<'a> Version<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next().unwrap_or(text);
        let (release, before) = match text.split_once('-') {
            Some((release, before)) => (release, Some(before)),
            None => (text, None),
        };
        let mut numbers: Vec<u64> =
            release.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self { numbers, before })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.before, other.before) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(left), Some(right)) => compare_before(left, right),
        })
    }
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
            Test::IsNot(value) => write!(f, "{name} is not {value}"),
            Test::AtLeast(limit) => write!(f, "{name} is at least {limit}"),
            Test::AtMost(limit) => write!(f, "{name} is at most {limit}"),
            Test::HasAll(set) => write!(f, "{name} has {}", joined(set)),
            Test::HasAny(set) => write!(f, "{name} has one of {}", joined(set)),
            Test::HasNone(set) => write!(f, "{name} has none of {}", joined(set)),
            Test::In(set) => write!(f, "{name} is one of {}", joined(set)),
            Test::NotIn(set) => write!(f, "{name} is none of {}", joined(set)),
            Test::Like(pattern) => write!(f, "{name} is like {}", pattern.as_str()),
            Test::Unlike(pattern) => write!(f, "{name} is not like {}", pattern.as_str()),
            Test::Below(limit) => write!(f, "{name} is below {limit}"),
            Test::Above(limit) => write!(f, "{name} is above {limit}"),
            Test::VersionAtLeast(limit) => write!(f, "{name} is version {limit} or later"),
            Test::VersionBelow(limit) => write!(f, "{name} is before version {limit}"),
        }
    }
}
