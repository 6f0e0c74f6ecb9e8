//! The digest that closes a plan.

use super::Plan;
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
        for (name, host) in &self.hosts {
            hasher.part(name.as_str().as_bytes());
            hasher.part(&serde_json::to_vec(host).expect("invariant: a host is JSON"));
        }
        for (name, schema) in &self.kinds {
            hasher.part(name.as_bytes()).part(schema.as_bytes());
        }
        for count in [self.kept, self.left_out, self.changes.len(), self.actions.len()] {
            hasher.part(&(count as u64).to_le_bytes());
        }
        let mut buffer = Vec::with_capacity(256);
        for change in &self.changes {
            buffer.clear();
            buffer.extend_from_slice(change.resource.as_str().as_bytes());
            buffer.push(change.kind as u8);
            if !change.fields.is_empty() || change.kind != crate::diff::ChangeKind::Create {
                serde_json::to_writer(&mut buffer, &(&change.reason, &change.fields))
                    .expect("invariant: a change is JSON");
            }
            if let Some(to) = &change.to {
                buffer.extend_from_slice(to.digest().as_bytes());
            }
            hasher.part(&buffer);
        }
        for action in &self.actions {
            buffer.clear();
            buffer.extend_from_slice(&[action.verb as u8, action.crash as u8]);
            buffer.extend_from_slice(&action.change.to_le_bytes());
            for before in &action.after {
                buffer.extend_from_slice(&before.to_le_bytes());
            }
            buffer.extend_from_slice(action.spec.digest().as_bytes());
            buffer.extend_from_slice(action.basis.as_bytes());
            if let Some(host) = &action.host {
                buffer.extend_from_slice(host.as_str().as_bytes());
            }
            if let Some(recording) = &action.recording {
                buffer.extend_from_slice(recording.intent.as_bytes());
                buffer.extend_from_slice(recording.relations.as_bytes());
                for id in recording.after.iter().chain(&recording.renamed_from) {
                    buffer.extend_from_slice(id.as_str().as_bytes());
                }
            }
            hasher.part(&buffer);
        }
        hasher.finish()
    }
}
