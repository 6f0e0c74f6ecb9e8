//! The embedded store: one durable file.
