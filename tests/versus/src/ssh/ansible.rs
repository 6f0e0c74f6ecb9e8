//! Ansible, as those set it up who want it fast: fifty forks, pipelining, connections that are kept; and the same with Mitogen.
//!
//! All is in files of the run's own folder. A configuration of the user's own is not read.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::hosts::Hosts;
use super::is_there;

/// How many hosts are worked on at once. It has five, when nothing is said.
const FORKS: usize = 50;

/// Ansible's program, and where Mitogen's strategies are.
#[derive(Clone, Debug)]
pub struct Ansible {
    program: PathBuf,
    mitogen: Option<PathBuf>,
}

impl Ansible {
    /// The one at `program`, or else the one on the PATH, where there is one. Mitogen's strategies are in `mitogen`, or else
    /// where Ansible's own Python has them, where it does.
    pub fn find(program: Option<PathBuf>, mitogen: Option<PathBuf>) -> anyhow::Result<Option<Self>> {
        let Some(program) = program.or_else(|| on_the_path("ansible-playbook")) else {
            ensure!(mitogen.is_none(), "Mitogen needs Ansible: there is no ansible-playbook on the PATH");
            eprintln!("there is no ansible-playbook on the PATH: no rows of Ansible");
            return Ok(None);
        };
        if !is_there(&program) {
            bail!("there is no Ansible at {}: `pip install ansible-core mitogen`", program.display());
        }
        let mitogen = mitogen.or_else(|| strategies_beside(&program));
        match &mitogen {
            Some(dir) if !dir.join("mitogen_linear.py").exists() => {
                bail!("there is no mitogen_linear.py in {}", dir.display());
            }
            Some(_) => {}
            None => eprintln!("there is no Mitogen beside {}: no rows of it", program.display()),
        }
        Ok(Some(Self { program, mitogen }))
    }

    /// Writes what it reads, and returns what is measured: a name, and a command.
    pub fn prepare(&self, hosts: &Hosts) -> anyhow::Result<Vec<(&'static str, Vec<String>)>> {
        fs::write(hosts.path("site.yml"), include_str!("site.yml"))?;
        let mut inventory = String::new();
        for name in &hosts.names {
            let root = hosts.text(&format!("root/{}", name.name));
            writeln!(inventory, "{} root_dir={root}", name.name)?;
        }
        // The one thing that it would otherwise find out by an exchange of its own.
        inventory.push_str("[all:vars]\nansible_python_interpreter=/usr/bin/python3\n");
        fs::write(hosts.path("inventory.ini"), inventory)?;
        fs::write(hosts.path("ansible.cfg"), config(hosts, ""))?;
        let mut measured = vec![("Ansible", self.command("ansible.cfg"))];
        if let Some(dir) = &self.mitogen {
            let strategy = format!("strategy_plugins = {}\nstrategy = mitogen_linear\n", dir.display());
            fs::write(hosts.path("mitogen.cfg"), config(hosts, &strategy))?;
            measured.push(("Ansible + Mitogen", self.command("mitogen.cfg")));
        }
        Ok(measured)
    }

    fn command(&self, config: &str) -> Vec<String> {
        let program = self.program.display().to_string();
        let config = format!("ANSIBLE_CONFIG={config}");
        ["env", &config, &program, "-i", "inventory.ini", "site.yml"].map(str::to_owned).to_vec()
    }
}

fn config(hosts: &Hosts, defaults: &str) -> String {
    format!(
        "[defaults]\nhome = {}\nforks = {FORKS}\ntimeout = 60\nnocolor = true\ndisplay_failed_stderr = true\n{defaults}[ssh_connection]\npipelining = true\n\
         ssh_args = -C -o ControlMaster=auto -o ControlPersist=60s\nssh_common_args = -F {}\n",
        hosts.text("ansible"),
        hosts.text("ssh_config"),
    )
}

fn on_the_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|program| program.exists())
}

/// Where the Python that an Ansible was installed with has Mitogen's strategies.
fn strategies_beside(program: &Path) -> Option<PathBuf> {
    let where_it_is = "import ansible_mitogen; print(ansible_mitogen.__path__[0])";
    let python = program.parent()?.join("python3");
    let python = if python.exists() { python.into_os_string() } else { OsStr::new("python3").to_owned() };
    let said = Command::new(python).args(["-c", where_it_is]).output().ok()?;
    let dir = String::from_utf8(said.stdout).context("a path of no text").ok()?;
    said.status.success().then(|| Path::new(dir.trim_end()).join("plugins/strategy"))
}
