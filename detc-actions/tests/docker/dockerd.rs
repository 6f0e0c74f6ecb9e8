//! A throw-away dockerd: with data, sockets, a bridge and addresses of its own, in a folder of its own. Nothing of the system's
//! configuration is read or changed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use detc_actions::backends::{DockerEngine, DockerSpec};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::support;

/// How long it may take to begin, on a machine that is busy with other tests, and to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// One dockerd that runs. Dropped, it ends with all its containers.
pub(crate) struct Dockerd {
    dir: TempDir,
    child: Option<Child>,
    net: Net,
    more: Vec<String>,
    image: OnceCell<String>,
}

/// Addresses and a bridge that nobody else here has.
struct Net {
    /// `10.x.`, what all its addresses begin with.
    prefix: String,
    bridge: String,
    bridges: BTreeSet<String>,
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
        let mut dockerd = Self { dir, child: None, net, more, image: OnceCell::new() };
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
        self.get("/_ping").is_some_and(|answer| answer == "OK")
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.path("sock")).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// Takes note of the bridges of its networks, which stay when it has ended.
    fn note_bridges(&mut self) {
        let networks: serde_json::Value =
            serde_json::from_str(&self.get("/networks").unwrap_or_default()).unwrap_or_default();
        for network in networks.as_array().into_iter().flatten() {
            if let Some(id) = network["Id"].as_str().and_then(|id| id.get(..12)) {
                self.net.bridges.insert(format!("br-{id}"));
            }
        }
    }

    /// Ends it, and its containers.
    pub(crate) fn stop(&mut self) {
        self.note_bridges();
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

    /// Ends it as a crash would, with the containerd that it has started; its containers go on, and end with what drops this.
    pub(crate) fn kill(&mut self) {
        self.note_bridges();
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let is_left = |pid: &u32| name_of(*pid) == "containerd";
        let began = Instant::now();
        while let Some(pid) = of_folder(self.dir.path()).into_iter().find(is_left) {
            assert!(began.elapsed() < PATIENCE, "containerd does not end");
            signal(pid, "KILL");
            pause();
        }
        // Where nobody waits for the dead, the number is not free yet, and would be taken for one that lives.
        let _none = fs::remove_file(self.path("exec/containerd/containerd.pid"));
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

    /// The image of all tests, which is made when it is first asked for; its id.
    pub(crate) async fn image(&self) -> &str {
        self.image.get_or_init(|| async { support::image(&self.engine()).await }).await
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
                let net = Self { prefix, bridge, bridges: BTreeSet::new() };
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
        for bridge in self.bridges.iter().chain([&self.bridge]) {
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

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
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
