//! Puts mutants behind switches: `a < b` becomes `(if on(7) { (a <= b) } else { (a < b) })`.
//!
//! One mutant is on at a time, so that what is inside a mutated copy need not be mutated again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::Result;
use crate::list::{Genre, Lines, Mutant};

/// The switches, as they are put into the crate. A test that is run for its cover tells each switch once that it comes to.
const SWITCHES: &str = r#"
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub)]
pub mod mutants {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::{Mutex, OnceLock};

    struct Switches {
        on: usize,
        cover: Option<Mutex<std::fs::File>>,
        seen: Vec<AtomicBool>,
    }

    pub fn on(mutant: usize) -> bool {
        static SWITCHES: OnceLock<Switches> = OnceLock::new();
        let switches = SWITCHES.get_or_init(|| Switches {
            on: std::env::var("DETC_MUTANT").ok().and_then(|on| on.parse().ok()).unwrap_or(usize::MAX),
            cover: std::env::var_os("DETC_MUTANT_COVER")
                .and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok())
                .map(Mutex::new),
            seen: std::iter::repeat_with(|| AtomicBool::new(false)).take(100_000).collect(),
        });
        if let Some(cover) = &switches.cover
            && !switches.seen[mutant].swap(true, Relaxed)
        {
            let _ = cover.lock().unwrap().write_all(format!("{mutant}\n").as_bytes());
        }
        switches.on == mutant
    }
}
"#;

/// A copy of the repository.
pub struct Tree {
    pub root: PathBuf,
    /// The texts of the files that were mutated, as they were.
    from: PathBuf,
}

/// Where a mutant is in the text that was written: its own copy, and all that it is about.
pub struct Placed {
    pub mutant: usize,
    pub own: (usize, usize),
    pub whole: (usize, usize),
}

impl Tree {
    pub fn copy(root: &Path) -> Result<Self> {
        let git = |arguments: &[&str]| -> Result<String> {
            let output = Command::new("git").args(arguments).output()?;
            Ok(String::from_utf8(output.stdout)?)
        };
        let from = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?.trim());
        let files = Command::new("git").arg("ls-files").current_dir(&from).output()?;
        for file in String::from_utf8(files.stdout)?.lines() {
            let (source, target) = (from.join(file), root.join(file));
            let content = fs::read(&source).map_err(|error| format!("{}: {error}", source.display()))?;
            write_changed(&target, &content)?;
        }
        Ok(Self { root: root.to_owned(), from })
    }

    /// Writes the files with all mutants but those that are `out`; returns by file where they are.
    pub fn inject(
        &self,
        mutants: &[Mutant],
        out: &mut BTreeMap<usize, String>,
    ) -> Result<BTreeMap<String, Vec<Placed>>> {
        let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, mutant) in mutants.iter().enumerate() {
            by_file.entry(&mutant.file).or_default().push(index);
        }
        let mut placed = BTreeMap::new();
        for (file, indices) in by_file {
            let text = fs::read_to_string(self.from.join(file))?;
            let (text, places) =
                rewrite(&text, mutants, indices, out).map_err(|error| format!("{file}: {error}"))?;
            write_changed(&self.root.join(file), text.as_bytes())?;
            placed.insert(file.to_owned(), places);
        }
        let lib = fs::read_to_string(self.from.join("detc-core/src/lib.rs"))?;
        write_changed(&self.root.join("detc-core/src/lib.rs"), format!("{lib}{SWITCHES}").as_bytes())?;
        Ok(placed)
    }
}

/// What did not change is not written: its time stays, and it is not built again.
fn write_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, content)?)
}

/// Text before and after a part of the source.
struct Wrap {
    start: usize,
    end: usize,
    before: String,
    after: String,
    mutant: usize,
}

fn rewrite(
    text: &str,
    mutants: &[Mutant],
    indices: Vec<usize>,
    out: &mut BTreeMap<usize, String>,
) -> Result<(String, Vec<Placed>)> {
    let lines = Lines::of(text);
    let mut parts = Parts::of(&lines);
    parts.visit_file(&syn::parse_file(text)?);
    let mut wraps = Vec::new();
    for index in indices {
        let mutant = &mutants[index];
        let span = lines.bytes(mutant.span);
        if parts.chains.contains(&span.0) {
            out.insert(index, "let chain".to_owned());
        }
        if out.contains_key(&index) {
            continue;
        }
        wraps.push(wrap(text, index, mutant, span, &parts)?);
        if mutant.genre == Genre::MatchArm {
            // Where an arm is missed, the compiler points to the head of the match.
            let around = parts.matches.iter().filter(|whole| whole.0 <= span.0 && span.1 <= whole.1);
            let (start, end) =
                *around.min_by_key(|whole| whole.1 - whole.0).ok_or("an arm without a match")?;
            wraps.push(Wrap { start, end, before: String::new(), after: String::new(), mutant: index });
        }
    }
    Ok(compose(text, &wraps))
}

