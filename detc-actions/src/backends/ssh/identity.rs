//! Whether a host is the one that it is said to be.
//!
//! The key that a host shows is compared with what the known_hosts files say; what is done about a key that they do not
//! know is the policy. russh checks that the host holds the key; it is trusted here or nowhere.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::known_hosts::{HostKeyName, KnownHosts, Verdict};

/// What is done about a host whose key is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// It is refused.
    #[default]
    Strict,
    /// The first key that it shows is accepted, and written down: later ones are compared with it.
    AcceptNew,
    /// Whatever key it shows is accepted, and nothing is written down: for throw-away machines, whose keys change with
    /// them. Only a revoked key is refused. Whoever sits between can pass for the host.
    Off,
}

/// How a host's name stands in a known_hosts file beside a key that is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WrittenAs {
    #[default]
    Name,
    /// Whoever reads the file can not tell which hosts it is about.
    Hash,
}

/// Why a host is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) what: String,
    pub(super) hint: String,
}

/// Decides about the keys of one host.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) name: HostKeyName,
    pub(super) known: KnownHosts,
    pub(super) policy: HostKeyPolicy,
    pub(super) written_as: WrittenAs,
    /// Where a new key is written down.
    pub(super) file: PathBuf,
}

impl Judge {
    /// Decides about a bare key.
    pub(super) fn key(&self, key: &PublicKey) -> Result<(), Distrust> {
        let name = self.name.with_port();
        let shown = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        match (self.known.verdict(&self.name, key), self.policy) {
            (Verdict::Known, _) => Ok(()),
            (Verdict::Revoked(place), _) => Err(Distrust {
                what: format!("its key, {shown}, is revoked by {place}"),
                hint: "the host needs a new key; whoever shows this one may be somebody else".to_owned(),
            }),
            (_, HostKeyPolicy::Off) => Ok(()),
            (Verdict::Changed(place), _) => Err(Distrust {
                what: format!("it shows the key {shown}, and {place} has another"),
                hint: format!(
                    "find out why: the host was made anew, or somebody is in between. When the new key is right, remove the old with: ssh-keygen -R '{name}' -f {}",
                    place.file().display()
                ),
            }),
            (Verdict::Unknown, HostKeyPolicy::Strict) => Err(Distrust {
                what: format!("its key, {shown}, is not known"),
                hint: format!(
                    "compare it with what the host itself says (ssh-keygen -lf on its public key), then accept it with: echo '{}' >> {}",
                    self.line_of(key),
                    self.file.display()
                ),
            }),
            (Verdict::Unknown, HostKeyPolicy::AcceptNew) => self.write_down(key).map_err(|error| Distrust {
                what: format!(
                    "its key, {shown}, is new, and can not be written to {}: {error}",
                    self.file.display()
                ),
                hint: "make the file writable, or name another as `known_hosts`".to_owned(),
            }),
        }
    }

    /// Decides about a certificate, at `now` in seconds since 1970.
    pub(super) fn certificate(&self, certificate: &Certificate, now: u64) -> Result<(), Distrust> {
        let refused = |what: String| Distrust {
            what: format!("its certificate `{}` {what}", certificate.key_id()),
            hint: "have the host's certificate signed anew, or name its key in known_hosts".to_owned(),
        };
        let key = PublicKey::new(certificate.public_key().clone(), "");
        if let Verdict::Revoked(place) = self.known.verdict(&self.name, &key) {
            return Err(refused(format!("is for a key that {place} revokes")));
        }
        if certificate.cert_type() != CertType::Host {
            return Err(refused("is not for hosts".to_owned()));
        }
        if certificate.critical_options().iter().next().is_some() {
            return Err(refused("has an option that is not understood".to_owned()));
        }
        let host = self.name.without_port();
        let principals = certificate.valid_principals();
        if !principals.iter().any(|name| name.to_lowercase() == host) {
            return Err(refused(format!("is for {}, not for {host}", principals.join(", "))));
        }
        let authorities: Vec<_> = self.known.authorities(&self.name);
        let fingerprints: Vec<_> = authorities.iter().map(|key| key.fingerprint(HashAlg::Sha256)).collect();
        certificate.validate_at(now, &fingerprints).map_err(|error| {
            refused(format!("does not hold: {error}, or nobody who is trusted has signed it"))
        })
    }

    /// Adds a line for `key`.
    fn write_down(&self, key: &PublicKey) -> io::Result<()> {
        // One at a time: a hundred hosts may be new at once.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(dir) = self.file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir)?;
        }
        let mut line = self.line_of(key) + "\n";
        if !ends_a_line(&self.file)? {
            line.insert(0, '\n');
        }
        OpenOptions::new().append(true).create(true).open(&self.file)?.write_all(line.as_bytes())
    }

    /// A key as it stands in a file, with the host's name and without a comment.
    fn line_of(&self, key: &PublicKey) -> String {
        let name = match self.written_as {
            WrittenAs::Name => self.name.with_port(),
            WrittenAs::Hash => self.name.hashed(),
        };
        let bare = PublicKey::new(key.key_data().clone(), "");
        format!("{name} {}", bare.to_openssh().unwrap_or_default().trim_end())
    }
}

fn ends_a_line(file: &Path) -> io::Result<bool> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(bytes.last().is_none_or(|last| *last == b'\n')),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
