//! What the remote shell is told.
//!
//! A host hands a command line to the user's login shell, of which nobody knows what it makes of it. So the command line is
//! a constant that all of them read alike, `exec /bin/sh`, and what that is told comes on its standard input, where only
//! single quotes have a meaning. The shell then becomes the command: its number, its status and the signal that ends it
//! are the command's own.

use std::fmt::Write as _;

use detc_core::backend::host::{Command, End};

/// What begins each line that is ours, so that it is not taken for what start-up files print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends) struct Mark(String);

impl Mark {
    const LEN: usize = 16;

    /// One that nobody can guess.
    pub(in crate::backends) fn new() -> Self {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes).expect("invariant: the system has random bytes");
        let mut text = "detc-".to_owned();
        for byte in bytes {
            write!(text, "{byte:02x}").expect("invariant: writing to a text does not fail");
        }
        Self(text)
    }

    pub(in crate::backends) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text as the shell reads it back, byte for byte.
pub(in crate::backends) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Variables that a shell sets, or refuses to set, itself. The command would not get them as they are given.
const OWN_VARIABLES: [&str; 24] = [
    "_",
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_VERSINFO",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

/// Whether a shell can pass all variables on: what is wrong, in words.
pub(in crate::backends) fn check_env(command: &Command) -> Result<(), String> {
    for name in command.env.keys() {
        let mut letters = name.bytes();
        let is_name = letters.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
            && letters.all(|letter| letter == b'_' || letter.is_ascii_alphanumeric());
        if !is_name {
            return Err(format!(
                "variable {name:?} can not be set through a shell: letters, digits and `_` can"
            ));
        }
        if OWN_VARIABLES.contains(&name.as_str()) {
            return Err(format!("variable {name} can not be set through a shell: it is the shell's own"));
        }
    }
    Ok(())
}

/// The script of one command.
///
/// It is one compound command, so that a shell has read all of it before it prints anything: what comes after that on its input is
/// the command's, and some shells read more than they need at once.
///
/// It prints `MARK ok GROUP` and becomes the command, or prints `MARK no WHY`; each on a line of its own. When becoming
/// the command fails, `MARK` ends the standard error.
pub(in crate::backends) fn script(command: &Command, mark: &Mark) -> String {
    let mut script = format!("{{\n__detc_m={}\n", mark.as_str());
    script.push_str(GIVE_UP);
    script.push_str(FIND);
    if let Some(dir) = &command.dir {
        let dir = quote(dir);
        writeln!(script, "cd {dir} 2>/dev/null || {{ if [ -d {dir} ]; then __detc_no dir-denied; else __detc_no no-dir; fi; }}")
            .expect("invariant: writing to a text does not fail");
    }
    for (name, value) in &command.env {
        writeln!(script, "export {name}={}", quote(value))
            .expect("invariant: writing to a text does not fail");
    }
    let program = command.program();
    writeln!(script, "__detc_find {}", quote(program)).expect("invariant: writing to a text does not fail");
    script.push_str(GROUP);
    if command.end == End::WithItsProgram {
        script.push_str(STAND_IN);
    }
    script.push_str(IF_EXEC_FAILS);
    become_it(&mut script, command);
    script.push_str("__detc_failed\nexit 126\n}\n");
    script
}

/// The shell becomes the command.
fn become_it(script: &mut String, command: &Command) {
    script.push_str("exec");
    // Not each shell's `exec` knows `--`, and only a program of this odd name needs it.
    if command.program().starts_with('-') {
        script.push_str(" --");
    }
    for argument in &command.argv {
        script.push(' ');
        script.push_str(&quote(argument));
    }
    if command.stdin.is_empty() {
        script.push_str(" </dev/null");
    }
    script.push('\n');
}

/// The exit code of one of several that is to be run by itself, where it is told why it can not be.
#[cfg(feature = "ssh")]
const BY_ITSELF: i32 = 200;

/// The greatest code that says no more than that the command ended with it: shells have those above for what they could not
/// become, and for signals.
#[cfg(feature = "ssh")]
pub(in crate::backends) const CODE_MAX: i32 = 125;

/// The script of several commands that only ask, one after the other. After each it prints `MARK CODE`, and `MARK` on standard
/// error.
#[cfg(feature = "ssh")]
pub(in crate::backends) fn script_of_several<'a>(
    commands: impl IntoIterator<Item = &'a Command>,
    mark: &Mark,
) -> String {
    let mut script = format!("__detc_m={}\n__detc_no() {{ exit {BY_ITSELF}; }}\n{FIND}", mark.as_str());
    for command in commands {
        script.push_str("(\n");
        if let Some(dir) = &command.dir {
            writeln!(script, "cd {} 2>/dev/null || __detc_no", quote(dir))
                .expect("invariant: writing to a text does not fail");
        }
        for (name, value) in &command.env {
            writeln!(script, "export {name}={}", quote(value))
                .expect("invariant: writing to a text does not fail");
        }
        writeln!(script, "__detc_find {}", quote(command.program()))
            .expect("invariant: writing to a text does not fail");
        become_it(&mut script, command);
        script.push_str(")\nprintf '%s %s\\n' \"$__detc_m\" \"$?\"; printf '%s\\n' \"$__detc_m\" >&2\n");
    }
    script
}