fn wrap(
    text: &str,
    index: usize,
    mutant: &Mutant,
    (start, end): (usize, usize),
    parts: &Parts<'_>,
) -> Result<Wrap> {
    let on = format!("crate::mutants::on({index})");
    let switched = |(from, to): (usize, usize), mutated: String| Wrap {
        start: from,
        end: to,
        before: format!("(if {on} {{ ({mutated}) }} else {{ ("),
        after: ") })".to_owned(),
        mutant: index,
    };
    let replaced = |(from, to): (usize, usize)| {
        format!("{} {} {}", &text[from..start], mutant.replacement, &text[end..to])
    };
    let found = match mutant.genre {
        Genre::FnValue => parts.bodies.get(&start).map(|&to| Wrap {
            start,
            end: to,
            before: format!("if {on} {{ return {}; }} ", mutant.replacement),
            after: String::new(),
            mutant: index,
        }),
        Genre::BinaryOperator | Genre::UnaryOperator => {
            parts.operators.get(&start).map(|&whole| switched(whole, replaced(whole)))
        }
        Genre::StructField => parts
            .structs
            .iter()
            .filter(|whole| whole.0 <= start && end <= whole.1)
            .min_by_key(|whole| whole.1 - whole.0)
            .map(|&whole| {
                let rest = text[end..whole.1].trim_start();
                let rest = rest.strip_prefix(',').unwrap_or(rest);
                switched(whole, format!("{} {rest}", &text[whole.0..start]))
            }),
        Genre::MatchArmGuard => Some(switched((start, end), mutant.replacement.clone())),
        Genre::MatchArm => parts.arms.get(&start).map(|arm| match arm.guard {
            Some((from, to)) => Wrap {
                start: from,
                end: to,
                before: format!("!{on} && ("),
                after: ")".to_owned(),
                mutant: index,
            },
            None => Wrap {
                start: arm.pattern_end,
                end: arm.pattern_end,
                before: format!(" if !{on}"),
                after: String::new(),
                mutant: index,
            },
        }),
    };
    found.ok_or_else(|| format!("no place for {}", mutant.name).into())
}

/// Writes the text with all wraps: the wider around the narrower.
fn compose(text: &str, wraps: &[Wrap]) -> (String, Vec<Placed>) {
    // Where, ends before begins, the nearer inside, and which.
    let mut edges: Vec<(usize, bool, usize, usize)> = Vec::new();
    for (index, wrap) in wraps.iter().enumerate() {
        edges.push((wrap.start, true, usize::MAX - wrap.end, index));
        edges.push((wrap.end, wrap.start == wrap.end, usize::MAX - wrap.start, usize::MAX - index));
    }
    edges.sort_unstable();
    let mut placed: Vec<Placed> =
        wraps.iter().map(|wrap| Placed { mutant: wrap.mutant, own: (0, 0), whole: (0, 0) }).collect();
    let (mut written, mut from, mut begun) =
        (String::with_capacity(text.len() * 4), 0, vec![false; wraps.len()]);
    for (at, _, _, index) in edges {
        let index = index.min(usize::MAX - index);
        written.push_str(&text[from..at]);
        from = at;
        if begun[index] {
            written.push_str(&wraps[index].after);
            placed[index].whole.1 = written.len();
        } else {
            begun[index] = true;
            placed[index].whole.0 = written.len();
            placed[index].own.0 = written.len();
            written.push_str(&wraps[index].before);
            placed[index].own.1 = written.len();
        }
    }
    written.push_str(&text[from..]);
    (written, placed)
}

struct ArmParts {
    pattern_end: usize,
    guard: Option<(usize, usize)>,
}

/// The parts of a file that mutants are about, by where they begin; an operation by where its operator does.
struct Parts<'a> {
    lines: &'a Lines<'a>,
    bodies: BTreeMap<usize, usize>,
    operators: BTreeMap<usize, (usize, usize)>,
    /// Operators between conditions of which one is a `let`: no other operator may stand there.
    chains: BTreeSet<usize>,
    structs: Vec<(usize, usize)>,
    matches: Vec<(usize, usize)>,
    arms: BTreeMap<usize, ArmParts>,
}

impl<'a> Parts<'a> {
    fn of(lines: &'a Lines<'a>) -> Self {
        Self {
            lines,
            bodies: BTreeMap::new(),
            operators: BTreeMap::new(),
            chains: BTreeSet::new(),
            structs: Vec::new(),
            matches: Vec::new(),
            arms: BTreeMap::new(),
        }
    }

    fn bytes(&self, part: &impl Spanned) -> (usize, usize) {
        let span = part.span();
        let (start, end) = (span.start(), span.end());
        (self.lines.byte(start.line, start.column), self.lines.byte(end.line, end.column))
    }

    fn body(&mut self, block: &syn::Block) {
        if let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) {
            let (start, end) = (self.bytes(first).0, self.bytes(last).1);
            self.bodies.insert(start, end);
        }
    }
}

/// Whether it is a `let`, or conditions of which one is.
fn has_let(condition: &syn::Expr) -> bool {
    match condition {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Parts<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.body(&item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.body(&item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let (operator, whole) = (self.bytes(&binary.op).0, self.bytes(binary));
        self.operators.insert(operator, whole);
        if has_let(&binary.left) || has_let(&binary.right) {
            self.chains.insert(operator);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let (operator, whole) = (self.bytes(&unary.op).0, self.bytes(unary));
        self.operators.insert(operator, whole);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        let whole = self.bytes(made);
        self.structs.push(whole);
        visit::visit_expr_struct(self, made);
    }

    fn visit_expr_match(&mut self, matched: &'ast syn::ExprMatch) {
        let whole = self.bytes(matched);
        self.matches.push(whole);
        visit::visit_expr_match(self, matched);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let start = self.bytes(arm).0;
        let parts = ArmParts {
            pattern_end: self.bytes(&arm.pat).1,
            guard: arm.guard.as_ref().map(|(_, guard)| self.bytes(&**guard)),
        };
        self.arms.insert(start, parts);
        visit::visit_arm(self, arm);
    }
}
