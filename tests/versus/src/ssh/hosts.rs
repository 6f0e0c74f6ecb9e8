//! Throw-away hosts: sshd processes on loopback addresses of their own, with keys of this run. Nothing of the system's
//! configuration is read or changed.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

pub const PORT: u16 = 22_022;

/// Some hosts. Dropped, they end.
pub struct Hosts {
    dir: tempfile::TempDir,
    sshds: Vec<Child>,
    /// How many there are to whoever manages them: several names may stand for one sshd.
    pub names: Vec<Name>,
}

/// One host, by its name.
pub struct Name {
    pub name: String,
    pub address: String,
}

impl Hosts {
    /// Starts `count` sshd, and gives each so many names.
    pub fn start(count: usize, names_each: usize) -> anyhow::Result<Self> {
        ensure!(count <= 250, "there are 250 addresses");
        let dir = tempfile::Builder::new().prefix("detc-versus-").tempdir()?;
        let at = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host_key", "id"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status()?;
            ensure!(made.success(), "ssh-keygen failed");
        }
        fs::copy(at("id.pub"), at("authorized_keys"))?;
        // The sessions' own folder: a start-up file that is slow would be all that is measured.
        fs::create_dir(at("home"))?;
        // Root's sshd wants this folder, which the system's service makes otherwise.
        let _made_by_the_service = fs::create_dir_all("/run/sshd");
        let sftp =
            ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
        let sftp = sftp.into_iter().find(|path| Path::new(path).exists()).unwrap_or("internal-sftp");
        let mut hosts = Self { sshds: Vec::new(), names: Vec::new(), dir };
        let key = fs::read_to_string(hosts.path("host_key.pub"))?;
        let key = key.rsplit_once(' ').context("a key without a comment")?.0.to_owned();
        let (mut known, mut config) = (String::new(), String::new());
        for number in 1..=count {
            let address = format!("127.0.1.{number}");
            hosts.run(number, &address, sftp)?;
            writeln!(known, "[{address}]:{PORT} {key}")?;
            for each in 0..names_each {
                let name = if names_each == 1 { format!("h{number}") } else { format!("h{number}-{each}") };
                writeln!(config, "Host {name}\n  HostName {address}")?;
                hosts.names.push(Name { name, address: address.clone() });
            }
        }
        fs::write(hosts.path("known_hosts"), known)?;
        let (id, known) = (hosts.text("id"), hosts.text("known_hosts"));
        write!(
            config,
            "Host *\n  Port {PORT}\n  User {}\n  IdentityFile {id}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n  \
             GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  LogLevel ERROR\n",
            user()?
        )?;
        fs::write(hosts.path("ssh_config"), config)?;
        hosts.wait()?;
        Ok(hosts)
    }

    fn run(&mut self, number: usize, address: &str, sftp: &str) -> anyhow::Result<()> {
        let config = self.path(&format!("sshd_{number}"));
        let (key, keys, home) = (self.text("host_key"), self.text("authorized_keys"), self.text("home"));
        fs::write(
            &config,
            format!(
                "ListenAddress {address}:{PORT}\nHostKey {key}\nPidFile none\nAuthorizedKeysFile {keys}\n\
                 PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 UsePAM no\nUseDNS no\nStrictModes no\nPrintMotd no\nPrintLastLog no\nLogLevel QUIET\n\
                 MaxStartups 1000:30:2000\nSetEnv HOME={home}\nSubsystem sftp {sftp}\n"
            ),
        )?;
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.arg("-D")
            .arg("-f")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.sshds.push(sshd.spawn().context("there is no /usr/sbin/sshd")?);
        Ok(())
    }

    fn wait(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        for name in &self.names {
            while TcpStream::connect((name.address.as_str(), PORT)).is_err() {
                ensure!(
                    began.elapsed() < Duration::from_secs(30),
                    "the sshd at {} does not listen",
                    name.address
                );
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A host as a desired state file declares it.
    pub fn declared(&self, name: &Name) -> anyhow::Result<Value> {
        Ok(json!({
            "connect": format!("ssh://{}@{}:{PORT}", user()?, name.address),
            "identity": self.text("id"),
            "known_hosts": self.text("known_hosts"),
            "config": "none",
            "state_dir": self.text(&format!("state/{}", name.name)),
        }))
    }

    /// The inventory of pyinfra, which runs `deploy.py` beside it.
    pub fn inventory(&self) -> anyhow::Result<String> {
        let mut text = "hosts = [\n".to_owned();
        for name in &self.names {
            writeln!(
                text,
                "    ({:?}, {{'ssh_hostname': {:?}, 'ssh_port': {PORT}, 'ssh_user': {:?}, 'ssh_key': {:?}, \
                 'ssh_known_hosts_file': {:?}, 'root_dir': {:?}}}),",
                name.name,
                name.address,
                user()?,
                self.text("id"),
                self.text("known_hosts"),
                self.text(&format!("root/{}", name.name)),
            )?;
        }
        text.push_str("]\n");
        Ok(text)
    }

    /// What the hosts' processors have done so far, once all sessions have ended.
    pub fn processor(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut ticks = 0;
        for sshd in &self.sshds {
            let pid = sshd.id();
            while !fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.is_empty() {
                ensure!(began.elapsed() < Duration::from_secs(30), "a session does not end");
                std::thread::yield_now();
            }
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let fields = stat.rsplit_once(')').context("no stat")?.1;
            ticks += fields
                .split_whitespace()
                .skip(11)
                .take(4)
                .filter_map(|field| field.parse::<u64>().ok())
                .sum::<u64>();
        }
        // A hundred in a second, on each Linux that there is.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for sshd in &mut self.sshds {
            let _gone = sshd.kill();
            let _status = sshd.wait();
        }
    }
}

fn user() -> anyhow::Result<String> {
    let said = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}
