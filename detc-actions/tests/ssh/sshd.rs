//! A throw-away sshd: on a loopback address and port of its own, with keys of its own, in a folder of its own. Nothing of
//! the system's configuration is read or changed.

#![allow(dead_code, reason = "each test program that has this module uses a part of it")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// One sshd that runs. Dropped, it and its sessions end.
pub(crate) struct Sshd {
    dir: TempDir,
    address: String,
    port: u16,
    child: Option<Child>,
    config: Vec<String>,
    /// The network namespace that it is in.
    space: Option<String>,
}

/// Makes a key pair at `path`, and returns its public line.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-C", "throw-away", "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen is installed by .ci/test (openssh-client)");
    assert!(made.success(), "ssh-keygen");
    fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

impl Sshd {
    /// One with an ed25519 key and one user key, which may log in as whoever runs the test.
    pub(crate) fn start() -> Self {
        Self::with_config(&[])
    }

    /// One with further lines of configuration.
    pub(crate) fn with_config(config: &[&str]) -> Self {
        Self::at("127.0.1.1", None, config)
    }

    /// One that listens at this address, in this network namespace.
    pub(crate) fn at(address: &str, space: Option<&str>, config: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("detc-sshd-").tempdir().unwrap();
        keygen(&dir.path().join("host_ed25519"), "ed25519", "");
        let public = keygen(&dir.path().join("id"), "ed25519", "");
        fs::write(dir.path().join("authorized_keys"), format!("{public}\n")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        // Root's sshd wants this folder, which the system's service makes otherwise.
        let _made_by_the_service = fs::create_dir_all("/run/sshd");
        let config = config.iter().map(|line| (*line).to_owned()).collect();
        let (address, space) = (address.to_owned(), space.map(str::to_owned));
        // A port that is free here says nothing of one there.
        let port = if space.is_some() { 2200 } else { 0 };
        let mut sshd = Self { dir, address, port, child: None, config, space };
        sshd.run();
        sshd.write_known_hosts(&sshd.host_line("host_ed25519"));
        sshd
    }

    /// One that shows a certificate of its key, where there is one when it starts.
    pub(crate) fn with_certificate() -> Self {
        let mut sshd = Self::start();
        let certificate = sshd.path("host_ed25519-cert.pub");
        sshd.config.push(format!("HostCertificate {}", certificate.display()));
        sshd
    }

    /// Starts it, at a free port first and at the same port later.
    pub(crate) fn run(&mut self) {
        const TRIES_MAX: u32 = 20;
        for _ in 0..TRIES_MAX {
            if self.port == 0 {
                let free = TcpListener::bind((self.address.as_str(), 0)).unwrap();
                self.port = free.local_addr().unwrap().port();
            }
            if self.try_run() {
                return;
            }
            // Another took the port between the two.
            self.port = 0;
        }
        panic!("sshd does not start: {}", self.log());
    }

    /// Starts its listener anew; the sessions that there are go on.
    pub(crate) fn run_anew(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.run();
    }

    fn try_run(&mut self) -> bool {
        const PATIENCE: Duration = Duration::from_secs(30);
        let path = |name: &str| self.path(name).display().to_string();
        let mut config = self.config.join("\n");
        for line in [
            format!("ListenAddress {}:{}", self.address, self.port),
            format!("PidFile {}", path("sshd.pid")),
            format!("AuthorizedKeysFile {}", path("authorized_keys")),
        ] {
            config.push('\n');
            config.push_str(&line);
        }
        // Whoever runs the tests may have start-up files that take longer than all else. Only the first such line counts.
        let home = format!("SetEnv HOME={}", path("home"));
        if config.contains("SetEnv ") {
            config = config.replace("SetEnv ", &format!("{home} "));
        } else {
            config.push_str(&format!("\n{home}"));
        }
        if !config.contains("HostKey ") {
            config.push_str(&format!("\nHostKey {}", path("host_ed25519")));
        }
        config.push_str(
            "\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             UsePAM no\nUseDNS no\nStrictModes no\nPrintMotd no\nPrintLastLog no\nLogLevel VERBOSE\n\
             MaxStartups 1000:30:2000\nSubsystem sftp internal-sftp\n",
        );
        fs::write(self.path("config"), config).unwrap();
        let mut command = match &self.space {
            None => Command::new(SSHD),
            Some(space) => {
                let mut inside = Command::new("ip");
                inside.args(["netns", "exec", space, SSHD]);
                inside
            }
        };
        let mut child = command
            .args(["-D", "-f"])
            .arg(self.path("config"))
            .arg("-E")
            .arg(self.path("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd is installed by .ci/test (openssh-server)");
        let began = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect((self.address.as_str(), self.port)).is_ok() {
                self.child = Some(child);
                return true;
            }
            assert!(began.elapsed() < PATIENCE, "sshd does not listen: {}", self.log());
            std::thread::yield_now();
        }
    }

    /// Ends the listener and all its sessions.
    pub(crate) fn stop(&mut self) {
        self.kill_sessions();
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _status = child.wait();
        }
    }

    /// Kills the processes that serve connections, as a crash of them would; the listener stays. How many there were.
    pub(crate) fn kill_sessions(&self) -> usize {
        let Some(child) = &self.child else { return 0 };
        let mut killed = 0;
        for pid in children_of(child.id()) {
            // In OpenSSH the child of the listener is the monitor; its own child has the connection. Where it has it itself, a
            // child may be about to become a command: it goes last, so that nobody is left to tell of its end.
            for pid in [pid].into_iter().chain(children_of(pid)) {
                if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
                {
                    killed += 1;
                    let _gone =
                        Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
                }
            }
        }
        killed
    }

    /// Lets the listener and all sessions stand still, as a machine that is out of memory does: connections are taken, and nobody
    /// answers.
    pub(crate) fn stand_still(&self) {
        let Some(child) = &self.child else { return };
        let mut all = vec![child.id()];
        let mut at = 0;
        while let Some(pid) = all.get(at).copied() {
            let _gone = Command::new("kill").args(["-STOP", &pid.to_string()]).stderr(Stdio::null()).status();
            all.extend(children_of(pid));
            at += 1;
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As it stands in a known_hosts file.
    pub(crate) fn known_as(&self) -> String {
        format!("[{}]:{}", self.address, self.port)
    }

    /// The line of one of its keys.
    pub(crate) fn host_line(&self, key: &str) -> String {
        let public = fs::read_to_string(self.path(key).with_extension("pub")).unwrap();
        let mut fields = public.split(' ');
        format!("{} {} {}", self.known_as(), fields.next().unwrap(), fields.next().unwrap().trim())
    }

    pub(crate) fn write_known_hosts(&self, text: &str) {
        fs::write(self.path("known_hosts"), format!("{text}\n")).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        format!("ssh://{}@{}:{}", user.trim(), self.address, self.port)
    }

    /// How it is declared under `hosts`.
    pub(crate) fn spec(&self) -> serde_json::Value {
        serde_json::json!({
            "connect": self.url(),
            "identity": self.path("id"),
            "known_hosts": self.path("known_hosts"),
            "config": "none",
            "state_dir": self.path("state"),
        })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
