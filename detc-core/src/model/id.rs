//! Names of things. A resource's id is `kind/name`; it is all that ties a desired resource to its record.

use std::borrow::Borrow;
use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use thiserror::Error;

/// Stable identity of a resource: `kind/name`. The name may itself contain slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(SmolStr);

/// What is wrong with an id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidId {
    /// There is no slash, or nothing before or after it.
    #[error("`{0}` is not a resource id: expected `kind/name`")]
    Shape(String),
    /// The kind has other characters than lower-case letters, digits, `-`, `_` and `.`.
    #[error(
        "`{0}` is not a kind: expected lower-case letters, digits, `-`, `_` or `.`, beginning with a letter"
    )]
    Kind(String),
    /// The name has white space or control characters.
    #[error("`{0}` is not a name: white space and control characters are not allowed")]
    Name(String),
    /// The name of a host can not be that of a folder.
    #[error(
        "{0:?} is not the name of a host: expected 1 to {max} bytes without `/`, white space and control characters, and neither \
         `.` nor `..`",
        max = HostName::LEN_MAX
    )]
    Host(String),
    /// The id is longer than [`ResourceId::LEN_MAX`].
    #[error("an id of {0} bytes is too long: at most {max} are allowed", max = ResourceId::LEN_MAX)]
    Long(usize),
}

impl ResourceId {
    /// Longest id in bytes: it is a key in every store, and etcd and file systems are happiest far below 1 KiB.
    pub const LEN_MAX: usize = 512;

    /// The id of `name` among the resources of `kind`.
    ///
    /// # Errors
    /// When kind or name have characters that are not allowed, or the id is too long.
    pub fn new(kind: &str, name: &str) -> Result<Self, InvalidId> {
        Self::new_in(&mut String::with_capacity(kind.len() + 1 + name.len()), kind, name)
    }

    /// The same, put together in memory that is there.
    pub(super) fn new_in(text: &mut String, kind: &str, name: &str) -> Result<Self, InvalidId> {
        check(kind, name)?;
        text.clear();
        text.push_str(kind);
        text.push('/');
        text.push_str(name);
        Ok(Self(text.as_str().into()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first slash.
    pub fn kind(&self) -> &str {
        self.split().0
    }

    /// The part after the first slash.
    pub fn name(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        let slash = slash_in(&self.0).expect("invariant: an id has a slash");
        (&self.0[..slash], &self.0[slash + 1..])
    }
}

/// Where the first slash is. Kinds are short: looking at one byte after the other finds it sooner than a search that is made
/// for long texts, and it is looked for several times for each of a million resources.
fn slash_in(text: &str) -> Option<usize> {
    text.bytes().position(|byte| byte == b'/')
}

impl FromStr for ResourceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let slash = slash_in(text).ok_or_else(|| InvalidId::Shape(text.to_owned()))?;
        check(&text[..slash], &text[slash + 1..])?;
        Ok(Self(text.into()))
    }
}

/// Whether `kind/name` is an id.
fn check(kind: &str, name: &str) -> Result<(), InvalidId> {
    let first_is_letter = kind.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let kind_ok = kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if !first_is_letter || !kind_ok {
        return Err(InvalidId::Kind(kind.to_owned()));
    }
    if name.is_empty() {
        return Err(InvalidId::Shape(format!("{kind}/")));
    }
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain && !is_visible(name) {
        return Err(InvalidId::Name(name.to_owned()));
    }
    let len = kind.len() + 1 + name.len();
    if len > ResourceId::LEN_MAX {
        return Err(InvalidId::Long(len));
    }
    Ok(())
}

fn is_visible(name: &str) -> bool {
    !name.chars().any(|c| c.is_whitespace() || c.is_control())
}

impl Borrow<str> for ResourceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IdVisitor)
    }
}

/// Reads an id from borrowed text: a million resources name several others each, and serde's `Cow` would copy each.
struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = ResourceId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource id, `kind/name`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ResourceId, E> {
        text.parse().map_err(E::custom)
    }
}

/// The name that a desired state gives to a host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Longest name in bytes: no file system that is in use takes a longer one for a folder.
    pub const LEN_MAX: usize = 255;

    /// The host called `name`.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it may be desired: what detc keeps of its own for a host is in a folder of that name.
    pub(crate) fn check(&self) -> Result<(), InvalidId> {
        let name = self.as_str();
        let is_one = !matches!(name, "" | "." | "..") && !name.contains('/');
        match is_one && is_visible(name) && name.len() <= Self::LEN_MAX {
            true => Ok(()),
            false => Err(InvalidId::Host(name.to_owned())),
        }
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_slashes_and_the_kind_ends_at_the_first() {
        let id: ResourceId = "file/web-1/conf".parse().unwrap();
        assert_eq!((id.kind(), id.name()), ("file", "web-1/conf"));
    }

    #[test]
    fn a_kind_has_letters_digits_and_marks_and_an_id_a_greatest_length() {
        let id = ResourceId::new("my-kind_2.x", "a").unwrap();
        assert_eq!(id.kind(), "my-kind_2.x");
        let longest = ResourceId::LEN_MAX - "file/".len();
        assert!(ResourceId::new("file", &"x".repeat(longest)).is_ok());
        assert!(ResourceId::new("file", &"x".repeat(longest + 1)).is_err());
    }

    #[test]
    fn hosts_are_found_by_the_text_of_their_names() {
        let hosts = std::collections::BTreeMap::from([(HostName::new("a"), 1), (HostName::new("b"), 2)]);
        assert_eq!((hosts.get("b"), hosts.get("c")), (Some(&2), None));
    }

    #[test]
    fn what_is_wrong_with_an_id_is_said() {
        let message = |text: &str| text.parse::<ResourceId>().unwrap_err().to_string();
        assert_eq!(message("web"), "`web` is not a resource id: expected `kind/name`");
        assert_eq!(message("file/"), "`file/` is not a resource id: expected `kind/name`");
        assert!(message("File/x").starts_with("`File` is not a kind"));
        assert!(message("/x").starts_with("`` is not a kind"));
        assert!(message("file/a b").starts_with("`a b` is not a name"));
        assert!(message(&format!("file/{}", "x".repeat(600))).starts_with("an id of 605 bytes"));
    }
}
