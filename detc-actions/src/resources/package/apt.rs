//! Debian and its kin: `apt-get` and `dpkg`.

use detc_core::backend::host::{Command, Output};

use super::manager::{Installed, Manager, ManagerFacts, Verdict, says};

#[derive(Debug)]
pub(super) struct Apt;

fn quiet(command: Command) -> Command {
    let mut command = command;
    command.env.insert("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned());
    command
}

impl Manager for Apt {
    fn facts(&self) -> ManagerFacts {
        ManagerFacts { name: "apt", path: "/usr/bin/apt-get" }
    }

    fn query(&self, package: &str) -> Command {
        Command::new(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}\\n", "--", package])
    }

    fn installed(&self, _: &str, answer: &Output) -> Option<Installed> {
        if !answer.success() {
            return says(answer, &["no packages found"]).then_some(Installed::Not);
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        // One that is there for several architectures has a line for each.
        let mut partly = None;
        for (status, version) in text.lines().filter_map(|line| line.split_once(' ')) {
            match status {
                "installed" | "triggers-pending" | "triggers-awaited" => {
                    return Some(Installed::Whole(version.to_owned()));
                }
                "not-installed" | "config-files" => {}
                other => partly = Some(Installed::Partly(other.to_owned())),
            }
        }
        Some(partly.unwrap_or(Installed::Not))
    }

    fn install(&self, package: &str, version: Option<&str>) -> Command {
        let what = version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        // A name is a name and no pattern; what would remove something else fails; files that somebody has changed stay.
        let mut argv = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-remove"];
        argv.extend(["-o", "APT::Cmd::Pattern-Only=true", "-o", "Dpkg::Options::=--force-confdef"]);
        argv.extend(["-o", "Dpkg::Options::=--force-confold"]);
        if version.is_some() {
            argv.push("--allow-downgrades");
        }
        argv.extend(["--", &what]);
        quiet(Command::new(argv))
    }

    fn remove(&self, package: &str) -> Command {
        // `apt-get remove` would take along what needs it.
        quiet(Command::new(["dpkg", "--remove", "--", package]))
    }

    fn refresh(&self) -> Command {
        quiet(Command::new(["apt-get", "update", "-q"]))
    }

    fn judge(&self, answer: &Output) -> Verdict {
        match answer.success() {
            true => Verdict::Done,
            false if says(answer, &["Could not get lock", "was locked by another process"]) => {
                Verdict::Locked
            }
            false if says(answer, &["dpkg was interrupted"]) => Verdict::Torn(quiet(Command::new([
                "dpkg",
                "--configure",
                "-a",
                "--force-confdef",
                "--force-confold",
            ]))),
            false
                if says(
                    answer,
                    &["Unable to locate", "was not found", "no installation candidate", "404  Not Found"],
                ) =>
            {
                Verdict::NotListed
            }
            false if says(answer, &["dependency problems"]) => Verdict::NeededByOthers,
            false => Verdict::Failed,
        }
    }
}
