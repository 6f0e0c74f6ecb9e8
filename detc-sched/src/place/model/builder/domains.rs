//! Finds the domains that are told by path or by attribute: each name becomes a number when it is seen first.

use std::collections::BTreeMap;

use super::{Builder, ModelError};
use crate::place::{DomainId, LevelId, Machine};

/// The numbers of the names of one level.
type Known = BTreeMap<String, DomainId>;

impl Builder {
    pub(super) fn find_domains(&mut self) -> Result<(), ModelError> {
        let mut known: Vec<Known> = Vec::new();
        for level in &self.levels {
            let names = level.domain_names.iter().enumerate();
            known.push(names.map(|(index, name)| (name.clone(), DomainId::new(index))).collect());
        }
        let mut machines = std::mem::take(&mut self.machines);
        for machine in &mut machines {
            for (levels, path) in std::mem::take(&mut machine.paths) {
                for (level, name) in levels.iter().zip(prefixes(machine, &path, levels.len())?) {
                    let domain = self.number(&mut known, *level, name);
                    machine.domains.entry(*level).or_insert(domain);
                }
            }
            for index in 0..self.levels.len() {
                let Some(attribute) = &self.levels[index].attribute else { continue };
                let value = machine.attributes.get(attribute).cloned().unwrap_or_default();
                let level = LevelId::new(index);
                let domain = self.number(&mut known, level, value);
                machine.domains.entry(level).or_insert(domain);
            }
        }
        self.machines = machines;
        Ok(())
    }

    fn number(&mut self, known: &mut [Known], level: LevelId, name: String) -> DomainId {
        let names = &mut self.levels[level.index()].domain_names;
        *known[level.index()].entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            DomainId::new(names.len() - 1)
        })
    }
}

/// The names of a machine's domains, the widest first: each is the path so far, because the racks 7 of two rows are two. Where
/// the path ends early, what is narrower is called by a path that ends in a `/`, which nobody can write.
fn prefixes(machine: &Machine, path: &str, depth: usize) -> Result<Vec<String>, ModelError> {
    let wrong = || ModelError::Path { by: machine.name.clone(), path: path.to_owned(), depth };
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() > depth || parts.iter().any(|part| part.is_empty()) {
        return Err(wrong());
    }
    let whole = |count: usize| parts[..count.min(parts.len())].join("/");
    let name = |count: usize| if count <= parts.len() { whole(count) } else { format!("{}/", whole(count)) };
    Ok((1..=depth).map(name).collect())
}
