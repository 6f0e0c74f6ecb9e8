//! A container in detc's words and in the engine's, both ways.

mod asked;
mod health;
mod mounts;
mod networking;
mod ports;
mod told;

pub(super) use asked::{asked, limits, restart_policy};
pub(super) use health::told as told_health;
pub(super) use networking::endpoint;
pub(super) use ports::parse as parse_port;
pub(super) use told::{status_of_listing, told};

use std::collections::BTreeMap;

/// Signals by number, as Linux has them on most machines.
const SIGNALS: [(&str, &str); 12] = [
    ("1", "SIGHUP"),
    ("2", "SIGINT"),
    ("3", "SIGQUIT"),
    ("6", "SIGABRT"),
    ("9", "SIGKILL"),
    ("10", "SIGUSR1"),
    ("12", "SIGUSR2"),
    ("13", "SIGPIPE"),
    ("14", "SIGALRM"),
    ("15", "SIGTERM"),
    ("18", "SIGCONT"),
    ("28", "SIGWINCH"),
];

/// A signal by its name, `SIGTERM`; `None` where none is said.
pub(super) fn signal(told: Option<&str>) -> Option<String> {
    let told = told.filter(|signal| !signal.is_empty())?;
    let upper = told.to_ascii_uppercase();
    if let Some((_, name)) = SIGNALS.iter().find(|(number, _)| *number == upper) {
        return Some((*name).to_owned());
    }
    if upper.starts_with("SIG") || upper.parse::<u32>().is_ok() {
        return Some(upper);
    }
    Some(format!("SIG{upper}"))
}

/// Variables, `NAME=VALUE`.
pub(super) fn env(told: Option<Vec<String>>) -> BTreeMap<String, String> {
    let split = |variable: String| match variable.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        // Taken away from the image's.
        None => (variable, String::new()),
    };
    told.unwrap_or_default().into_iter().map(split).collect()
}

/// A text that says something.
pub(super) fn given(told: Option<String>) -> Option<String> {
    told.filter(|text| !text.is_empty())
}

/// A number that says something: engines say 0, or -1, for none.
fn positive(told: Option<i64>) -> Option<u64> {
    told.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_one_name() {
        for (told, name) in [("15", "SIGTERM"), ("TERM", "SIGTERM"), ("sigterm", "SIGTERM"), ("34", "34")] {
            assert_eq!(signal(Some(told)).as_deref(), Some(name), "{told}");
        }
        assert_eq!((signal(None), signal(Some(""))), (None, None));
    }
}
