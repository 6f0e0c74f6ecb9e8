//! A file beside the desired state file, whose content a resource needs.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::LATER;
use crate::content::Content;
use crate::model::Digest;

/// A file's path, as it was written, and the digest of its content. The content itself travels beside the specs and is
/// asked for with [`ActionCx::blob`](crate::action::ActionCx::blob).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The path, relative to the desired state file or absolute.
    pub path: String,
    /// The digest of the content.
    #[serde(deserialize_with = "digest_or_later")]
    pub digest: Digest,
}

/// A digest; one that no content has where a spec is read without what is sensitive in it.
fn digest_or_later<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    if text == LATER { Ok(Digest::NONE) } else { text.parse().map_err(serde::de::Error::custom) }
}

impl Source {
    /// Reads the file at `path`, relative to the folder `base`.
    ///
    /// # Errors
    /// When it can not be read, or is longer than [`LEN_MAX`](crate::content::LEN_MAX).
    pub fn read(base: &Path, path: &str) -> io::Result<(Self, Content)> {
        let content = Content::read(&base.join(path))?;
        Ok((Self { path: path.to_owned(), digest: Digest::of_content(&content) }, content))
    }
}
