//! Whether a host is the one that it is said to be: a table of what a known_hosts file may say, under each policy, beside
//! what OpenSSH's own client does.

use std::fmt::Write as _;
use std::process::Command;

use detc_core::backend::HostError;
use expect_test::expect;

use crate::sshd::{Sshd, keygen};
use crate::support::connect;

/// What the file says, made for a host `A` that shows an ed25519 key.
type Said = fn(&Made) -> String;

/// A host, and keys that it does not have.
struct Made {
    sshd: Sshd,
    /// `[127.0.1.1]:PORT`.
    name: String,
    /// The host's own key: type and blob.
    own: String,
    /// Others, of the same and of another type.
    other: String,
    ecdsa: String,
}

impl Made {
    fn new() -> Self {
        let sshd = Sshd::start();
        let bare = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let own = sshd.host_line("host_ed25519");
        let own = own.split_once(' ').unwrap().1.to_owned();
        let other = bare(&keygen(&sshd.path("other"), "ed25519", ""));
        let ecdsa = bare(&keygen(&sshd.path("other_ecdsa"), "ecdsa", ""));
        Self { name: sshd.known_as(), own, other, ecdsa, sshd }
    }

    /// The line of `name`, its name hashed by OpenSSH's own tool.
    fn hashed(&self, line: &str) -> String {
        let file = self.sshd.path("to_hash");
        std::fs::write(&file, format!("{line}\n")).unwrap();
        let made = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::read_to_string(file).unwrap()
    }

    fn port(&self) -> u16 {
        self.sshd.port()
    }
}

const CASES: [(&str, Said); 24] = [
    ("nothing", |_| String::new()),
    ("its key", |m| format!("{} {}", m.name, m.own)),
    ("another key", |m| format!("{} {}", m.name, m.other)),
    ("another key of another type", |m| format!("{} {}", m.name, m.ecdsa)),
    ("an old key and its key", |m| format!("{0} {1}\n{0} {2}", m.name, m.other, m.own)),
    ("a key of another type and its key", |m| format!("{0} {1}\n{0} {2}", m.name, m.ecdsa, m.own)),
    ("its key, hashed", |m| m.hashed(&format!("{} {}", m.name, m.own))),
    ("another key, hashed", |m| m.hashed(&format!("{} {}", m.name, m.other))),
    ("its key, revoked", |m| format!("@revoked * {}", m.own)),
    ("its key, known and revoked", |m| format!("{} {1}\n@revoked * {1}", m.name, m.own)),
    ("another key revoked, its key known", |m| format!("@revoked * {}\n{} {}", m.other, m.name, m.own)),
    ("a wildcard", |m| format!("[127.0.*]:{} {}", m.port(), m.own)),
    ("a wildcard for one character", |m| format!("[127.0.?.1]:{} {}", m.port(), m.own)),
    ("a wildcard that leaves it out", |m| format!("*,!{} {}", m.name, m.own)),
    ("a wildcard that leaves another out", |m| format!("*,![127.0.1.2]:{} {}", m.port(), m.own)),
    ("a list of names", |m| format!("web,{},10.0.0.1 {}", m.name, m.own)),
    ("the name without the port", |m| format!("127.0.1.1 {}", m.own)),
    ("the name without the port, another key", |m| format!("127.0.1.1 {}", m.other)),
    ("another port", |m| format!("[127.0.1.1]:1 {}", m.own)),
    ("tabs, blanks and comments", |m| format!("# a comment\n\n \t{}\t{}\tcomment\n", m.name, m.own)),
    ("an authority that is not asked for", |m| format!("@cert-authority * {}", m.own)),
    ("a damaged key", |m| format!("{} ssh-ed25519 AAAAC3", m.name)),
    ("a damaged key of another, and its key", |m| format!("web ssh-ed25519 AAAAC3\n{} {}", m.name, m.own)),
    ("a marker that nobody knows", |m| format!("@trusted {0} {1}\n{0} {1}", m.name, m.own)),
];

const POLICIES: [(&str, &str); 3] = [("strict", "yes"), ("accept-new", "accept-new"), ("off", "no")];

async fn ours(made: &Made, policy: &str) -> &'static str {
    let mut spec = made.sshd.spec();
    spec["host_keys"] = policy.into();
    match connect(&spec).await {
        Ok(_) => "in",
        Err(HostError::Untrusted { .. }) => "-",
        Err(other) => panic!("{other:?}"),
    }
}

