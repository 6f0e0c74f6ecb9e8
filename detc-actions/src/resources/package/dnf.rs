//! Fedora and its kin: `dnf` and `rpm`.

use detc_core::backend::host::{Command, Output};

use super::manager::{Installed, Manager, ManagerFacts, Verdict, says};

#[derive(Debug)]
pub(super) struct Dnf;

impl Manager for Dnf {
    fn facts(&self) -> ManagerFacts {
        ManagerFacts { name: "dnf", path: "/usr/bin/dnf" }
    }

    fn query(&self, package: &str) -> Command {
        Command::new(["rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}\\n", "--", package])
    }

    fn installed(&self, _: &str, answer: &Output) -> Option<Installed> {
        if !answer.success() {
            return says(answer, &["is not installed"]).then_some(Installed::Not);
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        // One that may be there more than once, such as a kernel, has a line for each, the newest last.
        text.lines().last().map(|version| Installed::Whole(version.to_owned()))
    }

    fn install(&self, package: &str, version: Option<&str>) -> Command {
        let what = version.map_or_else(|| package.to_owned(), |version| format!("{package}-{version}"));
        Command::new(["dnf", "install", "-y", "-q", "--setopt=install_weak_deps=False", &what])
    }

    fn remove(&self, package: &str) -> Command {
        // `dnf remove` would take along what needs it.
        Command::new(["rpm", "-e", "--", package])
    }

    fn refresh(&self) -> Command {
        Command::new(["dnf", "makecache", "-q"])
    }

    fn judge(&self, answer: &Output) -> Verdict {
        match answer.success() {
            true => Verdict::Done,
            false if says(answer, &["transaction lock"]) => Verdict::Locked,
            false if says(answer, &["Unable to find a match", "No match for argument"]) => Verdict::NotListed,
            false if says(answer, &["Failed dependencies"]) => Verdict::NeededByOthers,
            false => Verdict::Failed,
        }
    }
}
