//! What `user` and `group` share: the two tables of a host's own accounts, and the programs that change them.
//!
//! The tables are read as files, `/etc/passwd` and `/etc/group`: those are what the programs change. An account that the host
//! has from elsewhere (a directory service) is not in them, and the programs refuse to make it once more.

use std::time::Duration;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Output};
use detc_core::resource::InvalidField;

use super::common::{is_later, of_system, tail};
use super::turn::turn;

#[cfg(test)]
#[cfg(feature = "local")]
pub(super) mod play;

/// The table of users.
pub(super) const USERS: &str = "/etc/passwd";

/// The table of groups.
pub(super) const GROUPS: &str = "/etc/group";

/// Longest table that is read: some hundred thousand accounts.
const LEN_MAX: u64 = 16 << 20;

/// Longest name: that of `useradd`, which takes it from the format of a login record.
const NAME_LEN_MAX: usize = 32;

/// How long one of the programs may take: they only write some small files, and wait for each other.
const TIMEOUT: Duration = Duration::from_secs(60);

/// That an account may be called so: what `useradd` takes by default, so that it is no option, path or second field of a table.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), InvalidField> {
    let is_first = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_next = |c: char| is_first(c) || c.is_ascii_digit() || c == '-';
    let is_good = name.len() <= NAME_LEN_MAX && name.starts_with(is_first) && name.chars().all(is_next);
    if is_good || is_later(name) {
        return Ok(());
    }
    let problem = format!(
        "must be at most {NAME_LEN_MAX} lower-case letters, digits, `-` and `_`, a letter first, not `{name}`"
    );
    Err(InvalidField::new(field, problem))
}

/// That a text can be one field of the table of users.
pub(super) fn check_field(field: &str, text: &str) -> Result<(), InvalidField> {
    match text.contains([':', '\n', '\0']) {
        true => Err(InvalidField::new(field, "must hold no `:`, line break or NUL byte")),
        false => Ok(()),
    }
}

/// That a number stands for an account.
pub(super) fn check_id(field: &str, id: Option<u32>) -> Result<(), InvalidField> {
    match id {
        Some(u32::MAX) => Err(InvalidField::new(field, format!("must be a number below {}", u32::MAX))),
        _ => Ok(()),
    }
}

/// A table, as its lines, each as its fields.
pub(super) async fn table(cx: &ActionCx<'_>, path: &str) -> Result<Vec<Vec<String>>, ActionError> {
    let content = cx.host()?.read(path, LEN_MAX).await?;
    let lines = String::from_utf8_lossy(&content).into_owned();
    Ok(lines.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
}

/// The entry of this name.
pub(super) fn find<'a>(table: &'a [Vec<String>], name: &str) -> Option<&'a [String]> {
    table.iter().map(Vec::as_slice).find(|entry| entry.first().is_some_and(|first| first == name))
}

/// A field of an entry.
pub(super) fn field(entry: &[String], at: usize) -> &str {
    entry.get(at).map_or("", String::as_str)
}

/// The program that changes an account, with its arguments: options, and the name last.
pub(super) struct Change {
    argv: Vec<String>,
}

impl Change {
    pub(super) fn new(program: &str) -> Self {
        Self { argv: vec![program.to_owned()] }
    }

    /// Adds an option with its value, where there is one.
    pub(super) fn option(&mut self, option: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value {
            self.argv.extend([option.to_owned(), value.to_string()]);
        }
        self
    }

    /// Adds an option that has no value.
    pub(super) fn flag(&mut self, option: &str) -> &mut Self {
        self.argv.push(option.to_owned());
        self
    }

    /// Whether it says nothing but which program.
    pub(super) fn is_empty(&self) -> bool {
        self.argv.len() == 1
    }

    /// Runs it for the account called `name`. One of a host at a time: each locks the tables, and gives up where they are locked.
    pub(super) async fn run(mut self, cx: &ActionCx<'_>, name: &str) -> Result<(), ActionError> {
        let host = cx.host()?;
        let program = self.argv[0].clone();
        self.argv.push(name.to_owned());
        let command = of_system(Command::new(self.argv).with_timeout(TIMEOUT));
        let _turn = turn(&**host, "accounts").await;
        let output = match host.run(&command).await {
            Err(HostError::NotFound { host, path }) => {
                let message = format!("{} can not be changed: there is no {path} on {host}", cx.resource());
                return Err(ActionError::permanent(message).with_hint(
                    "install what has it: `passwd` on Debian, `shadow` on Alpine, `shadow-utils` on Fedora",
                ));
            }
            other => other?,
        };
        if output.success() { Ok(()) } else { Err(failed(cx, &program, &output)) }
    }
}

fn failed(cx: &ActionCx<'_>, program: &str, output: &Output) -> ActionError {
    let said = tail(&output.stderr, 5);
    let message = format!("`{program}` of {} ended with {}: {said}", cx.resource(), output.status);
    // Nothing has been done then: the tables were locked by somebody else.
    if said.contains("cannot lock") {
        ActionError::transient(message)
    } else {
        ActionError::permanent(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_none_that_a_program_would_take_for_something_else() {
        for good in ["web", "_apt", "a-b_9"] {
            assert_eq!(check_name("name", good), Ok(()), "{good}");
        }
        for bad in ["", "-r", "9a", "Web", "a:b", "a b", "a/b", &"a".repeat(33)] {
            assert!(check_name("name", bad).is_err(), "{bad}");
        }
    }
}
