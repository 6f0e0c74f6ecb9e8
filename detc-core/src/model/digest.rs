//! Content digests: BLAKE3, 256 bits.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::content::{Content, Sum};

/// A BLAKE3 digest of some content. Equal digests are taken to mean equal content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of nothing at all: it stands where there is none.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of what a file holds: where that is [large](crate::content::LARGE), one that its host can tell.
    pub fn of_content(content: &Content) -> Self {
        match content.held() {
            Some(bytes) if !content.is_large() => Self::of(bytes),
            _ => Self::of_large(&content.sum()),
        }
    }

    /// The digest of [large](crate::content::LARGE) content of this sum.
    pub fn of_large(sum: &Sum) -> Self {
        Hasher::new("detc large content").part(sum.as_bytes()).finish()
    }

    /// The digest of `bytes` under a secret `key`: of no use to one who has not the key and guesses at the bytes.
    pub fn keyed(key: &[u8; 32], bytes: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key, bytes).as_bytes())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash =
            blake3::Hash::from_hex(text).map_err(|_| format!("`{text}` is not a digest of 64 hex digits"))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Builds a digest of several parts; each part is framed by its length, so that no two lists of parts collide.
///
/// Parts are gathered to be hashed together: that is several times as fast as one after the other.
#[derive(Clone)]
pub struct Hasher {
    gathered: Vec<u8>,
    /// What was gathered before, where that was much.
    hashed: Option<Box<blake3::Hasher>>,
}

/// How many bytes are gathered: enough for the widest vector instructions (sixteen chunks of 1 KiB), and few enough
/// for the first-level cache.
const GATHERED: usize = 16 << 10;

/// A hasher without a purpose of its own.
impl Default for Hasher {
    fn default() -> Self {
        /// Room for the few ids and digests that most have.
        const FEW: usize = 192;
        Self { gathered: Vec::with_capacity(FEW), hashed: None }
    }
}

impl Hasher {
    /// A hasher for one purpose: equal parts under other domains have other digests.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self::default();
        hasher.part(domain.as_bytes());
        hasher
    }

    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.part_with(|out| out.extend_from_slice(bytes))
    }

    /// Adds the part that `write` appends.
    pub(crate) fn part_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.gathered.len();
        self.gathered.extend_from_slice(&[0; size_of::<u64>()]);
        let body = self.gathered.len();
        write(&mut self.gathered);
        let len = (self.gathered.len() - body) as u64;
        self.gathered[start..body].copy_from_slice(&len.to_le_bytes());
        if self.gathered.len() >= GATHERED {
            self.hashed.get_or_insert_default().update(&self.gathered);
            self.gathered.clear();
        }
        self
    }

    /// The digest of all parts so far.
    pub fn finish(&self) -> Digest {
        match &self.hashed {
            None => Digest::of(&self.gathered),
            Some(hashed) => Digest(*hashed.clone().update(&self.gathered).finalize().as_bytes()),
        }
    }
}

impl Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed() {
        let digest = |parts: &[&str]| {
            let mut hasher = Hasher::new("test");
            for part in parts {
                hasher.part(part.as_bytes());
            }
            hasher.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
    }

    #[test]
    fn parts_have_the_digest_of_their_framed_bytes_however_many_they_are() {
        for count in [0, 1, 100, 3_000_u32] {
            let mut hasher = Hasher::new("test");
            let mut framed = [&4_u64.to_le_bytes()[..], b"test"].concat();
            for index in 0..count {
                let text = vec![7; index as usize % 50];
                hasher.part(&text);
                framed.extend_from_slice(&(text.len() as u64).to_le_bytes());
                framed.extend_from_slice(&text);
            }
            assert_eq!(hasher.finish(), Digest::of(&framed), "{count} parts");
        }
    }

    #[test]
    fn a_digest_reads_back_from_its_text() {
        let digest = Digest::of(b"detc");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }
}
