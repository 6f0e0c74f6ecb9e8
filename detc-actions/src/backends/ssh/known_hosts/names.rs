//! Which hosts a line is about: names with wildcards, or one hashed name.

use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

/// The name that a host's key is looked up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct HostKeyName {
    host: String,
    port: u16,
}

impl HostKeyName {
    const USUAL_PORT: u16 = 22;

    /// Names are compared in lower case.
    pub(in super::super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_lowercase(), port }
    }

    /// Whether the port is part of the name.
    pub(super) fn has_port(&self) -> bool {
        self.port != Self::USUAL_PORT
    }

    pub(in super::super) fn with_port(&self) -> String {
        if self.has_port() { format!("[{}]:{}", self.host, self.port) } else { self.host.clone() }
    }

    pub(in super::super) fn without_port(&self) -> String {
        self.host.clone()
    }

    /// As `HashKnownHosts` has it: two of one name are different, and neither tells it.
    pub(in super::super) fn hashed(&self) -> String {
        let mut salt = vec![0; 20];
        getrandom::fill(&mut salt).expect("invariant: the system has random bytes");
        let hash = hmac_of(&salt, &self.with_port()).finalize().into_bytes().into();
        HostPatterns::HashedName { salt, hash }.to_string()
    }
}

/// The first field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Patterns(Vec<Pattern>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Whether it takes away what another gives.
    is_negated: bool,
    text: String,
}

impl FromStr for Names {
    type Err = String;

    fn from_str(field: &str) -> Result<Self, String> {
        if let Some(hashed) = field.strip_prefix('|') {
            let parts: Vec<&str> = hashed.split('|').collect();
            let [method, salt, hash] = parts[..] else {
                return Err(format!("`{field}` is no hashed name"));
            };
            if method != "1" {
                return Err(format!("names hashed by method {method} are not known"));
            }
            let bytes = |text: &str| base64(text).ok_or_else(|| format!("`{text}` is no base64"));
            return Ok(Self::Hashed { salt: bytes(salt)?, hash: bytes(hash)? });
        }
        let pattern = |text: &str| {
            let (is_negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
            Pattern { is_negated, text: text.to_lowercase() }
        };
        Ok(Self::Patterns(field.split(',').map(pattern).collect()))
    }
}

impl Names {
    /// Whether `name`, in lower case, is among them.
    pub(super) fn include(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => {
                let mut hits = patterns
                    .iter()
                    .filter(|pattern| is_like(name.as_bytes(), pattern.text.as_bytes()))
                    .peekable();
                hits.peek().is_some() && hits.all(|pattern| !pattern.is_negated)
            }
            Self::Hashed { salt, hash } => hmac_of(salt, name).verify_slice(hash).is_ok(),
        }
    }
}

fn hmac_of(salt: &[u8], name: &str) -> Hmac<Sha1> {
    let mut hmac = Hmac::<Sha1>::new_from_slice(salt).expect("invariant: an HMAC takes a key of any length");
    hmac.update(name.as_bytes());
    hmac
}

/// Whether `text` is as `pattern` says, where `*` stands for any characters and `?` for one.
///
/// Greedy, with one place to go back to: quadratic at worst, not exponential.
pub(in super::super) fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some(b'*') => {
                back = Some((at, of));
                of += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[at] => {
                at += 1;
                of += 1;
            }
            _ => match back {
                Some((from, star)) => {
                    back = Some((from + 1, star));
                    at = from + 1;
                    of = star + 1;
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

/// Reads base64 with its padding, as it stands in these files.
fn base64(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_matched_as_a_whole() {
        for (text, pattern, is) in [
            ("web", "web", true),
            ("web1", "web", false),
            ("web1", "web?", true),
            ("web", "web?", false),
            ("a.example.org", "*.example.org", true),
            ("[127.0.1.1]:2200", "[127.0.*]:2200", true),
            ("", "*", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "*a*a*a*a*a*a*a*b", false),
        ] {
            assert_eq!(is_like(text.as_bytes(), pattern.as_bytes()), is, "{text} {pattern}");
        }
    }

    #[test]
    fn base64_is_read_or_refused() {
        assert_eq!(base64("Zm9vYg==").as_deref(), Some(&b"foob"[..]));
        assert_eq!(base64("Zm9v").as_deref(), Some(&b"foo"[..]));
        for bad in ["", "Zm9", "Zm9v=", "Zm 9", "Z==="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }
}
