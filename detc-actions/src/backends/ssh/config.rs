//! The user's own `~/.ssh/config`, as far as it is needed: what is not understood and changes who is trusted, or how, is an
//! error, and never passed over. See ssh_config(5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::connector::home;
use super::known_hosts::is_like;

/// How deep files may include others: as OpenSSH.
const DEPTH_MAX: usize = 16;

/// What a configuration says of one host: of each option the first that is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configured {
    pub(super) host_name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<String>,
    pub(super) identity_files: Vec<String>,
    pub(super) identities_only: Option<String>,
    pub(super) proxy_jump: Option<String>,
    pub(super) known_hosts: Option<Vec<String>>,
    pub(super) strict: Option<String>,
    pub(super) hash_known_hosts: Option<String>,
}

/// Options that change neither who is trusted, nor with what, nor where a connection goes, or that are about what is never
/// done here (passwords, forwarding, terminals).
const PASSED_OVER: [&str; 38] = [
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "ipqos",
    "kbdinteractiveauthentication",
    "localforward",
    "loglevel",
    "numberofpasswordprompts",
    "passwordauthentication",
    "permitlocalcommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
    "updatehostkeys",
    "visualhostkey",
    "xauthlocation",
];

impl Configured {
    /// What the file says of the host that is called `alias`. One that does not exist says nothing.
    ///
    /// # Errors
    /// What is not understood, and where.
    pub(super) fn read(file: &Path, alias: &str) -> Result<Self, String> {
        let mut configured = Self::default();
        configured.add_file(file, alias, 0)?;
        Ok(configured)
    }

    fn add_file(&mut self, file: &Path, alias: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{} is included too deep", file.display()));
        }
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{} can not be read: {error}", file.display())),
        };
        let mut applies = true;
        for (index, line) in text.lines().enumerate() {
            let at = |what: String| format!("{}:{}: {what}", file.display(), index + 1);
            let Some((keyword, arguments)) = words(line).map_err(at)? else { continue };
            match (keyword.as_str(), arguments.as_slice()) {
                ("host", patterns) => applies = includes(patterns, alias),
                ("match", [all]) if all.eq_ignore_ascii_case("all") => applies = true,
                ("match", _) => return Err(at("`Match` is not supported: write `Host`".to_owned())),
                _ if !applies => {}
                ("include", files) => {
                    for file in files {
                        for file in included(file).map_err(at)? {
                            self.add_file(&file, alias, depth + 1)?;
                        }
                    }
                }
                (_, arguments) => self.set(&keyword, arguments).map_err(at)?,
            }
        }
        Ok(())
    }

    fn set(&mut self, keyword: &str, arguments: &[String]) -> Result<(), String> {
        let Some(first) = arguments.first() else { return Err(format!("`{keyword}` has no value")) };
        let single = match keyword {
            "hostname" => &mut self.host_name,
            "user" => &mut self.user,
            "port" => &mut self.port,
            "identitiesonly" => &mut self.identities_only,
            "proxyjump" => &mut self.proxy_jump,
            "stricthostkeychecking" => &mut self.strict,
            "hashknownhosts" => &mut self.hash_known_hosts,
            "identityfile" => {
                self.identity_files.push(first.clone());
                return Ok(());
            }
            "userknownhostsfile" => {
                self.known_hosts.get_or_insert_with(|| arguments.to_vec());
                return Ok(());
            }
            // Said to be off, it is as if nothing was said.
            "checkhostip" | "verifyhostkeydns" | "canonicalizehostname"
                if first.eq_ignore_ascii_case("no") =>
            {
                return Ok(());
            }
            "pubkeyauthentication" if first.eq_ignore_ascii_case("yes") => return Ok(()),
            passed_over if PASSED_OVER.contains(&passed_over) => return Ok(()),
            other => {
                return Err(format!(
                    "`{other}` is not supported, and may change who is trusted: leave it out for this host, or name another `config`"
                ));
            }
        };
        single.get_or_insert_with(|| first.clone());
        Ok(())
    }
}

