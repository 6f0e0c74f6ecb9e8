//! Backends of a program's own: a client, a pool, a handle on the application itself, found by its type.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// Backends by their types.
#[derive(Clone, Default)]
pub struct Backends {
    by_type: BTreeMap<TypeId, Entry>,
}

#[derive(Clone)]
struct Entry {
    name: &'static str,
    backend: Arc<dyn Any + Send + Sync>,
}

impl Backends {
    /// None.
    pub const fn none() -> Self {
        Self { by_type: BTreeMap::new() }
    }

    /// Adds a backend, in place of another of its type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, backend: Arc<T>) -> Self {
        self.by_type.insert(TypeId::of::<T>(), Entry { name: type_name::<T>(), backend });
        self
    }

    /// The backend of a type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.by_type.get(&TypeId::of::<T>())?.backend.clone().downcast().ok()
    }
}

impl Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_type.values().map(|entry| entry.name)).finish()
    }
}
