//! Alpine: `apk`.

use detc_core::backend::host::{Command, Output};

use super::manager::{Installed, Manager, ManagerFacts, Verdict, says};

#[derive(Debug)]
pub(super) struct Apk;

impl Manager for Apk {
    fn facts(&self) -> ManagerFacts {
        ManagerFacts { name: "apk", path: "/sbin/apk" }
    }

    fn query(&self, package: &str) -> Command {
        Command::new(["apk", "list", "--installed", package])
    }

    fn installed(&self, package: &str, answer: &Output) -> Option<Installed> {
        if !answer.success() {
            return None;
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        let of = |line: &str| {
            let rest = line.split(' ').next()?.strip_prefix(package)?.strip_prefix('-')?.to_owned();
            rest.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)
        };
        Some(text.lines().find_map(of).map_or(Installed::Not, Installed::Whole))
    }

    fn install(&self, package: &str, version: Option<&str>) -> Command {
        let what = version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        Command::new(["apk", "add", "--quiet", &what])
    }

    fn remove(&self, package: &str) -> Command {
        Command::new(["apk", "del", package])
    }

    fn refresh(&self) -> Command {
        Command::new(["apk", "update", "--quiet"])
    }

    fn judge(&self, answer: &Output) -> Verdict {
        match answer.success() {
            // It is asked for no more, and stays as what another one needs.
            true if says(answer, &["not removed due to"]) => Verdict::NeededByOthers,
            true => Verdict::Done,
            false if says(answer, &["Unable to lock database"]) => Verdict::Locked,
            false if says(answer, &["no such package", "unable to select packages"]) => Verdict::NotListed,
            false => Verdict::Failed,
        }
    }
}
