//! The programs that change accounts, played on a memory host: as much of them as `user` and `group` use.

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership};
use detc_core::backend::memory::Files;

/// A host with root, two groups and the programs.
pub(in crate::resources) fn host() -> MemoryHost {
    let host = MemoryHost::new(&crate::test_util::host_name());
    host.with_files(|files| {
        files.make_dir("/etc", &Ownership::default()).unwrap();
        put(files, "/etc/passwd", &["root:x:0:0:root:/root:/bin/sh".to_owned()]);
        let groups = ["root:x:0:", "adm:x:4:", "www:x:33:"];
        put(files, "/etc/group", &groups.map(str::to_owned));
    });
    ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"]
        .into_iter()
        .fold(host, |host, program| host.with_program(program, play))
}

pub(in crate::resources) fn lines(files: &Files, path: &str) -> Vec<String> {
    String::from_utf8(files.read(path).unwrap().to_vec()).unwrap().lines().map(str::to_owned).collect()
}

pub(in crate::resources) fn put(files: &mut Files, path: &str, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    files.write(path, text.as_bytes(), &Ownership::default()).unwrap();
}

fn refuse(why: &str) -> Output {
    Output { status: ExitStatus::Code(9), stderr: why.as_bytes().to_vec(), ..Output::default() }
}

fn play(command: &Command, files: &mut Files) -> Output {
    let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
    let (name, options) = (argv[argv.len() - 1], &argv[1..argv.len() - 1]);
    let option = |flag: &str| {
        let at = options.iter().position(|option| *option == flag)?;
        Some(options[at + 1].to_owned())
    };
    let has = |flag: &str| options.contains(&flag);
    let [mut users, mut groups] = ["/etc/passwd", "/etc/group"].map(|path| lines(files, path));
    let at = |all: &[String]| all.iter().position(|line| line.starts_with(&format!("{name}:")));
    let gid_of = |groups: &[String], group: &str| {
        let line = groups.iter().find(|line| line.starts_with(&format!("{group}:")))?;
        Some(line.split(':').nth(2).unwrap().to_owned())
    };
    match argv[0] {
        "groupadd" | "groupmod" | "groupdel" => {
            let there = at(&groups);
            match (argv[0], there) {
                ("groupadd", None) => {
                    groups.push(format!("{name}:x:{}:", option("-g").unwrap_or_else(|| "1000".to_owned())));
                }
                ("groupmod", Some(at)) => groups[at] = format!("{name}:x:{}:", option("-g").unwrap()),
                ("groupdel", Some(at)) => drop(groups.remove(at)),
                _ => return refuse("the group is there already, or is not"),
            }
        }
        "userdel" => {
            let Some(at) = at(&users) else { return refuse("there is no such user") };
            users.remove(at);
            leave(&mut groups, name);
            groups.retain(|group| !group.starts_with(&format!("{name}:")));
        }
        _ => {
            let entry = match (argv[0], at(&users)) {
                ("useradd", None) => {
                    if option("-g").is_none() {
                        if gid_of(&groups, name).is_some() {
                            return refuse("the group is there already");
                        }
                        groups.push(format!("{name}:x:1000:"));
                    }
                    let own = gid_of(&groups, name).unwrap_or_default();
                    users.push(format!("{name}:x:1000:{own}::/home/{name}:/bin/sh"));
                    users.len() - 1
                }
                ("usermod", Some(at)) => at,
                _ => return refuse("the user is there already, or is not"),
            };
            let mut fields: Vec<String> = users[entry].split(':').map(str::to_owned).collect();
            for (flag, at) in [("-u", 2), ("-c", 4), ("-d", 5), ("-s", 6)] {
                fields[at] = option(flag).unwrap_or_else(|| fields[at].clone());
            }
            if let Some(group) = option("-g") {
                let Some(gid) = gid_of(&groups, &group) else { return refuse("there is no such group") };
                fields[3] = gid;
            }
            if let Some(others) = option("-G") {
                leave(&mut groups, name);
                for other in others.split(',').filter(|other| !other.is_empty()) {
                    let line = groups.iter_mut().find(|line| line.starts_with(&format!("{other}:")));
                    let Some(line) = line else { return refuse("there is no such group") };
                    *line =
                        if line.ends_with(':') { format!("{line}{name}") } else { format!("{line},{name}") };
                }
            }
            if has("-m") {
                files.make_dir(&fields[5], &Ownership::new(Some(0o700), None, None)).unwrap();
            }
            users[entry] = fields.join(":");
        }
    }
    put(files, "/etc/passwd", &users);
    put(files, "/etc/group", &groups);
    Output::default()
}

fn leave(groups: &mut [String], name: &str) {
    for group in groups {
        let (own, members) = group.rsplit_once(':').unwrap();
        let members: Vec<&str> = members.split(',').filter(|member| *member != name).collect();
        *group = format!("{own}:{}", members.join(","));
    }
}
