//! From one machine to ten: ten throw-away sshd are started, a small service is released on all of them and rolled to a new
//! version, somebody breaks one, and at the end there is nothing left to do. Needs `sshd`, `ssh-keygen` and `python3`.
//!
//!     cargo run --example ssh_fleet

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use detc_actions::backends::SshConnector;
use detc_actions::resources::{self, DirectorySpec, FileSpec, HealthSpec, ProcessSpec};
use detc_core::manage::Manager;
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::Registry;

const HOSTS: usize = 10;

/// A machine of the story: an sshd on an address of its own, and the port that the service has there.
struct Machine {
    name: String,
    address: String,
    ssh_port: u16,
    web_port: u16,
    sshd: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = self.sshd.kill();
        let _status = self.sshd.wait();
    }
}

/// The service in the application's own terms: its folder, its page, and the server, one machine after the other.
fn cluster(version: &str, dir: &Path, machines: &[Machine]) -> Desired {
    let mut desired = Desired::new();
    let mut previous = None;
    for Machine { name, address, ssh_port, web_port, .. } in machines {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let option = |file: &str| dir.join(file).display().to_string().into();
        let spec = HostSpec {
            connect: format!("ssh://{user}@{address}:{ssh_port}"),
            options: [
                ("config".to_owned(), "none".into()),
                ("identity".to_owned(), option("id")),
                ("known_hosts".to_owned(), option("known_hosts")),
                ("state_dir".to_owned(), option(&format!("{name}/state"))),
            ]
            .into(),
            ..HostSpec::local()
        };
        let root = dir.join(name).join("web").display().to_string();
        let mut server =
            ProcessSpec::new(["python3", "-m", "http.server", "--bind", address, &web_port.to_string()]);
        server.dir = Some(root.clone());
        server.health = Some(HealthSpec::http(format!("http://{address}:{web_port}/")));
        let page = DesiredResource::new(
            &format!("{name}/page"),
            &FileSpec::new(format!("{root}/index.html"), format!("{version} on {name}\n")),
        );
        let mut server = DesiredResource::new(&format!("{name}/web"), &server)
            .on(name)
            .after(&page.id)
            .label("app", "web");
        if let Some(previous) = &previous {
            server = server.after(previous);
        }
        previous = Some(server.id.clone());
        desired = desired
            .host(name, spec)
            .with(DesiredResource::new(&format!("{name}/root"), &DirectorySpec::new(root)).on(name))
            .with(page.on(name))
            .with(server);
    }
    desired
}

async fn converge(manager: &Manager, desired: &Desired) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let planned = manager.plan(desired).await?;
    println!("{}", planned.plan);
    let applied = manager.apply(planned).await?;
    println!("{applied}\nin {} ms\n", began.elapsed().as_millis());
    applied.into_result()?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("detc-ssh-fleet-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let machines = start(&dir)?;
    let registry = resources::register(Registry::new()).with_connector(SshConnector::default());
    let manager = Manager::embedded(&dir.join("store"), registry).await?;
    let told = story(&manager, &dir, &machines).await;
    println!("── Clean up: desire nothing but the hosts ──\n");
    let mut nothing = Desired::new();
    nothing.hosts = cluster("", &dir, &machines).hosts;
    converge(&manager, &nothing).await?;
    manager.close().await?;
    drop(machines);
    std::fs::remove_dir_all(dir)?;
    told
}

async fn story(manager: &Manager, dir: &Path, machines: &[Machine]) -> Result<(), Box<dyn Error>> {
    println!("── Ten machines, on which nothing is there yet ──\n");
    converge(manager, &cluster("v1", dir, machines)).await?;
    println!("They answer: {}\n", answers(machines)?);

    println!("── A new version on all of them ──\n");
    converge(manager, &cluster("v2", dir, machines)).await?;
    println!("They answer: {}\n", answers(machines)?);

    println!("── Somebody edits a file on h3 behind our back ──\n");
    std::fs::write(dir.join("h3/web/index.html"), "hacked\n")?;
    converge(manager, &cluster("v2", dir, machines)).await?;
    println!("They answer: {}\n", answers(machines)?);

    println!("── And once more: all is as desired ──\n");
    converge(manager, &cluster("v2", dir, machines)).await
}

/// Starts an sshd for each machine, with keys of this folder and nothing of the system's configuration.
fn start(dir: &Path) -> Result<Vec<Machine>, Box<dyn Error>> {
    for key in ["host", "id"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join(key))
            .status()?;
        if !made.success() {
            return Err("ssh-keygen failed".into());
        }
    }
    std::fs::copy(dir.join("id.pub"), dir.join("authorized_keys"))?;
    // Root's sshd wants this folder, which the system's service makes otherwise.
    let _made_by_the_service = std::fs::create_dir_all("/run/sshd");
    let public = std::fs::read_to_string(dir.join("host.pub"))?;
    let mut known = String::new();
    let mut machines = Vec::new();
    for number in 1..=HOSTS {
        let (name, address) = (format!("h{number}"), format!("127.0.1.{number}"));
        let (ssh_port, web_port) = (free_port(&address)?, free_port(&address)?);
        std::fs::create_dir_all(dir.join(&name))?;
        let config = dir.join(&name).join("sshd_config");
        let path = |file: &str| dir.join(file).display().to_string();
        std::fs::write(
            &config,
            format!(
                "ListenAddress {address}:{ssh_port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nLogLevel QUIET\n\
                 SetEnv HOME={}\nSubsystem sftp internal-sftp\n",
                path("host"),
                path("authorized_keys"),
                path(&name)
            ),
        )?;
        let sshd = Command::new(sshd()).arg("-D").arg("-f").arg(&config).stdin(Stdio::null()).spawn()?;
        known += &format!("[{address}]:{ssh_port} {public}");
        machines.push(Machine { name, address, ssh_port, web_port, sshd });
    }
    std::fs::write(dir.join("known_hosts"), known)?;
    for machine in &machines {
        wait_for(machine)?;
    }
    Ok(machines)
}

fn sshd() -> PathBuf {
    PathBuf::from("/usr/sbin/sshd")
}

fn wait_for(machine: &Machine) -> Result<(), Box<dyn Error>> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let began = Instant::now();
    while TcpStream::connect((machine.address.as_str(), machine.ssh_port)).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(format!("the sshd of {} does not listen", machine.name).into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

fn answers(machines: &[Machine]) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for machine in machines {
        let mut stream = TcpStream::connect((machine.address.as_str(), machine.web_port))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        all.push(answer.lines().last().unwrap_or_default().to_owned());
    }
    Ok(all.join(", "))
}

fn free_port(address: &str) -> std::io::Result<u16> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?.port())
}
