//! What `known_hosts` files say of a host: which keys are its own, which are revoked, who may vouch for it.
//!
//! A line that is not understood is never passed over where it could be about the host: the file is refused. See sshd(8),
//! SSH_KNOWN_HOSTS FILE FORMAT.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use russh::keys::PublicKey;
use russh::keys::ssh_key::Algorithm;

mod names;

use names::Names;
pub(super) use names::{HostKeyName, is_like};

/// The lines of one or more files.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    place: Place,
    marker: Marker,
    names: Names,
    key: Key,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: PathBuf,
    line: usize,
}

impl Place {
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    None,
    CertAuthority,
    Revoked,
}

#[derive(Clone, Debug)]
enum Key {
    Read(Box<PublicKey>),
    /// Of a sort that is not known here, or damaged: it never matches.
    Opaque,
}

impl Key {
    fn is(&self, key: &PublicKey) -> bool {
        matches!(self, Self::Read(own) if own.key_data() == key.key_data())
    }
}

/// What the files say of a key that a host has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the host's own.
    Known,
    /// Nothing is said of this host.
    Unknown,
    /// The host has another key.
    Changed(Place),
    /// The key is not to be trusted, whoever shows it.
    Revoked(Place),
}

impl KnownHosts {
    /// Reads files; one that does not exist says nothing.
    ///
    /// # Errors
    /// Which can not be read or understood, and why.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, String> {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{} can not be read: {error}", file.display())),
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str) -> Result<(), String> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = Place { file: file.to_owned(), line: index + 1 };
            let line = Line::read(line, place.clone())
                .map_err(|what| format!("{place} is not understood: {what}"))?;
            self.lines.push(line);
        }
        Ok(())
    }

    /// What is said of `key` for a host called `name`.
    pub(super) fn verdict(&self, name: &HostKeyName, key: &PublicKey) -> Verdict {
        let of_port = self.verdict_of(&name.with_port(), key);
        match of_port {
            // A line without a port is about each port, as long as it has this very key: so OpenSSH does it.
            Verdict::Unknown if name.has_port() => match self.verdict_of(&name.without_port(), key) {
                known @ (Verdict::Known | Verdict::Revoked(_)) => known,
                Verdict::Unknown | Verdict::Changed(_) => Verdict::Unknown,
            },
            said => said,
        }
    }

    fn verdict_of(&self, name: &str, key: &PublicKey) -> Verdict {
        let about = || self.lines.iter().filter(|line| line.names.include(name));
        if let Some(line) = about().find(|line| line.marker == Marker::Revoked && line.key.is(key)) {
            return Verdict::Revoked(line.place.clone());
        }
        let own = || about().filter(|line| line.marker == Marker::None);
        if own().any(|line| line.key.is(key)) {
            return Verdict::Known;
        }
        own().next().map_or(Verdict::Unknown, |line| Verdict::Changed(line.place.clone()))
    }

    /// Those who may vouch for a host called `name`, and the place of a line that revokes one of them.
    pub(super) fn authorities(&self, name: &HostKeyName) -> Vec<&PublicKey> {
        let (with, without) = (name.with_port(), name.without_port());
        let about = |line: &&Line| line.names.include(&with) || line.names.include(&without);
        let vouching = self.lines.iter().filter(|line| line.marker == Marker::CertAuthority).filter(about);
        vouching
            .filter_map(|line| match &line.key {
                Key::Read(key) => Some(&**key),
                Key::Opaque => None,
            })
            .filter(|key| !matches!(self.verdict(name, key), Verdict::Revoked(_)))
            .collect()
    }

    /// The sorts of the keys that a host is known by: it is asked for these.
    pub(super) fn algorithms(&self, name: &HostKeyName) -> Vec<Algorithm> {
        let of = |name: &str| -> Vec<Algorithm> {
            let about = self.lines.iter().filter(|line| line.names.include(name));
            about
                .filter_map(|line| match &line.key {
                    Key::Read(key) if line.marker == Marker::None => Some(key.algorithm()),
                    _ => None,
                })
                .collect()
        };
        let found = of(&name.with_port());
        if found.is_empty() { of(&name.without_port()) } else { found }
    }
}

impl Line {
    fn read(text: &str, place: Place) -> Result<Self, String> {
        let mut fields = text.split([' ', '\t']).filter(|field| !field.is_empty());
        let mut field = || fields.next().ok_or_else(|| "it ends too soon".to_owned());
        let mut names = field()?;
        let marker = match names {
            "@revoked" => Marker::Revoked,
            "@cert-authority" => Marker::CertAuthority,
            other if other.starts_with('@') => return Err(format!("there is no marker `{other}`")),
            _ => Marker::None,
        };
        if marker != Marker::None {
            names = field()?;
        }
        let names = names.parse()?;
        let (kind, blob) = (field()?, field()?);
        let key = match PublicKey::from_openssh(&format!("{kind} {blob}")) {
            Ok(key) => Key::Read(Box::new(key)),
            // What revokes a key, or says who vouches, must be known to the letter.
            Err(error) if marker != Marker::None => return Err(format!("its key can not be read: {error}")),
            Err(_) => Key::Opaque,
        };
        Ok(Self { place, marker, names, key })
    }
}