/// Whether the patterns of a `Host` line include `alias`.
fn includes(patterns: &[String], alias: &str) -> bool {
    let is = |pattern: &str| is_like(alias.as_bytes(), pattern.as_bytes());
    let is_left_out = patterns.iter().any(|pattern| pattern.strip_prefix('!').is_some_and(is));
    !is_left_out && patterns.iter().any(|pattern| !pattern.starts_with('!') && is(pattern))
}

/// The keyword of a line, in lower case, and its arguments. `None`: the line says nothing.
fn words(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let keyword = line[..end].to_lowercase();
    let rest = line[end..].trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut arguments = Vec::new();
    while !rest.is_empty() && !rest.starts_with('#') {
        let word = if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
            rest = after.trim_start();
            word
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            word
        };
        arguments.push(word.to_owned());
    }
    Ok(Some((keyword, arguments)))
}

/// The files that an `Include` names, in order; the last part of each may have wildcards.
fn included(name: &str) -> Result<Vec<PathBuf>, String> {
    let home = || home().ok_or_else(|| format!("`{name}`: there is no folder of the user's own"));
    let path = match name.strip_prefix("~/") {
        Some(rest) => home()?.join(rest),
        None if name.starts_with('/') => PathBuf::from(name),
        None => home()?.join(".ssh").join(name),
    };
    let (Some(dir), Some(last)) = (path.parent(), path.file_name().and_then(|last| last.to_str())) else {
        return Err(format!("`{name}` names no file"));
    };
    if dir.to_string_lossy().contains(['*', '?', '[']) || last.contains('[') {
        return Err(format!("`{name}`: wildcards are read in the last part only, and no `[`"));
    }
    if !last.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !name.starts_with('.') && is_like(name.as_bytes(), last.as_bytes())
        })
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, alias: &str) -> Result<Configured, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        fs::write(dir.path().join("more"), "User included\n").unwrap();
        fs::write(&file, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
        Configured::read(&file, alias).map_err(|error| error.replace(dir.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn of_each_option_the_first_is_taken_that_is_for_the_host() {
        let text = "Host web* !web9\n  HostName 10.0.0.1\n  Port=2200\nHost *\n  Port 22\n  User \"a b\"\n  IdentityFile ~/.ssh/x\n";
        let web1 = read(text, "web1").unwrap();
        assert_eq!(web1.host_name.as_deref(), Some("10.0.0.1"));
        assert_eq!((web1.port.as_deref(), web1.user.as_deref()), (Some("2200"), Some("a b")));
        let web9 = read(text, "web9").unwrap();
        assert_eq!((web9.host_name, web9.port.as_deref()), (None, Some("22")));
    }

    #[test]
    fn others_are_included() {
        assert_eq!(read("Include DIR/mor?\nUser late", "web").unwrap().user.as_deref(), Some("included"));
        assert_eq!(read("Include DIR/none*", "web").unwrap(), Configured::default());
        assert!(read("Include DIR/config", "web").unwrap_err().contains("too deep"));
    }

    #[test]
    fn what_changes_security_and_is_not_supported_is_an_error_where_it_applies() {
        for line in
            ["ProxyCommand nc x", "Ciphers 3des-cbc", "CheckHostIP yes", "KnownHostsCommand x", "Nonsense 1"]
        {
            let error = read(&format!("Host web\n {line}"), "web").unwrap_err();
            assert!(error.starts_with("DIR/config:2: "), "{error}");
            assert_eq!(read(&format!("Host other\n {line}"), "web"), Ok(Configured::default()), "{line}");
        }
        assert_eq!(read("ForwardAgent yes\nCompression yes", "web"), Ok(Configured::default()));
        let error = read("Port 1\nMatch exec true\n User x", "web").unwrap_err();
        assert_eq!(error, "DIR/config:2: `Match` is not supported: write `Host`");
        assert_eq!(read("Match all\nUser me", "web").unwrap().user.as_deref(), Some("me"));
    }
}
