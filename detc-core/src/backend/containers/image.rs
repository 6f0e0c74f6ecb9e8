//! Where an image comes from, and what it gives its containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};

use super::{HealthCheck, Port};
use crate::content::Content;

/// Where an image comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ImageFrom {
    /// A registry.
    Pull(Pull),
    /// An archive, as `docker save` writes it, which holds one image. Its tags come with it.
    Load(Content),
    /// A context that it is built from.
    Build(Build),
}

/// An image of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pull {
    /// Its full reference; by digest, `registry/name@sha256:…`, it is always the same.
    pub reference: String,
    /// For which platform, `linux/arm64`; `None`: the engine's own.
    pub platform: Option<String>,
    /// As whom.
    pub login: Option<RegistryLogin>,
}

impl Pull {
    /// An image, for the engine's own platform, as nobody.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), platform: None, login: None }
    }
}

/// As whom something is asked of a registry. Its password is not in its `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An image that is built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Build {
    /// The context, as a tar archive.
    pub context: Content,
    /// Where in the context the recipe is.
    pub dockerfile: String,
    /// The recipe's arguments.
    pub args: BTreeMap<String, String>,
    /// Which stage of the recipe; `None`: the last.
    pub target: Option<String>,
    /// Labels that the image gets.
    pub labels: BTreeMap<String, String>,
    /// Tags that it gets, `name:tag`.
    pub tags: BTreeSet<String>,
}

impl Build {
    /// Built from `context` by its `Dockerfile`.
    pub fn new(context: Content) -> Self {
        Self {
            context,
            dockerfile: "Dockerfile".to_owned(),
            args: BTreeMap::new(),
            target: None,
            labels: BTreeMap::new(),
            tags: BTreeSet::new(),
        }
    }
}

/// What the containers of an image get where they are not told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageDefaults {
    /// What is put before the command.
    pub entrypoint: Vec<String>,
    /// The command.
    pub command: Vec<String>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// The working directory; `None`: the root.
    pub dir: Option<String>,
    /// The user; `None`: root.
    pub user: Option<String>,
    /// Labels, of the image itself and of all its containers.
    pub labels: BTreeMap<String, String>,
    /// Ports that are exposed, none of them published.
    pub ports: BTreeSet<Port>,
    /// Where anonymous volumes are mounted.
    pub volumes: BTreeSet<String>,
    /// The health check.
    pub health: Option<HealthCheck>,
    /// The signal that asks to stop, by its name; `None`: `SIGTERM`.
    pub stop_signal: Option<String>,
}
