//! Shows a host who we are: by key files, and by the agent that holds keys for the user.
//!
//! Passwords are not offered: whoever takes them can use them elsewhere.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::client::AgentClient;
use russh::keys::key::PrivateKeyWithHashAlg;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

use super::link::Verifier;
use super::passphrases::Passphrases;
use super::settings::{IdentityChoice, Settings};

/// Why a host did not let us in.
#[derive(Debug)]
pub(super) enum AuthError {
    /// The connection broke.
    Lost(russh::Error),
    /// Nothing that was offered was taken. There may be keys that wait for their passphrase.
    Refused { offered: Vec<String>, problems: Vec<String>, locked: Vec<PathBuf> },
}

impl From<russh::Error> for AuthError {
    fn from(error: russh::Error) -> Self {
        Self::Lost(error)
    }
}

/// What a host has taken.
#[derive(Clone)]
pub(super) enum Proof {
    /// A key of ours.
    Key(Arc<PrivateKey>),
    /// A key that the agent has.
    Agent(PublicKey),
}

impl Proof {
    pub(super) fn public(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key.public_key(),
            Self::Agent(public) => public,
        }
    }
}

impl Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({})", self.public().fingerprint(HashAlg::Sha256))
    }
}

/// Offers one key after the other until one is taken.
pub(super) async fn log_in(
    handle: &mut Handle<Verifier>,
    settings: &Settings,
    passphrases: &Passphrases,
) -> Result<Proof, AuthError> {
    let mut tried = Tried { handle, user: &settings.user, offered: Vec::new(), problems: Vec::new() };
    let mut locked = Vec::new();
    let mut agent = Agent::default();
    if settings.identity_choice == IdentityChoice::Usual {
        for key in agent.keys().await {
            if tried.by_agent(&mut agent, &key).await? {
                return Ok(Proof::Agent(key));
            }
        }
    }
    for file in &settings.identities {
        match load(file, passphrases) {
            Loaded::Key(key) => {
                if tried.by_key(Arc::clone(&key), file).await? {
                    return Ok(Proof::Key(key));
                }
            }
            Loaded::Missing if settings.identity_choice == IdentityChoice::Usual => {}
            Loaded::Missing => tried.problems.push(format!("{} does not exist", file.display())),
            Loaded::Unreadable(why) => tried.problems.push(format!("{}: {why}", file.display())),
            Loaded::Locked(public) => match public {
                Some(public) if agent.keys().await.iter().any(|key| key.key_data() == public.key_data()) => {
                    if tried.by_agent(&mut agent, &public).await? {
                        return Ok(Proof::Agent(public));
                    }
                }
                _ => locked.push(file.clone()),
            },
        }
    }
    Err(AuthError::Refused { offered: tried.offered, problems: tried.problems, locked })
}

/// What was tried on one connection.
struct Tried<'a> {
    handle: &'a mut Handle<Verifier>,
    user: &'a str,
    offered: Vec<String>,
    problems: Vec<String>,
}

impl Tried<'_> {
    async fn by_key(&mut self, key: Arc<PrivateKey>, file: &Path) -> Result<bool, AuthError> {
        self.offered.push(file.display().to_string());
        let hash = self.hash_of(&key.algorithm()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        is_in(&self.handle.authenticate_publickey(self.user, key).await?)
    }

    async fn by_agent(&mut self, agent: &mut Agent, key: &PublicKey) -> Result<bool, AuthError> {
        let Some(client) = &mut agent.client else { return Ok(false) };
        self.offered.push(format!("the agent's key {}", key.fingerprint(HashAlg::Sha256)));
        let hash = self.hash_of(&key.algorithm()).await?;
        match self.handle.authenticate_publickey_with(self.user, key.clone(), hash, client).await {
            Ok(result) => is_in(&result),
            Err(error) => {
                self.problems.push(format!("the agent does not sign: {error}"));
                Ok(false)
            }
        }
    }

    /// RSA keys sign with one of several hashes: the best that the host takes.
    async fn hash_of(&self, algorithm: &Algorithm) -> Result<Option<HashAlg>, AuthError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        // A host that does not say takes SHA-512: each that is younger than 2016 does. SHA-1 is not offered.
        Ok(self.handle.best_supported_rsa_hash().await?.flatten().or(Some(HashAlg::Sha512)))
    }
}

/// Whether the host took what was offered.
fn is_in(result: &AuthResult) -> Result<bool, AuthError> {
    match result {
        AuthResult::Success => Ok(true),
        // A connection that broke looks like a host that has no other way in left.
        AuthResult::Failure { remaining_methods, partial_success: false } if remaining_methods.is_empty() => {
            Err(AuthError::Lost(russh::Error::Disconnect))
        }
        AuthResult::Failure { .. } => Ok(false),
    }
}

/// The user's agent, asked when it is first needed.
#[derive(Default)]
struct Agent {
    client: Option<AgentClient<tokio::net::UnixStream>>,
    keys: Option<Vec<PublicKey>>,
}

impl Agent {
    async fn keys(&mut self) -> Vec<PublicKey> {
        if let Some(keys) = &self.keys {
            return keys.clone();
        }
        let mut found = Vec::new();
        // Without an agent there are no keys of an agent.
        if let Ok(mut client) = AgentClient::connect_env().await
            && let Ok(identities) = client.request_identities().await
        {
            found.extend(identities.iter().map(|identity| identity.public_key().into_owned()));
            self.client = Some(client);
        }
        self.keys = Some(found.clone());
        found
    }
}

enum Loaded {
    Key(Arc<PrivateKey>),
    Missing,
    Unreadable(String),
    /// It has a passphrase, which is not known; the public key, where there is one.
    Locked(Option<PublicKey>),
}

fn load(file: &PathBuf, passphrases: &Passphrases) -> Loaded {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Loaded::Missing,
        Err(error) => return Loaded::Unreadable(error.to_string()),
    };
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Loaded::Key(Arc::new(key)),
        Err(russh::keys::Error::KeyIsEncrypted) => match passphrases.opened(file, &text) {
            Some(key) => Loaded::Key(key),
            None => Loaded::Locked(public_of(file, &text)),
        },
        Err(error) => Loaded::Unreadable(format!("it is no key that can be read: {error}")),
    }
}

/// The public key, which most files tell without their passphrase, and of others the one beside it.
fn public_of(file: &Path, text: &str) -> Option<PublicKey> {
    if let Ok(locked) = PrivateKey::from_openssh(text) {
        return Some(locked.public_key().clone());
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    PublicKey::from_openssh(&std::fs::read_to_string(name).ok()?).ok()
}
