//! What differs among package managers: which commands they are given, and what their answers mean. Nothing is run here.

use std::fmt::Debug;

use detc_core::backend::host::{Command, Output};

use super::{apk::Apk, apt::Apt, dnf::Dnf};

/// The managers, in the order in which a host is asked for them: a host of Debian may have the others' programs, too.
pub(super) const MANAGERS: [&dyn Manager; 3] = [&Apt, &Dnf, &Apk];

/// A package manager.
pub(super) trait Manager: Debug + Send + Sync {
    /// How it is called and known.
    fn facts(&self) -> ManagerFacts;

    /// Asks what is there of a package.
    fn query(&self, package: &str) -> Command;

    /// What the answer to that was; `None` when it is none.
    fn installed(&self, package: &str, answer: &Output) -> Option<Installed>;

    /// Installs a package, of this version; changes what it must and no more.
    fn install(&self, package: &str, version: Option<&str>) -> Command;

    /// Removes a package, and leaves it where others need it.
    fn remove(&self, package: &str) -> Command;

    /// Refreshes the index of what there is to install.
    fn refresh(&self) -> Command;

    /// What came of an installation, a removal or a refreshment.
    fn judge(&self, answer: &Output) -> Verdict;
}

/// How a manager is called and known.
#[derive(Clone, Copy, Debug)]
pub(super) struct ManagerFacts {
    pub(super) name: &'static str,
    /// A file that is there where the manager is.
    pub(super) path: &'static str,
}

/// What is there of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Installed {
    Not,
    /// It is half there, in the manager's words.
    Partly(String),
    /// It is there, of this version.
    Whole(String),
}

impl Installed {
    pub(super) fn words(&self, package: &str) -> String {
        match self {
            Self::Not => format!("{package} is not there"),
            Self::Partly(how) => format!("{package} is only {how}"),
            Self::Whole(version) => format!("{package} has the version {version}"),
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// Somebody else is at it: nothing was done.
    Locked,
    /// The index does not have what is asked for, or has it where it is no more: nothing was done.
    NotListed,
    /// Others need it: nothing was done.
    NeededByOthers,
    /// An earlier one was cut off, which this mends.
    Torn(Command),
    Failed,
}

/// Whether a command said any of these.
pub(super) fn says(answer: &Output, any: &[&str]) -> bool {
    [&answer.stdout, &answer.stderr].into_iter().any(|stream| {
        let text = String::from_utf8_lossy(stream);
        any.iter().any(|words| text.contains(words))
    })
}
