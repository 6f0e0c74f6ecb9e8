//! Package managers, played on memory hosts: what is installed is a file each, `/db/NAME` with a version; what can be is in
//! `/index`, and comes there from `/archive` when the index is refreshed.

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership, Remove};
use detc_core::backend::memory::Files;

/// A host with this manager, where nothing is installed but what needs `needed`.
pub(super) fn host(manager: &str) -> MemoryHost {
    let host = MemoryHost::new(&crate::test_util::host_name());
    host.with_files(|files| {
        for dir in ["/db", "/usr/bin", "/sbin"] {
            files.make_dir(dir, &Ownership::default()).unwrap();
        }
        let program = match manager {
            "apk" => "/sbin/apk",
            "dnf" => "/usr/bin/dnf",
            _ => "/usr/bin/apt-get",
        };
        put(files, program, "");
        put(files, "/db/base", "1");
        put(files, "/index", "");
        put(files, "/archive", "hello 1-1\nhello 2-1\nother 3-1\n");
    });
    ["apt-get", "dpkg", "dpkg-query", "dnf", "rpm", "apk"]
        .into_iter()
        .fold(host, |host, program| host.with_program(program, play))
}

pub(super) fn put(files: &mut Files, path: &str, text: &str) {
    files.write(path, text.as_bytes(), &Ownership::default()).unwrap();
}

pub(super) fn text(files: &Files, path: &str) -> Option<String> {
    Some(String::from_utf8(files.read(path).ok()?.to_vec()).unwrap())
}

fn ended(code: i32, said: &str) -> Output {
    let (stdout, stderr) = if code == 0 { (said, "") } else { ("", said) };
    let (stdout, stderr) = (stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec());
    Output { status: ExitStatus::Code(code), stdout, stderr, ..Output::default() }
}

fn play(command: &Command, files: &mut Files) -> Output {
    let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
    let what = argv[argv.len() - 1];
    // As many tries as the file says, somebody else holds the lock.
    let is_change = !matches!(argv[..], ["dpkg-query", ..] | ["rpm", "-q", ..] | ["apk", "list", ..]);
    if let Some(tries) = text(files, "/locked").filter(|_| is_change) {
        match tries.parse::<u32>().unwrap() {
            0 => {}
            left => {
                put(files, "/locked", &(left - 1).to_string());
                return ended(100, "E: Could not get lock /x. Unable to lock database: transaction lock");
            }
        }
    }
    match argv[..] {
        ["dpkg-query", ..] => match text(files, &format!("/db/{what}")) {
            Some(version) if version.contains(' ') => ended(0, &version),
            Some(version) => ended(0, &format!("installed {version}\n")),
            None => ended(1, "dpkg-query: no packages found matching it"),
        },
        ["rpm", "-q", ..] => match text(files, &format!("/db/{what}")) {
            Some(version) => ended(0, &format!("{version}\n")),
            None => ended(1, "package it is not installed"),
        },
        ["apk", "list", ..] => {
            let version = text(files, &format!("/db/{what}"));
            ended(
                0,
                &version.map_or_else(String::new, |it| {
                    format!("{what}-{it} x86_64 {{{what}}} (MIT) [installed]\n")
                }),
            )
        }
        ["apt-get", "update", ..] | ["dnf", "makecache", ..] | ["apk", "update", ..] => {
            let archive = text(files, "/archive").unwrap();
            put(files, "/index", &archive);
            let count: u32 = text(files, "/refreshed").map_or(0, |it| it.parse().unwrap());
            put(files, "/refreshed", &(count + 1).to_string());
            ended(0, "")
        }
        ["dpkg", "--configure", ..] => {
            files.remove("/torn", Remove::File).unwrap();
            ended(0, "")
        }
        ["dpkg", "--remove", ..] | ["rpm", "-e", ..] | ["apk", "del", ..] => remove(files, argv[0], what),
        _ => install(files, argv[0], what),
    }
}

fn remove(files: &mut Files, program: &str, what: &str) -> Output {
    match (text(files, "/needed").as_deref() == Some(what), program) {
        (true, "apk") => {
            ended(0, "World updated, but the following packages are not removed due to:\n  x: y")
        }
        (true, _) => ended(1, "dependency problems - not removing; error: Failed dependencies:"),
        (false, _) => {
            files.remove(&format!("/db/{what}"), Remove::File).unwrap();
            ended(0, "")
        }
    }
}

fn install(files: &mut Files, program: &str, what: &str) -> Output {
    if text(files, "/torn").is_some() {
        return ended(100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'");
    }
    let index = text(files, "/index").unwrap();
    let is_it = |(name, version): &(&str, &str)| match program {
        "dnf" => what == *name || what == format!("{name}-{version}"),
        _ => what == *name || what == format!("{name}={version}"),
    };
    let found = index.lines().filter_map(|line| line.split_once(' ')).rfind(is_it);
    let Some((name, version)) = found else {
        return ended(100, "E: Unable to locate package; Unable to find a match; no such package");
    };
    put(files, &format!("/db/{name}"), version);
    ended(0, "")
}
