//! What several kinds check and compare in the same way.

use std::collections::BTreeMap;

use detc_core::action::ActionError;
use detc_core::backend::host::{Command, Owner, Ownership, Stat};
use detc_core::model::{Present, ResourceId};
use detc_core::resource::{InvalidField, LATER};

/// Whether a text is known only later, and so can not be checked now.
pub(super) fn is_later(text: &str) -> bool {
    text.contains(LATER)
}

/// That a path can be given to a host.
pub(super) fn check_path(field: &str, path: &str) -> Result<(), InvalidField> {
    if is_later(path) {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(InvalidField::new(field, format!("must be an absolute path, not `{path}`")));
    }
    if path.contains('\0') {
        return Err(InvalidField::new(field, "must not hold a NUL byte"));
    }
    if path.split('/').any(|place| place == "..") {
        return Err(InvalidField::new(field, format!("must not go up with `..`, as `{path}` does")));
    }
    Ok(())
}

/// That an argument vector names a program.
pub(super) fn check_argv(field: &str, argv: &[String]) -> Result<(), InvalidField> {
    match argv.first() {
        None => Err(InvalidField::new(field, "must name a program: it is an empty list")),
        Some(program) if program.is_empty() => Err(InvalidField::new(field, "must name a program")),
        Some(_) if argv.iter().any(|text| text.contains('\0')) => {
            Err(InvalidField::new(field, "must not hold a NUL byte"))
        }
        Some(_) => Ok(()),
    }
}

/// That variables can be set.
pub(super) fn check_env(env: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    if let Some(name) = env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(InvalidField::new("env", format!("can not set a variable called `{name}`")));
    }
    match env.iter().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => {
            Err(InvalidField::new("env", format!("must not hold a NUL byte, as `{name}` does")))
        }
        None => Ok(()),
    }
}

/// The mode that a text such as `0644` says.
///
/// # Errors
/// What is wrong with it, in words that follow the field's name.
pub(super) fn parse_mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal => Ok(mode),
        _ => Err(format!("must be three or four octal digits, such as \"0644\", not \"{text}\"")),
    }
}

/// Mode, owner and group as a spec has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'a> {
    pub(super) mode: Option<&'a str>,
    pub(super) owner: Option<&'a str>,
    pub(super) group: Option<&'a str>,
}

impl Access<'_> {
    pub(super) fn check(&self) -> Result<(), InvalidField> {
        if let Some(mode) = self.mode.filter(|mode| !is_later(mode)) {
            parse_mode(mode).map_err(|problem| InvalidField::new("mode", problem))?;
        }
        for (field, name) in [("owner", self.owner), ("group", self.group)] {
            if name == Some("") {
                return Err(InvalidField::new(field, "must be a name or a number"));
            }
            // Systems take the highest number for "leave it as it is".
            let number =
                name.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()));
            if number.is_some_and(|number| !number.parse::<u32>().is_ok_and(|number| number < u32::MAX)) {
                return Err(InvalidField::new(field, format!("must be a number below {}", u32::MAX)));
            }
        }
        Ok(())
    }

    /// What to ask of a host. The spec was checked before.
    pub(super) fn ownership(&self) -> Ownership {
        Ownership::new(
            self.mode.and_then(|mode| parse_mode(mode).ok()),
            self.owner.map(str::to_owned),
            self.group.map(str::to_owned),
        )
    }

    /// The fields that the spec has, as they are seen: in the words of the spec where they are as it says.
    pub(super) fn observe(&self, stat: &Stat, mut present: Present) -> Present {
        if let Some(wanted) = self.mode {
            let seen = if parse_mode(wanted) == Ok(stat.mode) {
                wanted.to_owned()
            } else {
                format!("{:04o}", stat.mode)
            };
            present = present.with_field("mode", seen);
        }
        for (field, wanted, seen) in [("owner", self.owner, &stat.owner), ("group", self.group, &stat.group)]
        {
            if let Some(wanted) = wanted {
                present = present.with_field(field, seen_as(seen, wanted));
            }
        }
        present
    }
}

fn seen_as(seen: &Owner, wanted: &str) -> String {
    if seen.is(wanted) { wanted.to_owned() } else { seen.to_string() }
}

/// A command of the system's own: it is found where those are, whoever runs it, and says what is told apart in English.
pub(crate) fn of_system(mut command: Command) -> Command {
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (name, value) in [("PATH", PATH), ("LC_ALL", "C")] {
        command.env.insert(name.to_owned(), value.to_owned());
    }
    command
}

/// What a resource can not do (`be written`) since its directory is not there.
pub(super) fn missing_dir(id: &ResourceId, act: &str, dir: &str, host: &str) -> ActionError {
    ActionError::permanent(format!("{id} can not {act}: its directory {dir} does not exist on {host}"))
        .with_hint("manage it with a `directory`, which comes before what lies in it, or correct the path")
}

/// The last lines of an output, for a message: at most `lines` of them and 2,000 characters, which a terminal still shows
/// beside the rest of a failure. A `…` tells that its first line is not whole, also to what takes secrets out of messages:
/// the rest of a line may be the rest of one.
pub(super) fn tail(output: &[u8], lines: usize) -> String {
    const CHARS_MAX: usize = 2000;
    let text = String::from_utf8_lossy(output);
    let all: Vec<&str> = text.lines().collect();
    let text = all[all.len().saturating_sub(lines)..].join("\n");
    match text.chars().count().saturating_sub(CHARS_MAX) {
        0 => text,
        skipped => std::iter::once('…').chain(text.chars().skip(skipped + 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_three_or_four_octal_digits() {
        assert_eq!(parse_mode("0755"), Ok(0o755));
        assert_eq!(parse_mode("644"), Ok(0o644));
        for bad in ["", "0o755", "0788", "+755", "00755", "rwx"] {
            let error = parse_mode(bad).unwrap_err();
            assert!(error.contains(&format!("not \"{bad}\"")), "{error}");
        }
    }

    #[test]
    fn an_owner_is_a_name_or_a_number_that_stands_for_one() {
        let check = |owner| Access { mode: None, owner: Some(owner), group: None }.check();
        for good in ["root", "0", "4294967294", "www-data", LATER] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["4294967295", "4294967296", "99999999999999999999"] {
            let error = check(bad).unwrap_err().to_string();
            assert_eq!(error, "`owner` must be a number below 4294967295", "{bad}");
        }
    }

    #[test]
    fn paths_are_absolute_and_do_not_go_up() {
        assert_eq!(check_path("path", "/srv/a"), Ok(()));
        assert_eq!(check_path("path", LATER), Ok(()));
        let error = |path| check_path("path", path).unwrap_err().to_string();
        assert_eq!(error("srv"), "`path` must be an absolute path, not `srv`");
        assert_eq!(error("/a/../b"), "`path` must not go up with `..`, as `/a/../b` does");
    }

    #[test]
    fn the_tail_of_an_output_is_its_last_lines() {
        assert_eq!(tail(b"a\nb\nc\n", 2), "b\nc");
        let text = tail(&[b'x'; 3000], 2);
        assert_eq!((text.chars().count(), text.starts_with("…x")), (2000, true));
        assert_eq!(tail(&[b'x'; 2000], 2).find('…'), None);
    }
}
