//! That what this process ignores is not ignored by what it starts.
//!
//! A program begins with the signals ignored that who started it ignores: `nohup` ignores the hangup, and a script that puts
//! detc in the background the interrupt. A daemon that is to stop by one of these would never get it. What is *handled* is not
//! passed on; so these signals are handled, by doing nothing, which is the same for this process.

use std::fs;

use tokio::signal::unix::{SignalKind, signal};

/// The signals that people send to stop or to reload something. Others can not be handled, or mean that something broke.
const PASSED_ON: [fn() -> SignalKind; 6] = [
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::quit,
    SignalKind::terminate,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
];

/// Handles, for as long as this process lives, what it ignores. Where the system does not tell what that is, nothing is done.
pub(super) fn keep_to_ourselves() {
    let Some(ignored) = fs::read_to_string("/proc/self/status").ok().and_then(|status| ignored(&status))
    else {
        return;
    };
    for kind in PASSED_ON {
        let kind = kind();
        if ignored >> (kind.as_raw_value() - 1) & 1 == 1 {
            // Where it can not be handled, it stays ignored, here and in what is started.
            let _unhandled = signal(kind);
        }
    }
}

/// The signals that a process ignores, a bit each, as its status has them.
fn ignored(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_status_of_a_process() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t00\n"), Some(0x1003));
        assert_eq!(ignored("Name:\tx\n"), None);
    }
}