/// Gives up.
const GIVE_UP: &str = r#"__detc_no() { printf '%s no %s\n' "$__detc_m" "$1"; exit 0; }
"#;

/// Looks for a program as `exec` will, which does not tell why it fails.
const FIND: &str = r#"__detc_find() {
  case $1 in
  */*)
    [ -e "$1" ] || __detc_no no-program
    [ -f "$1" ] && [ -x "$1" ] || __detc_no program-denied
    ;;
  *)
    (IFS=:; set -f; for d in $PATH; do [ -f "${d:-.}/$1" ] && [ -x "${d:-.}/$1" ] && exit 0; done; exit 1) ||
      __detc_no no-program
    ;;
  esac
}
"#;

/// Tells the process group, by which the command can be ended. Under sudo it is not the shell's own number.
const GROUP: &str = r#"__detc_g=$$
if read -r __detc_s </proc/$$/stat 2>/dev/null; then
  __detc_s=${__detc_s##*) }; __detc_s=${__detc_s#* }; __detc_s=${__detc_s#* }; __detc_g=${__detc_s%% *}
fi
printf '%s ok %s\n' "$__detc_m" "$__detc_g"
printf '%s\n' "$__detc_m" >&2
"#;

/// A shell ends when its `exec` fails. Some call the trap then; bash does not, and goes on where it is told to.
const IF_EXEC_FAILS: &str = r#"__detc_failed() { printf '%s\n' "$__detc_m" >&2; }
[ -z "$BASH_VERSION" ] || shopt -s execfail
trap __detc_failed EXIT
"#;

/// Lets the command go on when the connection is lost: what it prints is read, first for whoever runs it, then, when that
/// is gone, to be dropped. A signal to the group leaves the readers alone: it is for the command, which may print yet.
const STAND_IN: &str = r#"__detc_f=${TMPDIR:-/tmp}/.$__detc_m
if (umask 077; mkfifo "$__detc_f.o" "$__detc_f.e") 2>/dev/null; then
  (trap '' HUP INT TERM; exec 2>/dev/null; cat; exec cat >/dev/null) <"$__detc_f.o" &
  (trap '' HUP INT TERM; exec >&2 2>/dev/null; cat; exec cat >/dev/null) <"$__detc_f.e" &
  exec >"$__detc_f.o" 2>"$__detc_f.e"
  rm -f "$__detc_f.o" "$__detc_f.e"
fi
unset __detc_f
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_holds_nothing_but_itself() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_variable_that_a_shell_would_change_is_refused() {
        let with = |name: &str| {
            Command::new(["true"]).with_env([(name.to_owned(), "x".to_owned())].into_iter().collect())
        };
        for name in ["A", "_a1", "PATH", "LC_ALL"] {
            assert_eq!(check_env(&with(name)), Ok(()), "{name}");
        }
        for name in ["1A", "a.b", "a-b", "ü", "UID", "_"] {
            assert!(check_env(&with(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn no_two_marks_are_alike() {
        assert_ne!(Mark::new(), Mark::new());
    }
}