fn theirs(made: &Made, policy: &str) -> &'static str {
    let option = |name: &str, value: &str| format!("-o{name}={value}");
    let output = Command::new("ssh")
        .args(["-F", "none", "-n", "-p", &made.port().to_string(), "-i"])
        .arg(made.sshd.path("id"))
        .args([
            option("BatchMode", "yes"),
            option("IdentitiesOnly", "yes"),
            option("GlobalKnownHostsFile", "/dev/null"),
            option("UserKnownHostsFile", &made.sshd.path("known_hosts").display().to_string()),
            option("StrictHostKeyChecking", policy),
            option("UpdateHostKeys", "no"),
            // The usual exchange takes the client seven times as long, for the same answer.
            option("KexAlgorithms", "curve25519-sha256"),
        ])
        .args([made.sshd.url().split_once("://").unwrap().1.split_once(':').unwrap().0, "true"])
        .output()
        .expect("ssh is installed by .ci/test (openssh-client)");
    if output.status.success() { "in" } else { "-" }
}

#[tokio::test]
async fn a_host_is_trusted_as_openssh_trusts_it_or_less() {
    let made = Made::new();
    let mut table = String::new();
    for (case, said) in CASES {
        write!(table, "{case:40}").unwrap();
        for (ours_name, theirs_name) in POLICIES {
            // Whoever accepts writes down.
            made.sshd.write_known_hosts(&said(&made));
            let we = ours(&made, ours_name).await;
            made.sshd.write_known_hosts(&said(&made));
            let they = theirs(&made, theirs_name);
            assert!((we, they) != ("in", "-"), "{case}, {ours_name}: we let in what OpenSSH refuses");
            let differs = if we == they { "" } else { "!" };
            write!(table, " {:8}", format!("{we}/{they}{differs}")).unwrap();
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    // Ours, then theirs: strict, accept-new, off. Where they differ (`!`) we refuse what OpenSSH lets in: never the other way.
    expect![[r#"
        nothing                                  -/-      in/in    in/in
        its key                                  in/in    in/in    in/in
        another key                              -/-      -/-      in/in
        another key of another type              -/-      -/-      in/in
        an old key and its key                   in/in    in/in    in/in
        a key of another type and its key        in/in    in/in    in/in
        its key, hashed                          in/in    in/in    in/in
        another key, hashed                      -/-      -/-      in/in
        its key, revoked                         -/-      -/-      -/in!
        its key, known and revoked               -/-      -/-      -/in!
        another key revoked, its key known       in/in    in/in    in/in
        a wildcard                               in/in    in/in    in/in
        a wildcard for one character             in/in    in/in    in/in
        a wildcard that leaves it out            in/in    in/in    in/in
        a wildcard that leaves another out       in/in    in/in    in/in
        a list of names                          in/in    in/in    in/in
        the name without the port                in/in    in/in    in/in
        the name without the port, another key   -/-      in/in    in/in
        another port                             -/-      in/in    in/in
        tabs, blanks and comments                in/in    in/in    in/in
        an authority that is not asked for       -/-      in/in    in/in
        a damaged key                            -/-      -/in!    in/in
        a damaged key of another, and its key    in/in    in/in    in/in
        a marker that nobody knows               -/in!    -/in!    -/in!
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn a_name_is_written_down_as_a_hash_where_the_configuration_says_so() {
    let sshd = Sshd::start();
    let (file, config) = (sshd.path("known_hosts"), sshd.path("ssh_config"));
    std::fs::write(&config, "Host 127.0.*\n  HashKnownHosts yes\n").unwrap();
    let mut spec = sshd.spec();
    spec["config"] = config.to_str().unwrap().into();
    sshd.write_known_hosts("");
    let HostError::Untrusted { hint, .. } = connect(&spec).await.unwrap_err() else {
        panic!("it is not known")
    };
    assert!(hint.contains("accept it with: echo '|1|") && !hint.contains(&sshd.known_as()), "{hint}");
    spec["host_keys"] = "accept-new".into();
    connect(&spec).await.unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.trim_start().starts_with("|1|") && !written.contains(sshd.address()), "{written}");
    let found = Command::new("ssh-keygen").args(["-F", &sshd.known_as(), "-f"]).arg(&file).output().unwrap();
    assert!(found.status.success(), "OpenSSH's own tool does not find it: {written}");
    spec["host_keys"] = "strict".into();
    connect(&spec).await.unwrap();
}
