//! Plans for people and programs: text, JSON, graphs.
