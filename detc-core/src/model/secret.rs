//! Sensitive values: kept out of everything that is shown or stored.
//!
//! A value that must not leave the process is replaced by a mark, `{"$sensitive": DIGEST}`, before it enters a plan, a
//! record or a journal. The digest is keyed with the store's own secret, so that the mark tells whether a value has
//! changed and nothing else. A reference to a sensitive output resolves to the mark, so sensitivity follows the value
//! wherever it goes. The values themselves stay in a [`Vault`], in memory, filled from the desired state.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use serde_json::{Map, Value};

use super::{Digest, Doc, FieldPath};

const MARK: &str = "$sensitive";

/// The secret that marks are keyed with; made once for each store.
#[derive(Clone)]
pub struct MarkKey([u8; 32]);

impl MarkKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkKey(…)")
    }
}

/// Sensitive values by their marks. Printing it shows how many there are, never which.
#[derive(Clone, Default)]
pub struct Vault {
    values: BTreeMap<Digest, Value>,
}

impl Vault {
    /// A vault without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks the values of `paths` within `value`, and keeps them. Values that are marked already, null, or not there
    /// are left alone.
    pub fn seal(&mut self, value: &mut Value, paths: &[FieldPath], key: &MarkKey) {
        for path in paths {
            if let Some(part) = path.get_mut(value)
                && !part.is_null()
                && mark_of(part).is_none()
            {
                let plain = part.take();
                let digest = Digest::keyed(&key.0, Doc::new(&plain).text().as_bytes());
                *part = Value::Object(Map::from_iter([(MARK.to_owned(), Value::String(digest.to_string()))]));
                self.values.insert(digest, plain);
            }
        }
    }

    /// Puts the values back in the place of their marks.
    ///
    /// # Errors
    /// When a value is not in the vault: it was sensitive, so it was not stored.
    pub fn open(&self, value: &mut Value) -> Result<(), LostSecret> {
        if let Some(digest) = mark_of(value) {
            *value = self.values.get(&digest).cloned().ok_or(LostSecret)?;
            return Ok(());
        }
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.open(item)),
            Value::Object(object) => object.values_mut().try_for_each(|item| self.open(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    /// Puts the values back where they are known, and a made-up text where not.
    pub(crate) fn open_or_make_up(&self, value: &mut Value) {
        if let Some(digest) = mark_of(value) {
            *value = self.values.get(&digest).cloned().unwrap_or_else(|| Value::from(crate::resource::LATER));
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.open_or_make_up(item)),
            Value::Object(object) => object.values_mut().for_each(|item| self.open_or_make_up(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Whether there is nothing to keep secret.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `text` with every sensitive string in it replaced by `(sensitive)`. Strings of fewer than four characters are
    /// left: replacing them would make the text unreadable and tell where they are.
    pub fn scrub(&self, text: &str) -> String {
        let mut scrubbed = text.to_owned();
        for value in self.values.values() {
            scrub_value(value, &mut scrubbed);
        }
        scrubbed
    }
}

fn scrub_value(value: &Value, text: &mut String) {
    const LEN_MIN: usize = 4;
    match value {
        Value::String(secret) if secret.len() >= LEN_MIN && text.contains(secret.as_str()) => {
            *text = text.replace(secret.as_str(), "(sensitive)");
        }
        Value::Array(items) => items.iter().for_each(|item| scrub_value(item, text)),
        Value::Object(object) => object.values().for_each(|item| scrub_value(item, text)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} values)", self.values.len())
    }
}

/// A sensitive value is needed that this process was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sensitive value is needed and was not stored")]
pub struct LostSecret;

/// The digest of a mark; `None` for any other value.
pub fn mark_of(value: &Value) -> Option<Digest> {
    let object = value.as_object()?;
    if object.len() != 1 {
        return None;
    }
    object.get(MARK)?.as_str()?.parse().ok()
}

/// Whether a mark stands anywhere within `text`, a document's canonical text.
pub(crate) fn has_mark(text: &str) -> bool {
    text.contains("{\"$sensitive\":")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(byte: u8) -> MarkKey {
        MarkKey::new([byte; 32])
    }

    #[test]
    fn a_sealed_value_is_gone_and_comes_back_from_the_vault_only() {
        let plain = json!({"user": "web", "password": "correct horse"});
        let mut sealed = plain.clone();
        let mut vault = Vault::new();
        vault.seal(&mut sealed, &["password".parse().unwrap(), "token".parse().unwrap()], &key(1));
        assert!(!sealed.to_string().contains("horse"));
        let mut opened = sealed.clone();
        vault.open(&mut opened).unwrap();
        assert_eq!(opened, plain);
        assert_eq!(Vault::new().open(&mut sealed), Err(LostSecret));
    }

    #[test]
    fn the_same_value_has_the_same_mark_under_one_key_and_another_under_another() {
        let seal = |value: &str, byte| {
            let mut value = json!({"p": value});
            Vault::new().seal(&mut value, &["p".parse().unwrap()], &key(byte));
            value
        };
        assert_eq!(seal("a", 1), seal("a", 1));
        assert_ne!(seal("a", 1), seal("a", 2));
        assert_ne!(seal("a", 1), seal("b", 1));
    }

    #[test]
    fn secrets_are_scrubbed_from_messages() {
        let mut vault = Vault::new();
        vault.seal(&mut json!({"p": {"q": ["hunter22"]}}), &["p".parse().unwrap()], &key(1));
        assert_eq!(vault.scrub("login with hunter22 failed"), "login with (sensitive) failed");
        assert_eq!(format!("{vault:?}"), "Vault(1 values)");
    }
}
