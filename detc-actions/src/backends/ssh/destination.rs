//! Where a host is: `user@host:port`.

use std::fmt;
use std::str::FromStr;

/// Address, port and user; what is left open is for the configuration, or the usual, to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Destination {
    pub(super) user: Option<String>,
    /// A name, an address, or what the user's configuration calls it.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl FromStr for Destination {
    type Err = String;

    /// Reads `host`, `user@host`, `host:port`, `[2001:db8::1]:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, text),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| format!("`{text}` lacks a `]`"))?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(format!("`{after}` can not follow `]` in `{text}`")),
                }
            }
            // An address of IPv6 without brackets has no port.
            None if place.matches(':').count() > 1 => (place, None),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let bad_port = |port: &str| format!("`{port}` is no port, in `{text}`");
        let port = port
            .map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(|| bad_port(port)))
            .transpose()?;
        if host.is_empty() {
            return Err(format!("`{text}` names no host"));
        }
        // What a name must not have is what OpenSSH refuses, too: it goes into files and messages.
        let is_strange =
            |c: char| c.is_whitespace() || c.is_control() || "/\\'\"`$;&|<>(){}*?!,#%".contains(c);
        if host.starts_with('-') || host.contains(is_strange) {
            return Err(format!("`{host}` is no name of a host"));
        }
        if let Some(user) = &user
            && (user.is_empty() || user.starts_with('-') || user.contains(is_strange))
        {
            return Err(format!("`{user}` is no name of a user"));
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, user: Option<&str>, host: &str, port: Option<u16>) {
        let found: Destination = text.parse().unwrap();
        assert_eq!((found.user.as_deref(), found.host.as_str(), found.port), (user, host, port), "{text}");
    }

    #[test]
    fn a_destination_is_read_with_and_without_its_parts() {
        check("web", None, "web", None);
        check("root@127.0.1.1:2200", Some("root"), "127.0.1.1", Some(2200));
        check("a@b@web", Some("a@b"), "web", None);
        check("[2001:db8::1]:22", None, "2001:db8::1", Some(22));
        check("2001:db8::1", None, "2001:db8::1", None);
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        for text in [
            "",
            "@web",
            "web:",
            "web:0",
            "web:65536",
            "-oProxyCommand=x",
            "a b",
            "root@",
            "web/x",
            "[::1",
            "[::1]x",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
