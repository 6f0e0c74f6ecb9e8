//! A file beside the desired state file, whose content a resource needs.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::LATER;
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
    /// Longest file that is read: it is held in memory and written in one piece. Larger ones are artifacts, which are
    /// streamed.
    pub const LEN_MAX: u64 = 64 << 20;

    /// Reads the file at `path`, relative to the folder `base`.
    ///
    /// # Errors
    /// When it can not be read, or is longer than [`Source::LEN_MAX`].
    pub fn read(base: &Path, path: &str) -> io::Result<(Self, Arc<[u8]>)> {
        let full = base.join(path);
        let meta = std::fs::metadata(&full)?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let len = meta.len();
        if len > Self::LEN_MAX {
            return Err(io::Error::other(format!(
                "{len} bytes are more than the {} that are read",
                Self::LEN_MAX
            )));
        }
        let content: Arc<[u8]> = std::fs::read(&full)?.into();
        Ok((Self { path: path.to_owned(), digest: Digest::of(&content) }, content))
    }
}
