//! A throw-away dockerd: with data, sockets, a bridge and addresses of its own, in a folder of its own. Nothing of the system's
//! configuration is read or changed.

#![allow(dead_code, reason = "more tests are to come that use it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use detc_actions::backends::{DockerEngine, DockerSpec};
use tempfile::TempDir;

/// How long it may take to begin, on a machine that is busy with other tests, and to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// One dockerd that runs. Dropped, it ends with all its containers.
pub(crate) struct Dockerd {
    dir: TempDir,
    child: Option<Child>,
    net: Net,
    more: Vec<String>,
}

/// Addresses and a bridge that nobody else here has.
struct Net {
    /// `10.x.`, what all its addresses begin with.
    prefix: String,
    bridge: String,
}

impl Dockerd {
    /// The one that all tests share which run at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Dockerd>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// One for a test that does with it what others would notice.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One with further arguments.
    pub(crate) fn with(more: &[&str]) -> Self {
        installed();
        let dir = tempfile::Builder::new().prefix("detc-dockerd-").tempdir().unwrap();
        let net = Net::make();
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        let mut dockerd = Self { dir, child: None, net, more };
        dockerd.run();
        dockerd
    }

    /// Starts it, with what it had before.
    pub(crate) fn run(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        fs::write(self.path("daemon.json"), "{}").unwrap();
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("dockerd");
        command
            .args(["--config-file", &path("daemon.json")])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("sock"))])
            .args(["--bridge", &self.net.bridge, "--default-address-pool"])
            .arg(format!("base={}0.0/16,size=24", self.net.prefix))
            // The system's rules are left alone: ports are reached through its proxy.
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"])
            .args(["--shutdown-timeout", "1"])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().expect("dockerd was installed"));
        let began = Instant::now();
        while !self.answers() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "dockerd does not start: {}", self.log());
            assert!(began.elapsed() < PATIENCE, "dockerd does not answer: {}", self.log());
            pause();
        }
    }

    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::os::unix::net::UnixStream::connect(self.path("sock")) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.ends_with("OK")
    }

    /// Ends it, and its containers.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(child.id(), "TERM");
        let began = Instant::now();
        while child.try_wait().unwrap_or_default().is_none() {
            if began.elapsed() > PATIENCE {
                let _gone = child.kill();
                let _status = child.wait();
                break;
            }
            pause();
        }
    }

    /// Ends it as a crash would; its containers go on, and end with what drops this.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn spec(&self) -> DockerSpec {
        DockerSpec::new(format!("unix://{}", self.path("sock").display()))
    }

    /// A client of it, with connections of its own.
    pub(crate) fn engine(&self) -> DockerEngine {
        DockerEngine::new("dockerd", &self.spec()).unwrap()
    }

    /// A subnet of its own that it gives to nobody by itself: `10.x.200.0/24` and such.
    pub(crate) fn subnet(&self, third: u8) -> String {
        format!("{}{third}.0/24", self.net.prefix)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.stop();
        // Where it was killed, what it had started is still there.
        for pid in of_folder(self.dir.path()) {
            signal(pid, "KILL");
        }
        let began = Instant::now();
        while !of_folder(self.dir.path()).is_empty() && began.elapsed() < PATIENCE {
            pause();
        }
        for place in mounts_below(self.dir.path()) {
            quietly(Command::new("umount").arg("-l").arg(place));
        }
    }
}

impl Net {
    fn make() -> Self {
        const TRIES_MAX: u32 = 50;
        for attempt in 0..TRIES_MAX {
            let number = (std::process::id().wrapping_mul(7) + attempt) % 120;
            let (prefix, bridge) = (format!("10.{}.", 100 + number), format!("detc{number}"));
            if text_of(Command::new("ip").args(["-o", "-4", "addr"])).contains(&format!(" {prefix}")) {
                continue;
            }
            if quietly(Command::new("ip").args(["link", "add", &bridge, "type", "bridge"])) {
                let net = Self { prefix, bridge };
                let address = format!("{}255.1/24", net.prefix);
                let given = quietly(Command::new("ip").args(["addr", "add", &address, "dev", &net.bridge]));
                let is_up = quietly(Command::new("ip").args(["link", "set", &net.bridge, "up"]));
                assert!(given && is_up, "a bridge is made and given an address by root");
                return net;
            }
        }
        panic!("no bridge can be made: that takes root, and the kernel's module `bridge`");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Bridges of networks stay when their dockerd has ended.
        let all = text_of(Command::new("ip").args(["-o", "-4", "addr"]));
        let ours = all.lines().filter(|line| line.contains(&format!(" {}", self.prefix)));
        for bridge in ours.filter_map(|line| line.split_whitespace().nth(1)) {
            quietly(Command::new("ip").args(["link", "del", bridge]));
        }
    }
}

/// Debian's docker.io is installed where no dockerd is.
fn installed() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        if Path::new("/usr/sbin/dockerd").exists() || Path::new("/usr/bin/dockerd").exists() {
            return;
        }
        let mut update = Command::new("apt-get");
        assert!(quietly(update.args(["update", "-q"])), "apt-get update");
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-q", "--no-install-recommends", "docker.io"]);
        assert!(quietly(install.env("DEBIAN_FRONTEND", "noninteractive")), "apt-get install docker.io");
    });
}

/// The processes of a dockerd: those that name its folder, such as containerd and what holds containers, and the containers.
fn of_folder(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(folder) && pid != std::process::id() {
            found.push(pid);
            found.extend(children_of(pid));
        }
    }
    found
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let listed = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    listed
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// What is mounted below a folder, the innermost first.
fn mounts_below(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<_> =
        places.filter(|place| Path::new(place).starts_with(folder)).map(str::to_owned).collect();
    below.reverse();
    below
}

fn signal(pid: u32, signal: &str) {
    quietly(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()));
}

fn quietly(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

fn text_of(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Lets others go on for a moment.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}
