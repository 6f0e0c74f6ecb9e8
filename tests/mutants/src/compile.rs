//! Builds the tests, and takes out what does not compile until the rest does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::inject::{Placed, Tree};
use crate::list::Mutant;

/// Test programs, the folder that they run in, and which mutants are not in them, and why.
#[derive(Serialize, Deserialize)]
pub struct Build {
    pub programs: Vec<PathBuf>,
    pub package: PathBuf,
    pub unviable: BTreeMap<usize, String>,
}

impl Build {
    /// What was built in a folder before.
    pub fn read(work: &Path, suite: Suite) -> Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(suite.built(work))?)?)
    }
}

impl Suite {
    /// Where it is told what was built.
    fn built(self, work: &Path) -> PathBuf {
        work.join(match self {
            Self::Core => "built-core.json",
            Self::Contract => "built-contract.json",
        })
    }
}

/// An error of the compiler, with the parts of files that it points to, the first of them first.
struct Complaint {
    code: String,
    text: String,
    at: Vec<(String, usize, usize)>,
}

/// Which tests mutants are tried with.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Suite {
    /// Those of the engine's own package.
    Core,
    /// Those of the program `fleet`, from outside.
    Contract,
}

/// Builds what compiles.
pub fn compile(tree: &Tree, mutants: &[Mutant], suite: Suite) -> Result<Build> {
    let mut unviable = BTreeMap::new();
    loop {
        let placed = tree.inject(mutants, &mut unviable)?;
        let (_, complaints) = cargo(tree, &["check", "-p", "detc-core", "--all-features"])?;
        if complaints.is_empty() {
            break;
        }
        let before = unviable.len();
        for complaint in &complaints {
            unviable.entry(blamed(complaint, &placed)?).or_insert_with(|| complaint.code.clone());
        }
        eprintln!("{} complaints, {} mutants are out", complaints.len(), unviable.len());
        if unviable.len() == before {
            return Err(format!("does not compile without mutants: {}", complaints[0].text).into());
        }
    }
    let (programs, package) = match suite {
        Suite::Core => {
            let tests = ["test", "-p", "detc-core", "--all-features", "--lib", "--test", "it", "--no-run"];
            (cargo(tree, &tests)?.0, "detc-core")
        }
        Suite::Contract => {
            // The programs under test are examples, which are built first.
            cargo(tree, &["build", "-p", "detc-examples", "--examples"])?;
            (cargo(tree, &["test", "-p", "detc-tests", "--test", "it", "--no-run"])?.0, "tests")
        }
    };
    let build = Build { programs, package: tree.root.join(package).canonicalize()?, unviable };
    fs::write(suite.built(&tree.root), serde_json::to_string(&build)?)?;
    Ok(build)
}

/// Whose text the compiler points to; else, what is innermost of all that is about the place.
fn blamed(complaint: &Complaint, placed: &BTreeMap<String, Vec<Placed>>) -> Result<usize> {
    for (is_own, (file, from, to)) in
        [true, false].into_iter().flat_map(|own| complaint.at.iter().map(move |at| (own, at)))
    {
        let around = |place: &&Placed| {
            let (start, end) = if is_own { place.own } else { place.whole };
            start <= *from && *to <= end
        };
        let nearest = placed
            .get(file)
            .into_iter()
            .flatten()
            .filter(around)
            .min_by_key(|place| place.whole.1 - place.whole.0);
        if let Some(nearest) = nearest {
            return Ok(nearest.mutant);
        }
    }
    Err(format!("nobody is to blame for: {}", complaint.text).into())
}

fn cargo(tree: &Tree, arguments: &[&str]) -> Result<(Vec<PathBuf>, Vec<Complaint>)> {
    let output = Command::new("cargo")
        .args(arguments)
        .args(["--message-format", "json"])
        .env("RUSTFLAGS", "--cap-lints=warn")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .current_dir(&tree.root)
        .stderr(Stdio::inherit())
        .output()?;
    let (mut programs, mut complaints) = (Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line)?;
        if let Some(program) = message["executable"].as_str() {
            programs.push(PathBuf::from(program));
        }
        let told = &message["message"];
        if message["reason"] == "compiler-message" && told["level"] == "error" {
            complaints.extend(complaint(told));
        }
    }
    if !output.status.success() && complaints.is_empty() {
        return Err("cargo failed, and told no error of the compiler".into());
    }
    Ok((programs, complaints))
}

fn complaint(told: &Value) -> Option<Complaint> {
    let mut spans: Vec<&Value> = told["spans"].as_array()?.iter().collect();
    spans.sort_by_key(|span| span["is_primary"] != true);
    let at: Vec<_> = spans
        .into_iter()
        .flat_map(|span| std::iter::successors(Some(span), called))
        .filter_map(|span| {
            let byte = |name: &str| span[name].as_u64().and_then(|byte| usize::try_from(byte).ok());
            Some((span["file_name"].as_str()?.to_owned(), byte("byte_start")?, byte("byte_end")?))
        })
        .collect();
    if at.is_empty() {
        return None;
    }
    Some(Complaint {
        code: told["code"]["code"].as_str().unwrap_or("").to_owned(),
        text: told["rendered"].as_str().unwrap_or("").to_owned(),
        at,
    })
}

/// Where the macro is called that a part is of.
fn called<'a>(span: &&'a Value) -> Option<&'a Value> {
    Some(&span["expansion"]["span"]).filter(|span| span.is_object())
}
