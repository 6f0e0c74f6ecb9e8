//! Opens the key files that have a passphrase.
//!
//! A person may be asked, which takes longer than a host waits for a login. So it is asked between two connections: the first has
//! shown that none of the other keys is taken. What was opened stays so, for all hosts of a connector: a hundred of them with one key
//! ask once, and the costly derivation of the key from the passphrase is done once.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::PrivateKey;

use super::terminal;

/// Gives the passphrase of a key file, or `None`.
type Ask = dyn Fn(&Path) -> Option<String> + Send + Sync;

/// Who is asked.
#[derive(Clone, Default)]
enum Asked {
    #[default]
    Nobody,
    Program(Arc<Ask>),
    /// The person at the terminal of this process.
    Person,
}

/// What came of a key file.
#[derive(Clone)]
enum Opening {
    Open(Arc<PrivateKey>),
    Wrong,
    NotGiven,
}

/// Asks for passphrases, where the program has a way to, and keeps the keys.
#[derive(Clone, Default)]
pub(super) struct Passphrases {
    asked: Asked,
    /// What came of each file, of this text.
    tried: Arc<Mutex<BTreeMap<PathBuf, (String, Opening)>>>,
    /// One question at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Debug for Passphrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.asked {
            Asked::Nobody => "Passphrases(none)",
            Asked::Program(_) => "Passphrases(the program's)",
            Asked::Person => "Passphrases(asked for at the terminal)",
        })
    }
}

impl Passphrases {
    pub(super) fn of_program(ask: impl Fn(&Path) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { asked: Asked::Program(Arc::new(ask)), ..Self::default() }
    }

    pub(super) fn of_person() -> Self {
        Self { asked: Asked::Person, ..Self::default() }
    }

    /// The key in `file`, if it was opened when it held `text`.
    pub(super) fn opened(&self, file: &Path, text: &str) -> Option<Arc<PrivateKey>> {
        match self.tried(file, text)? {
            Opening::Open(key) => Some(key),
            Opening::Wrong | Opening::NotGiven => None,
        }
    }

    fn tried(&self, file: &Path, text: &str) -> Option<Opening> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.get(file).filter(|(of, _)| of == text).map(|(_, opening)| opening.clone())
    }

    /// Asks for the passphrase of `file`, unless it was asked for before, and opens it.
    ///
    /// # Errors
    /// Why it stays closed, in words.
    pub(super) async fn open(&self, file: &Path) -> Result<(), String> {
        let named = file.display();
        let opening = match &self.asked {
            Asked::Nobody => {
                return Err(format!(
                    "{named} has a passphrase: add it to an agent with ssh-add, or let the program ask for it"
                ));
            }
            Asked::Program(_) | Asked::Person => self.ask(file).await?,
        };
        match opening {
            Opening::Open(_) => Ok(()),
            Opening::Wrong => Err(format!("{named}: the passphrase is wrong")),
            Opening::NotGiven => Err(format!("{named} has a passphrase, and none was given")),
        }
    }

    async fn ask(&self, file: &Path) -> Result<Opening, String> {
        let _turn = self.turn.lock().await;
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if let Some(tried) = self.tried(file, &text) {
            return Ok(tried);
        }
        let passphrase = match self.asked.clone() {
            Asked::Nobody => None,
            Asked::Program(ask) => {
                let file = file.to_owned();
                // One that panics gives none.
                tokio::task::spawn_blocking(move || ask(&file)).await.unwrap_or_default()
            }
            Asked::Person => terminal::ask(&format!("Passphrase of {}", file.display())).await,
        };
        let opening = match passphrase {
            None => Opening::NotGiven,
            Some(passphrase) => {
                let text = text.clone();
                let decoding = move || russh::keys::decode_secret_key(&text, Some(&passphrase));
                match tokio::task::spawn_blocking(decoding).await {
                    Ok(Ok(key)) => Opening::Open(Arc::new(key)),
                    Ok(Err(_)) | Err(_) => Opening::Wrong,
                }
            }
        };
        // Who answers from memory would give the same once more, and may have learnt what it did not know; a person would be asked
        // for each host.
        if !matches!((&self.asked, &opening), (Asked::Program(_), Opening::NotGiven)) {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            tried.insert(file.to_owned(), (text, opening.clone()));
        }
        Ok(opening)
    }
}
