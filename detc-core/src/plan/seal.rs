//! The digest that closes a plan.

use serde::Serialize;

use super::Plan;
use crate::diff::Reason;
use crate::model::{Digest, Hasher};

impl Plan {
    /// Sets the id to the digest of everything else.
    pub(super) fn seal(&mut self) {
        self.id = self.digest();
    }

    /// Whether nothing was altered since the plan was made.
    pub fn is_intact(&self) -> bool {
        self.id == self.digest()
    }

    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("detc.plan/1");
        let counts = [
            self.kinds.len(),
            self.hosts.len(),
            self.kept,
            self.left_out,
            self.changes.len(),
            self.actions.len(),
        ];
        for count in counts {
            hasher.part(&(count as u64).to_le_bytes());
        }
        for (name, schema) in &self.kinds {
            hasher.part(name.as_bytes()).part(schema.as_bytes());
        }
        for (name, host) in &self.hosts {
            hasher.part(name.as_str().as_bytes()).part(&json(host));
        }
        let mut buffer = Vec::with_capacity(256);
        for change in &self.changes {
            buffer.clear();
            buffer.push(change.kind as u8);
            // Most changes of a large plan are new and have no fields: they are told by one byte.
            let plain = change.reason == Reason::New && change.fields.is_empty();
            buffer.push(u8::from(plain));
            if let Some(to) = &change.to {
                buffer.extend_from_slice(to.digest().as_bytes());
            }
            hasher.part(change.resource.as_str().as_bytes()).part(&buffer);
            if !plain {
                hasher.part(&json(&(&change.reason, &change.fields)));
            }
        }
        for action in &self.actions {
            buffer.clear();
            buffer.extend_from_slice(&[action.verb as u8, action.crash as u8]);
            buffer.extend_from_slice(&action.change.to_le_bytes());
            buffer.extend_from_slice(action.spec.digest().as_bytes());
            buffer.extend_from_slice(action.basis.as_bytes());
            for before in &action.after {
                buffer.extend_from_slice(&before.to_le_bytes());
            }
            hasher.part(&buffer);
            // Each part is framed, and what is not there is told from what is empty.
            match &action.host {
                Some(host) => hasher.part(host.as_str().as_bytes()),
                None => hasher.part(b""),
            };
            let Some(recording) = &action.recording else {
                hasher.part(b"");
                continue;
            };
            buffer.clear();
            buffer.extend_from_slice(recording.intent.as_bytes());
            buffer.extend_from_slice(recording.relations.as_bytes());
            hasher.part(&buffer);
            if !recording.after.is_empty() || recording.extra.is_some() || recording.renamed_from.is_some() {
                hasher.part(&json(&(&recording.after, &recording.extra, &recording.renamed_from)));
            }
        }
        if !self.proofs.is_empty() {
            hasher.part(&json(&(&self.proofs, &self.ordered)));
        }
        hasher.finish()
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("invariant: a plan is JSON")
}
